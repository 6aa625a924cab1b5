package subscription

import (
	"context"

	"github.com/rephlo/rephlo/internal/calendar"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/tier"
)

// Holders counts the live subscriptions of a tier.
func (s *Service) Holders(ctx context.Context, name string) (tier.Holders, error) {
	return s.store.holders(ctx, name)
}

// RollOut returns what a change of a tier means for those who have it: the
// running cycles get what the tier gives more, and tell is called for those who
// pay for it if a price rises.
func (s *Service) RollOut(tell func(ctx context.Context, v Subscription, before, after *tier.Tier) error) tier.Rollout {
	return func(ctx context.Context, c tier.Version, before, after *tier.Tier, from string, limit int) (last string, err error) {
		subs, err := s.store.ofTier(ctx, c.Tier, from, limit)
		if err != nil {
			return "", err
		}
		for _, v := range subs {
			if c.Existing {
				if err := s.raise(ctx, v, c, before, after); err != nil {
					return "", err
				}
			}
			if c.Notify && v.Mode == ModeVendor {
				if err := tell(ctx, v, before, after); err != nil {
					return "", err
				}
			}
			last = v.ID
		}
		if len(subs) < limit {
			return "", nil
		}
		return last, nil
	}
}

// raise adds the full difference to the running cycle of v, unless its credits
// were given, or computed, by the new tier already.
func (s *Service) raise(ctx context.Context, v Subscription, c tier.Version, before, after *tier.Tier) error {
	if what, at := v.next(); v.State != Active && v.State != PastDue || what == stepAllocate && !at.After(s.now()) {
		return nil // a trial has its own credits, and a cycle that is due gets the new ones
	}
	if later, err := s.store.changedSince(ctx, v.ID, c.ValidFrom); err != nil || later {
		return err
	}
	given, err := s.store.allocation(ctx, v.ID, v.Allocated)
	if err != nil {
		return err
	}
	extra := after.CreditsPerMonth - max(before.CreditsPerMonth, given)
	if extra <= 0 {
		return nil
	}
	if err := s.addToCycle(ctx, &v, extra, "tier:"+c.Tier+":"+v.ID+":"+c.ValidFrom.UTC().Format("20060102T150405.000000")); err != nil {
		return err
	}
	if err := s.store.raiseAllocation(ctx, v.ID, v.Allocated, extra); err != nil {
		return err
	}
	if err := s.store.save(ctx, v); err != nil {
		return err
	}
	v.Version++
	return s.record(ctx, v, v.State, Why{Cause: "allocation_raised", Actor: c.By, Reason: c.Reason})
}

// addToCycle puts more on the plan grant of the running cycle, which may be the
// first of it.
func (s *Service) addToCycle(ctx context.Context, v *Subscription, extra money.Credits, ref string) (err error) {
	if v.PlanGrant != 0 {
		return s.Credits.Add(ctx, v.PlanGrant, extra, ref, "")
	}
	v.PlanGrant, err = s.Credits.Grant(ctx, credit.NewGrant{
		User: v.UserID, Source: credit.Plan, Ref: ref, Amount: extra, ExpiresAt: calendar.Nth(v.Anchor, v.Allocated, 1).End,
	})
	return err
}
