package catalog

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/secret"
)

// Account is a provider as administrators see it: without its keys' text.
type Account struct {
	Name         string   `json:"id"`
	Title        string   `json:"name"`
	Vendor       string   `json:"vendor"`
	BaseURL      string   `json:"baseUrl"`
	AllowPrivate bool     `json:"allowPrivate"`
	Options      Options  `json:"options"`
	Timeouts     Timeouts `json:"timeouts"`
	Enabled      bool     `json:"enabled"`
	Draining     bool     `json:"draining"`
	// Configured says that it belongs to the configuration of the process.
	Configured bool  `json:"configured"`
	Version    int64 `json:"-"`
}

func newAccount(r providerRow) (Account, error) {
	a := Account{
		Name: r.name, Title: r.title, Vendor: r.vendor, BaseURL: r.baseURL, AllowPrivate: r.allowPrivate,
		Enabled: r.enabled, Draining: r.draining, Configured: r.origin == originConfig, Version: r.version,
	}
	if a.Title == "" {
		a.Title = a.Name
	}
	if err := json.Unmarshal([]byte(r.options), &a.Options); err != nil {
		return a, err
	}
	return a, json.Unmarshal([]byte(r.timeouts), &a.Timeouts)
}

func (a Account) row(origin string) (providerRow, error) {
	options, err := json.Marshal(a.Options)
	if err != nil {
		return providerRow{}, err
	}
	timeouts, err := json.Marshal(a.Timeouts)
	if err != nil {
		return providerRow{}, err
	}
	return providerRow{
		name: a.Name, title: a.Title, vendor: a.Vendor, baseURL: a.BaseURL, allowPrivate: a.AllowPrivate, options: string(options),
		timeouts: string(timeouts), enabled: a.Enabled, draining: a.Draining, origin: origin, version: a.Version,
	}, nil
}

const maxTimeoutMS = int64(time.Hour / time.Millisecond)

func (a Account) check() error {
	for _, ms := range []int64{a.Timeouts.FirstByteMS, a.Timeouts.IdleMS, a.Timeouts.TotalMS} {
		if ms < 0 || ms > maxTimeoutMS {
			return wrong("timeouts", "they are from 0 (the default) to %d milliseconds", maxTimeoutMS)
		}
	}
	if err := checkLabel("name", a.Title, 0); err != nil {
		return err
	}
	p := ProviderConfig{Name: a.Name, Vendor: a.Vendor, BaseURL: a.BaseURL, AllowPrivate: a.AllowPrivate, Options: a.Options}
	if err := p.check(); err != nil {
		return wrong("provider", "%s", err)
	}
	return nil
}

func checkLabel(field, text string, least int) error {
	if n := len([]rune(text)); n < least || n > 100 || strings.ContainsFunc(text, unicode.IsControl) {
		return wrong(field, "it has %d to 100 printable characters", least)
	}
	return nil
}

