package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest/faulty"
)

// give makes a grant, again and again until it is acknowledged: it happens once.
func (w *sim) give(n *node, g *grant) {
	w.change(func() { w.grants = append(w.grants, g) })
	for range 10 {
		if p := n.now.Load(); p != nil {
			id, err := p.credit.Grant(p.ctx, credit.NewGrant{User: g.user, Source: credit.Plan, Ref: g.ref, Amount: g.amount, ExpiresAt: g.expires})
			w.note("%s grant %s %d: %v", n.name, g.ref, g.amount, err)
			if err == nil {
				w.change(func() { g.id, g.acked, g.at = id, true, time.Now() })
				return
			}
			if errors.Is(err, credit.ErrInvalid) {
				return // it has expired meanwhile
			}
		}
		time.Sleep(700 * time.Millisecond)
	}
}

// manage is what happens to grants beside calls.
func (w *sim) manage(n *node, i int, r *rand.Rand) {
	p := n.now.Load()
	if p == nil {
		return
	}
	user := users[r.IntN(len(users))]
	switch r.IntN(6) {
	case 0, 1:
		g := &grant{user: user, ref: fmt.Sprint("more:", i), amount: money.Credits(1 + r.IntN(30))}
		if r.IntN(2) == 0 {
			g.expires = time.Now().Add(time.Duration(3+r.IntN(60)) * time.Second)
		}
		w.give(n, g)
	case 2:
		err := p.credit.Recall(p.ctx, user)
		w.note("%s recall %s: %v", n.name, user, err)
	case 3:
		t := credit.Taking{User: user, Ref: fmt.Sprint("take:", i), Amount: money.Credits(1 + r.IntN(10))}
		w.change(func() { w.taken[user] += t.Amount })
		for range 3 {
			got, err := p.credit.Deduct(p.ctx, t)
			w.note("%s take %s: %+v %v", n.name, t.Ref, got, err)
			if err == nil || !p.sleep(time.Second) {
				return
			}
		}
	case 4:
		k, err := p.credit.Expire(p.ctx, time.Now(), 10)
		w.note("%s expire: %d %v", n.name, k, err)
	case 5:
		w.freeze(p, user, r)
	}
}

// freeze freezes one grant of the user for a while.
func (w *sim) freeze(p *process, user string, r *rand.Rand) {
	var g *grant
	w.change(func() {
		for _, x := range w.grants {
			if x.user == user && x.acked {
				g = x
			}
		}
		if g != nil {
			g.frozen = true
		}
	})
	if g == nil {
		return
	}
	err := p.credit.Freeze(p.ctx, []credit.GrantID{g.id}, credit.FreezeDispute)
	w.note("%s freeze %s: %v", p.node.name, g.ref, err)
	if !p.sleep(time.Duration(r.IntN(5000)) * time.Millisecond) {
		return
	}
	err = p.credit.Thaw(p.ctx, []credit.GrantID{g.id}, credit.FreezeDispute, r.IntN(2) == 0)
	w.note("%s thaw %s: %v", p.node.name, g.ref, err)
}

// trouble is one fault.
func (w *sim) trouble(n *node, r *rand.Rand) {
	p := n.now.Load()
	if p == nil {
		return
	}
	d := time.Duration(200+r.IntN(12_000)) * time.Millisecond
	k := int64(1 + r.IntN(20))
	kinds := 7
	if w.jumpy {
		kinds++
	}
	switch r.IntN(kinds) {
	case 0:
		w.note("%s crashes", n.name)
		if p.crash() {
			w.again(p, d)
		}
	case 1:
		w.note("%s crashes at call %d", n.name, k)
		p.kth(k, false, faulty.Fault{Hang: min(d, idleTx), Kind: faulty.Fail})
		if p.sleep(d) && p.crash() {
			w.again(p, d)
		}
	case 2:
		w.note("%s is paused for %s", n.name, d)
		p.pause(d)
	case 3:
		w.note("%s is cut off for %s", n.name, d)
		p.cut(d, r.IntN(2) == 0)
	case 4:
		k = int64(1 + r.IntN(4))
		w.note("%s loses the answer of commit %d", n.name, k)
		p.kth(k, true, faulty.Fault{Kind: faulty.Lose})
	case 5:
		kind := []faulty.Kind{faulty.Fail, faulty.Lose, faulty.Refuse}[r.IntN(3)]
		w.note("%s: call %d goes wrong (%d)", n.name, k, kind)
		p.kth(k, false, faulty.Fault{Kind: kind, Hang: time.Duration(r.IntN(2) * r.IntN(3000) * int(time.Millisecond))})
	case 6:
		w.note("%s is stopped", n.name)
		if p.stop(d) {
			w.again(p, d)
		}
	case 7:
		jump := time.Duration(r.IntN(14_000)-7_000) * time.Millisecond
		w.note("%s: clock jumps to %s", n.name, jump)
		n.skew.Store(int64(jump))
		w.jumped.Store(true)
	}
}

// again starts the next process of p's node after d, once p is gone: a node has
// a lock on its folder.
func (w *sim) again(p *process, d time.Duration) {
	w.returning.Add(1)
	defer w.returning.Add(-1)
	n := p.node
	<-p.gone
	time.Sleep(d)
	for range 5 {
		err := n.start()
		w.note("%s starts: %v", n.name, err)
		if err == nil {
			return
		}
		time.Sleep(time.Second)
	}
	w.errorf("%s does not start any more", n.name)
}
