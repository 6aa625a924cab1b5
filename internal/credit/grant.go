package credit

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/money"
)

// GrantID names a grant. It rises with time.
type GrantID int64

const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

// String returns the id as clients see it.
func (id GrantID) String() string {
	b := []byte("grt_0000000000000")
	for i, v := len(b)-1, uint64(id); v > 0; i, v = i-1, v>>5 { //nolint:gosec // ids are positive
		b[i] = crockford[v&31]
	}
	return string(b)
}

// ParseGrantID reads an id as String writes it.
func ParseGrantID(text string) (GrantID, bool) {
	digits, ok := strings.CutPrefix(text, "grt_")
	if !ok || len(digits) != 13 {
		return 0, false
	}
	var v uint64
	for _, c := range []byte(digits) {
		n := strings.IndexByte(crockford, c)
		if n < 0 {
			return 0, false
		}
		v = v<<5 | uint64(n)
	}
	id := GrantID(v)
	return id, id > 0 && id.String() == text
}

// newGrantID puts 21 random bits below the milliseconds.
func newGrantID(now time.Time) GrantID {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return GrantID(now.UnixMilli()<<21 | int64(binary.BigEndian.Uint32(b[:])>>11))
}

// Source says where credits come from. It decides the order in which grants
// that expire together are used.
type Source string

// The sources, in that order.
const (
	Rollover   Source = "rollover"
	Trial      Source = "trial"
	Plan       Source = "plan"
	Bonus      Source = "bonus"
	Adjustment Source = "adjustment"
	Coupon     Source = "coupon"
	Referral   Source = "referral"
	Pack       Source = "pack"
)

var sources = []Source{Rollover, Trial, Plan, Bonus, Adjustment, Coupon, Referral, Pack}

// priority returns the place of s in the burn order, or 0.
func (s Source) priority() int64 {
	for i, known := range sources {
		if s == known {
			return int64(i + 1)
		}
	}
	return 0
}

// Limits of what is issued, in µcr: of one grant, and of all together, so that
// no sum of balances can overflow.
const (
	maxTransfer = int64(money.MaxTransfer)
	maxGrant    = int64(100_000_000_000_000_000)
	maxIssued   = int64(4_000_000_000_000_000_000)
)

// actorSystem is who acts when nobody did.
const actorSystem = "system"

// NewGrant is credits to give.
type NewGrant struct {
	User   string
	Source Source
	// Ref is what causes it, e.g. "adm:…": it happens once.
	Ref       string
	Amount    money.Credits // 1 to money.MaxTransfer
	ExpiresAt time.Time     // zero: never
	Actor     string        // who gives it; empty: the system
	Cause     string        // a word; empty: the source
	// Of what was paid for: the payment, its amount in minor units and their
	// currency.
	Payment, Currency string
	PaidMinor         int64
	// Then is called in the transaction that gives it, not when it was given
	// before; its error gives nothing.
	Then func(ctx context.Context, id GrantID) error
}

// Given is a grant that was just made.
type Given struct {
	ID                   GrantID
	User                 string
	Source               Source
	Amount               money.Credits
	ExpiresAt, CreatedAt time.Time // ExpiresAt is zero: never
}

