package credit_test

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
)

const ten = 10 * money.Credit

// operations are what the ledger does, for TestTheKthCallGoesWrong.
var operations = []operation{
	{name: "reserve", core: true, opens: true, before: funded, do: reserveIt, done: ten, undone: ten},
	{name: "reserve from a lease", opens: true, before: leased, do: reserveIt, done: ten, undone: ten},
	{name: "settle", core: true, before: held, do: settleAt(3 * money.Credit), done: 7 * money.Credit, undone: ten},
	{name: "settle above the hold", before: held, do: settleAt(5 * money.Credit), done: 6 * money.Credit, undone: ten},
	{name: "settle of several grants", before: heldOfTwo, do: settleAt(8 * money.Credit), done: 2 * money.Credit, undone: ten},
	{name: "reserve and settle at once", before: leased, do: func(ctx context.Context, w *world, s *subject) (err error) {
		if s.hold == nil {
			if s.hold, err = w.Reserve(ctx, s.call(4*money.Credit)); err != nil {
				return err
			}
		}
		return settleAt(3*money.Credit)(ctx, w, s)
	}, done: 7 * money.Credit, undone: ten},
	{name: "reserve and settle within caps", before: leased, do: func(ctx context.Context, w *world, s *subject) (err error) {
		if s.hold == nil {
			c := s.call(4 * money.Credit)
			c.Caps = s.caps()
			if s.hold, err = w.Reserve(ctx, c); err != nil {
				return err
			}
		}
		return settleAt(3*money.Credit)(ctx, w, s)
	}, done: 7 * money.Credit, undone: ten},
	{name: "settle within caps", before: func(w *world, s *subject) {
		funded(w, s)
		c := s.call(4 * money.Credit)
		c.Caps = s.caps()
		var err error
		s.hold, err = w.Reserve(w.t.Context(), c)
		w.must(err)
		w.must(s.hold.Durable(w.t.Context()))
	}, do: settleAt(3 * money.Credit), done: 7 * money.Credit, undone: ten},
	{name: "release", before: held, do: settleAt(0), done: ten, undone: ten},
	{name: "progress", opens: true, before: held, do: func(ctx context.Context, w *world, s *subject) error {
		s.hold.Progress(2*money.Credit, []byte(`{"delivered":2}`))
		s.tries++
		h, err := w.Reserve(ctx, s.call(money.Credit)) // its settlement follows the progress
		if err != nil {
			return err
		}
		_, err = h.Settle(ctx, outcome(h, 0))
		return err
	}, done: 8 * money.Credit, undone: ten},
	{name: "grant", do: func(ctx context.Context, w *world, s *subject) error {
		_, err := w.Grant(ctx, credit.NewGrant{User: s.user, Source: credit.Pack, Ref: s.ref, Amount: ten, Payment: s.ref})
		return err
	}, done: ten},
	{name: "add", before: leased, do: func(ctx context.Context, w *world, s *subject) error {
		return w.Add(ctx, s.grant, 5*money.Credit, s.ref+":up", "")
	}, done: 15 * money.Credit, undone: ten},
	{name: "roll", before: leased, do: func(ctx context.Context, w *world, s *subject) error {
		if err := w.Recall(ctx, s.user); err != nil {
			return err
		}
		_, err := w.Roll(ctx, credit.Roll{User: s.user, Subscription: s.user, Plan: s.grant, End: w.clock.now(), Cap: 6 * money.Credit, Months: 2})
		return err
	}, done: 6 * money.Credit, undone: ten},
	{name: "take", core: true, before: leased, do: deduct(4 * money.Credit), done: 6 * money.Credit, undone: ten},
	{name: "take more than there is", before: leased, do: deduct(12 * money.Credit), done: 0, undone: ten},
	{name: "reverse", before: charged, do: func(ctx context.Context, w *world, s *subject) error {
		_, err := w.Reverse(ctx, s.hold.Ref(), "usr_admin")
		return err
	}, done: ten, undone: 7 * money.Credit},
	{name: "freeze", before: leased, do: func(ctx context.Context, w *world, s *subject) error {
		return w.Freeze(ctx, []credit.GrantID{s.grant}, credit.FreezeDispute)
	}, done: 0, undone: ten},
	{name: "thaw", before: func(w *world, s *subject) {
		leased(w, s)
		w.must(w.Freeze(w.t.Context(), []credit.GrantID{s.grant}, credit.FreezeDispute))
	}, do: func(ctx context.Context, w *world, s *subject) error {
		return w.Thaw(ctx, []credit.GrantID{s.grant}, credit.FreezeDispute, true)
	}, done: ten, undone: 0},
	{name: "move an expiry", before: leased, do: func(ctx context.Context, w *world, s *subject) error {
		return w.SetExpiry(ctx, s.grant, w.clock.now().Add(time.Hour))
	}, done: ten, undone: ten},
	{name: "expire", before: func(w *world, s *subject) {
		_, err := w.Expire(w.t.Context(), w.clock.now(), 100) // what is left of the one before
		w.must(err)
		s.grant = w.grant(s.user, s.ref, ten, w.clock.now().Add(time.Hour))
		w.settle(w.reserve(s.user, s.ref+":first", money.Credit), 0)
		w.clock.advance(2 * time.Hour)
	}, do: func(ctx context.Context, w *world, _ *subject) error {
		_, err := w.Expire(ctx, w.clock.now(), 100)
		return err
	}},
	{name: "recall", before: leased, do: func(ctx context.Context, w *world, s *subject) error { return w.Recall(ctx, s.user) }, done: ten, undone: ten},
	{name: "start", core: true, opens: true, before: func(w *world, s *subject) {
		held(w, s)
		s.hold.Progress(2*money.Credit, []byte(`{"delivered":2}`))
		w.Idle()
		w.Crash()
	}, do: func(ctx context.Context, w *world, _ *subject) error {
		next := w.build("node", quiet)
		err := next.Start(ctx)
		if err == nil {
			w.Service = next
		}
		return err
	}, done: 8 * money.Credit, undone: 8 * money.Credit},
	{name: "stop", opens: true, before: charged, do: func(ctx context.Context, w *world, _ *subject) error {
		stopped := make(chan error)
		go func() { stopped <- w.Stop(ctx) }()
		select {
		case <-stopped: // whatever it could not do, the next start does
		case <-ctx.Done(): // else it would try for five seconds
			w.Crash()
			<-stopped
		}
		return nil
	}, done: 7 * money.Credit, undone: 7 * money.Credit},
}

