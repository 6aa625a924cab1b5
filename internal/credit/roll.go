package credit

import (
	"context"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/money"
)

// Roll is the end of one credit cycle of a subscription.
type Roll struct {
	User, Subscription string
	Plan               GrantID       // the plan grant of the cycle that ends
	End                time.Time     // when it ends; each end is rolled once
	Cap                money.Credits // the most that all rollover of the user may be, from 0
	Months             int           // how long new rollover lasts, from End
}

// Rolled is what a Roll did.
type Rolled struct {
	Grant   GrantID       // the new rollover; 0 without one
	Rolled  money.Credits // what the plan had left, up to the cap
	Trimmed money.Credits // of older rollover, the oldest first
	Expired money.Credits // the rest of the plan
}

// Roll ends a cycle in the transaction that ctx carries or in its own: what the
// plan has left becomes rollover up to the cap; older rollover is trimmed until
// all of it is within the cap; the rest of the plan expires. What open holds
// keep is not left: it expires when they return it. Bring the leases home
// before, with Recall. Done again for the same end it returns the first result.
// ErrBusy: calls lease what should be rolled; try again.
func (s *Service) Roll(ctx context.Context, r Roll) (Rolled, error) {
	ref := fmt.Sprintf("roll:%s:%d", r.Subscription, r.End.UnixMicro())
	if r.User == "" || r.Subscription == "" || len(ref) > maxRef || r.Cap < 0 || r.Cap > money.MaxTransfer || r.Months < 0 {
		return Rolled{}, fmt.Errorf("roll %s: %w", r.Subscription, ErrInvalid)
	}
	var out Rolled
	err := s.change(ctx, r.User, func(ctx context.Context) ([]transfer, error) {
		done, err := s.store.effects(ctx, ref)
		if err != nil {
			return nil, err
		}
		if len(done) > 0 {
			out = rolledBefore(done, r.Plan)
			return nil, nil
		}
		var ts []transfer
		out, ts, err = s.roll(ctx, r, ref)
		return ts, err
	})
	if err != nil {
		return Rolled{}, fmt.Errorf("roll %s: %w", r.Subscription, err)
	}
	return out, nil
}

func rolledBefore(done []transfer, plan GrantID) (out Rolled) {
	for _, t := range done {
		switch {
		case t.kind == kindRolloverIn:
			out.Grant = GrantID(t.grant)
			out.Rolled += money.Credits(t.amount)
		case t.kind == kindExpire && t.grant == int64(plan):
			out.Expired += money.Credits(t.amount)
		case t.kind == kindExpire:
			out.Trimmed += money.Credits(t.amount)
		}
	}
	return out
}

// roll does what Roll does, the first time.
func (s *Service) roll(ctx context.Context, r Roll, ref string) (out Rolled, ts []transfer, err error) {
	now := s.now()
	plan, older, err := s.store.rollable(ctx, r.User, int64(r.Plan), now.UnixMicro())
	if err != nil {
		return out, nil, err
	}
	for _, g := range append(older, plan) {
		if g.leasedFree > 0 {
			return out, nil, ErrBusy
		}
	}
	next := min(plan.free, int64(r.Cap))
	if r.Months == 0 {
		next = 0
	}
	takes := []give{{plan.id, plan.free}}
	all := next
	for _, g := range older {
		all += g.free
	}
	add := func(k kind, grant, amount int64, cause string) {
		t := transfer{kind: k, user: r.User, grant: grant, amount: amount, ref: ref, cause: cause, actor: actorSystem}
		ts = append(ts, parted(t, int64(len(ts)))...)
	}
	add(kindRolloverOut, plan.id, next, "cycle_end")
	if next > 0 {
		g := grantRow{
			id: newGrantID(now), user: r.User, source: Rollover, ref: ref, amount: next,
			granted: r.End.UnixMicro(), expires: CycleStart(r.End, r.Months).UnixMicro(),
		}
		if _, err := s.store.addGrant(ctx, &g); err != nil {
			return out, nil, err
		}
		add(kindRolloverIn, int64(g.id), next, "cycle_end")
		out.Grant = g.id
	}
	for _, g := range older { // the oldest first
		n := min(max(all-int64(r.Cap), 0), g.free)
		all -= n
		takes = append(takes, give{g.id, n})
		add(kindExpire, g.id, n, "rollover_cap")
		out.Trimmed += money.Credits(n)
	}
	add(kindExpire, plan.id, plan.free-next, "cycle_end")
	for _, t := range byGrant(takes) {
		if err := s.store.debit(ctx, t.grant, t.amount); err != nil {
			return out, nil, err
		}
	}
	out.Rolled, out.Expired = money.Credits(next), money.Credits(plan.free-next)
	return out, ts, nil
}
