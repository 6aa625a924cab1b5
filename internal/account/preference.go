package account

import (
	"context"
	"encoding/json"
	"math"
	"strings"
	"time"
)

// Preferences are what somebody chose. Apps read the ones about model calls;
// the mails we send obey the others.
type Preferences struct {
	ModelID     string    // "" is none
	ModelAt     time.Time // when it was chosen
	Stream      bool
	MaxTokens   int64  // 0 is none
	Temperature *Milli // nil is none
	Mails       bool   // those that may be switched off
	Alerts      bool   // mails about how much of the plan is used
	Metadata    string // a JSON object of an app, or ""
	Locale      string // a language tag, or ""
	Timezone    string // an IANA name, or ""
	UpdatedAt   time.Time
}

// Milli is a number in thousandths.
type Milli int64

// Bounds of preferences.
const (
	maxTokens      = 200_000
	maxTemperature = 2
	maxMetadata    = 8 << 10
)

// defaults are the preferences of who never chose.
func defaults() Preferences { return Preferences{Stream: true, Mails: true, Alerts: true} }

// Preferences returns what somebody chose, or ErrUnknown.
func (s *Service) Preferences(ctx context.Context, userID string) (Preferences, error) {
	u, err := s.store.byID(ctx, userID)
	if err != nil {
		return Preferences{}, unavailable(err)
	}
	p, err := s.store.preferences(ctx, userID)
	p.Locale, p.Timezone = u.Locale, u.Timezone
	return p, unavailable(err)
}

// Prefer changes what somebody chose by edit, which gets what was. The faults
// name the field.
func (s *Service) Prefer(ctx context.Context, userID string, edit func(*Preferences) error) (Preferences, error) {
	var p Preferences
	err := s.DB.InTx(ctx, func(ctx context.Context) (err error) {
		// The write comes first, so that two edits at once do not undo each other.
		if err := s.store.touchPreferences(ctx, userID, defaults(), s.Now()); err != nil {
			return err
		}
		if p, err = s.Preferences(ctx, userID); err != nil {
			return err
		}
		model := p.ModelID
		if err := edit(&p); err != nil {
			return err
		}
		if err := p.check(); err != nil {
			return err
		}
		p.UpdatedAt = s.Now().UTC().Truncate(time.Microsecond)
		if p.ModelID != model {
			p.ModelAt = p.UpdatedAt
		}
		if err := s.store.setPreferences(ctx, userID, p); err != nil {
			return err
		}
		return s.Bus.Publish(ctx, busKind, userID)
	})
	return p, unavailable(err)
}

// check says what is wrong with p.
func (p *Preferences) check() error {
	switch {
	case p.MaxTokens < 0 || p.MaxTokens > maxTokens:
		return field("maxTokens", "use 1 to 200000")
	case p.Temperature != nil && (*p.Temperature < 0 || *p.Temperature > 1000*maxTemperature):
		return field("temperature", "use 0 to 2")
	case p.Locale != "" && checkLocale(p.Locale) == "":
		return field("locale", "use a language tag, as en or de-CH")
	case !zone(p.Timezone):
		return field("timezone", "use an IANA name, as Europe/Zurich")
	case len(p.Metadata) > maxMetadata:
		return field("preferencesMetadata", "use at most 8 KiB")
	case p.Metadata != "" && (!json.Valid([]byte(p.Metadata)) || !strings.HasPrefix(strings.TrimSpace(p.Metadata), "{")):
		return field("preferencesMetadata", "use a JSON object")
	}
	return nil
}

// zone reports whether name is a time zone, or nothing.
func zone(name string) bool {
	if name == "" {
		return true
	}
	if name == "Local" { // of the server, which is nobody's preference
		return false
	}
	_, err := time.LoadLocation(name)
	return err == nil && len(name) <= 64
}

// thousandths returns f rounded to three decimals.
func thousandths(f float64) Milli { return Milli(math.Round(f * 1000)) }

// Mailable reports whether somebody wants the mails that may be switched off.
func (s *Service) Mailable(ctx context.Context, userID string) (bool, error) {
	p, err := s.store.preferences(ctx, userID)
	return p.Mails, unavailable(err)
}
