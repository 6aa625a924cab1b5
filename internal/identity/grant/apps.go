package grant

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/money"
)

// App is a client that a user has let in.
type App struct {
	ClientID  string
	Scopes    []string
	AllowedAt time.Time
	// LastUsedAt is when it last got tokens; zero if that is not known.
	LastUsedAt time.Time
	// CreditsPerMonth is what it may spend in a calendar month (UTC); 0: no limit.
	CreditsPerMonth money.Credits
}

// Apps returns the clients that a user has let in: those with a consent, and
// those that are signed in without one, as parts of this service are. The newest
// come first.
func (s *Service) Apps(ctx context.Context, userID string) ([]App, error) {
	return s.store.apps(ctx, userID, s.now())
}
