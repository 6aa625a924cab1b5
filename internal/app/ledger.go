package app

import (
	"context"

	"github.com/rephlo/rephlo/internal/credit"
)

// maxLogged bounds how many findings of one verification are logged.
const maxLogged = 20

// verifyLedger verifies the whole ledger. What is wrong is logged as an error
// and left as it is: nothing repairs money by itself.
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
