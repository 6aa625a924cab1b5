package webhook

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
)

const jobDeliver = "webhook.deliver"

// maxAtOnce bounds how many endpoints a process works on. A receiver that hangs
// holds one place for ten seconds at a time.
const maxAtOnce = 256

// drain delivers what is due to an endpoint, one after the other.
func (s *Service) drain(ctx context.Context, endpoint string) error {
	if !s.enter(endpoint) {
		return nil // whoever is there looks again
	}
	for {
		err := s.one(ctx, endpoint)
		if err == nil {
			continue
		}
		if !errors.Is(err, errNothing) {
			s.forget(endpoint)
			return err
		}
		if s.leave(endpoint) {
			return nil
		}
	}
}

func (s *Service) enter(endpoint string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, taken := s.busy[endpoint]
	s.busy[endpoint] = taken
	return !taken
}

// leave reports whether nobody came meanwhile.
func (s *Service) leave(endpoint string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[endpoint] {
		s.busy[endpoint] = false
		return false
	}
	delete(s.busy, endpoint)
	return true
}

func (s *Service) forget(endpoint string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.busy, endpoint)
}

// parcel is a delivery with all that its sending needs.
type parcel struct {
	Delivery
	endpoint Endpoint
	body     []byte
	claim    string
}

// one makes the next attempt that is due, or returns errNothing.
func (s *Service) one(ctx context.Context, endpoint string) error {
	now := s.Now()
	claim := id.New("clm", now)
	if err := s.store.claim(ctx, endpoint, claim, now, now.Add(claimLife)); err != nil {
		return err
	}
	p, err := s.store.claimed(ctx, claim)
	if err != nil {
		return err
	}
	if !p.endpoint.Enabled {
		return s.store.settle(ctx, p, Failed, time.Time{})
	}
	a, err := s.send(ctx, p)
	if err != nil {
		return err
	}
	if ctx.Err() != nil { // we stop: the attempt says nothing about the receiver
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		return firstError(s.store.giveBack(limit, p), ctx.Err())
	}
	return s.record(ctx, p, a)
}

// send makes one attempt. What the receiver does wrong is in the Attempt; the
// error is ours.
func (s *Service) send(ctx context.Context, p parcel) (Attempt, error) {
	secrets, err := s.secrets(p.endpoint)
	if err != nil {
		return Attempt{}, err
	}
	at := s.Now().UTC()
	signature, err := sign(secrets, p.EventID, at, p.body)
	if err != nil {
		return Attempt{}, err
	}
	began := time.Now() //nolint:forbidigo // a duration on the monotonic clock
	reply, err := s.Sender.Deliver(ctx, p.endpoint.URL, map[string]string{
		"webhook-id": p.EventID, "webhook-timestamp": strconv.FormatInt(at.Unix(), 10), "webhook-signature": signature,
	}, p.body, shownAnswer)
	a := Attempt{At: at, Status: reply.Status, Latency: time.Since(began), Response: strings.ToValidUTF8(string(reply.Body), "\uFFFD")}
	a.Response = strings.ReplaceAll(a.Response, "\x00", "\uFFFD") // PostgreSQL has no such text
	if err != nil {
		a.Status, a.Response = 0, err.Error()
	}
	return a, nil
}

func (a Attempt) good() bool { return a.Status >= 200 && a.Status < 300 }

// record writes an attempt down and says what follows from it.
func (s *Service) record(ctx context.Context, p parcel, a Attempt) error {
	return s.DB.InTx(ctx, func(ctx context.Context) error {
		if err := s.store.addAttempt(ctx, p.ID, a); err != nil {
			return err
		}
		if a.good() {
			return firstError(s.store.settle(ctx, p, Succeeded, time.Time{}), s.store.succeeded(ctx, p.EndpointID, a.At))
		}
		if err := s.failed(ctx, p, a); err != nil {
			return err
		}
		wait, again := pause(p.tries + 1)
		if !again || a.Status == statusGone {
			return s.store.settle(ctx, p, Failed, time.Time{})
		}
		due := s.Now().Add(wait)
		return firstError(s.store.settle(ctx, p, Waiting, due), s.wake(ctx, p.EndpointID, due))
	})
}

// statusGone is how a receiver says that it wants nothing any more (RFC 9110
// section 15.5.11).
const statusGone = 410

// failed notes that an endpoint fails, and switches it off when it wants
// nothing any more or has failed for too long.
func (s *Service) failed(ctx context.Context, p parcel, a Attempt) error {
	since, err := s.store.failing(ctx, p.EndpointID, a.At)
	if err != nil {
		return err
	}
	reason := ""
	switch {
	case a.Status == statusGone:
		reason = OffGone
	case !since.IsZero() && a.At.Sub(since) >= failingLimit:
		reason = OffFailing
	default:
		return nil
	}
	off, err := s.store.switchOff(ctx, p.EndpointID, reason)
	if err != nil || !off || s.Disabled == nil {
		return err
	}
	e := p.endpoint
	e.Enabled, e.DisabledReason = false, reason
	return s.Disabled(ctx, e)
}

