package credit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/rephlo/rephlo/internal/credit"
)

func (m *model) policy() credit.Policy {
	p := quiet
	if p.Shared = m.names > 1; p.Shared {
		// Nobody is slow here, so nobody may be refused for another's silence.
		p.Poll, p.Answer, p.Deaf = 10*time.Millisecond, 10*time.Second, 10*time.Second
	}
	return p
}

// join starts another process.
func (m *model) join(several bool) error {
	m.names++
	if several {
		m.names = max(m.names, 2)
	}
	n := &modelNode{name: fmt.Sprint("node", m.names), calls: map[*bookCall]*credit.Hold{}}
	n.Service = m.w.build(n.name, m.policy())
	m.nodes = append(m.nodes, n)
	return n.Start(context.Background())
}

// Join starts a third process.
func (m *model) Join(t *rapid.T) {
	if len(m.nodes) > 2 {
		t.Skip("enough")
	}
	m.did()
	if err := m.join(true); err != nil {
		t.Fatal(err)
	}
}

// Leave ends a process in order, after its calls.
func (m *model) Leave(t *rapid.T) {
	if len(m.nodes) < 3 {
		t.Skip("too few")
	}
	m.did()
	n := m.node(t)
	for c, h := range n.calls {
		if _, err := h.Release(context.Background(), outcome(h, 0)); err != nil {
			t.Fatal(err)
		}
		m.end(c, 0)
	}
	if err := n.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	m.nodes = slices.DeleteFunc(m.nodes, func(x *modelNode) bool { return x == n })
}

// changed says that grants of a user are not what the last cut found. With
// several processes the leases come home, so that the next cuts see it.
func (m *model) changed(t *rapid.T, user string) {
	m.stale[user] = true
	m.home(t, user)
}

// home brings the leases home where several processes may have some.
func (m *model) home(t *rapid.T, user string) {
	if m.alone() {
		return
	}
	m.settleDown(t)
	if err := m.nodes[0].Recall(context.Background(), user); err != nil {
		t.Fatal(err)
	}
}

// aGrant draws a grant.
func (m *model) aGrant(t *rapid.T) *bookGrant {
	if len(m.grants) == 0 {
		t.Skip("no grant")
	}
	return m.grants[rapid.IntRange(0, len(m.grants)-1).Draw(t, "grant")]
}

// Grant gives credits, or tries to give some a second time.
func (m *model) Grant(t *rapid.T) {
	m.did()
	n := m.node(t)
	sources := []credit.Source{credit.Rollover, credit.Trial, credit.Plan, credit.Plan, credit.Bonus, credit.Pack}
	i := rapid.IntRange(0, len(sources)-1).Draw(t, "source")
	g := &bookGrant{user: drawUser(t), source: sources[i], left: drawAmount(t, 50, "amount")}
	ref := m.ref("grant")
	if g.source != credit.Pack {
		g.expires = m.w.clock.now().Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "life")) * time.Minute)
	} else {
		g.payment = fmt.Sprint("pay:", rapid.IntRange(0, 2).Draw(t, "payment"))
	}
	g.granted = m.w.clock.now()
	ask := credit.NewGrant{User: g.user, Source: g.source, Ref: ref, Amount: g.left, ExpiresAt: g.expires, Payment: g.payment}
	var err error
	if g.id, err = n.Grant(context.Background(), ask); err != nil {
		t.Fatalf("grant: %v", err)
	}
	if again, err := n.Grant(context.Background(), ask); err != nil || again != g.id {
		t.Fatalf("the same grant again: %s, %v; want %s", again, err, g.id)
	}
	ask.Amount++
	if _, err := n.Grant(context.Background(), ask); !errors.Is(err, credit.ErrConflict) {
		t.Fatalf("another amount under the ref of a grant: %v", err)
	}
	m.add(g)
	m.home(t, g.user)
}

// Add raises a grant, once.
func (m *model) Add(t *rapid.T) {
	g := m.aGrant(t)
	m.did()
	amount, ref := drawAmount(t, 20, "amount"), m.ref("up")
	for range 2 {
		if err := m.node(t).Add(context.Background(), g.id, amount, ref, ""); err != nil {
			t.Fatal(err)
		}
	}
	g.left += amount
	m.changed(t, g.user)
}

// Freeze makes a grant unusable, or usable again.
func (m *model) Freeze(t *rapid.T) {
	g := m.aGrant(t)
	m.did()
	why := rapid.SampledFrom([]credit.Freeze{credit.FreezeSuspended, credit.FreezeDispute}).Draw(t, "why")
	if g.frozen != 0 && rapid.IntRange(0, 2).Draw(t, "thaw") > 0 {
		addTime := rapid.Bool().Draw(t, "add time")
		if err := m.node(t).Thaw(context.Background(), []credit.GrantID{g.id}, why, addTime); err != nil {
			t.Fatal(err)
		}
		m.thaw(g, why, addTime)
	} else {
		if err := m.node(t).Freeze(context.Background(), []credit.GrantID{g.id}, why); err != nil {
			t.Fatal(err)
		}
		m.freeze(g, why)
	}
	m.changed(t, g.user)
}

