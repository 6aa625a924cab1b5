package subscription

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/tier"
)

// Payments collects money. It is called outside of transactions, and again with
// the same Ref after a crash.
type Payments interface {
	// Charge collects an invoice and returns the payment's name. The same Ref
	// collects once. ErrDeclined: the user's bank said no; any other error: it
	// is not known, ask again.
	Charge(ctx context.Context, i Invoice) (payment string, err error)
	// Checkout returns the link at which the user pays for the first period.
	Checkout(ctx context.Context, s Subscription, i Invoice) (url string, err error)
}

// Invoice is money to collect.
type Invoice struct {
	Ref, User string
	Amount    int64 // minor units, above 0
	Tier      string
	Cycle     Cycle
}

// Needs is what New takes.
type Needs struct {
	DB       *sqldb.DB
	Bus      *bus.Bus
	Log      *slog.Logger
	Now      func() time.Time
	Credits  *credit.Service
	Tiers    *tier.Table
	Previews list.Cursors // signs the tokens of previews
	Payments Payments     // nil: none are taken
	Audit    *audit.Log
	// Default is the tier of those who pay nothing.
	Default string
	// Born returns when a user signed up and whether the address is proven.
	Born func(ctx context.Context, user string) (at time.Time, verified bool, err error)
	// Notice is how long before a renewal somebody was told of a higher price for
	// it to hold; nil: 30 days.
	Notice func() time.Duration
	// Happened is told of each event, with the subscription as it is after it, in
	// the transaction that writes it; nil: nobody is.
	Happened func(ctx context.Context, v Subscription, e Event) error
}

// Service keeps subscriptions. It is safe for concurrent use.
type Service struct {
	Needs
	store store
	tiers snapshots
}

const busKind = "subscription"

// New returns a Service. The bus tells it of changes in other processes.
func New(n Needs) *Service {
	s := &Service{Needs: n, store: store{n.DB}}
	s.tiers.users = map[string]string{}
	n.Bus.Subscribe(busKind, s.forget)
	return s
}

// now is in whole seconds, like all arithmetic with periods.
func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Second) }

// notice is how long a higher price is told ahead.
func (s *Service) notice() time.Duration {
	if s.Notice != nil {
		return s.Notice()
	}
	return 30 * 24 * time.Hour
}

// StartFree gives a user without a subscription the free one, counted from when
// they signed up, in the transaction that ctx carries or in its own. Who has one
// keeps it.
func (s *Service) StartFree(ctx context.Context, user string, signedUp time.Time) error {
	return s.DB.InTx(ctx, func(ctx context.Context) error {
		if _, err := s.store.live(ctx, user); !errors.Is(err, ErrUnknown) {
			return err
		}
		return s.startFree(ctx, user, signedUp)
	})
}

func (s *Service) startFree(ctx context.Context, user string, anchor time.Time) error {
	now, anchor := s.now(), anchor.UTC().Truncate(time.Second)
	v := Subscription{
		ID: id.New("sub", now), UserID: user, Tier: tier.Free, Cycle: Monthly, Mode: ModeFree, State: Active,
		Anchor: anchor, Allocated: max(credit.CycleOf(anchor, now)-1, -1), Version: 1, CreatedAt: now,
	}
	added, err := s.store.add(ctx, v)
	if err != nil || !added {
		return err // somebody was quicker
	}
	if err := s.give(ctx, &v, v.Allocated+1); err != nil {
		return err
	}
	return s.record(ctx, v, "", Why{Cause: "started"})
}

// Current returns the user's live subscription. A user from before there were
// subscriptions gets the free one.
func (s *Service) Current(ctx context.Context, user string) (Subscription, error) {
	v, err := s.store.live(ctx, user)
	if !errors.Is(err, ErrUnknown) {
		return v, err
	}
	at, verified, err := s.Born(ctx, user)
	if err != nil {
		return v, err
	}
	if !verified {
		return v, ErrUnknown.Saying("A subscription starts when your e-mail address is verified.")
	}
	if err := s.StartFree(ctx, user, at); err != nil {
		return v, err
	}
	return s.store.live(ctx, user)
}

// ByID returns a subscription, or ErrUnknown.
func (s *Service) ByID(ctx context.Context, id string) (Subscription, error) {
	return s.store.byID(ctx, id)
}

// List returns subscriptions, the newest first.
func (s *Service) List(ctx context.Context, f Filter, limit int) ([]Subscription, error) {
	return s.store.list(ctx, f, limit)
}

