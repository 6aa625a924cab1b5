package app

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
)

// verifyAfter is how long after midnight, UTC, the ledger is verified: the
// roots of the day before are signed by then, and few calls run.
const verifyAfter = 2 * time.Hour

// maxLogged bounds how many findings of one verification are logged.
const maxLogged = 20

// nightly returns a chore that verifies the whole ledger once a day. What is
// wrong is logged as an error and left as it is: nothing repairs money by
// itself. A restart verifies again.
func (s *Server) nightly() func(context.Context) error {
	var done time.Time // the day that was verified
	return func(ctx context.Context) error {
		day := s.core.Now().Add(-verifyAfter).UTC().Truncate(24 * time.Hour)
		if !day.After(done) {
			return nil
		}
		if err := verifyLedger(ctx, s.core, s.domains.Credits); err != nil {
			return err
		}
		done = day
		return nil
	}
}

func verifyLedger(ctx context.Context, core *Core, credits *credit.Service) error {
	began, logged := core.Now(), 0
	sum, err := credits.Verify(ctx, credit.VerifyOptions{}, func(f credit.Finding) {
		if logged++; logged <= maxLogged {
			core.Log.ErrorContext(ctx, "LedgerInvariantBroken", "check", f.Check, "finding", f.Text)
		}
	})
	if err != nil {
		return err
	}
	if sum.Findings > maxLogged {
		core.Log.ErrorContext(ctx, "LedgerInvariantBroken", "findings", sum.Findings, "logged", maxLogged)
	}
	core.Log.InfoContext(ctx, "ledger verified", "transfers", sum.Transfers, "grants", sum.Grants, "open_holds", sum.OpenHolds,
		"findings", sum.Findings, "head", sum.Head, "took", core.Now().Sub(began))
	return nil
}
