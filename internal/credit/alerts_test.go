package credit_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/obs"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// A rule on a metric that does not exist never fires, and nobody notices.
func TestEveryAlertNamesAMetricThatExists(t *testing.T) {
	t.Parallel()
	rules, err := os.ReadFile("../../docs/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	db := dbtest.Open(t, dbtest.SQLite(t))
	w := &world{t: t, db: db, records: newRecords(t, db), clock: newClock(), metrics: obs.NewMetrics("test")}
	w.start("node", quiet)
	t.Cleanup(func() { w.stop(); w.clean() })
	w.to(2, 12, 0)
	w.grant("ada", "plan:1", money.Credit, time.Time{})
	w.to(3, 1, 0)
	if w.sign() != 1 {
		t.Fatal("no root was made")
	}
	if _, err := w.Verify(t.Context(), credit.VerifyOptions{}, func(f credit.Finding) { t.Error(f) }); err != nil {
		t.Fatal(err)
	}
	shown := shows(w.metrics)
	names := regexp.MustCompile(`rephlo_[a-z_]+(\{[a-z]+="[a-z]+"\})?`).FindAllString(string(rules), -1)
	if len(names) < 9 {
		t.Fatalf("only %d metrics in the rules: %v", len(names), names)
	}
	for _, name := range names {
		if !strings.Contains(shown, "\n"+strings.TrimSuffix(name, "}")) {
			t.Errorf("%s is in the rules, but no metric:\n%s", name, shown)
		}
	}
}
