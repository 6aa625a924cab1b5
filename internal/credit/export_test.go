package credit

import (
	"context"
	"errors"
	"testing"

	"github.com/rephlo/rephlo/internal/money"
)

// Crash ends the service as kill -9 would: what is queued is not written, and
// nothing is given back.
func (s *Service) Crash() {
	s.open.Store(nil)
	s.mu.Lock()
	lanes, old := s.lanes, s.state
	s.state = stateStopped
	s.mu.Unlock()
	if old == stateServing || old == stateFenced {
		close(s.stopping)
		s.sweeping.Wait()
	}
	for _, l := range lanes {
		l.abandon()
		<-l.stopped
	}
	if old != stateStopped {
		_ = s.spool.leave()
	}
}

// Silence stops the lanes' writers without telling the service, which then is
// a process that hangs.
func (s *Service) Silence() {
	for _, l := range s.owned() {
		l.abandon()
		<-l.stopped
	}
}

// Sweep looks for idle leases and forgotten holds now.
func (s *Service) Sweep() {
	now := s.now()
	s.purses.each(func(p *purse) bool { return p.rest(now, s.policy.Idle) })
	for _, l := range s.owned() {
		s.resolveForgotten(l, now)
	}
}

// Purses returns how many users have a lease in memory.
func (s *Service) Purses() (n int) {
	s.purses.each(func(*purse) bool { n++; return false })
	return n
}

// SetChunkBits sets how many rows a statement takes, for benchmarks.
func (s *Service) SetChunkBits(_ testing.TB, bits int) { s.store.chunkBits = bits }

// MerkleRoot returns the Merkle root over leaves.
func MerkleRoot(leaves [][32]byte) [32]byte { return merkle(leaves) }

// Idle waits until the lanes have written everything that was queued.
func (s *Service) Idle() {
	for _, l := range s.owned() {
		r := &round{}
		if r.group = l.queue.put(op{kind: opReturn, round: r}); r.group != nil {
			<-r.group.done
		}
	}
}

// EndThrice writes the settlement of h at price 1 three times, as after a commit
// whose answer was lost, the last time after another process took the lane.
// The lane's writer must have ended.
func (s *Service) EndThrice(ctx context.Context, h *Hold) (first, again, fenced error) {
	l := h.lane
	h.split(1, 0)
	l.plan.build(l, []op{{kind: opEnd, hold: h, end: &ending{price: 1, charge: 1, cause: Finished}}})
	first = l.attempt(ctx, &l.plan)
	again = l.attempt(ctx, &l.plan)
	if err := s.store.takeLane(ctx, laneRow{lane: l.no, epoch: l.epoch}, "other"); err != nil {
		return err, err, err
	}
	return first, again, l.attempt(ctx, &l.plan)
}

// ErrFenced says that the lane belongs to another process now.
var ErrFenced = errFenced

// Deafen ends the notifications, so that polling is all there is.
func (s *Service) Deafen() { s.shared.listener.Close() }

// TreeRoot returns the same root, from leaves that arrive one by one.
func TreeRoot(leaves [][32]byte) [32]byte {
	var t tree
	for _, l := range leaves {
		t.add(l)
	}
	return t.root()
}

// DecodeHeads reads the heads of a stored root, and EncodeHeads writes them.
func DecodeHeads(text string) ([]RootHead, error) { return decodeHeads(text) }

func EncodeHeads(heads []RootHead) string { return encodeHeads(heads) }

// AuditPath and Climb are the two directions of an inclusion proof.
func AuditPath(m int, leaves [][32]byte) []Hash { return auditPath(m, leaves) }

func Climb(index, size int64, leaf [32]byte, path []Hash) ([32]byte, bool) {
	return climb(index, size, leaf, path)
}

// Micro prints an amount as findings do.
func Micro(amount int64) string { return micro(amount) }

// errUndo takes back what a test did.
var errUndo = errors.New("undo")

