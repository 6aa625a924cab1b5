package credit_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest/faulty"
)

// model drives one or more processes and the books beside them.
type model struct {
	*books
	w     *world
	nodes []*modelNode
	names int
	refs  int
	// What the whole test did.
	operations *int
	// Users whose grants were changed since the last cut: what a receipt says
	// remains is as of that.
	stale map[string]bool
}

// modelNode is a process with its open calls.
type modelNode struct {
	*credit.Service
	name  string
	calls map[*bookCall]*credit.Hold
}

var modelUsers = []string{"ada", "bob", "cy"}

// alone says that one process has every lease, so that the burn order is exact.
func (m *model) alone() bool { return len(m.nodes) == 1 }

func (m *model) node(t *rapid.T) *modelNode {
	if m.alone() {
		return m.nodes[0]
	}
	return rapid.SampledFrom(m.nodes).Draw(t, "node")
}

func (m *model) did() { *m.operations++ }

func (m *model) ref(kind string) string {
	m.refs++
	m.w.clock.advance(time.Millisecond) // so that times and ids rise
	return fmt.Sprint(kind, ":", m.refs)
}

func drawUser(t *rapid.T) string { return rapid.SampledFrom(modelUsers).Draw(t, "user") }

func drawAmount(t *rapid.T, most int64, label string) money.Credits {
	return money.Credits(rapid.Int64Range(1, most).Draw(t, label))
}

// Reserve opens a call.
func (m *model) Reserve(t *rapid.T) {
	m.did()
	n, user, need := m.node(t), drawUser(t), drawAmount(t, 60, "need")
	if !m.alone() {
		m.w.clock.advance(time.Second) // else it was asked for the leases just now
	}
	ref := m.ref("call")
	h, err := n.Reserve(context.Background(), credit.Call{User: user, Ref: ref, Need: need})
	free := m.available(user)
	_, blocked := m.held(user)
	switch {
	case free >= need && err != nil:
		t.Fatalf("reserve %d of %d: %v", need, free, err)
	case free >= need:
		delete(m.stale, user)
		m.begun(t, n, h, &bookCall{ref: ref, user: user, amount: need, parts: m.split(user, need)})
	case free+blocked >= need && !errors.Is(err, credit.ErrReserved):
		t.Fatalf("reserve %d of %d with %d held: %v, want ErrReserved", need, free, blocked, err)
	case free+blocked < need && !errors.Is(err, credit.ErrInsufficient):
		t.Fatalf("reserve %d of %d with %d held: %v, want ErrInsufficient", need, free, blocked, err)
	}
}

// begun compares the parts of a hold: with one process they are the front of the
// burn order, with several what each has leased, but never more than there is.
func (m *model) begun(t *rapid.T, n *modelNode, h *credit.Hold, c *bookCall) {
	if !m.alone() {
		c.parts = nil
		for _, p := range h.Parts() {
			i := slices.IndexFunc(m.grants, func(g *bookGrant) bool { return g.id == p.Grant && g.user == c.user })
			if i < 0 || !m.usable(m.grants[i]) || m.grants[i].left < p.Held {
				t.Fatalf("%s holds %d of %s, which has not so much to use", c.ref, p.Held, p.Grant)
			}
			c.parts = append(c.parts, bookPart{m.grants[i], p.Held, m.grants[i].expires})
		}
	}
	var want []credit.Part
	var sum money.Credits
	for _, p := range c.parts {
		want = append(want, credit.Part{Grant: p.grant.id, Held: p.amount})
		sum += p.amount
	}
	if got := h.Parts(); !slices.Equal(got, want) || sum != c.amount {
		t.Fatalf("%s holds %v, want %v", c.ref, got, want)
	}
	m.open(c)
	n.calls[c] = h
	if rapid.Bool().Draw(t, "wait") {
		if err := h.Durable(context.Background()); err != nil {
			t.Fatalf("durable: %v", err)
		}
	}
}

