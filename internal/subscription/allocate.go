package subscription

import (
	"context"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/calendar"
	"github.com/rephlo/rephlo/internal/credit"
)

// lateLife is how long the credits of a cycle live that ended before they were
// given: until the next one, which is due too, has rolled them over.
const lateLife = time.Hour

// give ends the credit cycle before the n-th and gives the n-th its credits, in
// the transaction of ctx, and saves that in v. Each cycle is given once.
func (s *Service) give(ctx context.Context, v *Subscription, n int) error {
	t := s.Tiers.Tier(v.Tier)
	if t == nil {
		return fmt.Errorf("allocate: there is no tier %s", v.Tier)
	}
	paid := time.Time{}
	if v.Billed() {
		paid = v.Period().Start
	}
	amount, _ := s.Tiers.Allocation(v.Tier, paid)
	cycle := calendar.Nth(v.Anchor, n, 1)
	if v.PlanGrant != 0 {
		_, err := s.Credits.Roll(ctx, credit.Roll{
			User: v.UserID, Subscription: v.ID, Plan: v.PlanGrant, End: cycle.Start, Cap: t.RolloverCap, Months: t.RolloverMonths,
		})
		if err != nil {
			return err
		}
	}
	v.Allocated, v.PlanGrant = n, 0
	if amount > 0 {
		expires := cycle.End
		if soon := s.now().Add(lateLife); expires.Before(soon) && !expires.After(s.now()) {
			expires = soon
		}
		grant, err := s.Credits.Grant(ctx, credit.NewGrant{
			User: v.UserID, Source: credit.Plan, Ref: fmt.Sprintf("plan:%s:%d", v.ID, n), Amount: amount, ExpiresAt: expires,
		})
		if err != nil {
			return err
		}
		v.PlanGrant = grant
	}
	first, err := s.store.allocate(ctx, v.ID, n, v.PlanGrant, int64(amount), s.Now())
	if err != nil {
		return err
	}
	if !first {
		return errRaced
	}
	if err := s.store.save(ctx, *v); err != nil {
		return err
	}
	v.Version++
	return nil
}

// allocate does give for the cycle that is due.
func (s *Service) allocate(ctx context.Context, id string) error {
	v, err := s.store.byID(ctx, id)
	if err != nil {
		return err
	}
	if v.PlanGrant != 0 {
		if err := s.Credits.Recall(ctx, v.UserID); err != nil {
			return err
		}
	}
	return s.again(ctx, func(ctx context.Context) error {
		v, err := s.store.byID(ctx, id)
		if err != nil {
			return err
		}
		if what, at := v.next(); what != stepAllocate || at.After(s.now()) {
			return nil // somebody was quicker
		}
		return s.give(ctx, &v, v.Allocated+1)
	})
}

// Allocate gives the running cycle its credits if they are missing; ErrState if
// they are not.
func (s *Service) Allocate(ctx context.Context, id string) error {
	v, err := s.store.byID(ctx, id)
	if err != nil {
		return err
	}
	if what, at := v.next(); what != stepAllocate || at.After(s.now()) {
		return ErrState.Saying("The running credit cycle has its credits.")
	}
	return s.advance(ctx, id)
}