// SetExpiry moves the end of a grant.
func (m *model) SetExpiry(t *rapid.T) {
	g := m.aGrant(t)
	m.did()
	end := m.w.clock.now().Add(time.Duration(rapid.IntRange(1, 600).Draw(t, "seconds")) * time.Second)
	err := m.node(t).SetExpiry(context.Background(), g.id, end)
	if m.over(g.expires) {
		if !errors.Is(err, credit.ErrInvalid) {
			t.Fatalf("the end of a grant that has expired was moved: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	g.expires = end
	m.sort()
	m.changed(t, g.user)
}

// Expire takes what has expired.
func (m *model) Expire(t *rapid.T) {
	m.did()
	m.settleDown(t)
	if _, err := m.node(t).Expire(context.Background(), m.w.clock.now(), 1000); err != nil {
		t.Fatal(err)
	}
	m.expire()
}

// Roll ends a cycle, once.
func (m *model) Roll(t *rapid.T) {
	g := m.aGrant(t)
	if g.source != credit.Plan {
		t.Skip("no plan")
	}
	m.did()
	n := m.node(t)
	r := credit.Roll{User: g.user, Subscription: m.ref("sub"), Plan: g.id, Cap: drawAmount(t, 60, "cap") - 1, Months: 2, End: m.w.clock.now()}
	m.settleDown(t)
	if err := n.Recall(context.Background(), g.user); err != nil {
		t.Fatal(err)
	}
	got, err := n.Roll(context.Background(), r)
	rolled, trimmed, expired := m.roll(g, r.Cap)
	if err != nil || got.Rolled != rolled || got.Trimmed != trimmed || got.Expired != expired {
		t.Fatalf("roll: %+v, %v; the books say %s rolled, %s trimmed, %s expired", got, err, rolled, trimmed, expired)
	}
	if again, err := n.Roll(context.Background(), r); rolled+trimmed+expired > 0 && (err != nil || again != got) {
		t.Fatalf("roll again: %+v, %v; want %+v", again, err, got)
	}
	if rolled > 0 {
		m.add(&bookGrant{user: g.user, source: credit.Rollover, id: got.Grant, left: rolled, granted: r.End, expires: r.End.AddDate(0, 2, 0)})
	}
	m.changed(t, g.user)
}

// Take deducts, or claws a payment back, once.
func (m *model) Take(t *rapid.T) {
	m.did()
	n := m.node(t)
	take := credit.Taking{User: drawUser(t), Ref: m.ref("take"), Amount: drawAmount(t, 60, "amount")}
	if rapid.Bool().Draw(t, "claw back") {
		take.Payment = fmt.Sprint("pay:", rapid.IntRange(0, 2).Draw(t, "payment"))
	}
	take.Whole = rapid.IntRange(0, 3).Draw(t, "whole") == 0
	held := slices.ContainsFunc(m.grants, func(g *bookGrant) bool {
		return g.user == take.User && g.held > 0 && (take.Payment == "" && m.usable(g) || take.Payment != "" && g.payment == take.Payment)
	})
	m.settleDown(t)
	got, err := n.Deduct(context.Background(), take)
	if take.Whole && held {
		if !errors.Is(err, credit.ErrBusy) {
			t.Fatalf("taking the whole while calls are open: %+v, %v", got, err)
		}
		return
	}
	taken := m.take(take.User, take.Ref, take.Payment, take.Amount)
	want := credit.Taken{Taken: taken, Uncollected: take.Amount - taken}
	if err != nil || got != want {
		t.Fatalf("take: %+v, %v; the books say %+v", got, err, want)
	}
	if again, err := n.Deduct(context.Background(), take); err != nil || again != want {
		t.Fatalf("take again: %+v, %v; want %+v", again, err, want)
	}
	m.changed(t, take.User)
}

// Reverse gives back what a call was charged or what was taken, once.
func (m *model) Reverse(t *rapid.T) {
	if len(m.debits) == 0 {
		t.Skip("nothing was charged")
	}
	m.did()
	d := m.debits[rapid.IntRange(0, len(m.debits)-1).Draw(t, "debit")]
	m.ref("reverse")
	got, err := m.node(t).Reverse(context.Background(), d.ref, "usr_admin")
	sum, late := m.giveBack(d)
	if err != nil || got != sum {
		t.Fatalf("reverse: %s, %v; the books say %s", got, err, sum)
	}
	if late > 0 {
		g := &bookGrant{user: d.user, source: credit.Adjustment, left: late, granted: m.w.clock.now(), expires: m.w.clock.now().AddDate(0, 0, 90)}
		g.id = m.idOf(t, "rev:"+d.ref)
		m.add(g)
	}
	m.changed(t, d.user)
}

func (m *model) idOf(t *rapid.T, ref string) (id credit.GrantID) {
	err := m.w.db.Q(context.Background()).QueryRowContext(context.Background(), `SELECT id FROM credit_grant WHERE ref = $1`, ref).Scan(&id)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