// Events returns what happened to a user's subscriptions, or to one, the newest
// first, before an id if any.
func (s *Service) Events(ctx context.Context, user, subscription, before string, limit int) ([]Event, error) {
	return s.store.events(ctx, user, subscription, before, limit)
}

// Prorations returns a user's changes of plan, or everybody's, the newest first.
func (s *Service) Prorations(ctx context.Context, user, before string, limit int) ([]Record, error) {
	return s.store.prorations(ctx, user, before, limit)
}

// FreeGrants returns which of the user's grants since a time the free plan gave.
func (s *Service) FreeGrants(ctx context.Context, user string, since time.Time) (map[credit.GrantID]bool, error) {
	const longest = 63 * 24 * time.Hour // that a cycle's credits live, with the days of grace
	return s.store.freeGrants(ctx, user, since.Add(-longest))
}

// Balance is the money that the user's next invoices use, in minor units.
func (s *Service) Balance(ctx context.Context, user string) (int64, error) {
	return s.store.balance(ctx, user)
}

// Why says what caused a change, and who. Admin says that the actor is an
// administrator, whose changes are remembered in the audit log too.
type Why struct {
	Cause, Actor, Reason string
	Admin                bool
	About                string // what else it was about: an id; "" is nothing

	last bool // no free subscription follows
}

// change reads a subscription, lets do alter it and saves it, in one
// transaction. When that ends it, a free one starts.
func (s *Service) change(ctx context.Context, id string, why Why, do func(ctx context.Context, v *Subscription) error) (Subscription, error) {
	var v Subscription
	err := s.again(ctx, func(ctx context.Context) (err error) {
		if v, err = s.store.byID(ctx, id); err != nil {
			return err
		}
		before := v
		if err := do(ctx, &v); err != nil {
			return err
		}
		if before.Live() && !v.Live() {
			v.EndedAt, v.CancelAtEnd, v.NextTier, v.NextCycle = s.now(), false, "", ""
		}
		if err := s.store.save(ctx, v); err != nil {
			return err
		}
		v.Version++
		if err := s.record(ctx, v, before.State, why); err != nil {
			return err
		}
		if err := s.audited(ctx, &before, v, why); err != nil {
			return err
		}
		if before.Live() && !v.Live() && !why.last {
			return s.startFree(ctx, v.UserID, s.now())
		}
		return nil
	})
	if err != nil {
		return v, fmt.Errorf("change subscription %s: %w", id, err)
	}
	return v, nil
}

// again runs do in a transaction until nobody changes the row meanwhile.
func (s *Service) again(ctx context.Context, do func(ctx context.Context) error) error {
	const tries = 5
	for n := 1; ; n++ {
		err := s.DB.InTx(ctx, do)
		if !errors.Is(err, errRaced) || n == tries {
			return err
		}
	}
}

// audited remembers what an administrator made of a subscription; before is nil
// for one that begins.
func (s *Service) audited(ctx context.Context, before *Subscription, v Subscription, why Why) error {
	if !why.Admin {
		return nil
	}
	after := shownTo(v)
	if why.About != "" {
		after["about"] = why.About
	}
	c := audit.Change{Action: "subscription." + why.Cause, Type: "subscription", ID: v.ID, Reason: why.Reason, Actor: why.Actor, After: after}
	if before != nil {
		c.Before = shownTo(*before)
	}
	return s.Audit.Write(ctx, c)
}

// shownTo is what the audit log says of a subscription.
func shownTo(v Subscription) map[string]any {
	out := map[string]any{
		"userId": v.UserID, "tier": v.Tier, "billingCycle": v.Cycle, "billingMode": v.Mode, "status": v.State, "cancelAtPeriodEnd": v.CancelAtEnd,
		"scheduledTier": v.NextTier, "scheduledCycle": v.NextCycle,
	}
	for name, at := range map[string]time.Time{"endsAt": v.EndsAt, "endedAt": v.EndedAt, "trialEnd": v.TrialEnd, "pausedAt": v.PausedAt} {
		if !at.IsZero() {
			out[name] = at
		}
	}
	return out
}

// record writes an event and tells every process that the tier may be another.
func (s *Service) record(ctx context.Context, v Subscription, from State, why Why) error {
	e := Event{
		ID: id.New("sev", s.now()), SubscriptionID: v.ID, UserID: v.UserID, From: from, To: v.State,
		Cause: why.Cause, Actor: why.Actor, Reason: why.Reason, At: s.Now(),
	}
	if err := s.store.addEvent(ctx, e); err != nil {
		return err
	}
	if s.Happened != nil {
		if err := s.Happened(ctx, v, e); err != nil {
			return err
		}
	}
	return s.Bus.Publish(ctx, busKind, v.UserID)
}