// Debit tries to take from a grant what was there before.
func (s *Service) Debit(ctx context.Context, id GrantID, amount money.Credits) (err error) {
	_ = s.db.InTx(ctx, func(ctx context.Context) error {
		err = s.store.debit(ctx, int64(id), int64(amount))
		return errUndo
	})
	return err
}

// Cut tries to lease of a grant what was there before, and returns how much it
// would have got.
func (s *Service) Cut(ctx context.Context, id GrantID, amount money.Credits) (got money.Credits, err error) {
	f := found{grant: int64(id), amount: int64(amount)}
	_ = s.db.InTx(ctx, func(ctx context.Context) error {
		err = s.store.cut(ctx, s.owned()[0].no, []*found{&f}, s.now().UnixMicro())
		return errUndo
	})
	return money.Credits(f.amount), err
}

// Seize gives the lanes to another process, which has written nothing yet.
func (s *Service) Seize(ctx context.Context) error {
	for _, l := range s.owned() {
		if err := s.store.takeLane(ctx, laneRow{lane: l.no, epoch: l.epoch}, "other"); err != nil {
			return err
		}
	}
	return nil
}

// DecodeCaps is decodeCaps, for its fuzz target: it counts the caps.
func DecodeCaps(text string) (int, error) {
	keys, err := decodeCaps(text)
	return len(keys), err
}

// Parts returns which grants h holds how much of.
func (h *Hold) Parts() (out []Part) {
	for _, t := range h.parts {
		out = append(out, Part{Grant: GrantID(t.grant), Held: money.Credits(t.amount)})
	}
	return out
}

// Burn charges leases of so much, in burn order, one charge after the other:
// each call holds need more than that. It returns what is left of each.
func Burn(amounts, charges []money.Credits, more money.Credits) []money.Credits {
	l := &lane{queue: newQueue(8192, 1024)}
	p := &purse{lane: l, cut: true}
	for i, a := range amounts {
		p.leases = append(p.leases, lease{grant: int64(i + 1), expires: never, free: int64(a), usable: true})
	}
	for _, c := range charges {
		room, _ := p.room(0)
		h := &Hold{lane: l, purse: p, amount: min(int64(c+more), room)}
		p.take(h, h.amount, 0)
		h.split(int64(c), 0)
		p.refund(h)
	}
	out := make([]money.Credits, len(p.leases))
	for i, l := range p.leases {
		out[i] = money.Credits(l.free)
	}
	return out
}

// AddGrantAs writes the row of a grant under a number and returns the number
// that it got, and whether it was added.
func (s *Service) AddGrantAs(ctx context.Context, id GrantID, g NewGrant) (GrantID, bool, error) {
	now := s.now().UnixMicro()
	row := grantRow{id: id, user: g.User, source: g.Source, ref: g.Ref, amount: int64(g.Amount), granted: now, expires: never}
	var added bool
	err := s.db.InTx(ctx, func(ctx context.Context) (err error) {
		if err = s.store.lockCold(ctx); err == nil {
			added, err = s.store.addGrant(ctx, &row)
		}
		return err
	})
	return row.id, added, err
}

// CutTogether makes n cuts of all of a user's credits in one batch, undoes them,
// and returns how much they got.
func (s *Service) CutTogether(ctx context.Context, user string, n int) (got money.Credits, err error) {
	p := plan{at: s.now().UnixMicro()}
	for range n {
		p.cuts = append(p.cuts, &round{purse: &purse{user: user}, cut: true, all: true})
	}
	_ = s.db.InTx(ctx, func(ctx context.Context) error {
		err = s.store.moveGrants(ctx, s.owned()[0].no, &p)
		return errUndo
	})
	for _, r := range p.cuts {
		for _, f := range r.found {
			got += money.Credits(f.amount)
		}
	}
	return got, err
}

// Look bounds at how many transfers a page of a filtered history looks.
func (s *Service) Look(at int) { s.looks = at }
