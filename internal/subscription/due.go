package subscription

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/calendar"
	"github.com/rephlo/rephlo/internal/credit"
)

const (
	dueBatch = 200
	maxSteps = 1000 // that one subscription is behind at most
	// graceDays is how long the credits of an unpaid period stay usable; a day
	// more than until the suspension, which freezes them.
	graceDays = 8
)

// Due does what has to happen to subscriptions by now: trial ends, renewals,
// credit cycles, attempts to collect, ends. Every step is one transaction that
// only the first of several processes commits, so it may be cut off anywhere
// and run at the same time elsewhere. One subscription that fails does not keep
// the others waiting; their errors come back together.
func (s *Service) Due(ctx context.Context) error {
	var (
		at     duePosition
		failed int
		first  error
	)
	for ctx.Err() == nil {
		page, err := s.store.due(ctx, s.now(), at, dueBatch)
		if err != nil {
			return err
		}
		for _, p := range page {
			at = p
			if err := s.advance(ctx, p.id); err != nil && ctx.Err() == nil {
				failed++
				first = cmp.Or(first, err)
			}
		}
		if len(page) < dueBatch {
			break
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d subscriptions failed, the first: %w", failed, first)
	}
	return ctx.Err()
}

// advance does everything that is due for one subscription, in order.
func (s *Service) advance(ctx context.Context, id string) error {
	for range maxSteps {
		v, err := s.store.byID(ctx, id)
		if errors.Is(err, ErrUnknown) {
			return nil // an unpaid checkout that was removed
		}
		if err != nil {
			return err
		}
		what, at := v.next()
		if what == stepNone || at.After(s.now()) {
			return nil
		}
		if err := s.step(ctx, v, what); err != nil && !errors.Is(err, errRaced) {
			return fmt.Errorf("subscription %s: %w", id, err)
		}
	}
	return fmt.Errorf("subscription %s is too far behind", id)
}

func (s *Service) step(ctx context.Context, v Subscription, what step) error {
	switch what {
	case stepRemove:
		return s.store.remove(ctx, v.ID)
	case stepEnd:
		return s.finish(ctx, v, what, Expired, Why{Cause: "end_date"})
	case stepTrialEnd:
		switch {
		case v.CancelAtEnd:
			return s.finish(ctx, v, what, Cancelled, Why{Cause: "trial_ended"})
		case v.Mode == ModeManual || s.Payments == nil:
			return s.finish(ctx, v, what, Expired, Why{Cause: "trial_ended"})
		}
		return s.collect(ctx, v, what)
	case stepRenew:
		if v.CancelAtEnd {
			return s.finish(ctx, v, what, Cancelled, Why{Cause: "period_ended"})
		}
		return s.collect(ctx, v, what)
	case stepAttempt:
		return s.collect(ctx, v, what)
	case stepAllocate:
		return s.allocate(ctx, v.ID)
	case stepNone:
	}
	return nil
}

// due alters a subscription if a step is still what has to happen to it.
func (s *Service) due(ctx context.Context, id string, what step, why Why, do func(ctx context.Context, v *Subscription) error) error {
	_, err := s.change(ctx, id, why, func(ctx context.Context, v *Subscription) error {
		begun := *v
		begun.PausedAt = time.Time{} // what was collected before a pause counts
		if is, at := begun.next(); is != what || at.After(s.now()) {
			return errRaced
		}
		return do(ctx, v)
	})
	return err
}

// finish ends a subscription: its plan and rollover credits end with it.
func (s *Service) finish(ctx context.Context, v Subscription, what step, to State, why Why) error {
	return s.due(ctx, v.ID, what, why, func(ctx context.Context, v *Subscription) error { return s.end(ctx, v, to) })
}

func (s *Service) end(ctx context.Context, v *Subscription, to State) (err error) {
	if *v, err = v.moved(to); err != nil {
		return err
	}
	return s.Credits.EndPlan(ctx, v.UserID)
}

// upcoming is what v becomes when the next period is paid, with its price.
func (s *Service) upcoming(v Subscription) (Subscription, Plan, error) {
	months := v.Cycle.Months()
	if v.NextTier != "" {
		v.Tier, v.Cycle, v.NextTier, v.NextCycle = v.NextTier, v.NextCycle, "", ""
	}
	if v.Billed() {
		v.PeriodAt += months
	} else { // the first period begins where the trial ends
		v.PeriodAnchor, v.PeriodAt = v.TrialEnd, 0
	}
	t := s.Tiers.Tier(v.Tier)
	if t == nil {
		return v, Plan{}, fmt.Errorf("renew: there is no tier %s", v.Tier)
	}
	v.Paid = 0
	if v.Mode == ModeVendor {
		v.Paid, _ = s.Tiers.RenewalPrice(v.Tier, v.Cycle.Months(), s.now(), s.notice())
	}
	return v, Plan{t, v.Cycle}, nil
}

// collect takes the money for the next period and begins it, or notes that it
// was declined. The invoice's name is that of the period and the attempt, so a
// crash between the payment and our note collects once.
func (s *Service) collect(ctx context.Context, v Subscription, what step) error {
	next, plan, err := s.upcoming(v)
	if err != nil {
		return err
	}
	ref := fmt.Sprintf("renew:%s:%d:%d", v.ID, next.Period().Start.Unix(), v.Attempts)
	balance, err := s.store.balance(ctx, v.UserID)
	if err != nil {
		return err
	}
	used := min(balance, next.Paid)
	if amount := next.Paid - used; amount > 0 {
		if s.Payments == nil {
			return ErrPayments
		}
		_, err = s.Payments.Charge(ctx, Invoice{Ref: ref, User: v.UserID, Amount: amount, Tier: plan.Tier.Name, Cycle: plan.Cycle})
	}
	switch {
	case errors.Is(err, ErrDeclined):
		return s.declined(ctx, v, what)
	case err != nil:
		return err
	}
	return s.due(ctx, v.ID, what, Why{Cause: "paid"}, func(ctx context.Context, v *Subscription) error {
		return s.paid(ctx, v, ref, used)
	})
}

// paid begins the next period of v.
func (s *Service) paid(ctx context.Context, v *Subscription, ref string, used int64) error {
	next, _, err := s.upcoming(*v)
	if err != nil {
		return err
	}
	if v.State == Suspended {
		if err := s.freeze(ctx, v.UserID, false); err != nil {
			return err
		}
	}
	if err := s.store.post(ctx, v.UserID, ref, -used, s.Now()); err != nil {
		return err
	}
	if next, err = next.moved(Active); err != nil {
		return err
	}
	if !v.FailedAt.IsZero() { // the running cycle's credits are given, not those of cycles nobody paid for
		next.FailedAt, next.Attempts = time.Time{}, 0
		if !s.now().Before(next.Anchor) {
			next.Allocated = max(next.Allocated, calendar.Index(next.Anchor, s.now(), 1)-1)
		}
	}
	*v = next
	return nil
}

// declined notes that an invoice could not be collected and what follows.
func (s *Service) declined(ctx context.Context, v Subscription, what step) error {
	return s.due(ctx, v.ID, what, Why{Cause: "payment_failed"}, func(ctx context.Context, v *Subscription) (err error) {
		if v.FailedAt.IsZero() {
			if err := s.Credits.ExtendPlan(ctx, v.UserID, v.CreditCycle().End, s.now().AddDate(0, 0, graceDays)); err != nil {
				return err
			}
			v.FailedAt = s.now()
			*v, err = v.moved(PastDue)
			return err
		}
		v.Attempts++
		switch v.Attempts {
		case len(attemptDays):
			return s.end(ctx, v, Expired)
		case 2: //nolint:mnd // the attempt of day 7
			if err := s.freeze(ctx, v.UserID, true); err != nil {
				return err
			}
			*v, err = v.moved(Suspended)
		}
		return err
	})
}

// Paid is told when the open invoice was paid elsewhere. The subscription is
// active again and its period keeps its dates.
func (s *Service) Paid(ctx context.Context, id string) error {
	_, err := s.change(ctx, id, Why{Cause: "paid"}, func(ctx context.Context, v *Subscription) error {
		if v.State != PastDue && v.State != Suspended {
			return ErrState
		}
		return s.paid(ctx, v, fmt.Sprintf("paid:%s:%d", v.ID, v.Version), 0)
	})
	if err != nil {
		return err
	}
	return s.advance(ctx, id)
}

// freeze makes a user's plan and rollover credits unusable, or usable again
// with the time that they were frozen added.
func (s *Service) freeze(ctx context.Context, user string, on bool) error {
	b, err := s.Credits.Balance(ctx, user)
	if err != nil {
		return err
	}
	var ids []credit.GrantID
	for _, bucket := range b.Buckets {
		if bucket.Source == credit.Plan || bucket.Source == credit.Rollover {
			ids = append(ids, bucket.Grant)
		}
	}
	if on {
		return s.Credits.Freeze(ctx, ids, credit.FreezeSuspended)
	}
	return s.Credits.Thaw(ctx, ids, credit.FreezeSuspended, true)
}
