package credit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// A charge is the price of its record, or the whole hold when that was too
// small: then the rest is noted, unless the caller was gone.
func TestVerifyComparesEachChargeWithItsPrice(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		w.grant("ada", "plan:1", 100*money.Credit, time.Time{})
		w.settle(w.reserve("ada", "call_fit", 5*money.Credit), 3*money.Credit)
		w.settle(w.reserve("ada", "call_over", 5*money.Credit), 7*money.Credit)
		w.settle(w.reserve("ada", "call_full", 5*money.Credit), 5*money.Credit)
		h := w.reserve("ada", "call_dead", 5*money.Credit)
		if err := h.Durable(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.Progress(5*money.Credit, []byte(`{}`))
		w.Idle()
		w.Crash()
		w.start("node", quiet) // settles the call at its whole hold
		for _, tt := range []struct {
			call  string
			price money.Credits
			want  string
		}{
			{"call_fit", 3 * money.Credit, ""},
			{"call_fit", 2 * money.Credit, "V6 call call_fit: charged 3.000000, by its usage record the price is 2.000000 and the hold was 5.000000 (lane 1, seq "},
			{"call_fit", 4 * money.Credit, "the price is 4.000000 and the hold was 5.000000"},
			{"call_over", 7 * money.Credit, ""},
			{"call_over", 8 * money.Credit, "V6 call call_over: charged 5.000000, by its usage record the price is 8.000000"},
			{"call_full", 6 * money.Credit, "V6 call call_full: charged 5.000000, by its usage record the price is 6.000000"},
			{"call_dead", 9 * money.Credit, ""},
			{"call_dead", 4 * money.Credit, "V6 call call_dead: charged 5.000000, by its usage record the price is 4.000000"},
		} {
			w.records.prices = map[string]money.Credits{tt.call: tt.price}
			var findings []string
			if _, err := w.Verify(t.Context(), credit.VerifyOptions{}, func(f credit.Finding) { findings = append(findings, f.String()) }); err != nil {
				t.Fatal(err)
			}
			text := strings.Join(findings, "\n")
			if tt.want == "" && text != "" || !strings.Contains(strings.ReplaceAll(text, "lane 2", "lane 1"), tt.want) {
				t.Errorf("%s at the price %s: found %q, want %q", tt.call, tt.price, text, tt.want)
			}
		}
		w.records.prices = nil
	})
}
