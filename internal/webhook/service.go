package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/job"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/secret"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/throttle"
)

// Needs is what New takes.
type Needs struct {
	DB     *sqldb.DB
	Jobs   *job.Service
	Box    *seal.Box
	Log    *slog.Logger
	Now    func() time.Time
	Sender *egress.Documents
	// Limit returns how many endpoints a user's plan allows.
	Limit func(user string) int
	// Keep is how long the log is kept; nil: 30 days.
	Keep func() time.Duration
	// Disabled is told of an endpoint that was switched off for failing, in the
	// transaction that does it; nil: nobody is.
	Disabled func(ctx context.Context, e Endpoint) error
}

// Service keeps endpoints and delivers events. It is safe for concurrent use.
type Service struct {
	Needs
	store store
	tests *throttle.Throttle

	mu   sync.Mutex
	busy map[string]bool // endpoints that somebody works on; true: look again at the end. Guarded by mu
}

// testsPerMinute bounds what a user may have us call by hand.
const testsPerMinute = 10

// New returns a Service; it delivers in processes whose Jobs are started.
func New(n Needs) *Service {
	s := &Service{Needs: n, store: store{n.DB}, busy: map[string]bool{}, tests: throttle.New(n.Now, time.Minute, false)}
	n.Jobs.Handle(jobDeliver, job.Typed(s.drain), job.Options{AtOnce: maxAtOnce, Apart: true})
	n.Jobs.Schedule("webhook.rescue", job.Every{Period: time.Minute}, s.rescue)
	n.Jobs.Schedule("webhook.cleanup", job.Every{Period: time.Hour, Offset: 23 * time.Minute}, s.sweep)
	return s
}

// NewEndpoint is what a user says of an endpoint.
type NewEndpoint struct {
	UserID, URL, Description string
	Events                   []string
	Enabled                  bool
}

// Create makes an endpoint and its secret, which cannot be had again. ErrPlan:
// the plan allows no more.
func (s *Service) Create(ctx context.Context, n NewEndpoint) (Endpoint, secret.String, error) {
	events, err := checkEvents(n.Events)
	if err != nil {
		return Endpoint{}, secret.String{}, err
	}
	if err := s.checkURL(n.URL); err != nil {
		return Endpoint{}, secret.String{}, err
	}
	now := s.Now().UTC().Truncate(time.Microsecond)
	e := Endpoint{
		ID: id.New("whk", now), UserID: n.UserID, URL: n.URL, Description: n.Description, Events: events, Enabled: n.Enabled, CreatedAt: now,
	}
	if !e.Enabled {
		e.DisabledReason = OffByUser
	}
	text := newSecret()
	if e.secret, err = s.Box.Seal([]byte(text), e.place()); err != nil {
		return Endpoint{}, secret.String{}, err
	}
	limit := s.Limit(n.UserID) // it may read; so not in the transaction
	err = s.owned(ctx, n.UserID, func(ctx context.Context) error {
		count, err := s.store.count(ctx, n.UserID, false)
		if err != nil || count >= limit {
			return firstError(err, ErrPlan.Saying("Your plan includes %d webhook endpoints. Delete one, or choose another plan.", limit).With("limit", limit))
		}
		return s.store.add(ctx, e)
	})
	return e, secret.New(text), err
}

// checkURL refuses addresses that are never called.
func (s *Service) checkURL(url string) error {
	if err := s.Sender.Check(url); err != nil {
		return ErrAddress.Because(err)
	}
	return nil
}

// owned runs do in a transaction in which nobody else changes the user's
// endpoints.
func (s *Service) owned(ctx context.Context, user string, do func(ctx context.Context) error) error {
	return s.DB.InTx(ctx, func(ctx context.Context) error {
		if err := s.store.lockOwner(ctx, user, s.Now()); err != nil {
			return err
		}
		return do(ctx)
	})
}

func (e Endpoint) place() string { return "webhook/" + e.ID }

// ByID returns the user's endpoint; somebody else's is fault.ErrNotFound.
func (s *Service) ByID(ctx context.Context, user, id string) (Endpoint, error) {
	e, err := s.store.byID(ctx, id)
	if err == nil && e.UserID != user {
		return Endpoint{}, fault.ErrNotFound
	}
	return e, err
}

// List returns up to limit endpoints, the newest first, before an id if any, of
// one user if any.
func (s *Service) List(ctx context.Context, user, before string, limit int) ([]Endpoint, error) {
	return s.store.list(ctx, user, before, limit)
}

// Edit is what changes of an endpoint; nil fields stay.
type Edit struct {
	URL, Description *string
	Events           *[]string
	Enabled          *bool
}

// Change edits the user's endpoint. Switching on an endpoint that was switched
// off begins anew; ErrPlan when the plan has no place for it.
func (s *Service) Change(ctx context.Context, user, id string, c Edit) (Endpoint, error) {
	var e Endpoint
	limit := s.Limit(user)
	err := s.owned(ctx, user, func(ctx context.Context) (err error) {
		if e, err = s.ByID(ctx, user, id); err != nil {
			return err
		}
		if err := s.apply(ctx, &e, c, limit); err != nil {
			return err
		}
		return s.store.save(ctx, e)
	})
	return e, err
}

