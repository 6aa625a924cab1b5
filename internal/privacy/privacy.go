package privacy

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/job"
	"github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/personal"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// State says how far an export is.
type State string

// The states.
const (
	Waiting State = "waiting" // it is being written
	Ready   State = "ready"
	Failed  State = "failed"
)

// How long an export is kept, and how long it may take.
const (
	fileLife = 24 * time.Hour
	waitLife = 48 * time.Hour
)

// Export is what somebody asked for.
type Export struct {
	ID, UserID string
	State      State
	Size       int64 // of the file in bytes, when it is ready
	CreatedAt  time.Time
	ExpiresAt  time.Time // when the file is deleted

	run string
}

// Faults of exports.
var (
	ErrUnknown = fault.New(fault.NotFound, "not_found", "There is no such export.")
	ErrLink    = fault.New(fault.Gone, "link_expired", "The link is not valid any more: the file was deleted, or replaced by a newer one. Ask for another export.")
)

// Needs are what a Service is made of.
type Needs struct {
	DB   *sqldb.DB
	Jobs *job.Service
	Box  *seal.Box
	Mail mail.Sender
	Log  *slog.Logger
	Now  func() time.Time
	URL  string // public address of where API is mounted
	// Parts are the slices that know people, in the order in which they forget
	// them.
	Parts []personal.Part
	// Person returns somebody with an account, or a fault that is fault.NotFound.
	Person func(ctx context.Context, userID string) (personal.Person, error)
	// Leavers returns up to limit people to forget; Erased is called in the
	// transaction in which the last part has forgotten somebody.
	Leavers func(ctx context.Context, limit int) ([]personal.Person, error)
	Erased  func(ctx context.Context, p personal.Person) error
	// Asked is called in the transaction that takes an order; Done in the one that
	// finishes an export.
	Asked, Done func(ctx context.Context, e Export) error
}

// Service exports what is known about people, and forgets them. It is safe for concurrent use.
type Service struct {
	Needs
	store store
	links []byte
}

const (
	exportJob = "privacy.export"
	attempts  = 5
)

// New returns a Service that handles its jobs.
func New(n Needs) *Service {
	s := &Service{Needs: n, store: store{n.DB}, links: n.Box.Subkey("privacy/links/v1")}
	n.Jobs.Handle(exportJob, s.handle, job.Options{Attempts: attempts, AtOnce: 1})
	n.Jobs.Schedule("privacy.erase", job.Every{Period: time.Hour, Offset: 47 * time.Minute}, s.Erase)
	n.Jobs.Schedule("privacy.cleanup", job.Every{Period: time.Hour, Offset: 41 * time.Minute}, s.Sweep)
	return s
}

// Order has an export written for somebody, and takes the place of the last one.
// While one is written it is that one.
func (s *Service) Order(ctx context.Context, userID string) (Export, error) {
	var e Export
	err := s.DB.InTx(ctx, func(ctx context.Context) error {
		now := s.Now().UTC().Truncate(time.Microsecond)
		e = Export{ID: id.New("exp", now), UserID: userID, State: Waiting, CreatedAt: now, ExpiresAt: now.Add(waitLife)}
		added, err := s.store.add(ctx, e)
		if err != nil {
			return err
		}
		if !added {
			e, err = s.store.waiting(ctx, userID)
			return err
		}
		if err := s.store.dropOthers(ctx, userID, e.ID); err != nil {
			return err
		}
		if err := s.Asked(ctx, e); err != nil {
			return err
		}
		return s.Jobs.Enqueue(ctx, job.Order{Kind: exportJob, Key: e.ID, Argument: e.ID})
	})
	return e, unavailable(err)
}

// One returns an export of somebody, or ErrUnknown.
func (s *Service) One(ctx context.Context, userID, exportID string) (Export, error) {
	e, err := s.store.byID(ctx, exportID)
	if err == nil && e.UserID != userID {
		err = ErrUnknown
	}
	return e, unavailable(err)
}

// Last returns somebody's export, the one that was ordered last; false if there is
// none.
func (s *Service) Last(ctx context.Context, userID string) (Export, bool, error) {
	e, err := s.store.last(ctx, userID)
	if errors.Is(err, ErrUnknown) || err == nil && !s.Now().Before(e.ExpiresAt) {
		return Export{}, false, nil
	}
	return e, err == nil, unavailable(err)
}

// Link is the address at which whoever has it downloads e.
func (s *Service) Link(e Export) string { return s.page(e.ID) }

// key is what opens the file of an export: only who has the link, or is its
// owner, knows it.
func (s *Service) key(exportID string) string {
	m := hmac.New(sha256.New, s.links)
	m.Write([]byte(exportID))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// opened returns a file that can be had with a key; ErrLink.
func (s *Service) opened(ctx context.Context, exportID, key string) (Export, error) {
	if !hmac.Equal([]byte(key), []byte(s.key(exportID))) {
		return Export{}, ErrLink
	}
	e, err := s.store.byID(ctx, exportID)
	if errors.Is(err, ErrUnknown) || err == nil && (e.State != Ready || !s.Now().Before(e.ExpiresAt)) {
		return Export{}, ErrLink
	}
	return e, unavailable(err)
}

// Copy writes the file of e.
func (s *Service) Copy(ctx context.Context, w io.Writer, e Export) error {
	var written int64
	for n := int64(0); written < e.Size; n++ {
		sealed, err := s.store.chunk(ctx, e, n)
		if err != nil {
			return err
		}
		plain, err := s.Box.Open(sealed, place(e, n))
		if err != nil {
			return fmt.Errorf("open piece %d of export %s: %w", n, e.ID, err)
		}
		if _, err := w.Write(plain); err != nil {
			return err
		}
		written += int64(len(plain))
	}
	return nil
}

// Sweep deletes what has expired.
func (s *Service) Sweep(ctx context.Context) error { return unavailable(s.store.sweep(ctx, s.Now())) }

func unavailable(err error) error {
	if sqldb.IsUnavailable(err) {
		return fault.ErrUnavailable.Because(err)
	}
	return err
}
