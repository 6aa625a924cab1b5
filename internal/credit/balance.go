package credit

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/money"
)

// Balance is a user's credits at one instant. Grants that have expired are not
// in it; an unknown user has zero.
type Balance struct {
	Granted money.Credits // of all grants that count
	Used    money.Credits // of them
	Held    money.Credits // set aside for open calls
	Frozen  money.Credits // not usable for now
	// Available is Granted - Used - Held - Frozen: what a new call can reserve.
	Available money.Credits
	Buckets   []Bucket // in the order in which they are used; empty ones are left out
	// Start and End are the newest plan grant's; both are zero without one, End
	// also when it does not expire.
	Start, End time.Time
}

// Bucket is one grant.
type Bucket struct {
	Grant     GrantID
	Source    Source
	Remaining money.Credits // with what is held of it
	ExpiresAt time.Time     // zero: never
}

// Balance reads the user's balance from the database in one statement.
func (s *Service) Balance(ctx context.Context, user string) (Balance, error) {
	rows, err := s.store.grantsOf(ctx, user, s.now().UnixMicro())
	if err != nil {
		return Balance{}, err
	}
	var (
		b      Balance
		newest int64
	)
	for _, g := range rows {
		left := g.credited - g.debited - g.spent
		b.Granted += money.Credits(g.credited)
		b.Used += money.Credits(g.debited + g.spent)
		b.Held += money.Credits(g.held)
		if g.frozen {
			b.Frozen += money.Credits(left - g.held)
		}
		if left > 0 {
			b.Buckets = append(b.Buckets, Bucket{Grant: g.id, Source: g.source, Remaining: money.Credits(left), ExpiresAt: expiryTime(g.expires)})
		}
		if g.source == Plan && g.granted > newest {
			newest = g.granted
			b.Start, b.End = time.UnixMicro(g.granted).UTC(), expiryTime(g.expires)
		}
	}
	b.Available = b.Granted - b.Used - b.Held - b.Frozen
	return b, nil
}

func expiryTime(micros int64) time.Time {
	if micros == never {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
