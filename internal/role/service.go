package role

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// What is announced on the bus: a person's id, or that a definition changed.
const (
	busUser = "role.user"
	busRole = "role.custom"
)

const (
	maxSnapshots = 10_000
	loadTime     = 5 * time.Second
)

// Needs are what a Service is made of.
type Needs struct {
	DB    *sqldb.DB
	Bus   *bus.Bus
	Audit *audit.Log
	Now   func() time.Time
	// Usable reports whether somebody can sign in, or an error for a person who
	// does not exist. It is asked in the transaction of a change.
	Usable func(ctx context.Context, userID string) (bool, error)
	// Staff marks who has a role, in the transaction of a change.
	Staff func(ctx context.Context, userID string, has bool) error
}

// Service knows the rights of people. It is safe for concurrent use.
type Service struct {
	Needs
	store store

	mu      sync.Mutex
	held    map[string]Held           // guarded by mu
	visits  map[sign]visit            // guarded by mu
	lists   map[string][]netip.Prefix // guarded by mu: allowed networks by role; nil is not known
	changes uint64                    // guarded by mu: how many announcements there were
}

// New returns a Service that hears of changes in other processes through the
// bus.
func New(n Needs) *Service {
	s := &Service{Needs: n, store: store{n.DB}, held: map[string]Held{}, visits: map[sign]visit{}}
	n.Bus.Subscribe(busUser, func(userID string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changes++
		delete(s.held, userID)
	})
	n.Bus.Subscribe(busRole, func(string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changes++
		clear(s.held)
	})
	n.Bus.Subscribe(busAllow, func(string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changes++
		s.lists = nil
	})
	return s
}