// rescue wakes queues whose work was lost with a process.
func (s *Service) rescue(ctx context.Context) error {
	now := s.Now()
	late, err := s.store.late(ctx, now, now.Add(-claimLife))
	if err != nil {
		return err
	}
	for _, endpoint := range late {
		if err := s.wake(ctx, endpoint, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) sweep(ctx context.Context) error {
	life := keep
	if s.Keep != nil {
		life = s.Keep()
	}
	return s.store.sweep(ctx, s.Now().Add(-life))
}

// Try sends an event of the type, with its example as data, to the user's
// endpoint now, once, and returns how it went. It is in the log like others.
func (s *Service) Try(ctx context.Context, user, id, kind string) (Attempt, error) {
	e, err := s.ByID(ctx, user, id)
	if err != nil {
		return Attempt{}, err
	}
	data := exampleOf(kind)
	if data == nil {
		return Attempt{}, ErrEvents.Saying("There is no event of the type %q.", kind).At("type")
	}
	if _, wait := s.tests.Take(user, testsPerMinute); wait > 0 {
		return Attempt{}, ErrTooMany.After(wait)
	}
	p := parcel{endpoint: e}
	err = s.DB.InTx(ctx, func(ctx context.Context) error {
		eventID, err := s.event(ctx, user, kind, data)
		if err != nil {
			return err
		}
		p.Delivery = s.delivery(e, eventID, kind)
		p.State = Failed // nobody else sends it; a good answer mends that
		if err := s.store.addDelivery(ctx, p.Delivery); err != nil {
			return err
		}
		p.body, err = s.store.body(ctx, eventID)
		return err
	})
	if err != nil {
		return Attempt{}, err
	}
	a, err := s.send(ctx, p)
	if err != nil {
		return Attempt{}, err
	}
	state := Failed
	if a.good() {
		state = Succeeded
	}
	return a, s.DB.InTx(ctx, func(ctx context.Context) error {
		return firstError(s.store.addAttempt(ctx, p.ID, a), s.store.settle(ctx, p, state, time.Time{}))
	})
}

// Filter narrows a list of deliveries; empty fields do not.
type Filter struct {
	User, Endpoint, State, Type string
	Before                      string // the id of the last one of the page before
}

// Deliveries returns up to limit deliveries, the newest first.
func (s *Service) Deliveries(ctx context.Context, f Filter, limit int) ([]Delivery, error) {
	return s.store.deliveries(ctx, f, limit)
}

// Delivery returns a delivery with its body and attempts, of the user if any;
// somebody else's is fault.ErrNotFound.
func (s *Service) Delivery(ctx context.Context, user, id string) (Delivery, []byte, []Attempt, error) {
	d, err := s.store.delivery(ctx, id)
	if err == nil && user != "" && d.UserID != user {
		err = fault.ErrNotFound
	}
	if err != nil {
		return Delivery{}, nil, nil, err
	}
	body, err := s.store.body(ctx, d.EventID)
	if err != nil {
		return Delivery{}, nil, nil, err
	}
	attempts, err := s.store.attempts(ctx, id)
	return d, body, attempts, err
}

// Replay has a delivery made again, of the user if any, as if it were new.
// ErrOff while its endpoint is switched off.
func (s *Service) Replay(ctx context.Context, user, id string) (Delivery, error) {
	var d Delivery
	err := s.DB.InTx(ctx, func(ctx context.Context) (err error) {
		if d, err = s.store.delivery(ctx, id); err != nil {
			return err
		}
		if user != "" && d.UserID != user {
			return fault.ErrNotFound
		}
		e, err := s.store.byID(ctx, d.EndpointID)
		if err != nil {
			return err
		}
		if !e.Enabled {
			return ErrOff
		}
		if err := s.store.replay(ctx, id, s.Now()); err != nil {
			return err
		}
		d.State, d.NextAttemptAt = Waiting, s.Now().UTC()
		return s.wake(ctx, d.EndpointID, time.Time{})
	})
	return d, err
}

// ReplayFailed does Replay for all deliveries to the user's endpoint that were
// made since a time and failed. It returns how many.
func (s *Service) ReplayFailed(ctx context.Context, user, id string, since time.Time) (int64, error) {
	var n int64
	err := s.DB.InTx(ctx, func(ctx context.Context) error {
		e, err := s.ByID(ctx, user, id)
		if err != nil {
			return err
		}
		if !e.Enabled {
			return ErrOff
		}
		if n, err = s.store.replayFailed(ctx, id, since, s.Now()); err != nil || n == 0 {
			return err
		}
		return s.wake(ctx, id, time.Time{})
	})
	return n, err
}
