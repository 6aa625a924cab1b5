package credit

import (
	"context"
	"math/bits"
	"time"

	"github.com/rephlo/rephlo/internal/money"
)

// SourceTotals is what all grants of one source that a user ever got add up to.
type SourceTotals struct {
	Granted money.Credits // with grants that have expired
	Used    money.Credits // of all of them: charged, expired or taken back
	// Remaining is what is left of grants that have not expired, with what open
	// calls hold of it.
	Remaining money.Credits
	// RunningUsed is what was used of the grants that have not expired.
	RunningUsed money.Credits
	NextExpiry  time.Time // of a grant of which something is left; zero: none expires
}

// BySource returns the totals of each source from which the user has ever had
// credits, read in one statement.
func (s *Service) BySource(ctx context.Context, user string) (map[Source]SourceTotals, error) {
	return s.store.bySource(ctx, user, s.now().UnixMicro())
}

// forecastSpan is how far back Forecast looks.
const forecastSpan = 7 * 24 * time.Hour

// Forecast returns when the available credits will be used up if the user goes
// on as in the last seven days, and false if nothing was charged in them or it
// would take longer than ten years.
func (s *Service) Forecast(ctx context.Context, user string, available money.Credits) (time.Time, bool, error) {
	now := s.now()
	spent, recent, err := s.store.charged(ctx, user, now.Add(-forecastSpan).UnixMicro(), never)
	spent += recent
	if err != nil || spent <= 0 {
		return time.Time{}, false, err
	}
	const tenYears = 10 * 365 * 24 * 3600
	hi, lo := bits.Mul64(uint64(max(available, 0)), uint64(forecastSpan/time.Second))
	if hi >= uint64(spent) {
		return time.Time{}, false, nil
	}
	left, _ := bits.Div64(hi, lo, uint64(spent))
	if left > tenYears {
		return time.Time{}, false, nil
	}
	return now.UTC().Truncate(time.Second).Add(time.Duration(left) * time.Second), true, nil
}
