package credit

import (
	"context"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/money"
)

// Line is one line of a user's history. A hold has none: its ending tells of
// it.
type Line struct {
	ID           string // of the transfer: lane and number
	Kind         string
	Grant        GrantID
	Amount       money.Credits // of the transfer, above 0
	Change       money.Credits // of the balance: below 0 when credits left it, 0 for a release
	BalanceAfter money.Credits // the sum of what all grants had left then
	Ref, Cause   string        // the call or what else caused it; a word for why
	Actor        string
	At           time.Time
}

// Filter narrows a history.
type Filter struct {
	Kind string   // one kind of transfer; empty: all
	Refs []string // of these calls or other causes, at most 256; nil: all
}

// Position is where a page of a history ended. The balance travels with it, so
// that a deep page costs what the first does.
type Position struct {
	At      int64 `json:"a"`
	Lane    int64 `json:"l"`
	Seq     int64 `json:"s"`
	Balance int64 `json:"b"` // after the line that follows
}

// History returns at most limit lines of the user's history, newest first,
// from after on (nil: from now), and where it ended; nil when there are no more.
// Each call is one consistent reading. With a filter BalanceAfter is still that
// after the line, and a page may be short, or empty, although there are more.
func (s *Service) History(ctx context.Context, user string, f Filter, after *Position, limit int) (lines []Line, next *Position, err error) {
	err = s.db.ReadTx(ctx, func(ctx context.Context) error {
		lines, next, err = s.history(ctx, user, f, after, limit)
		return err
	})
	return lines, next, err
}

// historyStep is how many transfers one statement of a filtered history reads,
// and historyLooks how many a page reads at most: a page that finds few is
// short, or empty, and where it ended goes on.
const (
	historyStep  = 512
	historyLooks = 8 * historyStep
)

func (s *Service) history(ctx context.Context, user string, f Filter, after *Position, limit int) ([]Line, *Position, error) {
	at, oldest, err := s.historyStart(ctx, user, f, after)
	if err != nil {
		return nil, nil, err
	}
	lines := make([]Line, 0, limit)
	step, looked := min(historyStep, s.looks), 0
	if f.Kind == "" && f.Refs == nil {
		step = limit + 1
	}
	for {
		ts, err := s.store.historyPage(ctx, user, at, step)
		if err != nil {
			return nil, nil, err
		}
		for _, t := range ts {
			if t.at < oldest {
				return lines, nil, nil
			}
			if len(lines) == limit {
				return lines, &at, nil
			}
			l := line(t, at.Balance)
			at = Position{At: t.at, Lane: t.lane, Seq: t.seq, Balance: at.Balance - int64(l.Change)}
			if f.takes(t) {
				lines = append(lines, l)
			}
		}
		if len(ts) < step {
			return lines, nil, nil
		}
		if looked += len(ts); looked >= s.looks {
			return lines, &at, nil
		}
	}
}

// historyStart returns where a history goes on: after a position, or else at the
// end; when it is of some calls or causes only, at their newest transfer. There
// is nothing to find before oldest.
func (s *Service) historyStart(ctx context.Context, user string, f Filter, after *Position) (at Position, oldest int64, err error) {
	newest := never
	if f.Refs != nil {
		if newest, oldest, err = s.timesOf(ctx, user, f.Refs); err != nil {
			return at, 0, err
		}
	}
	if after != nil {
		return *after, oldest, nil
	}
	balance, err := s.store.left(ctx, user)
	at = Position{At: never, Lane: never, Seq: never, Balance: balance}
	if err != nil || newest == never {
		return at, oldest, err
	}
	sums, err := s.store.kindSumsBetween(ctx, user, newest+1, never)
	if err != nil {
		return at, 0, err
	}
	for k, sum := range sums {
		t := transfer{kind: k, amount: sum}
		at.Balance -= t.change()
	}
	at.At, at.Lane, at.Seq = newest+1, 0, 0
	return at, oldest, nil
}