// pick draws an open call.
func (m *model) pick(t *rapid.T) (*modelNode, *bookCall, *credit.Hold) {
	if len(m.calls) == 0 {
		t.Skip("no open call")
	}
	c := m.calls[rapid.IntRange(0, len(m.calls)-1).Draw(t, "call")]
	for _, n := range m.nodes {
		if h := n.calls[c]; h != nil {
			return n, c, h
		}
	}
	panic("a call without a process")
}

// Progress journals a part of a call.
func (m *model) Progress(t *rapid.T) {
	_, c, h := m.pick(t)
	m.did()
	d := money.Credits(rapid.Int64Range(0, int64(c.amount)+5).Draw(t, "delivered"))
	h.Progress(d, nil)
	c.progress = max(c.progress, min(d, c.amount))
}

// Settle ends a call: below, at or above its hold, and sometimes twice.
func (m *model) Settle(t *rapid.T) {
	n, c, h := m.pick(t)
	m.did()
	price := money.Credits(rapid.Int64Range(0, int64(c.amount)+10).Draw(t, "price"))
	charge := min(price, c.amount)
	r, err := h.Settle(context.Background(), outcome(h, price))
	if err != nil || r.Charged != charge || r.Uncollected != price-charge || r.Held != c.amount {
		t.Fatalf("settle at %d of %d: %+v, %v", price, c.amount, r, err)
	}
	delete(n.calls, c)
	for i, charged := range m.end(c, price) {
		if want := (credit.Part{Grant: c.parts[i].grant.id, Held: c.parts[i].amount, Charged: charged}); r.Parts[i] != want {
			t.Fatalf("part %d is %v, want %v", i, r.Parts[i], want)
		}
	}
	if want := m.available(c.user); m.alone() && !m.stale[c.user] && r.Remaining != want {
		t.Fatalf("receipt says %s remain, the books %s", r.Remaining, want)
	}
	if rapid.Bool().Draw(t, "twice") {
		again, err := h.Settle(context.Background(), outcome(h, price))
		if err != nil || again.Charged != charge {
			t.Fatalf("settle again: %+v, %v", again, err)
		}
		if _, err := h.Settle(context.Background(), outcome(h, price+1)); !errors.Is(err, credit.ErrConflict) {
			t.Fatalf("settle again at another price: %v", err)
		}
	}
}

// Recall brings leases home.
func (m *model) Recall(t *rapid.T) {
	m.did()
	if err := m.node(t).Recall(context.Background(), drawUser(t)); err != nil {
		t.Fatal(err)
	}
}

// Clock lets time pass.
func (m *model) Clock(t *rapid.T) {
	m.did()
	m.settleDown(t)
	m.w.clock.advance(time.Duration(rapid.IntRange(1, 100).Draw(t, "seconds")) * time.Second)
	for _, n := range m.nodes {
		for _, h := range n.calls {
			h.Progress(0, nil) // renews
		}
	}
	m.settleDown(t)
	for _, n := range m.nodes {
		n.Sweep()
	}
}

