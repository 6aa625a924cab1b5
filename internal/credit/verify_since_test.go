package credit_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// A verification from a root on reads what is newer, and whatever that refers
// to, however old.
func TestVerifySinceARoot(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		call := func() string { w.clock.advance(time.Second); return id.New("call", w.clock.now()) }
		w.grant("ada", "plan:1", 100*money.Credit, time.Time{})
		w.grant("bob", "plan:2", 100*money.Credit, time.Time{})
		old := call()
		w.settle(w.reserve("ada", old, 3*money.Credit), 2*money.Credit)
		w.settle(w.reserve("bob", call(), 3*money.Credit), 2*money.Credit)
		across, still := w.reserve("ada", call(), 5*money.Credit), w.reserve("ada", call(), 6*money.Credit)
		for _, h := range []*credit.Hold{across, still} {
			if err := h.Durable(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		w.to(2, 8, 0)
		w.sign()
		w.settle(across, 4*money.Credit)
		young := call()
		w.settle(w.reserve("ada", young, 3*money.Credit), money.Credit)

		day := credit.VerifyOptions{Since: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
		verify := func() (credit.Summary, string) {
			var text []string
			s, err := w.Verify(t.Context(), day, func(f credit.Finding) { text = append(text, f.String()) })
			if err != nil {
				t.Error(err)
			}
			return s, strings.Join(text, "\n")
		}
		if s, text := verify(); text != "" || s.Transfers != 3 || s.Grants != 2 || s.OpenHolds != 1 {
			t.Errorf("a clean ledger: %+v\n%s", s, text)
		}
		w.Silence()
		disarm(t, db)
		for _, c := range []struct{ name, change, want string }{
			{"new charge changed", `UPDATE credit_transfer SET amount = 1500000 WHERE ref = '` + young + `' AND part = 1`, "V1 lane "},
			{"its record changed", `UPDATE test_record SET charged = 7 WHERE call_id = '` + young + `'`, "V6 call " + young + ": charged 1.000000, its usage record says 0.000007"},
			{"a record invented", `INSERT INTO test_record (call_id, charged) VALUES ('` + id.New("call", w.clock.now()) + `', 5)`, "charged 0.000000, its usage record says 0.000005"},
			{"record of an old call changed", `UPDATE test_record SET charged = 7 WHERE call_id = '` + across.Ref() + `'`, "V6 call " + across.Ref() + ": charged 4.000000, its usage record says 0.000007"},
			{"hold of an old call changed", `UPDATE credit_transfer SET amount = 3000000 WHERE ref = '` + across.Ref() + `' AND part = 0`, "V4 call " + across.Ref() + ": charge 4.000000 above its hold of 3.000000"},
			{"hold of an open call lost", `DELETE FROM credit_transfer WHERE ref = '` + still.Ref() + `'`, "V4 call " + still.Ref() + " has an open row but no open hold"},
			{"old charge of a touched grant changed", `UPDATE credit_transfer SET amount = 1500000 WHERE ref = '` + old + `' AND part = 1`, "debited 7.000000, transfers say 6.500000"},
			{"grant changed", `UPDATE credit_grant SET credited = credited + 1 WHERE user_id = 'ada'`, "V3 grant "},
			{"batch of the root changed", `UPDATE credit_batch SET hash = root WHERE lane = 0 AND batch = 2`, "is not what the root of 2026-03-01 says"},
			{"root changed", `UPDATE credit_root SET signature = prev`, "V1 root of 2026-03-01: its signature"},
		} {
			err := w.changed(c.change, func() error {
				if _, text := verify(); !strings.Contains(text, c.want) {
					t.Errorf("%s: found\n%s\nwant one with %q", c.name, text, c.want)
				}
				return nil
			})
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		day.Since = day.Since.AddDate(0, 0, 7)
		if _, err := w.Verify(t.Context(), day, func(credit.Finding) {}); !errors.Is(err, credit.ErrNoRoot) {
			t.Errorf("a day without a root: %v, want ErrNoRoot", err)
		}
		w.Crash()
		w.start("node", quiet)
	})
}
