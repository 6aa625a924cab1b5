package credit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// model is the ledger as one would write it on paper.
type model struct {
	t     *rapid.T
	w     *world
	grant []*modelGrant // in burn order
	holds []*modelHold
	calls int
	refs  int
	// What the whole ledger did.
	operations *int
	charged    map[string]money.Credits // by call, as the records must say
	over       money.Credits
}

type modelGrant struct {
	user    string
	ref     string
	id      credit.GrantID
	left    money.Credits // neither spent nor held
	rank    int
	expires time.Time // zero: never
}

type modelHold struct {
	hold     *credit.Hold
	user     string
	amount   money.Credits
	progress money.Credits
	parts    []modelPart
}

type modelPart struct {
	grant  *modelGrant
	amount money.Credits
}

var modelUsers = []string{"ada", "bob", "cy"}

func (m *model) live(g *modelGrant) bool {
	return g.expires.IsZero() || m.w.clock.now().Before(g.expires)
}

func (m *model) available(user string) (sum money.Credits) {
	for _, g := range m.grant {
		if g.user == user && m.live(g) {
			sum += g.left
		}
	}
	return sum
}

func (m *model) held(user string) (sum money.Credits) {
	for _, h := range m.holds {
		if h.user != user {
			continue
		}
		for _, p := range h.parts {
			if m.live(p.grant) {
				sum += p.amount
			}
		}
	}
	return sum
}

// Grant gives credits, or gives the last ones again.
func (m *model) Grant(t *rapid.T) {
	m.t = t
	*m.operations++
	if len(m.grant) > 0 && rapid.IntRange(0, 4).Draw(t, "again") == 0 {
		g := m.grant[rapid.IntRange(0, len(m.grant)-1).Draw(t, "grant")]
		_, err := m.w.Grant(context.Background(), credit.NewGrant{User: g.user, Source: credit.Plan, Ref: g.ref, Amount: money.MaxTransfer})
		if !errors.Is(err, credit.ErrConflict) {
			t.Fatalf("another grant with the ref %s: %v", g.ref, err)
		}
		return
	}
	m.refs++
	sources := []credit.Source{credit.Rollover, credit.Trial, credit.Plan, credit.Bonus, credit.Pack}
	n := rapid.IntRange(0, len(sources)-1).Draw(t, "source")
	g := &modelGrant{
		user: rapid.SampledFrom(modelUsers).Draw(t, "user"), ref: fmt.Sprint("g:", m.refs), rank: n,
		left: money.Credits(rapid.Int64Range(1, 50).Draw(t, "amount")),
	}
	if n < 4 {
		g.expires = m.w.clock.now().Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "life")) * time.Minute)
	}
	id, err := m.w.Grant(context.Background(), credit.NewGrant{User: g.user, Source: sources[n], Ref: g.ref, Amount: g.left, ExpiresAt: g.expires})
	if err != nil {
		t.Fatalf("grant: %v", err)
	}
	g.id = id
	m.w.clock.advance(time.Millisecond) // granted_at and ids rise
	m.grant = append(m.grant, g)
	slices.SortStableFunc(m.grant, func(a, b *modelGrant) int {
		switch {
		case a.expires.Equal(b.expires):
			return a.rank - b.rank
		case a.expires.IsZero():
			return 1
		case b.expires.IsZero():
			return -1
		}
		return a.expires.Compare(b.expires)
	})
}

// Reserve opens a call.
func (m *model) Reserve(t *rapid.T) {
	*m.operations++
	user := rapid.SampledFrom(modelUsers).Draw(t, "user")
	need := money.Credits(rapid.Int64Range(1, 60).Draw(t, "need"))
	m.calls++
	c := credit.Call{User: user, Ref: fmt.Sprint("call_", m.calls), Need: need}
	h, err := m.w.Reserve(context.Background(), c)
	free := m.available(user)
	switch {
	case free >= need && err != nil:
		t.Fatalf("reserve %d of %d: %v", need, free, err)
	case free >= need:
		m.open(t, h, user, need)
	case free+m.held(user) >= need && !errors.Is(err, credit.ErrReserved):
		t.Fatalf("reserve %d of %d with %d held: %v, want ErrReserved", need, free, m.held(user), err)
	case free+m.held(user) < need && !errors.Is(err, credit.ErrInsufficient):
		t.Fatalf("reserve %d of %d with %d held: %v, want ErrInsufficient", need, free, m.held(user), err)
	}
}

