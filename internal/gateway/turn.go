package gateway

import (
	"context"
	"errors"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/gateway/turn"
)

const (
	inFlight    = 512  // calls at once, unless said otherwise
	mostWaiting = 1024 // for a place among them; a head each, since bodies are read later
)

// wait gets a call a place among those in flight when all are taken: in its
// turn, by the weight of its caller's tier.
func (s *Service) wait(ctx context.Context, actor access.Actor) error {
	err := s.turns.Enter(ctx, s.planOf(actor.UserID).PriorityWeight)
	if errors.Is(err, turn.ErrSent) {
		return ErrOverloaded
	}
	return err
}
