package ledgerfill_test

import (
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/bench/ledgerfill"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/usage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What is written is a ledger: nothing is wrong with it, also not after the
// service has resolved the open holds.
func TestAFilledLedgerVerifies(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		until := time.Date(2026, 3, 21, 0, 0, 0, 0, time.UTC)
		now := func() time.Time { return until.Add(time.Hour) }
		got, err := ledgerfill.Fill(t.Context(), db, ledgerfill.Options{Transfers: 20_000, Open: 30, Seed: 7, Node: "node", Until: until})
		if err != nil {
			t.Fatal(err)
		}
		records := usage.New(usage.Needs{DB: db, Now: now})
		s := credit.New(credit.Needs{DB: db, Log: slog.New(slog.DiscardHandler), Now: now, Node: "node", Records: records})
		verify := func() credit.Summary {
			t.Helper()
			sum, err := s.Verify(t.Context(), credit.VerifyOptions{}, func(f credit.Finding) { t.Error(f) })
			if err != nil {
				t.Fatal(err)
			}
			return sum
		}
		sum := verify()
		if sum.Transfers < 20_000 || int(sum.Transfers) != got.Transfers || sum.OpenHolds != 30 || got.Open != 30 || int(sum.Grants) != got.Grants {
			t.Errorf("%+v was read, %+v written", sum, got)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if sum := verify(); sum.OpenHolds != 0 {
			t.Errorf("%d holds are open after the start", sum.OpenHolds)
		}
	})
}
