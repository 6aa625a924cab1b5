package ledgerfill

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/usage"
)

// Options say how large a ledger shall be.
type Options struct {
	Transfers int // at least so many
	Open      int // holds that stay open
	Users     int // 0: one for each 500 transfers, at least 10
	HotLanes  int // 0: 1 on SQLite, 2 on PostgreSQL
	Seed      uint64
	Node      string    // who owns the lanes
	Until     time.Time // when the last transfer was; it all takes 20 days
}

// Filled says what was written.
type Filled struct {
	Transfers, Calls, Open, Grants int
	User                           string // who made one call in twenty
}

const (
	span     = 20 * 24 * time.Hour
	never    = math.MaxInt64
	inFlight = 48 // calls that are open at a time
)

// grant is an account of a user.
type grant struct {
	id, credited, out, held int64
	granted, expires        int64
	source, ref             string
	lane                    *lane // of its lease
}

type user struct {
	id     string
	grants [3]grant // a plan that has expired, the plan of this month, a pack
	lane   *lane
	calls  int
}

type part struct{ grant, held int64 } // grant: its place among the user's

type call struct {
	ref   string
	user  *user
	parts []part
	entry usage.Entry
}

// filler makes the ledger step by step.
type filler struct {
	o       Options
	db      *sqldb.DB
	records *usage.Service
	rand    *rand.Rand
	users   []*user
	cold    *lane
	hot     []*lane
	at      int64
	step    int64
	out     sink
	open    []*call
	pending map[*lane][]transfer
	done    Filled
	serial  uint64
}

// Fill writes a ledger into db, which is migrated and empty.
func Fill(ctx context.Context, db *sqldb.DB, o Options) (Filled, error) {
	if o.Users == 0 {
		o.Users = max(10, o.Transfers/500)
	}
	if o.HotLanes == 0 {
		o.HotLanes = 2
		if db.Engine() == sqldb.SQLite {
			o.HotLanes = 1
		}
	}
	f := &filler{
		o: o, db: db, rand: rand.New(rand.NewPCG(o.Seed, 1)), cold: &lane{}, pending: map[*lane][]transfer{},
		at: o.Until.Add(-span).UnixMicro(), step: max(1, span.Microseconds()/int64(o.Transfers+1)),
		out: sink{db: db},
	}
	f.records = usage.New(usage.Needs{DB: db, Now: time.Now, Cursors: list.NewCursors([]byte("bench"))})
	f.out.records = f.records
	for i := range o.HotLanes {
		f.hot = append(f.hot, &lane{no: int64(i + 1)})
	}
	if err := f.out.addLanes(ctx, append([]*lane{f.cold}, f.hot...), o.Node); err != nil {
		return Filled{}, err
	}
	if err := f.run(ctx); err != nil {
		return Filled{}, fmt.Errorf("fill the ledger: %w", err)
	}
	return f.done, nil
}

func (f *filler) run(ctx context.Context) error {
	f.makeUsers()
	half := f.o.Transfers / 2
	expired := false
	for f.done.Transfers < f.o.Transfers {
		if !expired && f.done.Transfers > half {
			f.drain(0)
			f.expirePlans()
			expired = true
		}
		f.advance()
		if err := f.out.flush(ctx, false); err != nil {
			return err
		}
	}
	f.drain(0)
	for len(f.open) < f.o.Open {
		f.begin()
	}
	f.flushLanes()
	f.done.Open = len(f.open)
	f.out.finish(f)
	f.done.User = f.users[0].id
	return f.out.flush(ctx, true)
}

// advance begins a call, or ends one when enough are open.
func (f *filler) advance() {
	f.at += f.step
	if len(f.open) < inFlight || f.rand.IntN(2) == 0 && len(f.open) < 2*inFlight {
		f.begin()
	} else {
		f.end(f.rand.IntN(len(f.open)))
	}
}

func (f *filler) drain(left int) {
	for len(f.open) > left {
		f.at += f.step
		f.end(0)
	}
	f.flushLanes()
}

// begin holds credits for a call of somebody.
func (f *filler) begin() {
	u := f.users[f.rand.IntN(len(f.users))]
	if f.rand.IntN(20) == 0 {
		u = f.users[0]
	}
	e := f.entry(u)
	need := int64(e.Charged)*2 + 10_000
	c := &call{user: u, entry: e}
	left := need
	for i := range u.grants {
		g := &u.grants[i]
		free := g.credited - g.out - g.held
		if g.expires <= f.at || free == 0 || left == 0 {
			continue
		}
		take := min(free, left)
		g.held += take
		left -= take
		c.parts = append(c.parts, part{grant: int64(i), held: take})
	}
	if left > 0 { // the pack is empty: somebody else calls
		for _, p := range c.parts {
			u.grants[p.grant].held -= p.held
		}
		return
	}
	c.ref = e.ID
	for i, p := range c.parts {
		f.put(u.lane, transfer{kind: "hold", user: u.id, grant: u.grants[p.grant].id, amount: p.held, ref: c.ref, part: int64(2 * i), actor: u.id})
	}
	f.open = append(f.open, c)
	f.done.Calls++
}

