package subscription

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/tier"
)

// Order is a paid subscription to start.
type Order struct {
	User  string
	Tier  string
	Cycle Cycle
	Trial bool
	// Days is how long the trial is; 0 is what the tier says.
	Days  int
	Actor string // an administrator; "" is the user
	// EndsAt is when a subscription that nobody pays for ends; zero: never.
	EndsAt time.Time
	Reason string
}

// ErrTried refuses a second trial.
var ErrTried = fault.New(fault.Conflict, "invalid_state", "A trial is for once, and there was one already. Subscribe without it.")

// plan returns what is ordered, or ErrPlan. Administrators may give tiers that
// cannot be bought.
func (s *Service) plan(name string, c Cycle, any bool) (Plan, error) {
	t := s.Tiers.Tier(name)
	if t == nil || t.Rank < 1 || name == tier.Unlimited || !t.Active && !any || c != Monthly && c != Annual {
		return Plan{}, ErrPlan
	}
	return Plan{t, c}, nil
}

// Start begins a subscription that an administrator gives: nobody pays for it.
func (s *Service) Start(ctx context.Context, o Order) (Subscription, error) {
	if _, err := s.plan(o.Tier, o.Cycle, true); err != nil {
		return Subscription{}, err
	}
	if !o.EndsAt.IsZero() && !o.EndsAt.After(s.now()) {
		return Subscription{}, ErrPlan.Saying("The end must be in the future.").At("endsAt")
	}
	if _, _, err := s.Born(ctx, o.User); err != nil {
		return Subscription{}, err
	}
	v := s.ordered(o)
	v.Mode, v.EndsAt = ModeManual, o.EndsAt
	ordered := v
	err := s.again(ctx, func(ctx context.Context) error {
		v = ordered
		return s.activate(ctx, &v, o.Trial, o.Days, Why{Cause: "started", Actor: o.Actor, Reason: o.Reason, Admin: true}, func(ctx context.Context) error {
			added, err := s.store.add(ctx, v)
			if err == nil && !added {
				return ErrHasOne
			}
			return err
		})
	})
	if err != nil {
		return Subscription{}, fmt.Errorf("start a subscription: %w", err)
	}
	return s.store.byID(ctx, v.ID)
}

func (s *Service) ordered(o Order) Subscription {
	now := s.now()
	return Subscription{
		ID: id.New("sub", now), UserID: o.User, Tier: o.Tier, Cycle: o.Cycle, Mode: ModeVendor, State: Incomplete,
		Anchor: now, Allocated: -1, Version: 1, CreatedAt: now,
	}
}

// Checkout begins a subscription that the user pays for and returns the link at
// which to do so. It starts when Confirm is called; until then what the user
// has goes on.
func (s *Service) Checkout(ctx context.Context, o Order) (url string, err error) {
	if s.Payments == nil {
		return "", ErrPayments
	}
	p, err := s.plan(o.Tier, o.Cycle, false)
	if err != nil {
		return "", err
	}
	if v, err := s.Current(ctx, o.User); err != nil || v.Mode != ModeFree {
		return "", errors.Join(err, hasOne(err == nil))
	}
	if o.Trial {
		if err := s.mayTry(ctx, o.User, p.Tier, 0); err != nil {
			return "", err
		}
	}
	v := s.ordered(o)
	if o.Trial { // remembered until the confirmation; it is counted anew from there
		v.TrialEnd = v.CreatedAt.AddDate(0, 0, p.Tier.TrialDays)
	}
	if _, err := s.store.add(ctx, v); err != nil {
		return "", err
	}
	return s.Payments.Checkout(ctx, v, Invoice{Ref: "start:" + v.ID, User: v.UserID, Amount: p.Tier.Price(o.Cycle.Months()), Tier: o.Tier, Cycle: o.Cycle})
}

func hasOne(yes bool) error {
	if yes {
		return ErrHasOne
	}
	return nil
}

// Confirm starts a subscription whose checkout was paid. A second time it does
// nothing.
func (s *Service) Confirm(ctx context.Context, id string) (Subscription, error) {
	v, err := s.store.byID(ctx, id)
	if err != nil || v.State != Incomplete {
		return v, err
	}
	p, err := s.plan(v.Tier, v.Cycle, true)
	if err != nil {
		return v, err
	}
	trial := !v.TrialEnd.IsZero()
	if !trial {
		v.Paid = p.Tier.Price(v.Cycle.Months())
	}
	read := v
	err = s.again(ctx, func(ctx context.Context) error {
		v = read
		return s.activate(ctx, &v, trial, 0, Why{Cause: "checkout_paid"}, func(ctx context.Context) error { return s.store.save(ctx, v) })
	})
	if err != nil {
		return v, fmt.Errorf("confirm subscription %s: %w", id, err)
	}
	return s.store.byID(ctx, id)
}

// mayTry refuses a trial that the tier does not offer or the user had.
func (s *Service) mayTry(ctx context.Context, user string, t *tier.Tier, days int) error {
	if t.TrialDays == 0 && days == 0 {
		return ErrPlan.Saying("This plan has no trial.").At("startTrial")
	}
	tried, err := s.store.tried(ctx, user)
	if err == nil && tried {
		return ErrTried
	}
	return err
}

// activate makes v its user's live subscription in place of the free one, in
// the transaction of ctx. write stores v; it is called when v is complete but
// for its credits.
func (s *Service) activate(ctx context.Context, v *Subscription, trial bool, days int, why Why, write func(context.Context) error) error {
	old, err := s.store.live(ctx, v.UserID)
	switch {
	case errors.Is(err, ErrUnknown):
	case err != nil:
		return err
	case old.Mode != ModeFree:
		return ErrHasOne
	default:
		from := old.State
		old.State, old.EndedAt = Cancelled, s.now()
		if err := s.store.save(ctx, old); err != nil {
			return err
		}
		if err := s.record(ctx, old, from, Why{Cause: "replaced"}); err != nil {
			return err
		}
	}
	t, now := s.Tiers.Tier(v.Tier), s.now()
	from := v.State
	v.Anchor = now
	if trial {
		if err := s.mayTry(ctx, v.UserID, t, days); err != nil {
			return err
		}
		if days == 0 {
			days = t.TrialDays
		}
		v.State, v.TrialEnd = Trial, now.AddDate(0, 0, days)
		v.Anchor = v.TrialEnd // the first plan credits come with the first payment
	} else {
		v.State, v.TrialEnd, v.PeriodAnchor, v.PeriodAt = Active, time.Time{}, now, 0
	}
	if err := write(ctx); err != nil {
		return err
	}
	if err := s.record(ctx, *v, from, why); err != nil {
		return err
	}
	if err := s.audited(ctx, nil, *v, why); err != nil {
		return err
	}
	if !trial {
		if from == Incomplete && v.Mode == ModeVendor {
			v.Version++
		}
		return s.give(ctx, v, 0)
	}
	if t.TrialCredits == 0 {
		return nil
	}
	_, err = s.Credits.Grant(ctx, credit.NewGrant{User: v.UserID, Source: credit.Trial, Ref: "trial:" + v.ID, Amount: t.TrialCredits, ExpiresAt: v.TrialEnd})
	return err
}