// Accounts returns the providers, by name.
func (s *Service) Accounts(ctx context.Context) ([]Account, error) {
	t, err := s.rows(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Account, 0, len(t.providers))
	for _, r := range t.providers {
		if !r.removed.IsZero() {
			continue
		}
		a, err := newAccount(r)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// Account returns one provider; one that is not there is fault.ErrNotFound.
func (s *Service) Account(ctx context.Context, name string) (Account, error) {
	t, err := s.rows(ctx)
	if err != nil {
		return Account{}, err
	}
	row, err := t.provider(name)
	if err != nil {
		return Account{}, err
	}
	return newAccount(*row)
}

func (t *tables) provider(name string) (*providerRow, error) {
	i := slices.IndexFunc(t.providers, func(r providerRow) bool { return r.name == name && r.removed.IsZero() })
	if i < 0 {
		return nil, fault.ErrNotFound
	}
	return &t.providers[i], nil
}

// CreateAccount adds a provider. A name that any provider has or had is
// ErrTaken: prices and records of the old one carry it.
func (s *Service) CreateAccount(ctx context.Context, a Account, by By) (Account, error) {
	a.Enabled, a.Draining, a.Configured, a.Version = true, false, false, 1
	if err := a.check(); err != nil {
		return Account{}, err
	}
	err := s.change(ctx, by, func(ctx context.Context, e *edit) error {
		if slices.ContainsFunc(e.have.providers, func(r providerRow) bool { return r.name == a.Name }) {
			return ErrTaken.At("id")
		}
		row, err := a.row(originAdmin)
		if err != nil {
			return err
		}
		e.putProvider(ctx, row)
		return e.remembered(ctx, kindProvider, a.Name, "create", nil, a)
	})
	return a, err
}

// EditAccount changes a provider by f. Of a configured one only what the
// configuration does not say can be changed.
func (s *Service) EditAccount(ctx context.Context, name string, by By, f func(*Account)) (Account, error) {
	var after Account
	err := s.editAccount(ctx, name, "edit", by, func(_ *edit, a *Account) error {
		before := *a
		f(a)
		if a.Configured && (a.Vendor != before.Vendor || a.BaseURL != before.BaseURL || a.AllowPrivate != before.AllowPrivate ||
			a.Enabled != before.Enabled || !sameJSON(a.Options, before.Options)) {
			return ErrConfigured
		}
		if a.Vendor != TestProvider {
			if err := a.check(); err != nil {
				return err
			}
		}
		after = *a
		return nil
	})
	after.Version++
	return after, err
}

// DrainAccount stops or resumes new calls to a provider; running ones finish.
func (s *Service) DrainAccount(ctx context.Context, name string, draining bool, by By) error {
	action := "resume"
	if draining {
		action = "drain"
	}
	return s.editAccount(ctx, name, action, by, func(_ *edit, a *Account) error {
		a.Draining = draining
		return nil
	})
}

// RemoveAccount takes a provider away, and its keys with it. One that a route
// leads to is ErrInUse.
func (s *Service) RemoveAccount(ctx context.Context, name string, by By) error {
	return s.change(ctx, by, func(ctx context.Context, e *edit) error {
		row, err := e.have.provider(name)
		if err != nil {
			return err
		}
		if row.origin == originConfig {
			return ErrConfigured
		}
		if err := by.current(row.version); err != nil {
			return err
		}
		for _, r := range e.have.routes {
			if r.provider == name {
				return ErrInUse.Saying("The model %s has a route to this provider. Change its routes first.", r.model).With("modelId", r.model)
			}
		}
		for _, k := range e.have.keys {
			if k.provider == name {
				e.dropKey(ctx, k.id)
			}
		}
		before, err := newAccount(*row)
		if err != nil {
			return err
		}
		row.enabled, row.removed = false, e.at
		row.version++
		e.putProvider(ctx, *row)
		return e.remembered(ctx, kindProvider, name, "delete", before, nil)
	})
}

// editAccount changes a provider and remembers what it was.
func (s *Service) editAccount(ctx context.Context, name, action string, by By, f func(e *edit, a *Account) error) error {
	return s.change(ctx, by, func(ctx context.Context, e *edit) error {
		row, err := e.have.provider(name)
		if err != nil {
			return err
		}
		if err := by.current(row.version); err != nil {
			return err
		}
		before, err := newAccount(*row)
		if err != nil {
			return err
		}
		after := before
		if err := f(e, &after); err != nil {
			return err
		}
		after.Version++
		next, err := after.row(row.origin)
		if err != nil {
			return err
		}
		e.putProvider(ctx, next)
		return e.remembered(ctx, kindProvider, name, action, before, after)
	})
}

func sameJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// Key is a credential of a provider without its text, which is never shown
// again.
type Key struct {
	ID        string    `json:"id"`
	Provider  string    `json:"providerId"`
	Label     string    `json:"label"`
	Hint      string    `json:"hint"` // the last four characters
	Weight    int64     `json:"weight"`
	State     KeyState  `json:"state"`
	Reason    string    `json:"reason"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

func newKey(r keyRow) Key {
	return Key{
		ID: r.id, Provider: r.provider, Label: r.label, Hint: r.hint, Weight: r.weight, State: r.state, Reason: r.reason,
		CreatedAt: r.created, UpdatedAt: r.updated,
	}
}

// Keys returns the keys of a provider, by id.
func (s *Service) Keys(ctx context.Context, provider string) ([]Key, error) {
	t, err := s.rows(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := t.provider(provider); err != nil {
		return nil, err
	}
	out := []Key{}
	for _, r := range t.keys {
		if r.provider == provider {
			out = append(out, newKey(r))
		}
	}
	return out, nil
}

const (
	maxKeys   = 20   // of a provider
	maxSecret = 4096 // bytes of a key
	maxWeight = 1000
)

// AddKey seals a key for a provider.
func (s *Service) AddKey(ctx context.Context, provider, label string, value secret.String, weight int64, by By) (Key, error) {
	if err := checkLabel("label", label, 1); err != nil {
		return Key{}, err
	}
	if err := checkWeight(weight); err != nil {
		return Key{}, err
	}
	text := value.Reveal()
	if text == "" || len(text) > maxSecret || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return Key{}, wrong("value", "it has 1 to %d printable ASCII characters without blanks", maxSecret)
	}
	var row keyRow
	err := s.change(ctx, by, func(ctx context.Context, e *edit) error {
		if _, err := e.have.provider(provider); err != nil {
			return err
		}
		n := 0
		for _, k := range e.have.keys {
			if k.provider == provider {
				n++
			}
		}
		if n >= maxKeys {
			return ErrState.Saying("A provider has at most %d keys. Delete one first.", maxKeys)
		}
		row = keyRow{
			id: id.New("pkey", e.at), provider: provider, origin: originAdmin, label: label, hint: hint(text), weight: weight,
			state: KeyActive, created: e.at, updated: e.at,
		}
		var err error
		if row.sealed, err = s.needs.Box.Seal([]byte(text), keyAD(row.id)); err != nil {
			return err
		}
		e.putKey(ctx, row)
		return e.remembered(ctx, kindKey, row.id, "create", nil, newKey(row))
	})
	return newKey(row), err
}

func checkWeight(w int64) error {
	if w < 1 || w > maxWeight {
		return wrong("weight", "it is from 1 to %d", maxWeight)
	}
	return nil
}
