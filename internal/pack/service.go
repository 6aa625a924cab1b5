package pack

import (
	"context"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/calendar"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Needs is what New takes.
type Needs struct {
	DB    *sqldb.DB
	Audit *audit.Log
	Now   func() time.Time
	// Months is how long the credits of a pack last; 0: for ever.
	Months func() int64
}

// Service keeps the price list. It is safe for concurrent use.
type Service struct {
	Needs
	store store
}

// New returns a Service.
func New(n Needs) *Service { return &Service{n, store{n.DB}} }

// All returns the packs, the cheapest first; onSale leaves out those that cannot
// be bought.
func (s *Service) All(ctx context.Context, onSale bool) ([]Pack, error) {
	packs, err := s.store.all(ctx, onSale)
	return packs, unavailable(err)
}

// Make adds a pack to the list. ErrWrong.
func (s *Service) Make(ctx context.Context, p Pack, reason string) (Pack, error) {
	now := s.Now().UTC().Truncate(time.Microsecond)
	p.ID, p.Version, p.UpdatedAt = id.New("pack", now), 1, now
	if err := p.check(); err != nil {
		return p, err
	}
	err := s.DB.InTx(ctx, func(ctx context.Context) error {
		if err := s.store.add(ctx, p); err != nil {
			return err
		}
		return s.Audit.Write(ctx, audit.Change{Action: "credit_packs.create", Type: "credit_pack", ID: p.ID, Reason: reason, After: shown(p)})
	})
	return p, unavailable(err)
}

// Change edits a pack; seen is the version it is based on, 0 is any. What the
// pack gave stays. ErrUnknown, ErrEdited, ErrWrong.
func (s *Service) Change(ctx context.Context, packID string, seen int64, e Edit, reason string) (Pack, error) {
	var p Pack
	err := s.DB.InTx(ctx, func(ctx context.Context) error {
		was, err := s.store.byID(ctx, packID)
		if err != nil {
			return err
		}
		if seen != 0 && seen != was.Version {
			return ErrEdited
		}
		p = was.edited(e)
		p.UpdatedAt = s.Now().UTC().Truncate(time.Microsecond)
		if err := p.check(); err != nil {
			return err
		}
		saved, err := s.store.save(ctx, p)
		if err != nil {
			return err
		}
		if !saved {
			return ErrEdited
		}
		p.Version++
		return s.Audit.Write(ctx, audit.Change{Action: "credit_packs.edit", Type: "credit_pack", ID: p.ID, Reason: reason, Before: shown(was), After: shown(p)})
	})
	return p, unavailable(err)
}

// Gives returns the credits of a pack, on sale or not, and when those that are
// given now expire; zero: never. ErrUnknown.
func (s *Service) Gives(ctx context.Context, packID string) (money.Credits, time.Time, error) {
	p, err := s.store.byID(ctx, packID)
	if err != nil {
		return 0, time.Time{}, unavailable(err)
	}
	months := int(s.Months())
	if months == 0 {
		return p.Credits, time.Time{}, nil
	}
	return p.Credits, calendar.Add(s.Now().UTC().Truncate(time.Second), months), nil
}

func shown(p Pack) map[string]any {
	return map[string]any{"credits": p.Credits, "price": p.Price, "active": p.Active}
}

func unavailable(err error) error {
	if sqldb.IsUnavailable(err) {
		return fault.ErrUnavailable.Because(fmt.Errorf("credit packs: %w", err))
	}
	return err
}
