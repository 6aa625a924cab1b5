package credit

import (
	"context"
	"fmt"
	"time"
)

// ExtendPlan moves the end of the user's plan and rollover grants that end at
// since or later and before until to until, in the transaction that ctx carries
// or in its own: while a renewal is unpaid they stay usable. What has expired
// meanwhile is usable again, unless Expire has taken it.
func (s *Service) ExtendPlan(ctx context.Context, user string, since, until time.Time) error {
	return s.planEnds(ctx, user, func(ctx context.Context) error {
		return s.store.movePlanEnds(ctx, user, since.UnixMicro(), until.UnixMicro(), until.UnixMicro())
	})
}

// EndPlan ends the user's plan and rollover grants now, frozen ones too, in the
// transaction that ctx carries or in its own. Open holds keep what is theirs.
func (s *Service) EndPlan(ctx context.Context, user string) error {
	now := s.now().UnixMicro()
	return s.planEnds(ctx, user, func(ctx context.Context) error {
		if err := s.store.thawPlan(ctx, user); err != nil {
			return err
		}
		return s.store.movePlanEnds(ctx, user, now, never, now)
	})
}

func (s *Service) planEnds(ctx context.Context, user string, do func(ctx context.Context) error) error {
	err := s.change(ctx, user, func(ctx context.Context) ([]transfer, error) { return nil, do(ctx) })
	if err != nil {
		return fmt.Errorf("move the end of plan credits: %w", err)
	}
	return nil
}
