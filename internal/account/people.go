package account

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/money"
)

// Sort is an order of people, the highest first.
type Sort string

// The orders.
const (
	ByCreation Sort = "created_at"
	ByLogin    Sort = "last_login_at"
	ByUse      Sort = "credits_used"
)

// Filter chooses people; what is empty chooses all.
type Filter struct {
	Search        string   // a part of the address, username or name, or the id
	State         string   // as it is stored
	Tier          string   // of their subscription
	IDs           []string // only these, when not nil
	After, Before time.Time
	Sort          Sort
	// Seen is the last person that was shown: by what they were sorted, and
	// their id.
	Seen   int64
	SeenID string
}

// People returns up to limit people.
func (s *Service) People(ctx context.Context, f Filter, limit int) ([]User, error) {
	if f.IDs != nil && len(f.IDs) == 0 {
		return nil, nil
	}
	out, err := s.store.people(ctx, f, limit)
	return out, unavailable(err)
}

// Staff returns the ids of the active people who have a role.
func (s *Service) Staff(ctx context.Context) ([]string, error) {
	out, err := s.store.staff(ctx)
	return out, unavailable(err)
}

// like returns a pattern that finds part anywhere.
func like(part string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(strings.ToLower(strings.TrimSpace(part))) + "%"
}

// Edit changes somebody's profile for an administrator, who says why.
func (s *Service) Edit(ctx context.Context, userID string, p Profile, reason string) (User, error) {
	var u User
	err := s.DB.InTx(ctx, func(ctx context.Context) error {
		before, err := s.ByID(ctx, userID)
		if err != nil {
			return err
		}
		if u, err = s.Update(ctx, userID, p); err != nil {
			return err
		}
		return s.Audit.Write(ctx, audit.Change{
			Action: "users.edit_profile", Type: "user", ID: userID, Reason: reason, Before: shownProfile(before), After: shownProfile(u),
			Person: userID, Personal: []string{"username", "firstName", "lastName"},
		})
	})
	return u, err
}

func shownProfile(u User) map[string]any {
	return map[string]any{"username": u.Username, "firstName": u.FirstName, "lastName": u.LastName}
}

// MoveEmail begins a change of somebody's address for an administrator: it
// counts when its owner has used the mailed link.
func (s *Service) MoveEmail(ctx context.Context, userID, email, address, reason string) error {
	err := s.DB.InTx(ctx, func(ctx context.Context) error {
		if err := s.ChangeEmail(ctx, userID, email, address); err != nil {
			return err
		}
		return s.Audit.Write(ctx, audit.Change{
			Action: "users.change_email", Type: "user", ID: userID, Reason: reason, After: map[string]any{"email": email},
			Person: userID, Personal: []string{"email"},
		})
	})
	if err != nil {
		return fmt.Errorf("change an address: %w", err)
	}
	return nil
}

// SignOut ends all sign-ins and tokens of somebody, for an administrator.
func (s *Service) SignOut(ctx context.Context, userID, reason string) error {
	return unavailable(s.DB.InTx(ctx, func(ctx context.Context) error {
		u, err := s.store.byID(ctx, userID)
		if err != nil {
			return err
		}
		u.SignedOutAt = s.Now()
		if err := s.store.signOut(ctx, userID, u.SignedOutAt); err != nil {
			return err
		}
		if err := s.Changed(ctx, Change{User: u.User, Event: Closed, SignOut: true}); err != nil {
			return fmt.Errorf("end the sign-ins of %s: %w", userID, err)
		}
		if err := s.Audit.Write(ctx, audit.Change{Action: "users.end_sessions", Type: "user", ID: userID, Reason: reason}); err != nil {
			return err
		}
		return s.Bus.Publish(ctx, busKind, userID)
	}))
}

// SetTier notes the tier of somebody's subscription, so that people can be found by it, in
// the transaction that ctx carries or in its own.
func (s *Service) SetTier(ctx context.Context, userID, tier string) error {
	return unavailable(s.store.setTier(ctx, userID, tier))
}

// AddUsed adds to what people have used, by their ids, in the transaction that ctx
// carries or in its own. It is less than 0 for what was counted too high before.
func (s *Service) AddUsed(ctx context.Context, used map[string]money.Credits) error {
	return unavailable(s.DB.InTx(ctx, func(ctx context.Context) error {
		for _, userID := range slices.Sorted(maps.Keys(used)) { // in one order, so that nobody waits in a circle
			if err := s.store.addUsed(ctx, userID, used[userID]); err != nil {
				return err
			}
		}
		return nil
	}))
}

// SetStaff marks whether somebody has a role, in the transaction that ctx
// carries or in its own.
func (s *Service) SetStaff(ctx context.Context, userID string, has bool) error {
	return unavailable(s.DB.InTx(ctx, func(ctx context.Context) error {
		changed, err := s.store.setStaff(ctx, userID, has)
		if err != nil || !changed {
			return err
		}
		return s.Bus.Publish(ctx, busKind, userID)
	}))
}
