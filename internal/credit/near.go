package credit

import (
	"context"
	"errors"
	"fmt"

	"github.com/rephlo/rephlo/internal/money"
)

// Use is how far the credits of a cycle of somebody's plan are used.
type Use struct {
	User          string
	Grant         GrantID
	Percent       int64 // 75, 90 or 100: at least so much
	Granted, Used money.Credits

	known int64 // the percent of which somebody was told
}

// reached is the highest of the marks that are reached.
func (u Use) reached() int64 {
	for _, mark := range []int64{100, 90, 75} {
		// Both fit 64 bits: a grant is at most 10^17.
		if int64(u.Used) >= int64(u.Granted)/100*mark+int64(u.Granted)%100*mark/100 {
			return mark
		}
	}
	return 0
}

// useBatch is how many grants are looked at together.
const useBatch = 500

// TellUse calls tell once for each mark that a plan's running grant has reached
// since it was called for that grant last, the highest if there are several. It
// is called in the transaction that remembers it. A failure is returned when the
// others have been told. Run it every few minutes.
func (s *Service) TellUse(ctx context.Context, tell func(ctx context.Context, u Use) error) error {
	var errs []error
	for after := int64(0); ; {
		found, err := s.store.nearEmpty(ctx, s.now().UnixMicro(), after, useBatch)
		if err != nil {
			return fmt.Errorf("find plans that are used: %w", errors.Join(append(errs, err)...))
		}
		for _, u := range found {
			after = int64(u.Grant)
			if u.Percent = u.reached(); u.Percent <= u.known {
				continue
			}
			errs = append(errs, s.db.InTx(ctx, func(ctx context.Context) error {
				won, err := s.store.told(ctx, int64(u.Grant), u.Percent)
				if err != nil || !won {
					return err
				}
				return tell(ctx, u)
			}))
		}
		if len(found) < useBatch {
			return errors.Join(errs...)
		}
	}
}
