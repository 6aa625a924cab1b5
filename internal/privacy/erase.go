package privacy

import (
	"context"
	"errors"
	"fmt"

	"github.com/rephlo/rephlo/internal/personal"
)

// eraseBatch is how many people one look finds.
const eraseBatch = 100

// Erase forgets everybody whose time to come back is over. Each part forgets in
// a transaction of its own, the account last: who was forgotten half when a
// process ended is found again. Run it every hour.
func (s *Service) Erase(ctx context.Context) error {
	var errs []error
	for {
		people, err := s.Leavers(ctx, eraseBatch)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		failed := len(errs)
		for _, p := range people {
			if err := s.forget(ctx, p); err != nil {
				errs = append(errs, fmt.Errorf("erase %s: %w", p.ID, err))
			}
		}
		// Who fails would be found again at once.
		if len(people) < eraseBatch || len(errs) > failed || ctx.Err() != nil {
			return errors.Join(errs...)
		}
	}
}

func (s *Service) forget(ctx context.Context, p personal.Person) error {
	if err := s.store.forget(ctx, p.ID); err != nil {
		return err
	}
	last := len(s.Parts) - 1
	for _, part := range s.Parts[:last] {
		if err := s.DB.InTx(ctx, func(ctx context.Context) error { return part.Erase(ctx, p) }); err != nil {
			return fmt.Errorf("%T: %w", part, err)
		}
	}
	return s.DB.InTx(ctx, func(ctx context.Context) error {
		if err := s.Parts[last].Erase(ctx, p); err != nil {
			return err
		}
		return s.Erased(ctx, p)
	})
}
