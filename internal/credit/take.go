package credit

import (
	"context"
	"errors"
	"fmt"

	"github.com/rephlo/rephlo/internal/money"
)

// Taking is credits to take from a user without a call.
type Taking struct {
	User, Ref string // Ref: what causes it, e.g. "adm:…", "claw:…"; it happens once
	// Payment limits it to the grants of one payment, whatever their state, and
	// makes it a claw-back; so does Grant to that one. Without either it takes from
	// usable grants in burn order.
	Payment string
	Grant   GrantID
	Amount  money.Credits // 1 to money.MaxTransfer
	// Whole refuses with ErrBusy while open holds keep some of the grants: then
	// nothing is taken, and the caller comes again.
	Whole        bool
	Actor, Cause string // who takes it; a word for why
	// Then is called in the transaction that takes, not when it was done before;
	// its error takes nothing.
	Then func(ctx context.Context, t Taken) error
}

// Taken is what a Taking did.
type Taken struct{ Taken, Uncollected money.Credits }

// Take takes credits that no hold keeps, in the transaction that ctx carries or
// in its own. What the grants do not have is noted as uncollected: no balance
// becomes negative. Bring the leases home before, with Recall. The same Ref with
// the same user and amount gives the first result; with others it is
// ErrConflict. ErrBusy: calls lease what should be taken; try again.
func (s *Service) Take(ctx context.Context, t Taking) (Taken, error) {
	if t.User == "" || t.Ref == "" || len(t.Ref) > maxRef || t.Amount < 1 || t.Amount > money.MaxTransfer {
		return Taken{}, fmt.Errorf("take %s: %w", t.Ref, ErrInvalid)
	}
	var out Taken
	err := s.change(ctx, t.User, func(ctx context.Context) (ts []transfer, err error) {
		done, err := s.store.effects(ctx, t.Ref)
		if err != nil {
			return nil, err
		}
		missing, err := s.store.uncollected(ctx, t.Ref)
		if err != nil {
			return nil, err
		}
		if len(done) > 0 || missing > 0 {
			out, err = takenBefore(t, done, missing)
			return nil, err
		}
		if out, ts, err = s.take(ctx, t); err == nil && t.Then != nil {
			err = t.Then(ctx, out)
		}
		return ts, err
	})
	if err != nil {
		return Taken{}, fmt.Errorf("take %s: %w", t.Ref, err)
	}
	return out, nil
}

// Deduct is Take in a transaction of its own, after the leases were brought
// home, again while calls lease what should be taken.
func (s *Service) Deduct(ctx context.Context, t Taking) (Taken, error) {
	const tries = 5
	for n := 0; ; n++ {
		if err := s.Recall(ctx, t.User); err != nil {
			return Taken{}, err
		}
		out, err := s.Take(ctx, t)
		if !errors.Is(err, ErrBusy) || n == tries {
			return out, err
		}
	}
}

// take does what Take does, the first time.
func (s *Service) take(ctx context.Context, t Taking) (out Taken, ts []transfer, err error) {
	grants, err := s.store.takeable(ctx, t.User, t.Payment, int64(t.Grant), s.now().UnixMicro())
	if err != nil {
		return out, nil, err
	}
	kind, cause := kindAdjust, causeAdjust
	if t.Payment != "" || t.Grant != 0 {
		kind, cause = kindClawback, causeClawback
	}
	left := int64(t.Amount)
	plan := make([]give, 0, len(grants)) // in burn order
	for _, g := range grants {
		if t.Whole && g.held > 0 {
			return out, nil, ErrBusy
		}
		n := min(left, g.free)
		left -= n
		plan = append(plan, give{g.id, n})
	}
	for _, g := range grants { // what is leased and not held could have been taken
		if left > 0 && g.leasedFree > 0 {
			return out, nil, ErrBusy
		}
	}
	for _, p := range byGrant(plan) {
		if err := s.store.debit(ctx, p.grant, p.amount); err != nil {
			return out, nil, err
		}
	}
	for _, p := range plan {
		one := transfer{
			kind: kind, user: t.User, grant: p.grant, amount: p.amount, ref: t.Ref, cause: orWord(t.Cause, cause), actor: orSystem(t.Actor),
		}
		ts = append(ts, parted(one, int64(len(ts)))...)
	}
	if left > 0 {
		o := over{ref: t.Ref, user: t.User, cause: cause, amount: left}
		if err := s.store.addUncollected(ctx, []over{o}, s.now().UnixMicro()); err != nil {
			return out, nil, err
		}
		s.db.AfterCommit(ctx, func() { s.meters.uncollected.add(cause, left) })
	}
	return Taken{Taken: t.Amount - money.Credits(left), Uncollected: money.Credits(left)}, ts, nil
}

// takenBefore gives the result of a Take that was done.
func takenBefore(t Taking, done []transfer, missing int64) (out Taken, err error) {
	for _, d := range done {
		if d.user != t.User || d.kind != kindAdjust && d.kind != kindClawback {
			return Taken{}, ErrConflict
		}
		out.Taken += money.Credits(d.amount)
	}
	out.Uncollected = money.Credits(missing)
	if out.Taken+out.Uncollected != t.Amount {
		return Taken{}, ErrConflict
	}
	return out, nil
}

func orWord(word, otherwise string) string {
	if word == "" {
		return otherwise
	}
	return word
}
