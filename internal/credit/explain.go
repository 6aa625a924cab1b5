package credit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/money"
)

// ErrNoCall says that no transfer has this call id.
var ErrNoCall = errors.New("the ledger has no transfer of this call")

// Explain returns what the ledger did for a call, and the proof that this is
// what was written then. Held and Charged are zero while their transfer is not
// there: a call that is open has no charge. Remaining is not known later and
// zero. An unknown call is ErrNoCall. The proof is as the database has it: ask
// its Check.
func (s *Service) Explain(ctx context.Context, call string) (Receipt, Proof, error) {
	var (
		r Receipt
		p Proof
	)
	err := s.db.ReadTx(ctx, func(ctx context.Context) error {
		ts, err := s.store.transfersOf(ctx, []string{call, "expire:" + call, reversalPrefix + call})
		if err != nil {
			return err
		}
		if len(ts) == 0 {
			return ErrNoCall
		}
		facts, err := s.store.callFacts(ctx, []string{call})
		if err != nil {
			return err
		}
		r = receiptOf(call, ts)
		r.Uncollected = money.Credits(facts[call].over)
		p, err = s.prove(ctx, ts)
		return err
	})
	if err != nil {
		return Receipt{}, Proof{}, fmt.Errorf("explain %s: %w", call, err)
	}
	return r, p, nil
}

// GrantInfo is a grant as it stands.
type GrantInfo struct {
	ID                      GrantID
	Source                  Source
	Ref                     string // what caused it
	Frozen                  bool
	GrantedAt, ExpiresAt    time.Time     // ExpiresAt is zero for one that never does
	Credited, Debited, Held money.Credits // Debited: used, expired and taken; Held: for open calls
}

// GrantsOf returns all grants that a user ever had, in burn order.
func (s *Service) GrantsOf(ctx context.Context, user string) ([]GrantInfo, error) {
	return s.store.grantInfos(ctx, user)
}

// receiptOf adds up the parts of a call.
func receiptOf(call string, ts []transfer) Receipt {
	r := Receipt{Ref: call}
	parts := map[int64]*Part{}
	for _, t := range ts {
		if t.ref != call {
			continue
		}
		p := parts[t.part/2]
		if p == nil {
			p = &Part{Grant: GrantID(t.grant)}
			parts[t.part/2] = p
		}
		switch t.kind { //nolint:exhaustive // the others move nothing of a call
		case kindHold:
			p.Held += money.Credits(t.amount)
			r.Held += money.Credits(t.amount)
		case kindCharge:
			p.Charged += money.Credits(t.amount)
			r.Charged += money.Credits(t.amount)
		}
	}
	for _, i := range slices.Sorted(maps.Keys(parts)) {
		r.Parts = append(r.Parts, *parts[i])
	}
	return r
}

// prove finds the batches of ts, their trees and their chains.
func (s *Service) prove(ctx context.Context, ts []transfer) (Proof, error) {
	var p Proof
	chains := map[int64]*LaneProof{}
	leaves := map[head][]digest{}
	var h hasher
	needed := map[int64][]batchRow{}
	for _, t := range ts {
		b, ok, err := s.store.batchOf(ctx, t.lane, t.seq)
		if err != nil {
			return p, err
		}
		proven := Proven{
			Lane: t.lane, Seq: t.seq, Kind: string(t.kind), User: t.user, Grant: GrantID(t.grant), Amount: money.Credits(t.amount),
			Ref: t.ref, Part: t.part, Cause: t.cause, Actor: t.actor, At: time.UnixMicro(t.at).UTC(), Batch: b.head.batch,
		}
		if ok {
			if leaves[b.head] == nil {
				if leaves[b.head], err = s.store.leavesOf(ctx, t.lane, b.head, &h); err != nil {
					return p, err
				}
				needed[t.lane] = append(needed[t.lane], b)
			}
			if i := int(t.seq - b.head.first); i < len(leaves[b.head]) {
				proven.Path = auditPath(i, leaves[b.head])
			}
		}
		p.Transfers = append(p.Transfers, proven)
	}
	for _, lane := range slices.Sorted(maps.Keys(needed)) {
		c, err := s.proveLane(ctx, lane, needed[lane])
		if err != nil {
			return p, err
		}
		chains[lane] = c
		p.Chains = append(p.Chains, *c)
	}
	return p, nil
}

// proveLane returns the chain from the first of some batches to the first
// signed root after the last.
func (s *Service) proveLane(ctx context.Context, lane int64, batches []batchRow) (*LaneProof, error) {
	first, last := batches[0], batches[0]
	for _, b := range batches {
		if b.head.batch < first.head.batch {
			first = b
		}
		if b.head.batch > last.head.batch {
			last = b
		}
	}
	c := &LaneProof{Lane: lane, Prev: Hash(first.head.prev)}
	end := int64(1<<63 - 1)
	root, index, err := s.rootAfter(ctx, lane, last)
	if err != nil {
		return nil, err
	}
	if root != nil {
		c.Signed, c.Index, end = root, index, root.Heads[index].Batch
		heads := make([]digest, len(root.Heads))
		for i, h := range root.Heads {
			heads[i] = h.leaf()
		}
		c.Path = auditPath(index, heads)
	}
	err = s.store.chain(ctx, lane, first.head.batch, end, func(b head) {
		c.Links = append(c.Links, Link{b.batch, b.first, b.last, Hash(b.root)})
		c.Head = Hash(b.hash)
	})
	return c, err
}

// rootAfter returns the first signed root that names the batch or a later one
// of its lane, and the lane's place among its heads; nil when there is none.
func (s *Service) rootAfter(ctx context.Context, lane int64, b batchRow) (*Root, int, error) {
	// A batch can be later than its clock says, by a little.
	rows, err := s.store.rootsFrom(ctx, dayNumber(time.UnixMicro(b.at))-1)
	if err != nil {
		return nil, 0, err
	}
	keys, err := s.store.rootKeys(ctx)
	if err != nil {
		return nil, 0, err
	}
	byID := map[string]RootKey{}
	for _, k := range keys {
		byID[k.ID] = k
	}
	for _, row := range rows {
		r, err := row.decoded(byID)
		if err != nil {
			return nil, 0, err
		}
		for i, h := range r.Heads {
			if h.Lane == lane && h.Batch >= b.head.batch {
				return &r, i, nil
			}
		}
	}
	return nil, 0, nil
}
