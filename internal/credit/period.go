package credit

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/money"
)

// GrantPeriod is what was done with one grant in some time.
type GrantPeriod struct {
	Grant  GrantID
	Source Source
	Used   money.Credits // charged by calls, less what was given back of that
	// Limit is what could be used of it then: what it had at the beginning, and
	// what was put in.
	Limit money.Credits
}

// GrantsIn returns what was done in [from, until) with each of the user's grants
// that could be used then, read in one statement. It reads the transfers from
// from on, so a time long ago takes longer.
func (s *Service) GrantsIn(ctx context.Context, user string, from, until time.Time) ([]GrantPeriod, error) {
	return s.store.grantsIn(ctx, user, from.UnixMicro(), until.UnixMicro())
}
