package credit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// While nothing can be written, neither gate opens.
func TestGatesWaitForTheCommit(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		w.grant("ada", "pay:1", 10*money.Credit, time.Time{})
		settled := w.reserve("ada", "call_1", money.Credit)
		if err := settled.Durable(t.Context()); err != nil {
			t.Fatal(err)
		}
		unlock := w.block()
		held := w.reserve("ada", "call_2", money.Credit)
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := held.Durable(short); !errors.Is(err, credit.ErrNotDurable) {
			t.Errorf("gate A without a commit: %v", err)
		}
		short, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := settled.Settle(short, outcome(settled, money.Credit)); !errors.Is(err, credit.ErrNotDurable) {
			t.Errorf("gate B without a commit: %v", err)
		}
		unlock()
		if err := held.Durable(t.Context()); err != nil {
			t.Error(err)
		}
		w.settle(settled, money.Credit)
		w.settle(held, 0)
		w.expect(9*money.Credit, 0)
	})
}

// A settlement deletes its open row, and is refused when that is not there, or
// holds less than the charge.
func TestAnEndingNeedsItsOpenRow(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		exec := func(q string) {
			t.Helper()
			if _, err := db.Q(t.Context()).ExecContext(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		w.grant("ada", "pay:1", 10*money.Credit, time.Time{})
		h := w.reserve("ada", "call_1", 2*money.Credit)
		if err := h.Durable(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, wrong := range [][2]string{
			{`UPDATE credit_hold SET ref = 'call_other'`, `UPDATE credit_hold SET ref = 'call_1'`},
			{`UPDATE credit_hold SET amount = 999999`, `UPDATE credit_hold SET amount = 2000000`},
		} {
			exec(wrong[0])
			if _, err := h.Settle(t.Context(), outcome(h, money.Credit)); !errors.Is(err, credit.ErrRefused) {
				t.Errorf("after %s: %v, want ErrRefused", wrong[0], err)
			}
			exec(wrong[1])
		}
		w.settle(h, money.Credit)
		w.expect(9*money.Credit, 0)
	})
}

// What was read before is looked at again by the statement that writes.
func TestWhatIsTakenIsStillThere(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		id := w.grant("ada", "pay:1", 10*money.Credit, time.Time{})
		h := w.reserve("ada", "call_1", 4*money.Credit)
		w.settle(h, 4*money.Credit)
		w.Idle()
		if err := w.Recall(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		if err := w.Debit(t.Context(), id, 6*money.Credit+1); !errors.Is(err, credit.ErrBusy) {
			t.Errorf("a debit of more than there is: %v, want ErrBusy", err)
		}
		if got, err := w.Cut(t.Context(), id, 6*money.Credit+1); err != nil || got != 0 {
			t.Errorf("a lease of more than there is: %s, %v; want nothing", got, err)
		}
		if got, err := w.Cut(t.Context(), id, 6*money.Credit); err != nil || got != 6*money.Credit {
			t.Errorf("a lease of what there is: %s, %v", got, err)
		}
	})
}

// A lane that was taken over takes nothing from its old owner, also before the
// new one has written a batch.
func TestALaneThatWasTakenIsFencedAtOnce(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		w.grant("ada", "pay:1", 10*money.Credit, time.Time{})
		h := w.reserve("ada", "call_1", money.Credit)
		if err := h.Durable(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := w.Seize(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Settle(t.Context(), outcome(h, money.Credit)); err == nil {
			t.Error("the old owner settled")
		}
		if w.Stats().Fenced == 0 {
			t.Error("nobody was fenced")
		}
		w.Crash()
		w.start("other", quiet)
		w.expect(10*money.Credit, 0)
	})
}
