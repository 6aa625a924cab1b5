package subscription_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/subscription"
	"github.com/rephlo/rephlo/internal/tier"
)

// clock is set by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = t
}

// bank is the payment service: it collects each reference once and remembers
// what it was asked for.
type bank struct {
	mu      sync.Mutex
	refused bool                            // guarded by mu: cards are declined
	paid    map[string]subscription.Invoice // guarded by mu
	last    subscription.Invoice            // guarded by mu
}

func (b *bank) Charge(_ context.Context, i subscription.Invoice) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, done := b.paid[i.Ref]; done {
		return "pay:" + i.Ref, nil
	}
	if b.refused {
		return "", subscription.ErrDeclined
	}
	b.paid[i.Ref], b.last = i, i
	return "pay:" + i.Ref, nil
}

func (b *bank) Checkout(_ context.Context, s subscription.Subscription, _ subscription.Invoice) (string, error) {
	return "https://pay.test/" + s.ID, nil
}

func (b *bank) refuse(yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refused = yes
}

func (b *bank) sum() (total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range b.paid {
		total += i.Amount
	}
	return total
}

const user = "usr_ada"

type world struct {
	*testing.T
	db      *sqldb.DB
	clock   *clock
	bank    *bank
	credits *credit.Service
	tiers   *tier.Table
	subs    *subscription.Service
	spent   int
}

func newWorld(t *testing.T, db *sqldb.DB, start string) *world {
	t.Helper()
	w := &world{T: t, db: db, clock: &clock{at: at(start)}, bank: &bank{paid: map[string]subscription.Invoice{}}, tiers: tier.Seeds()}
	log := slog.New(slog.DiscardHandler)
	w.credits = credit.New(credit.Needs{DB: db, Log: log, Now: w.clock.now, Node: "node"})
	w.subs = subscription.New(w.needs(bus.New(db, log, w.clock.now)))
	return w
}

func (w *world) needs(b *bus.Bus) subscription.Needs {
	start := w.clock.now()
	return subscription.Needs{
		DB: w.db, Bus: b, Log: slog.New(slog.DiscardHandler), Now: w.clock.now, Credits: w.credits, Tiers: w.tiers,
		Previews: list.NewCursors(make([]byte, 32)), Payments: w.bank, Default: tier.Free,
		Born: func(context.Context, string) (time.Time, bool, error) { return start, true, nil },
	}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// spentFree is a user who has used up what the free plan gave.
func (w *world) spentFree() {
	w.Helper()
	w.must(w.subs.StartFree(w.Context(), user, w.clock.now()))
	w.spend(200)
}

// buy pays for a plan and returns its subscription.
func (w *world) buy(p subscription.Plan, trial bool) subscription.Subscription {
	w.Helper()
	url, err := w.subs.Checkout(w.Context(), subscription.Order{User: user, Tier: p.Tier.Name, Cycle: p.Cycle, Trial: trial})
	w.must(err)
	s, err := w.subs.Confirm(w.Context(), url[len("https://pay.test/"):])
	w.must(err)
	return s
}

// later moves the clock and does what is due.
func (w *world) later(text string) {
	w.Helper()
	w.clock.set(at(text))
	w.must(w.subs.Due(w.Context()))
}

func (w *world) current() subscription.Subscription {
	w.Helper()
	s, err := w.subs.Current(w.Context(), user)
	w.must(err)
	return s
}

// spend uses whole credits.
func (w *world) spend(credits int64) {
	w.Helper()
	w.spent++
	_, err := w.credits.Take(w.Context(), credit.Taking{User: user, Ref: fmt.Sprintf("spend:%d", w.spent), Amount: money.Credits(credits) * money.Credit})
	w.must(err)
}

// has returns whole credits by source.
func (w *world) has() map[credit.Source]int64 {
	w.Helper()
	b, err := w.credits.Balance(w.Context(), user)
	w.must(err)
	out := map[credit.Source]int64{}
	for _, bucket := range b.Buckets {
		out[bucket.Source] += int64(bucket.Remaining / money.Credit)
	}
	return out
}

func (w *world) wantCredits(want map[credit.Source]int64) {
	w.Helper()
	got := w.has()
	for source, n := range want {
		if got[source] != n {
			w.Fatalf("at %s credits %v, want %v", w.clock.now(), got, want)
		}
	}
	for source, n := range got {
		if n != want[source] {
			w.Fatalf("at %s credits %v, want %v", w.clock.now(), got, want)
		}
	}
}

func (w *world) wantState(want subscription.State, tierName string) subscription.Subscription {
	w.Helper()
	s := w.current()
	if s.State != want || s.Tier != tierName {
		w.Fatalf("at %s %s %s, want %s %s", w.clock.now(), s.Tier, s.State, tierName, want)
	}
	return s
}