func (m *model) open(t *rapid.T, h *credit.Hold, user string, need money.Credits) {
	mh := &modelHold{hold: h, user: user, amount: need}
	for _, g := range m.grant {
		if n := min(need, g.left); g.user == user && m.live(g) && n > 0 {
			g.left -= n
			need -= n
			mh.parts = append(mh.parts, modelPart{g, n})
		}
	}
	m.holds = append(m.holds, mh)
	if rapid.Bool().Draw(t, "wait") {
		if err := h.Durable(context.Background()); err != nil {
			t.Fatalf("durable: %v", err)
		}
	}
}

func (m *model) pick(t *rapid.T) *modelHold {
	if len(m.holds) == 0 {
		t.Skip("no open call")
	}
	return m.holds[rapid.IntRange(0, len(m.holds)-1).Draw(t, "call")]
}

// Progress journals a part of a call.
func (m *model) Progress(t *rapid.T) {
	h := m.pick(t)
	*m.operations++
	d := money.Credits(rapid.Int64Range(0, int64(h.amount)+5).Draw(t, "delivered"))
	h.hold.Progress(d, nil)
	h.progress = max(h.progress, min(d, h.amount))
}

// Settle ends a call: below, at or above its hold, and sometimes twice.
func (m *model) Settle(t *rapid.T) {
	h := m.pick(t)
	*m.operations++
	price := money.Credits(rapid.Int64Range(0, int64(h.amount)+10).Draw(t, "price"))
	charge := min(price, h.amount)
	r, err := h.hold.Settle(context.Background(), outcome(h.hold, price))
	if err != nil || r.Charged != charge || r.Uncollected != price-charge || r.Held != h.amount {
		t.Fatalf("settle at %d of %d: %+v, %v", price, h.amount, r, err)
	}
	m.over += price - charge
	m.ended(h, charge)
	if want := m.available(h.user); r.Remaining != want {
		t.Fatalf("receipt says %s remain, model %s", r.Remaining, want)
	}
	left := charge
	for i, p := range h.parts {
		n := min(left, p.amount)
		left -= n
		if want := (credit.Part{Grant: p.grant.id, Held: p.amount, Charged: n}); r.Parts[i] != want {
			t.Fatalf("part %d is %v, want %v", i, r.Parts[i], want)
		}
	}
	if rapid.Bool().Draw(t, "twice") {
		again, err := h.hold.Settle(context.Background(), outcome(h.hold, price))
		if err != nil || again.Charged != charge {
			t.Fatalf("settle again: %+v, %v", again, err)
		}
		if _, err := h.hold.Settle(context.Background(), outcome(h.hold, price+1)); !errors.Is(err, credit.ErrConflict) {
			t.Fatalf("settle again at another price: %v", err)
		}
	}
}

// ended gives what charge leaves of h back, except to expired grants.
func (m *model) ended(h *modelHold, charge money.Credits) {
	m.holds = slices.DeleteFunc(m.holds, func(x *modelHold) bool { return x == h })
	if charge > 0 {
		m.charged[h.hold.Ref()] = charge
	}
	for _, p := range h.parts {
		n := min(charge, p.amount)
		charge -= n
		if m.live(p.grant) {
			p.grant.left += p.amount - n
		}
	}
}

// Recall brings leases home.
func (m *model) Recall(t *rapid.T) {
	*m.operations++
	if err := m.w.Recall(context.Background(), rapid.SampledFrom(modelUsers).Draw(t, "user")); err != nil {
		t.Fatal(err)
	}
}

// Clock lets time pass, and sometimes runs the job that expires grants.
func (m *model) Clock(t *rapid.T) {
	*m.operations++
	m.settleDown(t)
	m.w.clock.advance(time.Duration(rapid.IntRange(1, 100).Draw(t, "seconds")) * time.Second)
	for _, h := range m.holds {
		h.hold.Progress(0, nil) // renews
	}
	m.settleDown(t)
	if rapid.Bool().Draw(t, "expire") {
		if _, err := m.w.Expire(context.Background(), m.w.clock.now(), 2); err != nil {
			t.Fatal(err)
		}
	}
	m.w.Sweep()
}

