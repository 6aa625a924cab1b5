package credit

import (
	"slices"
	"sync"
	"time"

	"github.com/rephlo/rephlo/internal/money"
)

// lease is what this process may spend of one grant.
type lease struct {
	grant, expires int64
	free, held     int64
	// home is free of the grant and not leased, as far as we know: a cut left
	// it, we returned it, or granted it just now. away is what the last cut
	// found free in the leases of other processes.
	home, away int64
	// usable is false once a cut found the grant frozen or expired: what is
	// free waits for its return.
	usable bool
}

// purse is a user's leases in this process. All arithmetic of admission
// happens here.
type purse struct {
	user string
	lane *lane

	mu     sync.Mutex
	leases []lease      // guarded by mu, in burn order
	caps   []*allowance // guarded by mu
	round  *round       // guarded by mu: the cut or return under way
	cut    bool         // guarded by mu: the leases are in the order of all grants
	lent   bool         // guarded by mu: the database may have something to return
	used   time.Time    // guarded by mu: the last Reserve
	gone   bool         // guarded by mu: no longer in the Service's map

	// Of a database that is shared; all guarded by mu.
	waiting  int64         // sum of what calls need that wait
	news     chan struct{} // closed when another process did something
	asked    time.Time     // when others were last asked for their leases
	direct   bool          // credits are short: lease just what a call needs
	heldAway int64         // by other processes, as of the last cut
	size     int64         // what was free after the last cut
	taken    int64         // by holds since then
	since    time.Time     // the last cut
	need     int64         // of the last hold
}

// round is one cut or return on its way through the lane. At most one is under
// way for a purse, so neither sees the other half done.
type round struct {
	purse *purse
	cut   bool
	tell  bool // others wait for what is returned
	// How much a cut leases: all there is, or as divide says.
	all                    bool
	own, need, least, most int64
	live                   int64
	// Grants that were added meanwhile, which a cut may have missed, or a recall
	// that came; everything is returned when it is done. Guarded by the purse's
	// mu.
	granted  []lease
	recalled bool
	group    *group
	gives    []give // of a return
	capCuts  []capCut
	capGives []capGive
	found    []found // of a cut: the usable grants in burn order
	err      error   // why it failed; read after group.done
}

type give struct{ grant, amount int64 }

// found is one usable grant, what a cut leased of it, what it left, and what
// the leases of other lanes have free and held of it.
type found struct{ grant, expires, amount, left, away, heldAway int64 }

// divide decides how much of each grant is leased, front first: at least what
// the waiting calls lack, and else a share of what is free, so that other
// processes find some too. When it would not do for the call that began the
// round, nothing is taken: part of it would only keep others from it.
func (r *round) divide(fs []found) {
	var free int64
	for i := range fs {
		fs[i].left = max(fs[i].left, 0)
		free += fs[i].left
	}
	want := free
	if !r.all {
		if r.own+free < r.need {
			return
		}
		share := free / 2 / r.live
		if r.live > 1 {
			share = min(share, r.most)
		}
		if r.most == 0 { // in short supply
			share = 0
		}
		want = min(max(r.least, share), free)
	}
	for i := range fs {
		f := &fs[i]
		f.amount = min(want, f.left)
		f.left -= f.amount
		want -= f.amount
	}
}

// room returns what can be reserved at now and what open holds of usable
// grants have set aside.
func (p *purse) room(now int64) (free, held int64) {
	for i := range p.leases {
		if l := &p.leases[i]; l.usable && l.expires > now {
			free += l.free
			held += l.held
		}
	}
	return free, held
}

// beyond returns what could be leased of usable grants besides: at home, and
// free in the leases of other processes.
func (p *purse) beyond(now int64) (home, away int64) {
	for i := range p.leases {
		if l := &p.leases[i]; l.usable && l.expires > now {
			home += l.home
			away += l.away
		}
	}
	return home, away
}

// homeBefore is how long before credits expire they are in no lease any more,
// where others share the database: whoever needs the last of them finds them.
const homeBefore = time.Minute

// ending reports whether p knows of credits that expire within homeBefore.
// Until they have, calls lease just what they need.
func (p *purse) ending(now time.Time) bool {
	from, to := now.UnixMicro(), now.Add(homeBefore).UnixMicro()
	return slices.ContainsFunc(p.leases, func(l lease) bool {
		return l.usable && from < l.expires && l.expires <= to && l.free+l.home+l.away > 0
	})
}

// take moves need from the leases to h's parts, front first. The caller has
// seen that there is room.
func (p *purse) take(h *Hold, need, now int64) {
	for i := range p.leases {
		l := &p.leases[i]
		if !l.usable || l.expires <= now || l.free <= 0 {
			continue
		}
		n := min(need, l.free)
		l.free -= n
		l.held += n
		h.parts = append(h.parts, part{grant: l.grant, expires: l.expires, amount: n})
		if need -= n; need == 0 {
			return
		}
	}
}

// lease returns the lease on grant, which is there while it holds something.
func (p *purse) lease(grant, expires int64) *lease {
	for i := range p.leases {
		if p.leases[i].grant == grant {
			return &p.leases[i]
		}
	}
	p.leases = append(p.leases, lease{grant: grant, expires: expires})
	return &p.leases[len(p.leases)-1]
}

