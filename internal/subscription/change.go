package subscription

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/id"
)

const previewLife = 10 * time.Minute

// Preview is what a change of plan would do. Changing with its token does
// exactly that.
type Preview struct {
	When When
	Proration
	At        time.Time // when a change that is not at once takes effect
	Next      time.Time // the invoice after it
	NextPrice int64
	Token     string
	ExpiresAt time.Time
}

// quote is what the token of a preview says.
type quote struct {
	Subscription string
	Version      int64
	Tier         string
	Cycle        Cycle
	When         When
	At           int64 // Unix seconds
	Proration    Proration
}

const quoteList = "subscription change"

// Preview computes a change of the subscription's plan and changes nothing.
// any allows tiers that cannot be bought.
func (s *Service) Preview(ctx context.Context, id, tierName string, c Cycle, any bool) (Preview, error) {
	if err := s.advance(ctx, id); err != nil {
		return Preview{}, err
	}
	v, err := s.store.byID(ctx, id)
	if err != nil {
		return Preview{}, err
	}
	q, err := s.quote(v, tierName, c, any)
	if err != nil {
		return Preview{}, err
	}
	now := s.now()
	out := Preview{When: q.When, Proration: q.Proration, At: now, ExpiresAt: now.Add(previewLife)}
	after, price := v, q.Proration.Price
	switch {
	case q.When == PeriodEnd:
		out.At = v.Period().End
		out.Next, out.NextPrice = out.At, price
	case v.State == Trial:
		out.Next, out.NextPrice = v.TrialEnd, price
	default:
		after.alter(q)
		out.Next, out.NextPrice = after.Period().End, price
	}
	out.Token, err = s.Previews.Encode(quoteList, q)
	return out, err
}

// quote computes a change of v now.
func (s *Service) quote(v Subscription, tierName string, c Cycle, any bool) (quote, error) {
	if v.State != Trial && v.State != Active || v.Mode == ModeFree {
		return quote{}, ErrState
	}
	to, err := s.plan(tierName, c, any)
	if err != nil {
		return quote{}, err
	}
	from := Plan{s.Tiers.Tier(v.Tier), v.Cycle}
	if from.Tier == nil {
		return quote{}, fmt.Errorf("change a plan: there is no tier %s", v.Tier)
	}
	when, renewed, err := WhenOf(from, to)
	if err != nil {
		return quote{}, err
	}
	price := int64(0)
	if v.Mode == ModeVendor {
		price = to.Tier.Price(c.Months())
	}
	q := quote{Subscription: v.ID, Version: v.Version, Tier: tierName, Cycle: c, When: when, At: s.now().Unix()}
	q.Proration.Price = price
	if v.State == Trial {
		q.When = Now
		return q, nil
	}
	if when == Now {
		q.Proration = Prorate(Change{
			At: s.now(), Billing: v.Period(), Credits: v.CreditCycle(), Paid: v.Paid, Price: price,
			From: from.Tier.CreditsPerMonth, To: to.Tier.CreditsPerMonth, Renewed: renewed,
		})
	}
	return q, nil
}

// alter applies a change that happens at once.
func (v *Subscription) alter(q quote) {
	v.Tier, v.Cycle, v.NextTier, v.NextCycle = q.Tier, q.Cycle, "", ""
	if v.State == Trial {
		return
	}
	v.Paid = q.Proration.Price
	if q.Proration.Renewed {
		v.PeriodAnchor, v.PeriodAt = time.Unix(q.At, 0).UTC(), 0
	}
}