// settleDown waits until nothing is on its way to the database.
func (m *model) settleDown(t *rapid.T) {
	for _, u := range modelUsers {
		if err := m.w.Recall(context.Background(), u); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range m.holds {
		if err := h.hold.Durable(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	m.w.Idle()
}

// Crash ends the process without a word and starts the next one.
func (m *model) Crash(t *rapid.T) {
	if rapid.IntRange(0, 2).Draw(t, "really") > 0 {
		t.Skip("not now")
	}
	*m.operations++
	m.settleDown(t) // so that the model knows what is durable
	m.w.Crash()
	m.w.Service = m.w.build("node", quiet)
	if err := m.w.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, h := range slices.Clone(m.holds) {
		m.ended(h, h.progress)
	}
}

// Check compares what a new call could reserve with the model, now and then.
func (m *model) Check(t *rapid.T) {
	if *m.operations%8 != 0 {
		return
	}
	m.settleDown(t)
	for _, u := range modelUsers {
		if room, err := m.w.Room(context.Background(), u, nil); err != nil || room != m.available(u) {
			t.Fatalf("room of %s is %s, %v; model %s", u, room, err, m.available(u))
		}
	}
}

// final compares everything that is written.
func (m *model) final(t *rapid.T) {
	ctx := context.Background()
	m.settleDown(t)
	for _, u := range modelUsers {
		b, err := m.w.Balance(ctx, u)
		if err != nil || b.Available != m.available(u) || b.Held != m.held(u) {
			t.Fatalf("balance of %s: %s and %s held, %v; model %s and %s", u, b.Available, b.Held, err, m.available(u), m.held(u))
		}
	}
	for len(m.holds) > 0 {
		h := m.holds[0]
		if _, err := h.hold.Release(ctx, outcome(h.hold, 0)); err != nil {
			t.Fatal(err)
		}
		m.ended(h, 0)
	}
	_, err := m.w.Verify(ctx, credit.VerifyOptions{}, func(f credit.Finding) { t.Errorf("verify: %s", f) })
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]money.Credits{}
	err = m.w.records.Charges(ctx, credit.Which{}, func(r credit.Recorded) error {
		got[r.Call] = r.Charged
		return nil
	})
	if err != nil || len(got) != len(m.charged) {
		t.Fatalf("%d records, %v; model %d", len(got), err, len(m.charged))
	}
	for call, c := range m.charged {
		if got[call] != c {
			t.Fatalf("call %s charged %s, model %s", call, got[call], c)
		}
	}
	var over int64
	const q = `SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM credit_uncollected`
	if err := m.w.db.Q(ctx).QueryRowContext(ctx, q).Scan(&over); err != nil || money.Credits(over) != m.over {
		t.Fatalf("uncollected %d, %v; model %d", over, err, m.over)
	}
}

// The ledger against the model: rapid prints the seed of a run that fails, and
// shrinks it. Each engine counts its own operations.
func TestModel(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		records := newRecords(t, db)
		operations, runs := 0, 0
		want := 20_000
		if db.Engine() == sqldb.Postgres {
			want = 1_000
		}
		if testing.Short() {
			want /= 10
		}
		for operations < want {
			rapid.Check(t, func(rt *rapid.T) {
				if operations >= want {
					return
				}
				runs++
				wipe(t, db)
				w := &world{t: t, db: db, records: records, clock: newClock()}
				w.Service = w.build("node", quiet)
				if err := w.Start(context.Background()); err != nil {
					rt.Fatal(err)
				}
				defer func() { w.Crash() }()
				m := &model{w: w, operations: &operations, charged: map[string]money.Credits{}}
				rt.Repeat(rapid.StateMachineActions(m))
				m.final(rt)
			})
			if t.Failed() {
				return
			}
		}
		t.Logf("%d operations in %d runs", operations, runs)
	})
}
