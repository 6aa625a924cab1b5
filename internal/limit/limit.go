package limit

import (
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/tier"
)

// Faults of overrides.
var (
	ErrUnknown = fault.New(fault.NotFound, "not_found", "This person has the limits of their tier.")
	ErrNothing = fault.New(fault.Unprocessable, "validation_error", "Name at least one limit.")
	ErrPast    = fault.New(fault.Unprocessable, "validation_error", "The end must be in the future.").At("expiresAt")
)

// Override is what somebody has in place of the limits of their tier. A limit of
// 0 is the tier's.
type Override struct {
	UserID             string
	RequestsPerMinute  int64
	TokensPerMinute    int64
	ConcurrentRequests int64
	CreditsPerDay      money.Credits
	Reason, By         string
	At, ExpiresAt      time.Time // ExpiresAt is zero: until it is taken back
}

// Active reports whether o counts at the time now.
func (o Override) Active(now time.Time) bool { return o.ExpiresAt.IsZero() || now.Before(o.ExpiresAt) }

// empty reports whether o changes no limit.
func (o Override) empty() bool {
	return o.RequestsPerMinute|o.TokensPerMinute|o.ConcurrentRequests|int64(o.CreditsPerDay) == 0
}

// Over returns t with the limits of o.
func (o Override) Over(t *tier.Tier) *tier.Tier {
	own := *t
	for to, limit := range map[*int64]int64{
		&own.RequestsPerMinute: o.RequestsPerMinute, &own.TokensPerMinute: o.TokensPerMinute, &own.ConcurrentRequests: o.ConcurrentRequests,
	} {
		if limit > 0 {
			*to = limit
		}
	}
	if o.CreditsPerDay > 0 {
		own.CreditsPerDay = o.CreditsPerDay
	}
	return &own
}