// Change makes the change that a preview computed: the payment is collected
// first, and if it is declined nothing changes. ErrPreview: the token is not of
// this change, is older than ten minutes, or something has changed since.
func (s *Service) Change(ctx context.Context, id, tierName string, c Cycle, token string, why Why) (Subscription, error) {
	var q quote
	if err := s.Previews.Decode(quoteList, token, &q); err != nil {
		return Subscription{}, ErrPreview.Because(err)
	}
	if q.Subscription != id || q.Tier != tierName || q.Cycle != c || s.now().Sub(time.Unix(q.At, 0)) > previewLife {
		return Subscription{}, ErrPreview
	}
	v, err := s.store.byID(ctx, id)
	if err != nil {
		return v, err
	}
	if v.Version != q.Version {
		return v, ErrPreview
	}
	why.Cause = "plan_changed"
	if q.When == PeriodEnd {
		why.Cause = "change_scheduled"
		return s.change(ctx, id, why, func(_ context.Context, v *Subscription) error {
			if v.Version != q.Version {
				return ErrPreview
			}
			v.NextTier, v.NextCycle = q.Tier, q.Cycle
			return nil
		})
	}
	return s.changeNow(ctx, v, q, why)
}

func (s *Service) changeNow(ctx context.Context, v Subscription, q quote, why Why) (Subscription, error) {
	ref := fmt.Sprintf("change:%s:%d", v.ID, v.Version)
	balance, err := s.store.balance(ctx, v.UserID)
	if err != nil {
		return v, err
	}
	used := min(balance, max(q.Proration.Net, 0))
	payment := ""
	if amount := q.Proration.Net - used; amount > 0 {
		if s.Payments == nil {
			return v, ErrPayments
		}
		if payment, err = s.Payments.Charge(ctx, Invoice{Ref: ref, User: v.UserID, Amount: amount, Tier: q.Tier, Cycle: q.Cycle}); err != nil {
			return v, err
		}
	}
	// What is left of the net amount goes to the balance, what was used leaves it.
	post := -min(q.Proration.Net, 0) - used
	return s.change(ctx, v.ID, why, func(ctx context.Context, v *Subscription) error {
		if v.Version != q.Version {
			return ErrPreview
		}
		r := Record{
			ID: id.New("pro", s.now()), SubscriptionID: v.ID, UserID: v.UserID, FromTier: v.Tier, FromCycle: v.Cycle,
			ToTier: q.Tier, ToCycle: q.Cycle, Proration: q.Proration, Payment: payment, At: s.Now(), PeriodAnchor: v.PeriodAnchor, PeriodAt: v.PeriodAt,
		}
		if q.Proration.Extra > 0 {
			if err := s.addToCycle(ctx, v, q.Proration.Extra, ref); err != nil {
				return err
			}
		}
		trial := v.State == Trial
		v.alter(q)
		if err := s.store.post(ctx, v.UserID, ref, post, s.Now()); err != nil || trial {
			return err
		}
		return s.store.addProration(ctx, r)
	})
}

// Withdraw takes a change back that waits for the end of the period.
func (s *Service) Withdraw(ctx context.Context, id string, why Why) (Subscription, error) {
	why.Cause = "change_withdrawn"
	return s.change(ctx, id, why, func(_ context.Context, v *Subscription) error {
		if v.NextTier == "" {
			return ErrState.Saying("No change of plan is scheduled.")
		}
		v.NextTier, v.NextCycle = "", ""
		return nil
	})
}

// Cancel ends a paid subscription: at the end of what was paid, or at once,
// which gives nothing back and ends its plan and rollover credits. Packs stay.
func (s *Service) Cancel(ctx context.Context, id string, atEnd bool, why Why) (Subscription, error) {
	why.Cause = "cancelled"
	return s.change(ctx, id, why, func(ctx context.Context, v *Subscription) error {
		if v.Mode == ModeFree || !v.Live() {
			return ErrState
		}
		if atEnd && slices.Contains([]State{Active, Trial}, v.State) {
			if v.CancelAtEnd {
				return ErrState.Saying("The subscription ends at the end of its period already.")
			}
			v.CancelAtEnd = true
			return nil
		}
		return s.end(ctx, v, Cancelled)
	})
}

// Reactivate takes a cancellation back that waits for the end of the period.
func (s *Service) Reactivate(ctx context.Context, id string, why Why) (Subscription, error) {
	why.Cause = "reactivated"
	return s.change(ctx, id, why, func(_ context.Context, v *Subscription) error {
		if !v.CancelAtEnd {
			return ErrState.Saying("The subscription is not about to end.")
		}
		v.CancelAtEnd = false
		return nil
	})
}
