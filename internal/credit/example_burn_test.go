package credit_test

import (
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// The example of section 4.2 of the product specification: a charge of 200 on 10
// March 2026 leaves 1,970.
func TestAChargeUsesWhatIsLostFirst(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		w.clock.advance(time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC).Sub(w.clock.now()))
		for _, g := range []struct {
			source  credit.Source
			whole   int64
			expires time.Time
		}{
			{credit.Pack, 500, time.Date(2027, 1, 10, 0, 0, 0, 0, time.UTC)},
			{credit.Plan, 1500, time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)},
			{credit.Rollover, 120, time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)},
			{credit.Bonus, 50, time.Date(2026, 3, 20, 0, 0, 0, 0, time.UTC)},
		} {
			w.give(credit.NewGrant{Source: g.source, Ref: "example:" + string(g.source), Amount: money.Credits(g.whole) * money.Credit, ExpiresAt: g.expires})
		}
		w.settle(w.reserve("ada", "call_example", 200*money.Credit), 200*money.Credit)
		b, err := w.Balance(t.Context(), "ada")
		if err != nil || b.Available != 1970*money.Credit || len(b.Buckets) != 2 || b.Buckets[0].Source != credit.Plan ||
			b.Buckets[0].Remaining != 1470*money.Credit || b.Buckets[1].Remaining != 500*money.Credit {
			t.Errorf("%+v, %v; want 1,470 of the plan and the pack", b, err)
		}
	})
}
