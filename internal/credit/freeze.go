package credit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
)

// Freeze is why a grant may not be used for now. A grant can be frozen for both
// reasons; each is lifted by its own Thaw.
type Freeze int64

// The reasons.
const (
	FreezeSuspended Freeze = 1 // the subscription is suspended
	FreezeDispute   Freeze = 2 // its payment is disputed
)

// ErrNoGrant says that there is no such grant.
var ErrNoGrant = fault.New(fault.NotFound, "not_found", "There is no such grant.")

// Freeze makes grants unusable for new holds, on every process as soon as it
// has heard of it, and keeps them from expiring, in the transaction that ctx
// carries or in its own. Open holds keep what is theirs. A grant that is frozen
// for this reason already stays as it is.
func (s *Service) Freeze(ctx context.Context, ids []GrantID, why Freeze) error {
	return s.setFrozen(ctx, ids, why, func(ctx context.Context, id int64) error {
		return s.store.freeze(ctx, id, int64(why), s.now().UnixMicro())
	})
}

// Thaw lifts one reason. With addTime, and when no other reason is left, the
// time that the grant was frozen is added to its life.
func (s *Service) Thaw(ctx context.Context, ids []GrantID, why Freeze, addTime bool) error {
	return s.setFrozen(ctx, ids, why, func(ctx context.Context, id int64) error {
		return s.store.thaw(ctx, id, int64(why), s.now().UnixMicro(), addTime)
	})
}

func (s *Service) setFrozen(ctx context.Context, ids []GrantID, why Freeze, set func(ctx context.Context, id int64) error) error {
	if why != FreezeSuspended && why != FreezeDispute {
		return fmt.Errorf("freeze: %w", ErrInvalid)
	}
	return s.eachGrant(ctx, ids, set)
}

// SetExpiry moves the end of a grant, in the transaction that ctx carries or in
// its own. at is in the future; zero means never. What open holds keep is not
// touched.
func (s *Service) SetExpiry(ctx context.Context, id GrantID, at time.Time) error {
	micros := never
	if !at.IsZero() {
		if !at.After(s.now()) {
			return fmt.Errorf("set the expiry of %s: %w", id, ErrInvalid.Saying("The new end must be in the future.").At("expiresAt"))
		}
		micros = at.UnixMicro()
	}
	return s.eachGrant(ctx, []GrantID{id}, func(ctx context.Context, id int64) error {
		return s.store.setExpiry(ctx, id, micros, s.now().UnixMicro())
	})
}

// eachGrant changes grants in the order of their ids and lets every process
// look at them anew.
func (s *Service) eachGrant(ctx context.Context, ids []GrantID, do func(ctx context.Context, id int64) error) error {
	ids = slices.Sorted(slices.Values(ids))
	return s.db.InTx(ctx, func(ctx context.Context) error {
		var errs []error
		for _, id := range slices.Compact(ids) {
			g, err := s.store.grant(ctx, int64(id))
			if err != nil {
				return err
			}
			none := func(context.Context) ([]transfer, error) { return nil, do(ctx, int64(id)) }
			errs = append(errs, s.change(ctx, g.user, none))
		}
		return errors.Join(errs...)
	})
}

// expiry returns when a grant ends; the zero time is never.
func (s *Service) expiry(ctx context.Context, id GrantID) (time.Time, error) {
	g, err := s.store.grant(ctx, int64(id))
	if err != nil || g.expires == never {
		return time.Time{}, err
	}
	return time.UnixMicro(g.expires).UTC(), nil
}
