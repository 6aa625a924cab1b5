package branding

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Needs is what New takes.
type Needs struct {
	DB   *sqldb.DB
	Box  *seal.Box
	Log  *slog.Logger
	Now  func() time.Time
	Mail mail.Sender
	// Keep is how long diagnostics are kept; nil: 90 days.
	Keep func() time.Duration
	// Address returns the e-mail address of a user.
	Address func(ctx context.Context, user string) (string, error)
}

// Service keeps versions, feedback and diagnostics. It is safe for concurrent
// use.
type Service struct {
	Needs
	store store

	mu     sync.Mutex
	month  string // guarded by mu
	secret []byte // guarded by mu: of month
}

// New returns a Service.
func New(n Needs) *Service { return &Service{Needs: n, store: store{n.DB}} }

func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// Add keeps a new version as a draft. ErrExists: its number is taken.
func (s *Service) Add(ctx context.Context, v Version) (Version, error) {
	if err := v.check(); err != nil {
		return v, err
	}
	v.ID, v.State, v.CreatedAt = id.New("ver", s.now()), Draft, s.now()
	added, err := s.store.addVersion(ctx, v)
	if err == nil && !added {
		err = ErrExists
	}
	return v, err
}

// Edit is what changes of a version; nil fields stay.
type Edit struct {
	Number, Notes, MinimumSupported *string
	Channel                         *Channel
	Files                           *[]File
}