// end settles or releases the i-th open call.
func (f *filler) end(i int) {
	c := f.open[i]
	f.open[i] = f.open[len(f.open)-1]
	f.open = f.open[:len(f.open)-1]
	u, price := c.user, int64(c.entry.Charged)
	cause := "finished"
	if f.rand.IntN(50) == 0 {
		price, cause = 0, "failed"
		c.entry.Charged, c.entry.Counts, c.entry.CostPico = 0, pricing.Counts{}, 0
		c.entry.Status, c.entry.Source = usage.Failed, usage.None
	}
	c.entry.Ending = cause
	for i, p := range c.parts {
		g := &u.grants[p.grant]
		charge := min(price, p.held)
		price -= charge
		g.held -= p.held
		g.out += charge
		t := transfer{kind: "charge", user: u.id, grant: g.id, amount: charge, ref: c.ref, part: int64(2*i + 1), cause: cause, actor: u.id}
		if charge == 0 {
			t.kind, t.amount = "release", p.held
		}
		f.put(u.lane, t)
	}
	f.out.entries = append(f.out.entries, c.entry)
	u.calls++
}

// put adds t to the batch that its lane is at, and closes that when it is full.
func (f *filler) put(l *lane, t transfer) {
	f.pending[l] = append(f.pending[l], t)
	f.done.Transfers++
	if len(f.pending[l]) >= 8+f.rand.IntN(64) {
		f.flushLane(l)
	}
}

func (f *filler) flushLane(l *lane) {
	if ts := f.pending[l]; len(ts) > 0 {
		f.out.batches = append(f.out.batches, l.add(ts, f.at))
		f.out.transfers = append(f.out.transfers, ts...)
		f.pending[l] = ts[:0]
	}
}

func (f *filler) flushLanes() {
	for _, l := range append([]*lane{f.cold}, f.hot...) {
		f.flushLane(l)
	}
}

// makeUsers gives everybody their grants, each in a batch of its own.
func (f *filler) makeUsers() {
	perUser := max(1, f.o.Transfers/f.o.Users/2)
	plan := int64(perUser) * 200_000
	for i := range f.o.Users {
		f.at++
		now := time.UnixMicro(f.at)
		u := &user{id: id.New("usr", now), lane: f.hot[i%len(f.hot)]}
		half := f.at + span.Microseconds()/2
		for k, g := range [3]grant{
			{credited: plan / 2, source: "plan", expires: half, ref: "plan:old:" + u.id},
			{credited: plan, source: "plan", expires: half + span.Microseconds(), ref: "plan:new:" + u.id},
			{credited: 100_000_000_000, source: "pack", expires: never, ref: "pay:" + u.id},
		} {
			f.serial++
			g.id = now.UnixMilli()<<21 | int64(f.serial&(1<<21-1))
			g.granted, g.lane = f.at, u.lane
			u.grants[k] = g
			f.put(f.cold, transfer{kind: "grant", user: u.id, grant: g.id, amount: g.credited, ref: g.ref, cause: g.source, actor: "system"})
			f.flushLane(f.cold)
		}
		f.users = append(f.users, u)
	}
	f.done.Grants = 3 * f.o.Users
}

// expirePlans takes what is left of the old plans.
func (f *filler) expirePlans() {
	f.at = max(f.at, f.users[len(f.users)-1].grants[0].expires) + 1
	f.step = max(1, (f.o.Until.UnixMicro()-f.at)/int64(f.o.Transfers/2+1))
	for _, u := range f.users {
		g := &u.grants[0]
		if left := g.credited - g.out; left > 0 {
			g.out += left
			f.put(f.cold, transfer{
				kind: "expire", user: u.id, grant: g.id, amount: left, ref: "expire:" + credit.GrantID(g.id).String(), cause: "expired", actor: "system",
			})
		}
	}
	f.flushLane(f.cold)
}

var (
	prices = pricing.Prices{Input: 250_000, CacheRead: pricing.At(25_000), Output: 2_000_000}
	terms  = money.Terms{Multiplier: 15_000, CreditValue: 10_000, Increment: 10_000}
)

// entry is the usage record that the call will have when it is finished.
func (f *filler) entry(u *user) usage.Entry {
	counts := pricing.Counts{Input: 200 + f.rand.Int64N(2000), CacheRead: f.rand.Int64N(3000), Output: 20 + f.rand.Int64N(900)}
	charged, cost, err := pricing.Price(counts, prices, terms)
	if err != nil {
		panic(err)
	}
	pico, err := cost.Pico()
	if err != nil {
		panic(err)
	}
	at := time.UnixMicro(f.at).UTC()
	return usage.Entry{
		ID: id.New("call", at), RequestID: id.New("req", at), UserID: u.id, KeyID: "key_" + u.id[4:],
		ModelID: "gpt-5-mini", VendorModel: "gpt-5-mini-2025", Provider: "openai", Operation: "chat",
		Status: usage.Success, Stream: true, Source: usage.Reported, Counts: counts, Charged: charged, CostPico: pico,
		Prices: prices, Terms: terms, At: at, DurationMS: 900, FirstTokenMS: 150,
	}
}
