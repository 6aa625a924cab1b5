package role

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/fault"
)

// Faults of the conditions of administration.
var (
	ErrIdle   = fault.New(fault.Unauthenticated, "session_idle", "You have not administered for some time. Sign in again.")
	ErrFactor = fault.New(fault.Unauthenticated, "insufficient_user_authentication", "Administration needs a sign-in with a second factor. Sign in again and use one.").
			With("acrValues", "mfa")
)

// longest is how long after the sign-in somebody may administer.
const longest = 12 * time.Hour

// patience is for how long the roles may be idle. Roles that an instance
// defined are as an admin's.
var patience = map[string]time.Duration{
	access.RoleSuperAdmin: 15 * time.Minute,
	access.RoleAdmin:      30 * time.Minute,
	access.RoleOps:        60 * time.Minute,
	access.RoleSupport:    120 * time.Minute,
	access.RoleAnalyst:    240 * time.Minute,
	access.RoleAuditor:    480 * time.Minute,
}

// IdleLimit returns for how long somebody with these roles may be idle: the
// shortest of them.
func IdleLimit(roles []string) time.Duration {
	limit := patience[access.RoleAuditor]
	for _, name := range roles {
		of, ok := patience[name]
		if !ok {
			of = patience[access.RoleAdmin]
		}
		limit = min(limit, of)
	}
	return limit
}

// recordEvery is how exactly other processes know when somebody administered
// last.
const recordEvery = 30 * time.Second

// sign is one sign-in of somebody.
type sign struct {
	userID string
	at     int64 // Unix seconds
}

// visit is when a sign-in was last used to administer.
type visit struct{ last, recorded time.Time }

// Admit checks that a sign-in may administer now, and notes that it did:
// ErrFactor, ErrIdle. The time since the request before this one is what counts
// as idle, in whichever process that was.
func (s *Service) Admit(ctx context.Context, a access.Actor) error {
	if !a.Factor {
		return ErrFactor
	}
	now := s.Now()
	if now.Sub(a.AuthTime) > longest {
		return ErrIdle.Saying("You signed in more than 12 hours ago. Sign in again to administer.")
	}
	key := sign{a.UserID, a.AuthTime.Unix()}
	s.mu.Lock()
	v, ok := s.visits[key]
	s.mu.Unlock()
	limit := IdleLimit(a.Roles)
	if !ok || now.Sub(v.last) > limit { // it may have been elsewhere
		last, err := s.store.lastVisit(ctx, key)
		if err != nil {
			return unavailable(err)
		}
		v.recorded = last
		if v.last.Before(last) {
			v.last = last.Add(recordEvery) // as late as it may have been
		}
		if v.last.Before(a.AuthTime) {
			v.last = a.AuthTime
		}
	}
	if now.Sub(v.last) > limit {
		return ErrIdle.With("idleLimitSeconds", int64(limit/time.Second))
	}
	v.last = now
	if now.Sub(v.recorded) >= recordEvery {
		if err := s.store.visit(ctx, key, now); err != nil {
			return unavailable(err)
		}
		v.recorded = now
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.visits) >= maxSnapshots {
		clear(s.visits)
	}
	s.visits[key] = v
	return nil
}