// startCut queues a cut for a call that needs so much; 0 when none waits. It
// returns nil when the lane takes nothing any more.
func (p *purse) startCut(need int64, caps []Cap, now time.Time, shared *sharing) *round {
	r := &round{purse: p, cut: true, all: shared == nil}
	if shared == nil {
		r.capCuts = p.cutCaps(caps, need, -1, 1)
		return p.start(r, opCut)
	}
	r.own, _ = p.room(now.UnixMicro())
	r.need, r.least, r.live = need, max(p.waiting-r.own, 0), max(shared.live.Load(), 1)
	var portion int64
	if !p.direct {
		portion = p.portion(now)
	}
	if r.own < portion { // else the round is for the caps
		r.most = portion
	}
	r.capCuts = p.cutCaps(caps, need, portion, r.live)
	return p.start(r, opCut)
}

// portion is what holds take in two seconds at the rate since the last cut, and
// at least enough for four.
func (p *purse) portion(now time.Time) int64 {
	const window = int64(2 * time.Second / time.Millisecond)
	rate := p.taken / max(now.Sub(p.since).Milliseconds(), 1) * window
	return max(rate, 4*max(p.need, p.waiting), 1)
}

// startReturn queues the return of everything that is free. It returns nil
// when the lane takes nothing any more.
func (p *purse) startReturn() *round {
	r := &round{purse: p, tell: p.direct}
	for i := range p.leases {
		r.gives = append(r.gives, give{p.leases[i].grant, max(p.leases[i].free, 0)})
	}
	given := r.giving(p.caps)
	if p.start(r, opReturn) == nil {
		return nil
	}
	p.cut, p.lent = false, false
	given()
	for i, g := range r.gives {
		p.leases[i].free -= g.amount
		p.leases[i].home += g.amount
	}
	return r
}

func (p *purse) start(r *round, k opKind) *round {
	if r.group = p.lane.queue.put(op{kind: k, round: r}); r.group == nil {
		return nil
	}
	p.round = r
	return r
}

// finish applies what the lane did with r.
func (p *purse) finish(r *round) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.round = nil
	p.finishCaps(r)
	switch {
	case r.cut && r.err == nil:
		p.adopt(r.found, r.granted)
	case !r.cut && r.err == nil:
		now := p.lane.now().UnixMicro()
		p.leases = slices.DeleteFunc(p.leases, func(l lease) bool {
			return l.held == 0 && l.free == 0 && (l.home+l.away == 0 || !l.usable || l.expires <= now)
		})
	case !r.cut:
		p.lent = true
		for _, g := range r.gives {
			l := p.lease(g.grant, 0)
			l.free, l.home = l.free+g.amount, l.home-g.amount
		}
	}
	switch {
	case len(r.granted) > 0 && p.lent:
		p.startReturn()
	case r.recalled:
		p.cut = false
		p.bring()
	}
}

// adopt adds what a cut leased and puts the leases in burn order. The cut may
// have missed what was granted since it began.
func (p *purse) adopt(usable []found, granted []lease) {
	old := p.leases
	p.heldAway = 0
	for i := range old {
		old[i].usable = false
	}
	p.leases = make([]lease, 0, len(usable)+1)
	for _, f := range usable {
		l := lease{grant: f.grant, expires: f.expires, free: f.amount, home: f.left, away: f.away, usable: true}
		p.heldAway += f.heldAway
		for _, o := range old {
			if o.grant == f.grant {
				l.free += o.free
				l.held = o.held
			}
		}
		p.leases = append(p.leases, l)
	}
	for _, o := range old {
		known := slices.ContainsFunc(usable, func(f found) bool { return f.grant == o.grant })
		if !known && (o.free != 0 || o.held != 0) {
			o.home, o.away = 0, 0
			p.leases = append(p.leases, o)
		}
	}
	for _, g := range granted {
		if !slices.ContainsFunc(usable, func(f found) bool { return f.grant == g.grant }) {
			p.leases = append(p.leases, g)
		}
	}
	p.cut, p.lent = true, true
	now := p.lane.now()
	micros := now.UnixMicro()
	p.size, _ = p.room(micros)
	p.taken, p.since = 0, now
	if home, away := p.beyond(micros); p.direct && (p.size+home+away)/8 > max(p.need, p.waiting) && !p.ending(now) {
		p.direct = false
	}
}

// refund gives back to the leases what a hold's parts did not need, unless it
// expires. h.mu and p.mu are held.
func (p *purse) refund(h *Hold) {
	for i := range h.parts {
		t := &h.parts[i]
		l := p.lease(t.grant, t.expires)
		p.lent = true
		l.held -= t.amount
		if !t.expired {
			l.free += t.amount - t.charged
		}
	}
	h.moveCaps(-h.amount, h.charged())
}

// unrefund undoes refund: the ending failed and the hold is still open.
func (p *purse) unrefund(h *Hold) {
	h.moveCaps(h.amount, -h.charged())
	for i := range h.parts {
		t := &h.parts[i]
		l := p.lease(t.grant, t.expires)
		l.held += t.amount
		if !t.expired {
			l.free -= t.amount - t.charged
		}
		t.charged, t.expired = 0, false
	}
}

// remaining is what the user could reserve now, with what is in no lease.
func (p *purse) remaining(now int64) money.Credits {
	var sum int64
	for i := range p.leases {
		if l := &p.leases[i]; l.usable && l.expires > now {
			sum += l.free + l.home + l.away
		}
	}
	return money.Credits(max(sum, 0))
}
