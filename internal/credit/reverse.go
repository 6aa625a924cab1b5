package credit

import (
	"context"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/money"
)

// ErrNothingCharged says that there is nothing to give back.
var ErrNothingCharged = fault.New(fault.NotFound, "not_found", "Nothing was charged under this reference.")

// adjustmentLife is how long credits last that are given back when their grant
// has expired.
const adjustmentLife = 90 * 24 * time.Hour

// Reverse gives back everything that a call was charged, or that a Taking took,
// to the grants it came from, in the transaction that ctx carries or in its
// own. What came from a grant that has expired goes to a new one that lasts 90
// days. It is done once: again it returns the same amount and does nothing.
// ErrNothingCharged: there was no charge.
func (s *Service) Reverse(ctx context.Context, ref, actor string) (money.Credits, error) {
	charged, err := s.store.debitsIn(ctx, ref)
	if err != nil {
		return 0, fmt.Errorf("reverse %s: %w", ref, err)
	}
	if len(charged) == 0 || len(reversalPrefix+ref) > maxRef {
		return 0, fmt.Errorf("reverse %s: %w", ref, ErrNothingCharged)
	}
	user := charged[0].user
	var sum int64
	for _, t := range charged {
		sum += t.amount
	}
	err = s.change(ctx, user, func(ctx context.Context) ([]transfer, error) {
		done, err := s.store.effects(ctx, reversalPrefix+ref)
		if err != nil || len(done) > 0 {
			return nil, err
		}
		return s.giveBack(ctx, charged, reversalPrefix+ref, orSystem(actor))
	})
	if err != nil {
		return 0, fmt.Errorf("reverse %s: %w", ref, err)
	}
	return money.Credits(sum), nil
}

// giveBack raises the grants by what was charged to them.
func (s *Service) giveBack(ctx context.Context, charged []transfer, ref, actor string) (ts []transfer, err error) {
	now := s.now()
	var late int64
	raises := map[int64]int64{}
	for _, c := range charged {
		g, err := s.store.grant(ctx, c.grant)
		if err != nil {
			return nil, err
		}
		if g.expires <= now.UnixMicro() {
			late += c.amount
			continue
		}
		raises[c.grant] += c.amount
		ts = append(ts, transfer{kind: kindReversal, user: c.user, grant: c.grant, amount: c.amount, ref: ref, part: int64(len(ts)), cause: "reversal", actor: actor})
	}
	for _, r := range byGrant(gives(raises)) {
		if err := s.store.raise(ctx, r.grant, r.amount); err != nil {
			return nil, err
		}
	}
	if late == 0 {
		return ts, nil
	}
	g := grantRow{
		id: newGrantID(now), user: charged[0].user, source: Adjustment, ref: ref, amount: late,
		granted: now.UnixMicro(), expires: now.Add(adjustmentLife).UnixMicro(),
	}
	if _, err := s.store.addGrant(ctx, &g); err != nil {
		return nil, err
	}
	back := transfer{kind: kindReversal, user: g.user, grant: int64(g.id), amount: late, ref: ref, cause: "reversal", actor: actor}
	return append(ts, parted(back, int64(len(ts)))...), nil
}