func (s *Service) apply(ctx context.Context, e *Endpoint, c Edit, limit int) (err error) {
	if c.URL != nil {
		if err := s.checkURL(*c.URL); err != nil {
			return err
		}
		e.URL, e.FailingSince = *c.URL, time.Time{}
	}
	if c.Description != nil {
		e.Description = *c.Description
	}
	if c.Events != nil {
		if e.Events, err = checkEvents(*c.Events); err != nil {
			return err
		}
	}
	switch {
	case c.Enabled == nil || *c.Enabled == e.Enabled:
	case !*c.Enabled:
		e.Enabled, e.DisabledReason = false, OffByUser
	case e.DisabledReason == OffByOperator:
		return ErrOperator
	default:
		on, err := s.store.count(ctx, e.UserID, true)
		if err != nil || on >= limit {
			return firstError(err, ErrPlan.Saying("Your plan includes %d webhook endpoints. Switch one off, or choose another plan.", limit).With("limit", limit))
		}
		e.Enabled, e.DisabledReason, e.FailingSince = true, "", time.Time{}
	}
	return nil
}

// Delete removes the user's endpoint and its log.
func (s *Service) Delete(ctx context.Context, user, id string) error {
	return s.owned(ctx, user, func(ctx context.Context) error {
		if _, err := s.ByID(ctx, user, id); err != nil {
			return err
		}
		return s.store.remove(ctx, id)
	})
}

// Rotate gives the user's endpoint another secret. Until the returned time the
// old one signs too.
func (s *Service) Rotate(ctx context.Context, user, id string) (secret.String, time.Time, error) {
	text := newSecret()
	until := s.Now().UTC().Add(overlap).Truncate(time.Second)
	err := s.owned(ctx, user, func(ctx context.Context) error {
		e, err := s.ByID(ctx, user, id)
		if err != nil {
			return err
		}
		e.oldSecret, e.oldUntil = e.secret, until
		if e.secret, err = s.Box.Seal([]byte(text), e.place()); err != nil {
			return err
		}
		return s.store.save(ctx, e)
	})
	return secret.New(text), until, err
}

// secrets are those that sign for e now.
func (s *Service) secrets(e Endpoint) ([]string, error) {
	sealed := [][]byte{e.secret}
	if s.Now().Before(e.oldUntil) {
		sealed = append(sealed, e.oldSecret)
	}
	var out []string
	for _, b := range sealed {
		plain, err := s.Box.Open(b, e.place())
		if err != nil {
			return nil, fmt.Errorf("read the secret of webhook %s: %w", e.ID, err)
		}
		out = append(out, string(plain))
	}
	return out, nil
}

// Fit switches off the newest of the user's endpoints that their plan has no
// place for any more.
func (s *Service) Fit(ctx context.Context, user string, limit int) error {
	return s.store.fit(ctx, user, limit)
}

// Disable is how an administrator switches an endpoint off.
func (s *Service) Disable(ctx context.Context, id string) (Endpoint, error) {
	var e Endpoint
	err := s.DB.InTx(ctx, func(ctx context.Context) (err error) {
		if e, err = s.store.byID(ctx, id); err != nil {
			return err
		}
		e.Enabled, e.DisabledReason = false, OffByOperator
		return s.store.save(ctx, e)
	})
	return e, err
}

// Emit tells the user's endpoints of an event, in the transaction that ctx
// carries or in its own. data becomes JSON; it has no secrets.
func (s *Service) Emit(ctx context.Context, user, kind string, data any) error {
	endpoints, err := s.store.listening(ctx, user)
	if err != nil || len(endpoints) == 0 {
		return err
	}
	var to []Endpoint
	for _, e := range endpoints {
		if e.wants(kind) {
			to = append(to, e)
		}
	}
	if len(to) == 0 {
		return nil
	}
	return s.DB.InTx(ctx, func(ctx context.Context) error {
		eventID, err := s.event(ctx, user, kind, data)
		if err != nil {
			return err
		}
		for _, e := range to {
			if err := s.store.addDelivery(ctx, s.delivery(e, eventID, kind)); err != nil {
				return err
			}
			if err := s.wake(ctx, e.ID, time.Time{}); err != nil {
				return err
			}
		}
		return nil
	})
}

// event writes what is told.
func (s *Service) event(ctx context.Context, user, kind string, data any) (string, error) {
	now := s.Now().UTC()
	eventID := id.New("evt", now)
	body, err := json.Marshal(struct {
		ID        string `json:"id"`
		Type      string `json:"type"`
		CreatedAt string `json:"createdAt"`
		Data      any    `json:"data"`
	}{eventID, kind, now.Format(time.RFC3339), data})
	if err != nil {
		return "", fmt.Errorf("write event %s: %w", kind, err)
	}
	return eventID, s.store.addEvent(ctx, eventID, user, kind, body, now)
}

func (s *Service) delivery(e Endpoint, eventID, kind string) Delivery {
	now := s.Now().UTC()
	return Delivery{ID: id.New("whd", now), EventID: eventID, EndpointID: e.ID, UserID: e.UserID, Type: kind, State: Waiting, NextAttemptAt: now, CreatedAt: now}
}

// wake has the endpoint's queue looked at, at once or at a time.
func (s *Service) wake(ctx context.Context, endpoint string, at time.Time) error {
	return s.Jobs.Enqueue(ctx, job.Order{Kind: jobDeliver, Argument: endpoint, At: at})
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

var errNothing = errors.New("nothing is due")
