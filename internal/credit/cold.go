package credit

import (
	"context"
	"fmt"

	"github.com/rephlo/rephlo/internal/money"
)

// change runs do in the transaction that ctx carries, or in its own, with the
// cold lane locked, and appends the transfers that it returns. Every process
// looks at the user's grants anew after the commit.
func (s *Service) change(ctx context.Context, user string, do func(ctx context.Context) ([]transfer, error)) error {
	return s.db.InTx(ctx, func(ctx context.Context) error {
		// Before the grants' rows, so that two transactions wait in one order.
		if err := s.store.lockCold(ctx); err != nil {
			return err
		}
		ts, err := do(ctx)
		if err != nil {
			return err
		}
		if len(ts) > 0 {
			if err := s.append(ctx, ts); err != nil {
				return err
			}
		}
		s.db.AfterCommit(ctx, func() {
			if p := s.purses.find(user); p != nil {
				p.heard(hintGrant)
			}
		})
		return s.announceAway(ctx, user)
	})
}

// parted returns t as transfers of at most money.MaxTransfer each, numbered
// from part on.
func parted(t transfer, part int64) (ts []transfer) {
	for left := t.amount; left > 0; part++ {
		t.amount, t.part = min(left, maxTransfer), part
		ts = append(ts, t)
		left -= t.amount
	}
	return ts
}

// Add puts more on a grant that is there, as an upgrade in the middle of a
// cycle does, in the transaction that ctx carries or in its own. amount is 1 to
// money.MaxTransfer. The same ref with the same grant and amount does nothing
// again; with others it is ErrConflict. ErrInvalid: there is no such grant, or
// it would hold more than a grant may. ErrIssueLimit: no more can be issued.
func (s *Service) Add(ctx context.Context, id GrantID, amount money.Credits, ref, actor string) error {
	if ref == "" || len(ref) > maxRef || amount < 1 || amount > money.MaxTransfer {
		return fmt.Errorf("add %s: %w", ref, ErrInvalid)
	}
	g, err := s.store.grant(ctx, int64(id))
	if err != nil {
		return fmt.Errorf("add %s: %w", ref, err)
	}
	err = s.change(ctx, g.user, func(ctx context.Context) ([]transfer, error) {
		done, err := s.store.effects(ctx, ref)
		if err != nil {
			return nil, err
		}
		if len(done) > 0 {
			if same := done[0].kind == kindGrant && done[0].grant == int64(id) && done[0].amount == int64(amount); !same {
				return nil, ErrConflict
			}
			return nil, nil
		}
		t := transfer{
			kind: kindGrant, user: g.user, grant: int64(id), amount: int64(amount), ref: ref,
			cause: string(g.source), actor: orSystem(actor),
		}
		return []transfer{t}, s.store.raise(ctx, int64(id), t.amount)
	})
	if err != nil {
		return fmt.Errorf("add %s: %w", ref, err)
	}
	return nil
}

func orSystem(actor string) string {
	if actor == "" {
		return actorSystem
	}
	return actor
}