// settleDown waits until nothing is on its way to the database.
func (m *model) settleDown(t *rapid.T) {
	for _, n := range m.nodes {
		for _, h := range n.calls {
			if err := h.Durable(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		n.Idle()
	}
}

// Crash ends a process without a word and starts the next one.
func (m *model) Crash(t *rapid.T) {
	if rapid.IntRange(0, 2).Draw(t, "really") > 0 {
		t.Skip("not now")
	}
	m.did()
	m.settleDown(t) // so that the books know what is durable
	n := m.node(t)
	n.Crash()
	n.Service = m.w.build(n.name, m.policy())
	if err := n.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	m.recover(slices.DeleteFunc(slices.Clone(m.calls), func(c *bookCall) bool { return n.calls[c] == nil }))
	clear(n.calls)
}

// Check compares what a new call could reserve with the books, now and then.
func (m *model) Check(t *rapid.T) {
	if *m.operations%16 != 0 {
		return
	}
	m.settleDown(t)
	for _, u := range modelUsers {
		m.compare(t, u)
		if room, err := m.nodes[0].Room(context.Background(), u, nil); m.alone() && (err != nil || room != m.available(u)) {
			t.Fatalf("room of %s is %s, %v; the books say %s", u, room, err, m.available(u))
		}
	}
}

func (m *model) compare(t *rapid.T, user string) {
	b, err := m.nodes[0].Balance(context.Background(), user)
	if held, _ := m.held(user); err != nil || b.Available != m.available(user) || b.Held != held {
		t.Fatalf("balance of %s: %s and %s held, %v; the books say %s and %s", user, b.Available, b.Held, err, m.available(user), held)
	}
}

// final compares everything that is written.
func (m *model) final(t *rapid.T) {
	ctx := context.Background()
	m.settleDown(t)
	for _, u := range modelUsers {
		m.compare(t, u)
	}
	for _, n := range m.nodes {
		for c, h := range n.calls {
			if _, err := h.Release(ctx, outcome(h, 0)); err != nil {
				t.Fatal(err)
			}
			m.end(c, 0)
		}
	}
	_, err := m.nodes[0].Verify(ctx, credit.VerifyOptions{}, func(f credit.Finding) { t.Errorf("verify: %s", f) })
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]money.Credits{}
	err = m.w.records.Charges(ctx, credit.Which{}, func(r credit.Recorded) error {
		got[r.Call] = r.Charged
		return nil
	})
	if err != nil || len(got) != len(m.charged) {
		t.Fatalf("%d records, %v; the books have %d", len(got), err, len(m.charged))
	}
	for call, c := range m.charged {
		if got[call] != c {
			t.Fatalf("call %s charged %s, the books say %s", call, got[call], c)
		}
	}
	var over int64
	const q = `SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM credit_uncollected`
	if err := m.w.db.Q(ctx).QueryRowContext(ctx, q).Scan(&over); err != nil || money.Credits(over) != m.uncollect {
		t.Fatalf("uncollected %d, %v; the books say %d", over, err, m.uncollect)
	}
}

// newModel returns a model on an empty ledger with so many processes.
func newModel(t *testing.T, db *sqldb.DB, records *records, processes int, operations *int) (*model, error) {
	wipe(t, db)
	w := &world{t: t, db: db, records: records, clock: newClock()}
	m := &model{
		books: &books{now: w.clock.now, charged: map[string]money.Credits{}}, w: w, operations: operations, stale: map[string]bool{},
	}
	for range processes {
		if err := m.join(processes > 1); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// modelOperations is how many operations a run of the test does.
func modelOperations(db *sqldb.DB) int {
	want := engineShare(db, 96_000, 1_500, 4_000, 150)
	if testing.Short() {
		want /= 10
	}
	return want
}

// The ledger against its books: rapid prints the seed of a run that fails,
// shrinks it and keeps it in testdata. Each engine counts its own operations;
// a third of the runs have several processes, which join and leave.
func TestModel(t *testing.T) {
	t.Parallel()
	dbtest.RunURL(t, func(t *testing.T, url string) {
		f := faulty.New()
		if local(url) {
			f.Setup = []string{`PRAGMA synchronous=OFF`} // the machine does not fail here
		}
		db, err := sqldb.OpenThrough(t.Context(), url, f.Through)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		records := newRecords(t, db)
		operations, runs, want := 0, 0, modelOperations(db)
		for operations < want && !t.Failed() {
			rapid.Check(t, func(rt *rapid.T) {
				if operations >= want && flag.Lookup("rapid.failfile").Value.String() == "" {
					return
				}
				runs++
				processes := 1
				if rapid.IntRange(0, 2).Draw(rt, "several") == 0 {
					processes = 2
				}
				m, err := newModel(t, db, records, processes, &operations)
				if err != nil {
					rt.Fatal(err)
				}
				defer func() {
					for _, n := range m.nodes {
						n.Crash()
					}
				}()
				actions := rapid.StateMachineActions(m)
				if processes == 1 {
					delete(actions, "Join")
					delete(actions, "Leave")
				}
				rt.Repeat(actions)
				m.final(rt)
			})
		}
		t.Logf("%d operations in %d runs", operations, runs)
	})
}
