package subscription

import (
	"context"
	"errors"
	"time"

	"github.com/rephlo/rephlo/internal/calendar"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/tier"
)

// Pause stops the collection of a user's money while their account is suspended,
// in the transaction that ctx carries or in its own. What was paid for goes on:
// credits come and expire as before. Who has no subscription, or a paused one,
// has it still.
func (s *Service) Pause(ctx context.Context, user string, why Why) error {
	why.Cause = "paused"
	return s.ofLive(ctx, user, why, func(_ context.Context, v *Subscription) error {
		if !v.PausedAt.IsZero() {
			return errNothing
		}
		v.PausedAt = s.now()
		return nil
	})
}

// Resume lets collection go on. A period that ended meanwhile is followed by one
// that begins now: nobody pays for time in which they were locked out. Attempts
// to collect an open invoice go on after as many days as before.
func (s *Service) Resume(ctx context.Context, user string, why Why) error {
	why.Cause = "resumed"
	return s.ofLive(ctx, user, why, func(_ context.Context, v *Subscription) error {
		if v.PausedAt.IsZero() {
			return errNothing
		}
		v.resume(s.now())
		return nil
	})
}

func (v *Subscription) resume(now time.Time) {
	paused := now.Sub(v.PausedAt)
	v.PausedAt = time.Time{}
	switch {
	case !v.FailedAt.IsZero(): // an invoice is open; the period that it is for is later too
		v.FailedAt, v.Anchor = v.FailedAt.Add(paused), v.Anchor.Add(paused)
		if v.Billed() {
			v.PeriodAnchor = v.PeriodAnchor.Add(paused)
		} else {
			v.TrialEnd = v.TrialEnd.Add(paused)
		}
	case v.CancelAtEnd:
	case v.State == Trial && v.TrialEnd.Before(now):
		v.TrialEnd, v.Anchor = now, now
	case v.State == Active && v.Billed() && v.Period().End.Before(now):
		// The period and the next credit cycle both begin now, or where a month
		// that is too short puts them, at most three days before. The numbers of
		// cycles go on, because each is given its credits once.
		next := v.Allocated + 1
		v.Anchor = calendar.Add(now, -next)
		v.PeriodAnchor, v.PeriodAt = v.Anchor, next-v.Cycle.Months()
	}
}

// Close ends whatever subscription a user has, at once and without a free one
// in its place, because their account is closed: in the transaction that ctx
// carries or in its own. Plan and rollover credits end, packs stay.
func (s *Service) Close(ctx context.Context, user string, why Why) error {
	why.Cause = "account_closed"
	why.last = true
	return s.ofLive(ctx, user, why, func(ctx context.Context, v *Subscription) error {
		v.PausedAt = time.Time{}
		return s.end(ctx, v, Cancelled)
	})
}

// Open gives a user whose account was closed the free subscription, counted from
// now, in the transaction that ctx carries or in its own.
func (s *Service) Open(ctx context.Context, user string) error {
	return s.StartFree(ctx, user, s.now())
}

// Return gives a user who deleted their account and came back the free
// subscription, counted from when they signed up, in the transaction that ctx
// carries or in its own. Its credits begin with the next cycle: leaving and coming
// back gives nothing.
func (s *Service) Return(ctx context.Context, user string, signedUp time.Time) error {
	return s.DB.InTx(ctx, func(ctx context.Context) error {
		if _, err := s.store.live(ctx, user); !errors.Is(err, ErrUnknown) {
			return err
		}
		now, anchor := s.now(), signedUp.UTC().Truncate(time.Second)
		v := Subscription{
			ID: id.New("sub", now), UserID: user, Tier: tier.Free, Cycle: Monthly, Mode: ModeFree, State: Active,
			Anchor: anchor, Allocated: credit.CycleOf(anchor, now), Version: 1, CreatedAt: now,
		}
		added, err := s.store.add(ctx, v)
		if err != nil || !added {
			return err // somebody was quicker
		}
		return s.record(ctx, v, "", Why{Cause: "returned"})
	})
}

// errNothing ends a change that changes nothing.
var errNothing = errors.New("there is nothing to change")

// ofLive changes a user's live subscription, if there is one.
func (s *Service) ofLive(ctx context.Context, user string, why Why, do func(ctx context.Context, v *Subscription) error) error {
	v, err := s.store.live(ctx, user)
	if errors.Is(err, ErrUnknown) {
		return nil
	}
	if err == nil {
		_, err = s.change(ctx, v.ID, why, do)
	}
	if errors.Is(err, errNothing) {
		return nil
	}
	return err
}