// timesOf returns when the newest and the oldest of the user's transfers with
// these references were; never, twice, when there are none.
func (s *Service) timesOf(ctx context.Context, user string, refs []string) (newest, oldest int64, err error) {
	newest, oldest = -1, never
	if len(refs) == 0 {
		return never, never, nil
	}
	ts, err := s.store.transfersOf(ctx, refs)
	for _, t := range ts {
		if t.user == user {
			newest, oldest = max(newest, t.at), min(oldest, t.at)
		}
	}
	if newest < 0 {
		newest = never
	}
	return newest, oldest, err
}

func (f Filter) takes(t transfer) bool {
	if f.Kind != "" && f.Kind != string(t.kind) {
		return false
	}
	return f.Refs == nil || slices.Contains(f.Refs, t.ref)
}

func line(t transfer, balance int64) Line {
	return Line{
		ID: lineID(t.lane, t.seq), Kind: string(t.kind), Grant: GrantID(t.grant), Amount: money.Credits(t.amount),
		Change: money.Credits(t.change()), BalanceAfter: money.Credits(balance), Ref: t.ref, Cause: t.cause, Actor: t.actor,
		At: time.UnixMicro(t.at).UTC(),
	}
}

// change returns what t does to its user's balance.
func (t *transfer) change() int64 {
	switch t.kind {
	case kindGrant, kindRolloverIn, kindReversal:
		return t.amount
	case kindCharge, kindExpire, kindRolloverOut, kindAdjust, kindClawback:
		return -t.amount
	case kindHold, kindRelease:
	}
	return 0
}

// Parts returns what a call was charged and from which grants. An open call or
// an unknown one has none.
func (s *Service) Parts(ctx context.Context, user, call string) ([]Part, error) {
	ts, err := s.store.effects(ctx, call)
	if err != nil {
		return nil, err
	}
	var out []Part
	held := map[int64]int64{}
	for _, t := range ts {
		switch {
		case t.user != user:
		case t.kind == kindHold:
			held[t.part] = t.amount
		case t.kind == kindCharge:
			out = append(out, Part{Grant: GrantID(t.grant), Held: money.Credits(held[t.part-1]), Charged: money.Credits(t.amount)})
		}
	}
	return out, nil
}

// Reconcile returns the sum of what the user's transfers did and what the
// grants have left: the same, or something is wrong.
func (s *Service) Reconcile(ctx context.Context, user string) (ledger, balance money.Credits, err error) {
	err = s.db.ReadTx(ctx, func(ctx context.Context) error {
		sums, err := s.store.kindSums(ctx, user)
		if err != nil {
			return err
		}
		for k, sum := range sums {
			t := transfer{kind: k, amount: sum}
			ledger += money.Credits(t.change())
		}
		left, err := s.store.left(ctx, user)
		balance = money.Credits(left)
		return err
	})
	return ledger, balance, err
}

// Happened reports whether something has happened under this reference.
func (s *Service) Happened(ctx context.Context, ref string) (bool, error) {
	done, err := s.store.effects(ctx, ref)
	if err != nil || len(done) > 0 {
		return len(done) > 0, err
	}
	missing, err := s.store.uncollected(ctx, ref)
	return missing > 0, err
}

// GrantState is one grant as its user sees it.
type GrantState struct {
	ID                   GrantID
	Source               Source
	Amount, Remaining    money.Credits // Amount: everything that was ever put in
	Held                 money.Credits
	Frozen               bool
	ExpiresAt, CreatedAt time.Time // ExpiresAt zero: never
}

// Grants returns the user's grants, newest first, at most limit from before on
// (0: the newest). active leaves out what has expired or is used up; source,
// unless empty, all others.
func (s *Service) Grants(ctx context.Context, user string, source Source, active bool, before GrantID, limit int) ([]GrantState, error) {
	now := int64(0)
	if active {
		now = s.now().UnixMicro()
	}
	return s.store.grantList(ctx, user, string(source), now, int64(before), limit)
}

// OpenHold is a hold without an ending.
type OpenHold struct {
	Call, User string
	Amount     money.Credits
	Progress   money.Credits
	RenewedAt  time.Time
}

// OpenHolds returns at most limit open holds, those that were renewed longest
// ago first.
func (s *Service) OpenHolds(ctx context.Context, limit int) ([]OpenHold, error) {
	return s.store.openHolds(ctx, limit)
}
