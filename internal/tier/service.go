package tier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Needs is what New takes.
type Needs struct {
	DB    *sqldb.DB
	Bus   *bus.Bus
	Audit *audit.Log
	Log   *slog.Logger
	Now   func() time.Time
	// Base are the tiers that the program comes with.
	Base []Tier
}

// Service keeps the Table in step with the changes that administrators make, in
// this process and in others. It is safe for concurrent use.
type Service struct {
	Needs
	*bus.Follower // Load, Start and Stop
	Table         *Table
	store         store
}

const (
	busKind = "tier.changed"
	page    = 100 // subscriptions that one transaction looks at
)

// errDone says that another process has finished a change.
var errDone = errors.New("the change of the tier is done")

// New returns a Service whose Table has the base; Load reads what was changed.
func New(n Needs) *Service {
	s := &Service{Needs: n, Table: NewTable(n.Base...), store: store{n.DB}}
	s.Follower = n.Bus.Follow(busKind, "the tiers", s.read)
	return s
}

// read is what Load does.
func (s *Service) read(ctx context.Context) error {
	versions, err := s.store.all(ctx)
	if err != nil {
		return err
	}
	s.Table.Set(s.Base, versions, s.Now())
	return nil
}

// Config is a tier with its place in history.
type Config struct {
	Tier    *Tier
	Version int64 // of the newest change, valid or not; 0: none was made
	Waiting []Version

	states []state
}

// Configs returns all tiers, the lowest first.
func (s *Service) Configs(ctx context.Context) ([]Config, error) {
	versions, err := s.store.all(ctx)
	if err != nil {
		return nil, err
	}
	var out []Config
	now := s.Now()
	for _, base := range s.Base {
		own := versionsOf(versions, base.Name)
		states := unfold(base, own)
		c := Config{Tier: at(states, now), Version: newest(own), states: states}
		for _, v := range own {
			if v.ValidFrom.After(now) {
				c.Waiting = append(c.Waiting, v)
			}
		}
		out = append(out, c)
	}
	return out, nil
}

// Config returns a tier, or ErrUnknown.
func (s *Service) Config(ctx context.Context, name string) (Config, error) {
	all, err := s.Configs(ctx)
	if err != nil {
		return Config{}, err
	}
	for _, c := range all {
		if c.Tier.Name == name {
			return c, nil
		}
	}
	return Config{}, ErrUnknown
}

// History returns the changes of a tier, the newest first.
func (s *Service) History(ctx context.Context, name string) ([]Version, error) {
	if s.Table.Tier(name) == nil || name == Unlimited {
		return nil, ErrUnknown
	}
	versions, err := s.store.all(ctx)
	if err != nil {
		return nil, err
	}
	own := versionsOf(versions, name)
	out := make([]Version, 0, len(own))
	for i := range own {
		out = append(out, own[len(own)-1-i])
	}
	return out, nil
}

// Order is a change to make.
type Order struct {
	Tier      string
	Patch     Patch
	ValidFrom time.Time // zero: now
	Existing  bool      // who has the tier gets the difference in credits, too
	Confirm   bool
	By        string
	Reason    string
}

// Preview returns the tier as it would be, and what that means for those who
// have it. It is an error where the change would be one, but for ErrConfirm.
func (s *Service) Preview(ctx context.Context, o Order, h Holders) (*Tier, Impact, error) {
	c, err := s.Config(ctx, o.Tier)
	if err != nil {
		return nil, Impact{}, err
	}
	if err := o.Patch.check(c.Tier, true); err != nil {
		return nil, Impact{}, err
	}
	next := *c.Tier
	o.Patch.apply(&next)
	return &next, impact(c.Tier, &next, h, o.Existing), nil
}

// Change makes a new version of a tier. A higher allocation is given to new
// cycles from its moment on, or to running ones too; a higher price to new
// buyers, and to others after the notice. ErrEdited: somebody was quicker.
func (s *Service) Change(ctx context.Context, o Order) (Config, error) {
	now := s.Now().UTC().Truncate(time.Microsecond)
	if o.ValidFrom.IsZero() {
		o.ValidFrom = now
	}
	if o.ValidFrom.Before(now) {
		return Config{}, ErrWrong.Saying("scheduledAt is in the past.").At("scheduledAt")
	}
	err := s.DB.InTx(ctx, func(ctx context.Context) error {
		c, err := s.Config(ctx, o.Tier)
		if err != nil {
			return err
		}
		was := at(c.states, o.ValidFrom) // what it changes, which is of that moment
		if err := o.Patch.check(was, o.Confirm); err != nil {
			return err
		}
		next := *was
		o.Patch.apply(&next)
		v := Version{
			Tier: o.Tier, Number: c.Version + 1, Patch: o.Patch, Reason: o.Reason, By: o.By, At: now, ValidFrom: o.ValidFrom.UTC().Truncate(time.Microsecond),
			Existing: o.Existing && next.CreditsPerMonth > was.CreditsPerMonth,
			Notify:   next.MonthlyPrice > was.MonthlyPrice || next.AnnualPrice > was.AnnualPrice,
		}
		v.Done = !v.Existing && !v.Notify
		first, err := s.store.add(ctx, v)
		if err != nil {
			return err
		}
		if !first {
			return ErrEdited
		}
		if err := s.Audit.Write(ctx, audit.Change{Action: "tier.change", Type: "tier", ID: o.Tier, Reason: o.Reason, Before: shown(was), After: shown(&next)}); err != nil {
			return err
		}
		return s.Bus.Publish(ctx, busKind, o.Tier)
	})
	if err != nil {
		return Config{}, err
	}
	if err := s.Load(ctx); err != nil {
		return Config{}, err
	}
	return s.Config(ctx, o.Tier)
}

// Rollout does for one page of the subscriptions of a tier, in the transaction
// of ctx, what a version asks for: more is what it gives in a month beyond the
// version before. It returns the last that it looked at, "" when none is left.
type Rollout func(ctx context.Context, v Version, before, after *Tier, from string, limit int) (last string, err error)

// RollOut does what valid versions still ask for, a page in each transaction,
// so that it may be cut off anywhere and run at the same time elsewhere.
func (s *Service) RollOut(ctx context.Context, do Rollout) error {
	open, err := s.store.open(ctx, s.Now())
	if err != nil || len(open) == 0 {
		return err
	}
	versions, err := s.store.all(ctx)
	if err != nil {
		return err
	}
	for _, v := range open {
		before, after := s.around(versions, v)
		if after == nil {
			continue // of a tier that the program does not come with any more
		}
		for more := true; more; {
			err := s.DB.InTx(ctx, func(ctx context.Context) error {
				from, err := s.store.lock(ctx, v)
				if err != nil {
					return err
				}
				last, err := do(ctx, v, before, after, from, page)
				if err != nil {
					return err
				}
				more = last != ""
				return s.store.advance(ctx, v, last, !more)
			})
			if errors.Is(err, errDone) {
				break
			}
			if err != nil {
				return fmt.Errorf("roll out version %d of tier %s: %w", v.Number, v.Tier, err)
			}
		}
	}
	return nil
}

// around returns a tier before and after a version.
func (s *Service) around(versions []Version, v Version) (before, after *Tier) {
	for _, base := range s.Base {
		if base.Name != v.Tier {
			continue
		}
		for _, st := range unfold(base, versionsUntil(versionsOf(versions, v.Tier), v)) {
			before, after = after, st.tier
		}
	}
	return before, after
}
