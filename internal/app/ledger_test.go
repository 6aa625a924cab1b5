package app

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/usage"
)

// What is wrong in the ledger becomes an error in the log, and nothing is
// changed.
func TestTheLedgerIsVerified(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t, dbtest.SQLite(t))
	now := time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	var log bytes.Buffer
	core := &Core{DB: db, Now: clock, Log: slog.New(slog.NewTextHandler(&log, nil))}
	records := usage.New(usage.Needs{DB: db, Now: clock})
	credits := credit.New(credit.Needs{DB: db, Log: core.Log, Now: clock, Records: records})
	if _, err := credits.Grant(t.Context(), credit.NewGrant{User: "ada", Source: credit.Pack, Ref: "pay:1", Amount: money.Credit}); err != nil {
		t.Fatal(err)
	}
	run := func() string {
		t.Helper()
		log.Reset()
		if err := verifyLedger(t.Context(), core, credits); err != nil {
			t.Fatal(err)
		}
		return log.String()
	}
	if text := run(); !strings.Contains(text, `msg="ledger verified" transfers=1`) || strings.Contains(text, "ERROR") {
		t.Errorf("the first run logs %q", text)
	}
	const invent = `UPDATE credit_grant SET credited = credited + 1`
	if _, err := db.Q(t.Context()).ExecContext(t.Context(), invent); err != nil {
		t.Fatal(err)
	}
	text := run()
	if !strings.Contains(text, "level=ERROR msg=LedgerInvariantBroken check=V3 finding=\"grant grt_") || !strings.Contains(text, "findings=2") {
		t.Errorf("the next run logs %q", text)
	}
	if again := run(); strings.Count(again, "LedgerInvariantBroken") != strings.Count(text, "LedgerInvariantBroken") {
		t.Errorf("a finding was repaired, or found twice: %q after %q", again, text)
	}
}