// Grant gives credits in the transaction that ctx carries, or in its own. The
// same Ref with the same user, source and amount gives the first grant again;
// with others it is ErrConflict. ErrIssueLimit: no more can be issued.
//
// The transaction holds the cold lane from here to its end: keep it short.
func (s *Service) Grant(ctx context.Context, g NewGrant) (GrantID, error) {
	now := s.now()
	if g.User == "" || g.Ref == "" || len(g.Ref) > maxRef || g.Source.priority() == 0 || g.Amount < 1 || g.Amount > money.MaxTransfer || g.PaidMinor < 0 ||
		(!g.ExpiresAt.IsZero() && !g.ExpiresAt.After(now)) {
		return 0, fmt.Errorf("grant %s: %w", g.Ref, ErrInvalid)
	}
	g.Actor, g.Cause = orSystem(g.Actor), orWord(g.Cause, string(g.Source))
	row := grantRow{
		id: newGrantID(now), user: g.User, source: g.Source, ref: g.Ref, amount: int64(g.Amount), granted: now.UnixMicro(), expires: never,
		payment: g.Payment, currency: g.Currency, paid: g.PaidMinor,
	}
	if !g.ExpiresAt.IsZero() {
		row.expires = g.ExpiresAt.UnixMicro()
	}
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		// Before the grant's row, so that two transactions wait in one order.
		if err := s.store.lockCold(ctx); err != nil {
			return err
		}
		added, err := s.store.addGrant(ctx, &row)
		if err != nil {
			return err
		}
		if !added {
			row.id, err = s.store.sameGrant(ctx, row)
			return err
		}
		t := transfer{kind: kindGrant, user: g.User, grant: int64(row.id), amount: row.amount, ref: g.Ref, cause: g.Cause, actor: g.Actor}
		if err := s.append(ctx, []transfer{t}); err != nil {
			return err
		}
		if g.Then != nil {
			if err := g.Then(ctx, row.id); err != nil {
				return err
			}
		}
		s.db.AfterCommit(ctx, func() { s.granted(row) })
		if s.tell != nil {
			if err := s.tell(ctx, Given{row.id, g.User, g.Source, g.Amount, g.ExpiresAt, now}); err != nil {
				return err
			}
		}
		return s.announceAway(ctx, g.User)
	})
	if err != nil {
		return 0, fmt.Errorf("grant %s: %w", g.Ref, err)
	}
	return row.id, nil
}

// append writes ts to the cold lane as one batch of its chain. The row of the
// lane, which lockCold has locked, lets one transaction at a time do this.
func (s *Service) append(ctx context.Context, ts []transfer) error {
	issued := int64(0)
	at := s.now().UnixMicro()
	for _, t := range ts {
		if t.kind == kindGrant {
			issued += t.amount
		}
	}
	h, err := s.store.advance(ctx, coldLane, int64(len(ts)), issued)
	if err != nil {
		return err
	}
	for i := range ts {
		ts[i].lane, ts[i].seq, ts[i].at = coldLane, h.first+int64(i), at
	}
	var hash hasher
	h.root = hash.root(ts)
	h.hash = hash.link(coldLane, h)
	p := &plan{at: at, head: h, transfers: ts}
	if err := s.store.addTransfers(ctx, coldLane, p); err != nil {
		return fmt.Errorf("write transfers: %w", err)
	}
	if err := s.store.addBatch(ctx, coldLane, h, at); err != nil {
		return fmt.Errorf("write batch: %w", err)
	}
	s.db.AfterCommit(ctx, func() { s.meters.movedAll(ts) })
	return s.store.setHash(ctx, coldLane, h.hash)
}

// Expire takes what is left of at most limit grants that have expired at now,
// and returns of how many. What open holds keep of them expires when they end.
// Run it every few minutes; nothing that has expired is usable before it ran.
func (s *Service) Expire(ctx context.Context, now time.Time, limit int) (int, error) {
	if err := s.store.dropCaps(ctx, now.Add(-capsKept).UnixMicro()); err != nil {
		return 0, err
	}
	due, err := s.store.dueGrants(ctx, now.UnixMicro(), limit)
	if err != nil {
		return 0, err
	}
	for i, g := range due {
		if i > 0 && due[i-1].user == g.user {
			continue
		}
		if err := s.Recall(ctx, g.user); err != nil {
			return 0, fmt.Errorf("expire: %w", err)
		}
	}
	if len(due) == 0 {
		return 0, nil
	}
	expired := 0
	err = s.db.InTx(ctx, func(ctx context.Context) error {
		expired = 0
		if err := s.store.lockCold(ctx); err != nil {
			return err
		}
		var ts []transfer
		for _, g := range due {
			left, part, err := s.store.takeLeft(ctx, g.id)
			if err != nil {
				return err
			}
			if left > 0 {
				expired++
			}
			for ; left > 0; part++ {
				t := transfer{
					kind: kindExpire, user: g.user, grant: g.id, amount: min(left, maxTransfer), ref: fmt.Sprintf("expire:%s", GrantID(g.id)),
					part: part, cause: "expired", actor: actorSystem,
				}
				ts = append(ts, t)
				left -= t.amount
			}
		}
		if len(ts) == 0 {
			return nil
		}
		return s.append(ctx, ts)
	})
	if err != nil {
		return 0, fmt.Errorf("expire: %w", err)
	}
	return expired, nil
}
