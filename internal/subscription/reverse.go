package subscription

import (
	"context"
	"errors"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/money"
)

// ErrReversed says that a change of plan was taken back before.
var ErrReversed = fault.New(fault.Conflict, "invalid_state", "This change of plan was taken back already.")

// Reversal is what taking a change of plan back came to.
type Reversal struct {
	Record // the mirror: its Extra is what was taken of the change's
	// Uncollected is what the change had given and was used up.
	Uncollected money.Credits
}

// ReverseProration takes a change of plan back that was made at once: the
// subscription has the plan of before, the net amount goes back to the billing
// balance, or out of it, and the extra credits are clawed back as far as they are
// there. A mirror record says so. It is done once: ErrReversed. ErrState: the
// subscription has changed, or its billing period or credit cycle has ended
// since, or the balance does not hold what has to leave it. ErrBusy of package
// credit: calls lease the credits; try again.
func (s *Service) ReverseProration(ctx context.Context, recordID string, why Why) (Reversal, error) {
	r, err := s.store.prorationByID(ctx, recordID)
	if err != nil {
		return Reversal{}, err
	}
	if err := s.advance(ctx, r.SubscriptionID); err != nil {
		return Reversal{}, err
	}
	why.Cause, why.About = "proration_reversed", r.ID
	const tries = 5
	for n := 1; ; n++ {
		if r.Extra > 0 {
			if err := s.Credits.Recall(ctx, r.UserID); err != nil {
				return Reversal{}, err
			}
		}
		var out Reversal
		_, err := s.change(ctx, r.SubscriptionID, why, func(ctx context.Context, v *Subscription) (err error) {
			out, err = s.reverse(ctx, v, r.ID, why.Actor)
			return err
		})
		if !errors.Is(err, credit.ErrBusy) || n == tries {
			return out, err
		}
	}
}

func (s *Service) reverse(ctx context.Context, v *Subscription, recordID, actor string) (out Reversal, err error) {
	r, err := s.store.prorationByID(ctx, recordID) // as it is in this transaction
	if err != nil {
		return out, err
	}
	if err := s.reversible(ctx, *v, r); err != nil {
		return out, err
	}
	ref := "reverse:" + r.ID
	if r.Net < 0 { // what the change put on the balance leaves it
		have, err := s.store.balance(ctx, v.UserID)
		if err != nil {
			return out, err
		}
		if have+r.Net < 0 {
			return out, ErrState.Saying("The change put money on the billing balance, and some of it was used since.")
		}
	}
	if err := s.store.post(ctx, v.UserID, ref, r.Net, s.Now()); err != nil {
		return out, err
	}
	out.Record = r.mirror(id.New("pro", s.now()), s.Now())
	if r.Extra > 0 {
		taken, err := s.Credits.Take(ctx, credit.Taking{User: v.UserID, Ref: ref, Grant: v.PlanGrant, Amount: r.Extra, Actor: actor, Cause: "proration"})
		if err != nil {
			return out, err
		}
		out.Extra, out.Uncollected = taken.Taken, taken.Uncollected
	}
	r.restore(v)
	return out, s.store.addProration(ctx, out.Record)
}

// reversible refuses what cannot be taken back exactly.
func (s *Service) reversible(ctx context.Context, v Subscription, r Record) error {
	if r.ReversedBy != "" {
		return ErrReversed
	}
	if r.Reverses != "" {
		return ErrState.Saying("This takes a change of plan back. Change the plan instead.")
	}
	newest, err := s.store.newestProration(ctx, v.ID)
	if err != nil {
		return err
	}
	before := v
	r.restore(&before)
	switch {
	case v.State != Active || newest != r.ID || v.Tier != r.ToTier || v.Cycle != r.ToCycle:
		return ErrState.Saying("The subscription has changed since. Only the newest change of plan of an active subscription can be taken back.")
	case r.At.Before(v.Period().Start) || !before.Period().End.After(s.now()):
		return ErrState.Saying("The billing period in which the plan was changed has ended. Change the plan instead.")
	case r.At.Before(v.CreditCycle().Start):
		return ErrState.Saying("The credit cycle in which the plan was changed has ended, and what it gave is mixed with later credits. Change the plan instead.")
	}
	return nil
}

// restore gives v the plan that it had before the change.
func (r Record) restore(v *Subscription) {
	v.Tier, v.Cycle, v.Paid, v.NextTier, v.NextCycle = r.FromTier, r.FromCycle, r.Paid, "", ""
	if r.Renewed { // a record of before there were mirrors does not know: its period has ended
		v.PeriodAnchor, v.PeriodAt = r.PeriodAnchor, r.PeriodAt
	}
}

// mirror is r the other way round, with no credits taken yet.
func (r Record) mirror(recordID string, at time.Time) Record {
	m := r
	m.ID, m.At, m.Reverses, m.Payment, m.Extra = recordID, at, r.ID, "", 0
	m.FromTier, m.FromCycle, m.ToTier, m.ToCycle = r.ToTier, r.ToCycle, r.FromTier, r.FromCycle
	m.Paid, m.Price, m.Credit, m.Charge, m.Net = r.Price, r.Paid, r.Charge, r.Credit, -r.Net
	m.PeriodAnchor, m.PeriodAt = time.Time{}, 0
	return m
}
