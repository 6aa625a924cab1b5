package grant

import (
	"context"
	"time"
)

// App is a client that a user has let in.
type App struct {
	ClientID  string
	Scopes    []string
	AllowedAt time.Time
	// LastUsedAt is when it last got tokens; zero if that is not known.
	LastUsedAt time.Time
}

// Apps returns the clients that a user has let in: those with a consent, and
// those that are signed in without one, as parts of this service are. The newest
// come first.
func (s *Service) Apps(ctx context.Context, userID string) ([]App, error) {
	return s.store.apps(ctx, userID, s.now())
}
