package credit_test

import (
	"errors"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// The answer to a commit was lost: the same batch sent again finds that it is
// there, and a lane that was taken over is told apart from that.
func TestALostCommitAnswerIsResolved(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		w.noRecords = true
		w.grant("ada", "pay:1", 10*money.Credit, time.Time{})
		h := w.reserve("ada", "call_1", money.Credit)
		if err := h.Durable(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.Silence()
		first, again, fenced := w.EndThrice(t.Context(), h)
		if first != nil || again != nil || !errors.Is(fenced, credit.ErrFenced) {
			t.Errorf("first %v, again %v, after a take-over %v; want nil, nil, fenced", first, again, fenced)
		}
		w.Crash()
		w.start("other", quiet)
		w.expect(10*money.Credit-1, 0)
	})
}

// What a call returns after a recall is not spent before the grant that the
// recall was for.
func TestARefundDoesNotJumpTheQueue(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		w.grant("ada", "pay:1", 10*money.Credit, time.Time{})
		h := w.reserve("ada", "call_1", 5*money.Credit)
		soon := w.grant("ada", "plan:1", 10*money.Credit, w.clock.now().Add(time.Hour))
		w.settle(h, 0)
		if r := w.settle(w.reserve("ada", "call_2", money.Credit), money.Credit); len(r.Parts) != 1 || r.Parts[0].Grant != soon {
			t.Errorf("paid by %v, want %s", r.Parts, soon)
		}
	})
}