// Of returns what somebody has now, from memory if it can. Held is shared: do
// not change it.
func (s *Service) Of(_ context.Context, userID string) (Held, error) {
	s.mu.Lock()
	h, ok := s.held[userID]
	before := s.changes
	s.mu.Unlock()
	now := s.Now()
	if ok && (h.until.IsZero() || now.Before(h.until)) {
		return h, nil
	}
	// Not the caller's context: its transaction must not show what may never be
	// committed.
	ctx, cancel := context.WithTimeout(context.Background(), loadTime)
	defer cancel()
	h, err := s.load(ctx, userID, now)
	if err != nil {
		return Held{}, unavailable(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changes == before {
		if len(s.held) >= maxSnapshots {
			clear(s.held)
		}
		s.held[userID] = h
	}
	return h, nil
}

// load reads what somebody has at the time now.
func (s *Service) load(ctx context.Context, userID string, now time.Time) (h Held, err error) {
	assigned, err := s.store.assignments(ctx, userID, false)
	if err != nil || len(assigned) == 0 {
		return h, err
	}
	var more []access.Permission
	for _, a := range assigned {
		if !a.Active(now) {
			continue
		}
		h.ends(a.ExpiresAt)
		h.Roles = append(h.Roles, a.RoleID)
		if !access.IsSystemRole(a.RoleID) {
			r, err := s.store.custom(ctx, a.RoleID)
			if err != nil {
				return h, err
			}
			more = append(more, r.Permissions...)
		}
	}
	slices.Sort(h.Roles)
	overrides, err := s.store.overrides(ctx, userID, false)
	if err != nil {
		return h, err
	}
	var granted, revoked []access.Permission
	for _, o := range overrides {
		switch {
		case !o.Active(now):
			continue
		case o.Effect == Grant:
			granted = append(granted, o.Permission)
		default:
			revoked = append(revoked, o.Permission)
		}
		h.ends(o.ExpiresAt)
	}
	if len(h.Roles) > 0 { // an override changes the rights of an administrator and makes nobody one
		h.Rights = access.NewRights(h.Roles, append(more, granted...), revoked)
	}
	return h, nil
}

// ends notes that a part of h expires.
func (h *Held) ends(at time.Time) {
	if !at.IsZero() && (h.until.IsZero() || at.Before(h.until)) {
		h.until = at
	}
}

// Found makes somebody a super_admin for good, for the set-up of an instance
// and its recovery by the command line, in the transaction that ctx carries or
// in its own. Nothing is revoked from them any more.
func (s *Service) Found(ctx context.Context, userID string) error {
	return s.change(ctx, userID, func(ctx context.Context, now time.Time) (audit.Change, error) {
		c := audit.Change{Action: "roles.found", Actor: audit.System, After: map[string]any{"roleId": access.RoleSuperAdmin}}
		has, err := s.store.assignments(ctx, userID, false)
		if err != nil {
			return c, err
		}
		for _, a := range has {
			if a.RoleID != access.RoleSuperAdmin {
				continue
			}
			if a.ExpiresAt.IsZero() {
				return c, s.store.endRevokes(ctx, userID, audit.System, now)
			}
			if _, err := s.store.endAssignment(ctx, userID, a.ID, audit.System, now); err != nil {
				return c, err
			}
		}
		if err := s.store.endRevokes(ctx, userID, audit.System, now); err != nil {
			return c, err
		}
		_, err = s.store.assign(ctx, Assignment{ID: newID("ras", now), UserID: userID, RoleID: access.RoleSuperAdmin, Reason: "set-up", By: audit.System, At: now})
		return c, err
	})
}

// change runs f as the only one who changes rights, checks that somebody who
// may do everything is left, remembers what f returns and announces it.
func (s *Service) change(ctx context.Context, userID string, f func(ctx context.Context, now time.Time) (audit.Change, error)) error {
	return unavailable(s.DB.InTx(ctx, func(ctx context.Context) error {
		if err := s.store.lock(ctx); err != nil {
			return err
		}
		now := s.Now().UTC().Truncate(time.Microsecond)
		c, err := f(ctx, now)
		if err != nil {
			return err
		}
		if err := s.keepOne(ctx); err != nil {
			return err
		}
		has, err := s.store.assignments(ctx, userID, false)
		if err != nil {
			return err
		}
		staff := slices.ContainsFunc(has, func(a Assignment) bool { return a.Active(now) })
		if err := s.Staff(ctx, userID, staff); err != nil {
			return err
		}
		c.Type, c.ID = "rights", userID
		if err := s.Audit.Write(ctx, c); err != nil {
			return err
		}
		return s.Bus.Publish(ctx, busUser, userID)
	}))
}

// KeepOne returns ErrLast when nobody who can sign in may do everything. Call
// it in the transaction that suspends or deletes somebody, after that: it makes
// other changes of rights wait until the transaction ends.
func (s *Service) KeepOne(ctx context.Context) error {
	if err := s.store.lock(ctx); err != nil {
		return unavailable(err)
	}
	return unavailable(s.keepOne(ctx))
}

func (s *Service) keepOne(ctx context.Context) error {
	ids, err := s.store.superAdmins(ctx)
	if err != nil {
		return err
	}
	for _, userID := range ids {
		usable, err := s.Usable(ctx, userID)
		if err != nil {
			return err
		}
		if usable {
			return nil
		}
	}
	return ErrLast
}

// Expire ends what has expired, so that lists and marks say so; it counted for
// nothing before. Run it every minute.
func (s *Service) Expire(ctx context.Context) error {
	if err := s.store.dropVisits(ctx, s.Now().Add(-2*longest)); err != nil {
		return err
	}
	users, err := s.store.expired(ctx, s.Now())
	if err != nil {
		return err
	}
	for _, userID := range users {
		err := s.DB.InTx(ctx, func(ctx context.Context) error {
			if err := s.store.lock(ctx); err != nil {
				return err
			}
			now := s.Now().UTC()
			if err := s.store.endExpired(ctx, userID, audit.System, now); err != nil {
				return err
			}
			has, err := s.store.assignments(ctx, userID, false)
			if err != nil {
				return err
			}
			if err := s.Staff(ctx, userID, len(has) > 0); err != nil {
				return err
			}
			return s.Bus.Publish(ctx, busUser, userID)
		})
		if err != nil {
			return fmt.Errorf("expire the rights of %s: %w", userID, err)
		}
	}
	return nil
}

func unavailable(err error) error {
	if sqldb.IsUnavailable(err) {
		return fault.ErrUnavailable.Because(err)
	}
	return err
}

// Closing checks, in the transaction that locks somebody out, that who does it
// may: only a super_admin a super_admin, and never the last one.
func (s *Service) Closing(ctx context.Context, userID string) error {
	if err := s.store.lock(ctx); err != nil {
		return unavailable(err)
	}
	if by, err := access.From(ctx); err == nil {
		if err := s.mayChange(ctx, Order{By: by, UserID: userID}, nil, false); err != nil {
			return unavailable(err)
		}
	}
	return s.KeepOne(ctx)
}

// Holders returns who has a role now.
func (s *Service) Holders(ctx context.Context, roleID string) ([]string, error) {
	out, err := s.store.holderIDs(ctx, roleID, s.Now())
	return out, unavailable(err)
}

// Holding returns who can sign in and has all of these permissions now, as the
// transaction sees it that ctx carries.
func (s *Service) Holding(ctx context.Context, ps ...access.Permission) ([]string, error) {
	ids, err := s.store.assigned(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	var out []string
	for _, userID := range ids {
		h, err := s.load(ctx, userID, s.Now())
		if err != nil {
			return nil, unavailable(err)
		}
		if len(h.Roles) == 0 || slices.ContainsFunc(ps, func(p access.Permission) bool { return !h.Rights.Has(p) }) {
			continue
		}
		usable, err := s.Usable(ctx, userID)
		if err != nil {
			return nil, unavailable(err)
		}
		if usable {
			out = append(out, userID)
		}
	}
	return out, nil
}
