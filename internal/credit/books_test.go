package credit_test

import (
	"cmp"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
)

// books is the ledger as one would keep it on paper, in plain arithmetic: it
// knows nothing of leases, lanes, batches or databases.
type books struct {
	now       func() time.Time
	grants    []*bookGrant // in burn order
	calls     []*bookCall  // open
	charged   map[string]money.Credits
	debits    []*bookDebit // what a reversal can give back
	uncollect money.Credits
}

// bookGrant is one grant.
type bookGrant struct {
	user, payment    string
	source           credit.Source
	id               credit.GrantID
	granted, expires time.Time // never: zero
	left, held       money.Credits
	frozen           credit.Freeze
	frozenAt         time.Time
}

// bookCall is a call that has not ended.
type bookCall struct {
	ref, user        string
	amount, progress money.Credits
	parts            []bookPart
}

// bookPart is what a call holds of a grant, which ended at expires when it was
// taken.
type bookPart struct {
	grant   *bookGrant
	amount  money.Credits
	expires time.Time
}

// bookDebit is what was taken under one reference.
type bookDebit struct {
	ref, user string
	parts     []bookPart
	reversed  bool
}

var bookOrder = []credit.Source{
	credit.Rollover, credit.Trial, credit.Plan, credit.Bonus, credit.Adjustment, credit.Coupon, credit.Referral, credit.Pack,
}

// add writes a new grant down.
func (b *books) add(g *bookGrant) {
	b.grants = append(b.grants, g)
	b.sort()
}

func (b *books) sort() {
	slices.SortFunc(b.grants, func(x, y *bookGrant) int {
		if !x.expires.Equal(y.expires) {
			if x.expires.IsZero() || !y.expires.IsZero() && y.expires.Before(x.expires) {
				return 1
			}
			return -1
		}
		return cmp.Or(cmp.Compare(slices.Index(bookOrder, x.source), slices.Index(bookOrder, y.source)),
			x.granted.Compare(y.granted), cmp.Compare(x.id, y.id))
	})
}

func (b *books) over(end time.Time) bool { return !end.IsZero() && !b.now().Before(end) }

func (b *books) usable(g *bookGrant) bool { return g.frozen == 0 && !b.over(g.expires) }

// available is what a new call can reserve, held what open calls have of grants
// that have not expired, and blocked what would come back of usable ones.
func (b *books) available(user string) (sum money.Credits) {
	for _, g := range b.grants {
		if g.user == user && b.usable(g) {
			sum += g.left
		}
	}
	return sum
}

func (b *books) held(user string) (all, blocked money.Credits) {
	for _, g := range b.grants {
		if g.user != user || b.over(g.expires) {
			continue
		}
		all += g.held
		if b.usable(g) {
			blocked += g.held
		}
	}
	return all, blocked
}

// split returns which grants pay for need, front first.
func (b *books) split(user string, need money.Credits) (parts []bookPart) {
	for _, g := range b.grants {
		if n := min(need, g.left); g.user == user && b.usable(g) && n > 0 {
			need -= n
			parts = append(parts, bookPart{g, n, g.expires})
		}
	}
	return parts
}

// open sets aside what the parts say.
func (b *books) open(c *bookCall) {
	for _, p := range c.parts {
		p.grant.left -= p.amount
		p.grant.held += p.amount
	}
	b.calls = append(b.calls, c)
}

// end charges an open call; what it does not need goes back, unless it expires.
func (b *books) end(c *bookCall, price money.Credits) (charged []money.Credits) {
	b.calls = slices.DeleteFunc(b.calls, func(x *bookCall) bool { return x == c })
	left := min(price, c.amount)
	b.uncollect += price - left
	if left > 0 {
		b.charged[c.ref] = left
	}
	d := &bookDebit{ref: c.ref, user: c.user}
	for _, p := range c.parts {
		n := min(left, p.amount)
		left -= n
		charged = append(charged, n)
		p.grant.held -= p.amount
		if !b.over(p.expires) {
			p.grant.left += p.amount - n
		}
		if n > 0 {
			d.parts = append(d.parts, bookPart{grant: p.grant, amount: n})
		}
	}
	if len(d.parts) > 0 {
		b.debits = append(b.debits, d)
	}
	return charged
}

// recover ends the calls of a process that died, at what they had delivered.
func (b *books) recover(calls []*bookCall) {
	for _, c := range calls {
		for i := range c.parts {
			c.parts[i].expires = c.parts[i].grant.expires
		}
		b.end(c, c.progress)
	}
}

// take takes what no call holds: of one payment's grants, or of the usable
// ones.
func (b *books) take(user, ref, payment string, amount money.Credits) (taken money.Credits) {
	d := &bookDebit{ref: ref, user: user}
	for _, g := range b.grants {
		if g.user != user || payment == "" && !b.usable(g) || payment != "" && g.payment != payment {
			continue
		}
		if n := min(amount-taken, g.left); n > 0 {
			g.left -= n
			taken += n
			d.parts = append(d.parts, bookPart{grant: g, amount: n})
		}
	}
	b.uncollect += amount - taken
	if taken > 0 {
		b.debits = append(b.debits, d)
	}
	return taken
}

// giveBack undoes a debit, once. What came of grants that have expired is
// returned: it needs a new one.
func (b *books) giveBack(d *bookDebit) (sum, late money.Credits) {
	for _, p := range d.parts {
		sum += p.amount
		switch {
		case d.reversed:
		case b.over(p.grant.expires):
			late += p.amount
		default:
			p.grant.left += p.amount
		}
	}
	d.reversed = true
	return sum, late
}

// roll ends a cycle of plan: what is rolled needs a new grant.
func (b *books) roll(plan *bookGrant, most money.Credits) (rolled, trimmed, expired money.Credits) {
	rolled = min(plan.left, most)
	expired = plan.left - rolled
	plan.left = 0
	var older []*bookGrant
	all := rolled
	for _, g := range b.grants {
		if g.user == plan.user && g.source == credit.Rollover && !b.over(g.expires) {
			older = append(older, g)
			all += g.left
		}
	}
	slices.SortFunc(older, func(x, y *bookGrant) int {
		return cmp.Or(x.granted.Compare(y.granted), cmp.Compare(x.id, y.id))
	})
	for _, g := range older {
		n := min(max(all-most, 0), g.left)
		g.left -= n
		all -= n
		trimmed += n
	}
	return rolled, trimmed, expired
}

func (b *books) freeze(g *bookGrant, why credit.Freeze) {
	if g.frozen == 0 {
		g.frozenAt = b.now()
	}
	g.frozen |= why
}

func (b *books) thaw(g *bookGrant, why credit.Freeze, addTime bool) {
	if g.frozen == why && addTime && !g.expires.IsZero() {
		g.expires = g.expires.Add(b.now().Sub(g.frozenAt))
	}
	g.frozen &^= why
	b.sort()
}

// expire takes what is left of the grants that have expired.
func (b *books) expire() {
	for _, g := range b.grants {
		if g.frozen == 0 && b.over(g.expires) {
			g.left = 0
		}
	}
}
