package credit

import (
	"context"
	"errors"
	"slices"
)

// errStale says that the first statement of a batch changed no row: the batch
// is in the database already, or the lane is no longer ours.
var errStale = errors.New("the lane's row has moved")

// plan is one batch, worked out before it is written, so that writing it again
// writes the same. It keeps its buffers from batch to batch.
type plan struct {
	no   int64 // counts plans; marks the holds that end in this one
	at   int64
	head head // as it will be
	hash hasher

	transfers []transfer
	holds     []holdRow
	ends      []endRow
	moves     []move
	byGrant   map[int64]int // into moves
	capMoves  []capMove
	byCap     map[capKey]int // into capMoves
	expiries  []expiry
	records   []Record
	overs     []over
	progress  []progressRow
	cuts      []*round
	returns   []*round
	fold      bool
}

type holdRow struct {
	ref, user, journal, caps  string
	amount, progress, renewed int64
}

type endRow struct {
	ref    string
	charge int64
}

// move is the sum of what a batch does to one lease.
type move struct{ grant, held, spent int64 }

// expiry is what a hold gives back of a grant that has expired.
type expiry struct{ grant, amount int64 }

type over struct {
	ref, user, cause string
	part, amount     int64
}

type progressRow struct {
	ref, journal      string
	progress, renewed int64
}

func (p *plan) reset(l *lane) {
	p.no++
	p.at = l.now().UnixMicro()
	p.transfers, p.holds, p.ends = p.transfers[:0], p.holds[:0], p.ends[:0]
	p.moves, p.expiries, p.overs = p.moves[:0], p.expiries[:0], p.overs[:0]
	clear(p.records)
	p.records = p.records[:0]
	p.progress, p.cuts, p.returns, p.fold = p.progress[:0], p.cuts[:0], p.returns[:0], false
	p.capMoves = p.capMoves[:0]
	if p.byGrant == nil {
		p.byGrant, p.byCap = map[int64]int{}, map[capKey]int{}
	}
	clear(p.byGrant)
	clear(p.byCap)
}

