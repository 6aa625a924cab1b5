package credit

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
)

// lookup is how many keys one statement looks up.
const lookup = 256

// keys returns refs as arguments, the last one as often as needed.
func keys(refs []string) []any {
	args := make([]any, lookup)
	for i := range args {
		args[i] = refs[min(i, len(refs)-1)]
	}
	return args
}

// lookupArgs is "$1, $2, …, $256".
var lookupArgs = func() string {
	var b strings.Builder
	for i := range lookup {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("$" + strconv.Itoa(i+1))
	}
	return b.String()
}()

var (
	sumsSQL = `SELECT grant_id, kind, CAST(SUM(amount) AS BIGINT) FROM credit_transfer
		WHERE kind <> 'hold' AND user_id IN (` + lookupArgs + `) GROUP BY grant_id, kind`
	callsSQL  = `SELECT ` + transferColumns + ` FROM credit_transfer WHERE ref IN (` + lookupArgs + `) ORDER BY ref, part`
	debitsSQL = `SELECT ref, CAST(SUM(amount) AS BIGINT) FROM credit_transfer
		WHERE kind IN ('charge', 'clawback', 'adjust') AND ref IN (` + lookupArgs + `) GROUP BY ref`
	factsSQL = `SELECT ref, kind, cause, user_id, amount, lane, seq FROM credit_transfer
		WHERE ref IN (` + lookupArgs + `) ORDER BY ref, part`
	oversSQL = `SELECT ref, CAST(SUM(amount) AS BIGINT) FROM credit_uncollected
		WHERE cause = 'overrun' AND ref IN (` + lookupArgs + `) GROUP BY ref`
)

// debitsOf returns what the transfers with these refs took, at most lookup.
func (s store) debitsOf(ctx context.Context, refs []string) (map[string]int64, error) {
	return s.sumsOf(ctx, debitsSQL, refs)
}

func (s store) sumsOf(ctx context.Context, query string, refs []string) (map[string]int64, error) {
	out := map[string]int64{}
	err := s.each(ctx, "sums by reference", func(r *sql.Rows) error {
		var ref string
		var sum int64
		err := r.Scan(&ref, &sum)
		out[ref] = sum
		return err
	}, query, keys(refs)...)
	return out, err
}

// callFact is what the ledger says about one call.
type callFact struct {
	user       string
	held, over int64 // over: above the hold, uncollected
	lane, seq  int64 // its last transfer
	orphan     bool  // it was ended without its caller
}

// callFacts returns the facts of at most lookup calls.
func (s store) callFacts(ctx context.Context, calls []string) (map[string]callFact, error) {
	out := map[string]callFact{}
	err := s.each(ctx, "transfers of calls", func(r *sql.Rows) error {
		var t transfer
		if err := r.Scan(&t.ref, &t.kind, &t.cause, &t.user, &t.amount, &t.lane, &t.seq); err != nil {
			return err
		}
		f := out[t.ref]
		f.user, f.lane, f.seq = t.user, t.lane, t.seq
		if t.kind == kindHold {
			f.held += t.amount
		} else if c := Ending(t.cause); c == Recovered || c == Forgotten {
			f.orphan = true
		}
		out[t.ref] = f
		return nil
	}, factsSQL, keys(calls)...)
	if err != nil {
		return nil, err
	}
	overs, err := s.sumsOf(ctx, oversSQL, calls)
	for ref, over := range overs {
		f := out[ref]
		f.over = over
		out[ref] = f
	}
	return out, err
}

// transfersOf returns the transfers with these refs, at most lookup of these,
// by reference and part.
func (s store) transfersOf(ctx context.Context, refs []string) ([]transfer, error) {
	return collect(ctx, s, "transfers by reference", scanTransfer, callsSQL, keys(refs)...)
}

// sumsOfUsers returns what all transfers of at most lookup users say about
// their grants.
func (s store) sumsOfUsers(ctx context.Context, users []string) (map[int64]grantSums, error) {
	out := map[int64]grantSums{}
	err := s.each(ctx, "sums of users", func(r *sql.Rows) error {
		var grant, amount int64
		var k kind
		if err := r.Scan(&grant, &k, &amount); err != nil {
			return err
		}
		g := out[grant]
		switch k { //nolint:exhaustive // holds and releases move nothing
		case kindGrant, kindRolloverIn, kindReversal:
			g.in += amount
		case kindCharge, kindExpire, kindRolloverOut, kindAdjust, kindClawback:
			g.out += amount
		}
		out[grant] = g
		return nil
	}, sumsSQL, keys(users)...)
	return out, err
}

// batchAt returns one batch.
func (s store) batchAt(ctx context.Context, lane, batch int64) (batchRow, bool, error) {
	const q = selectBatches + `WHERE lane = $1 AND batch = $2`
	rows, err := collect(ctx, s, "batch", scanBatch, q, lane, batch)
	if err != nil || len(rows) == 0 {
		return batchRow{}, false, err
	}
	return rows[0], true, nil
}