// Change edits a draft. Of a version that was published only its notes and the
// oldest supported version change: ErrPublished.
func (s *Service) Change(ctx context.Context, id string, e Edit) (Version, error) {
	return s.alter(ctx, id, func(v *Version) error {
		if v.State != Draft && (e.Number != nil || e.Channel != nil || e.Files != nil) {
			return ErrPublished
		}
		set(&v.Number, e.Number)
		set(&v.Notes, e.Notes)
		set(&v.MinimumSupported, e.MinimumSupported)
		set(&v.Channel, e.Channel)
		set(&v.Files, e.Files)
		return v.check()
	})
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// Publish offers a version, also one that was withdrawn. ErrNoFiles: there is
// nothing to offer.
func (s *Service) Publish(ctx context.Context, id string) (Version, error) {
	return s.alter(ctx, id, func(v *Version) error {
		if len(v.Files) == 0 {
			return ErrNoFiles
		}
		if v.PublishedAt.IsZero() {
			v.PublishedAt = s.now()
		}
		v.State, v.WithdrawnAt = Published, time.Time{}
		return nil
	})
}

// Withdraw offers a version no more; ErrDraft when it is not offered.
func (s *Service) Withdraw(ctx context.Context, id string) (Version, error) {
	return s.alter(ctx, id, func(v *Version) error {
		if v.State != Published {
			return ErrDraft
		}
		v.State, v.WithdrawnAt = Withdrawn, s.now()
		return nil
	})
}

// Remove deletes a draft; ErrPublished for another.
func (s *Service) Remove(ctx context.Context, id string) error {
	return s.DB.InTx(ctx, func(ctx context.Context) error {
		v, err := s.store.version(ctx, id)
		if err != nil {
			return err
		}
		if v.State != Draft {
			return ErrPublished
		}
		return s.store.removeVersion(ctx, id)
	})
}

func (s *Service) alter(ctx context.Context, id string, do func(v *Version) error) (Version, error) {
	var v Version
	err := s.DB.InTx(ctx, func(ctx context.Context) (err error) {
		if err := s.store.lockVersion(ctx, id); err != nil {
			return err
		}
		if v, err = s.store.version(ctx, id); err != nil {
			return err
		}
		if err := do(&v); err != nil {
			return err
		}
		return s.store.saveVersion(ctx, v)
	})
	if sqldb.IsUnique(err) {
		err = ErrExists
	}
	return v, err
}

// Version returns one; fault.ErrNotFound when there is none.
func (s *Service) Version(ctx context.Context, id string) (Version, error) {
	return s.store.version(ctx, id)
}

// Versions returns up to limit versions, the newest first, before an id if any.
func (s *Service) Versions(ctx context.Context, state State, before string, limit int) ([]Version, error) {
	return s.store.versions(ctx, string(state), before, limit)
}

// maxOffered bounds the versions that are looked at for the public.
const maxOffered = 500

// Offered returns the published versions of a channel, both for "", the highest
// first.
func (s *Service) Offered(ctx context.Context, c Channel) ([]Version, error) {
	all, err := s.store.versions(ctx, string(Published), "", maxOffered)
	if err != nil {
		return nil, err
	}
	if c != "" {
		all = slices.DeleteFunc(all, func(v Version) bool { return v.Channel != c })
	}
	slices.SortStableFunc(all, func(a, b Version) int {
		x, _ := parseNumber(a.Number)
		y, _ := parseNumber(b.Number)
		return y.compare(x)
	})
	return all, nil
}

// Latest returns the highest published version that has files for a system, any
// for "". Who takes betas gets a stable version that is higher.
func (s *Service) Latest(ctx context.Context, c Channel, system string) (Version, error) {
	if c == Beta {
		c = ""
	}
	all, err := s.Offered(ctx, c)
	if err != nil {
		return Version{}, err
	}
	for _, v := range all {
		if files := v.of(system); len(files) > 0 {
			v.Files = files
			return v, nil
		}
	}
	return Version{}, ErrNoVersion
}

// Download is a file that somebody is about to get.
type Download struct {
	ID, Version string
	File        File
}

// Track counts a download and returns its file: of a published version, the
// latest stable one for "", and of an architecture if any.
func (s *Service) Track(ctx context.Context, system, arch, version, address string) (Download, error) {
	v, err := s.wanted(ctx, system, version)
	if err != nil {
		return Download{}, err
	}
	files := v.of(system)
	if arch != "" {
		files = slices.DeleteFunc(files, func(f File) bool { return f.Arch != arch })
	}
	if len(files) == 0 {
		return Download{}, ErrNoVersion
	}
	now := s.now()
	visitor, err := s.visitor(ctx, address, now)
	if err != nil {
		return Download{}, err
	}
	if err := s.store.count(ctx, now.Format(time.DateOnly), system, v.Number, visitor); err != nil {
		return Download{}, err
	}
	return Download{ID: id.New("dl", now), Version: v.Number, File: files[0]}, nil
}

func (s *Service) wanted(ctx context.Context, system, version string) (Version, error) {
	if version == "" {
		return s.Latest(ctx, Stable, system)
	}
	all, err := s.Offered(ctx, "")
	if err != nil {
		return Version{}, err
	}
	for _, v := range all {
		if v.Number == version {
			return v, nil
		}
	}
	return Version{}, ErrNoVersion
}

// visitor returns what stands for an address this month.
func (s *Service) visitor(ctx context.Context, address string, now time.Time) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if month := now.Format("2006-01"); month != s.month {
		secret, err := s.monthSecret(ctx, month)
		if err != nil {
			return "", err
		}
		s.month, s.secret = month, secret
	}
	m := hmac.New(sha256.New, s.secret)
	m.Write([]byte(address))
	return hex.EncodeToString(m.Sum(nil)[:16]), nil
}

func (s *Service) monthSecret(ctx context.Context, month string) ([]byte, error) {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	sealed, err := s.Box.Seal(b, "branding/month/"+month)
	if err != nil {
		return nil, err
	}
	if sealed, err = s.store.monthSecret(ctx, month, sealed); err != nil {
		return nil, err
	}
	secret, err := s.Box.Open(sealed, "branding/month/"+month)
	if err != nil {
		return nil, fmt.Errorf("read the secret of %s: %w", month, err)
	}
	return secret, nil
}

// Stat is how often a version was downloaded on a day.
type Stat struct {
	Day                 string // YYYY-MM-DD, UTC
	OS, Version         string
	Downloads, Visitors int64
}

// Stats returns the downloads from one day to another, the newest first.
func (s *Service) Stats(ctx context.Context, from, to string) ([]Stat, error) {
	return s.store.stats(ctx, from, to)
}

// Sweep deletes diagnostics that have lived their time, and what would tell
// visitors of past months apart.
func (s *Service) Sweep(ctx context.Context) error {
	now := s.now()
	return errors.Join(s.store.sweepDiagnostics(ctx, now), s.store.forgetVisitors(ctx, now.Format(time.DateOnly), now.Format("2006-01")))
}