// build works out the batch of ops on top of the lane's head: first the holds,
// then the endings, so that every ending follows its hold.
func (p *plan) build(l *lane, ops []op) {
	p.reset(l)
	for i := range ops {
		if o := &ops[i]; o.kind == opEnd && o.hold.refused == nil {
			o.hold.planned = p.no
		}
	}
	for i := range ops {
		switch o := &ops[i]; o.kind {
		case opHold:
			p.addHold(o.hold)
		case opProgress:
			p.addProgress(o.hold)
		case opCut:
			p.cuts = append(p.cuts, o.round)
		case opReturn:
			p.returns = append(p.returns, o.round)
		case opFold:
			p.fold = true
		case opLate:
			p.overs = append(p.overs, over{o.hold.ref, o.hold.purse.user, causeLate, 0, min(o.end.over, maxTransfer)})
		case opEnd:
		}
	}
	for i := range ops {
		if o := &ops[i]; o.kind == opEnd && o.hold.refused == nil {
			p.addEnd(o.hold, o.end)
		}
	}
	slices.SortFunc(p.moves, func(a, b move) int { return compare(a.grant, b.grant) })
	slices.SortFunc(p.capMoves, func(a, b capMove) int { return compareCaps(a.key, b.key) })
	p.seal(l)
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// seal numbers the transfers and computes the hashes.
func (p *plan) seal(l *lane) {
	prev := l.head
	p.head = head{batch: prev.batch + 1, first: prev.last + 1, last: prev.last + int64(len(p.transfers)), hash: prev.hash}
	if len(p.transfers) == 0 {
		return
	}
	for i := range p.transfers {
		t := &p.transfers[i]
		t.lane, t.seq, t.at = l.no, p.head.first+int64(i), p.at
	}
	p.head.prev = prev.hash
	p.head.root = p.hash.root(p.transfers)
	p.head.hash = p.hash.link(l.no, p.head)
}

func (p *plan) addHold(h *Hold) {
	user := h.purse.user
	for i := range h.parts {
		t := &h.parts[i] // its caller may be setting what belongs to the ending
		p.transfers = append(p.transfers, transfer{
			kind: kindHold, user: user, grant: t.grant, amount: t.amount, ref: h.ref, part: int64(2 * i), actor: user,
		})
		p.move(t.grant, t.amount, 0)
	}
	p.moveCaps(h, h.amount, 0)
	if h.planned == p.no {
		return // it ends in the same batch: its row would come and go
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	p.holds = append(p.holds, holdRow{
		ref: h.ref, user: user, journal: string(h.journal), caps: encodeCaps(h.caps), amount: h.amount, progress: h.progress, renewed: h.renewed.UnixMicro(),
	})
}

func (p *plan) addProgress(h *Hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dirty = false
	if h.planned == p.no || !h.written {
		return // it ends, or its row is written with the newest values
	}
	p.progress = append(p.progress, progressRow{ref: h.ref, journal: string(h.journal), progress: h.progress, renewed: h.renewed.UnixMicro()})
}

func (p *plan) addEnd(h *Hold, e *ending) {
	user := h.purse.user
	expired := false
	for i, t := range h.parts {
		tr := transfer{
			kind: kindCharge, user: user, grant: t.grant, amount: t.charged, ref: h.ref, part: int64(2*i + 1), cause: string(e.cause), actor: user,
		}
		if t.charged == 0 {
			tr.kind, tr.amount = kindRelease, t.amount
		}
		p.transfers = append(p.transfers, tr)
		p.move(t.grant, -t.amount, t.charged)
		expired = expired || t.expired
	}
	p.moveCaps(h, -h.amount, e.charge)
	if expired {
		p.addExpired(h)
	}
	if h.written {
		p.ends = append(p.ends, endRow{h.ref, e.charge})
	}
	if e.record != nil {
		p.records = append(p.records, e.record)
	}
	if e.over > 0 {
		p.overs = append(p.overs, over{h.ref, user, causeOverrun, 0, min(e.over, maxTransfer)})
	}
}

// addExpired lets what h returns to expired grants expire with it.
func (p *plan) addExpired(h *Hold) {
	for i, t := range h.parts {
		if !t.expired {
			continue
		}
		back := t.amount - t.charged
		p.transfers = append(p.transfers, transfer{
			kind: kindExpire, user: h.purse.user, grant: t.grant, amount: back, ref: "expire:" + h.ref, part: int64(i),
			cause: "expired", actor: actorSystem,
		})
		p.expiries = append(p.expiries, expiry{t.grant, back})
	}
}

// move adds to what the batch does to the lease on grant.
func (p *plan) move(grant, held, spent int64) {
	i, ok := p.byGrant[grant]
	if !ok {
		i = len(p.moves)
		p.byGrant[grant] = i
		p.moves = append(p.moves, move{grant: grant})
	}
	p.moves[i].held += held
	p.moves[i].spent += spent
}

// moveCaps adds to what the batch does to the leases on h's caps.
func (p *plan) moveCaps(h *Hold, held, spent int64) {
	for _, a := range h.caps {
		i, ok := p.byCap[a.key]
		if !ok {
			i = len(p.capMoves)
			p.byCap[a.key] = i
			p.capMoves = append(p.capMoves, capMove{key: a.key})
		}
		p.capMoves[i].held += held
		p.capMoves[i].spent += spent
	}
}

// apply writes p. The fence comes before anything else, and the locks in the
// order lane, grants by id, leases of the lane, caps by owner and window.
func (l *lane) apply(ctx context.Context, p *plan) error {
	st := l.store
	if err := st.fence(ctx, l.no, l.epoch, p.head); err != nil {
		return err
	}
	if err := st.addTransfers(ctx, l.no, p); err != nil {
		return err
	}
	if err := st.addHolds(ctx, l.no, p.holds); err != nil {
		return err
	}
	if err := st.endHolds(ctx, l.no, p.ends); err != nil {
		return err
	}
	if len(p.records) > 0 {
		if err := l.records.WriteRecords(ctx, p.records); err != nil {
			return &recordsError{err}
		}
	}
	if err := st.addUncollected(ctx, p.overs, p.at); err != nil {
		return err
	}
	if err := st.moveLeases(ctx, l.no, p.moves); err != nil {
		return err
	}
	if err := st.moveGrants(ctx, l.no, p); err != nil {
		return err
	}
	if err := st.moveCaps(ctx, l.no, p.capMoves); err != nil {
		return err
	}
	if err := st.leaseCaps(ctx, l.no, p); err != nil {
		return err
	}
	for _, r := range p.returns {
		if r.tell {
			if err := st.hint(ctx, hintReturned, l.shared.self, r.purse.user); err != nil {
				return err
			}
		}
	}
	if p.fold {
		if err := st.fold(ctx, l.no); err != nil {
			return err
		}
	}
	if err := st.renew(ctx, l.no, p.progress); err != nil {
		return err
	}
	if len(p.transfers) == 0 {
		return nil
	}
	return st.addBatch(ctx, l.no, p.head, p.at)
}