func (s *subject) call(need money.Credits) credit.Call {
	ref := s.ref + ":call"
	for range s.tries { // a call id is never used again
		ref += "+"
	}
	return credit.Call{User: s.user, Ref: ref, Need: need, Journal: []byte("{}")}
}

// caps are limits of a key and of a day that calls fit into.
func (s *subject) caps() []credit.Cap {
	return []credit.Cap{
		{Owner: "key:" + s.user, Limit: 5 * money.Credit, Full: credit.ErrKeyCap},
		{Owner: "day:" + s.user, Window: today, Limit: ten, Full: credit.ErrDayCap},
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func funded(w *world, s *subject) { s.grant = w.grant(s.user, s.ref, ten, time.Time{}) }

func leased(w *world, s *subject) {
	funded(w, s)
	w.settle(w.reserve(s.user, s.ref+":first", money.Credit), 0)
}

func held(w *world, s *subject) {
	funded(w, s)
	s.hold = w.reserve(s.user, s.ref+":held", 4*money.Credit)
	w.must(s.hold.Durable(w.t.Context()))
}

func heldOfTwo(w *world, s *subject) {
	w.grant(s.user, s.ref+":soon", 4*money.Credit, w.clock.now().AddDate(0, 1, 0))
	w.grant(s.user, s.ref, 6*money.Credit, time.Time{})
	s.hold = w.reserve(s.user, s.ref+":held", 9*money.Credit)
	w.must(s.hold.Durable(w.t.Context()))
}

func charged(w *world, s *subject) {
	held(w, s)
	w.settle(s.hold, 3*money.Credit)
}

// reserveIt ends a hold whose gate did not open, as callers do.
func reserveIt(ctx context.Context, w *world, s *subject) error {
	h, err := w.Reserve(ctx, s.call(4*money.Credit))
	s.tries++
	if err != nil {
		return err
	}
	if err := h.Durable(ctx); err != nil {
		_, _ = h.Release(ctx, outcome(h, 0))
		return err
	}
	return nil
}

func settleAt(price money.Credits) func(context.Context, *world, *subject) error {
	return func(ctx context.Context, _ *world, s *subject) error {
		_, err := s.hold.Settle(ctx, outcome(s.hold, price))
		return err
	}
}

func deduct(amount money.Credits) func(context.Context, *world, *subject) error {
	return func(ctx context.Context, w *world, s *subject) error {
		_, err := w.Deduct(ctx, credit.Taking{User: s.user, Ref: s.ref + ":take", Amount: amount})
		return err
	}
}
