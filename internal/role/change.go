package role

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/id"
)

func newID(prefix string, now time.Time) string { return id.New(prefix, now) }

// Order is a role or a permission that an administrator gives somebody.
type Order struct {
	By        access.Actor
	UserID    string
	Reason    string    // 10 to 500 characters
	ExpiresAt time.Time // zero: never
}

// check returns what is wrong with o whatever it gives.
func (o Order) check(now time.Time) error {
	if o.By.UserID == o.UserID {
		return ErrOwn
	}
	if n := utf8.RuneCountInString(strings.TrimSpace(o.Reason)); n < 10 || n > 500 {
		return wrong("reason", "say why in 10 to 500 characters")
	}
	if !o.ExpiresAt.IsZero() && !o.ExpiresAt.After(now) {
		return wrong("expiresAt", "it must be in the future")
	}
	return nil
}

// Assign gives somebody a role. ErrOwn, ErrBeyond, ErrSuper: the administrator
// may not; ErrHas; ErrTooOften; ErrUnknown: there is no such role.
func (s *Service) Assign(ctx context.Context, o Order, roleID string) (Assignment, error) {
	var a Assignment
	err := s.change(ctx, o.UserID, func(ctx context.Context, now time.Time) (c audit.Change, err error) {
		if err := o.check(now); err != nil {
			return c, err
		}
		r, err := s.byID(ctx, roleID)
		if err != nil {
			return c, err
		}
		if _, err := s.Usable(ctx, o.UserID); err != nil {
			return c, err
		}
		if err := s.mayChange(ctx, o, r.Permissions, roleID == access.RoleSuperAdmin); err != nil {
			return c, err
		}
		n, err := s.store.assignedSince(ctx, o.By.UserID, now.Add(-time.Hour))
		if err != nil || n >= assignmentsPerHour {
			return c, tooOften(err, assignmentsPerHour, time.Hour)
		}
		if err := s.store.endExpired(ctx, o.UserID, audit.System, now); err != nil {
			return c, err
		}
		a = Assignment{
			ID: newID("ras", now), UserID: o.UserID, RoleID: roleID, Reason: strings.TrimSpace(o.Reason), By: o.By.UserID,
			At: now, ExpiresAt: o.ExpiresAt.UTC().Truncate(time.Microsecond),
		}
		added, err := s.store.assign(ctx, a)
		if err == nil && !added {
			err = ErrHas
		}
		return audit.Change{Action: "roles.assign", Reason: a.Reason, After: shownAssignment(a)}, err
	})
	return a, err
}

// Remove takes a role from somebody. The faults are those of Assign, and
// ErrLast.
func (s *Service) Remove(ctx context.Context, o Order, assignmentID string) error {
	return s.change(ctx, o.UserID, func(ctx context.Context, now time.Time) (c audit.Change, err error) {
		if err := o.check(now); err != nil {
			return c, err
		}
		has, err := s.store.assignments(ctx, o.UserID, false)
		if err != nil {
			return c, err
		}
		i := slices.IndexFunc(has, func(a Assignment) bool { return a.ID == assignmentID })
		if i < 0 {
			return c, ErrUnknown
		}
		if err := s.mayChange(ctx, o, nil, has[i].RoleID == access.RoleSuperAdmin); err != nil {
			return c, err
		}
		if _, err := s.store.endAssignment(ctx, o.UserID, assignmentID, o.By.UserID, now); err != nil {
			return c, err
		}
		return audit.Change{Action: "roles.remove", Reason: o.Reason, Before: shownAssignment(has[i])}, nil
	})
}

func shownAssignment(a Assignment) map[string]any {
	out := map[string]any{"assignmentId": a.ID, "roleId": a.RoleID}
	if !a.ExpiresAt.IsZero() {
		out["expiresAt"] = a.ExpiresAt
	}
	return out
}

// mayChange checks that the one who gives an order may change the rights of
// that person, and has what they give.
func (s *Service) mayChange(ctx context.Context, o Order, gives []access.Permission, super bool) error {
	if !super {
		has, err := s.store.assignments(ctx, o.UserID, false)
		if err != nil {
			return err
		}
		super = slices.ContainsFunc(has, func(a Assignment) bool { return a.RoleID == access.RoleSuperAdmin })
	}
	if super && !slices.Contains(o.By.Roles, access.RoleSuperAdmin) {
		return ErrSuper
	}
	for _, p := range gives {
		if !o.By.May(p) {
			return ErrBeyond.Saying("Nobody gives what they do not have: you do not have %s.", p).With("permission", p)
		}
	}
	return nil
}

func tooOften(err error, limit int, d time.Duration) error {
	if err != nil {
		return err
	}
	return ErrTooOften.With("limit", limit).After(d)
}

// Override grants somebody a permission or revokes one. The faults are those of
// Assign, and ErrLast.
func (s *Service) Override(ctx context.Context, o Order, p access.Permission, e Effect) (Override, error) {
	var v Override
	err := s.change(ctx, o.UserID, func(ctx context.Context, now time.Time) (c audit.Change, err error) {
		if err := o.check(now); err != nil {
			return c, err
		}
		if !slices.Contains(access.Permissions(), p) {
			return c, wrong("permission", "there is no permission of this name")
		}
		if _, err := s.Usable(ctx, o.UserID); err != nil {
			return c, err
		}
		if err := s.mayChange(ctx, o, []access.Permission{p}, false); err != nil {
			return c, err
		}
		if e == Grant && o.By.Bounded(p) { // what is granted has no bounds
			return c, ErrBeyond
		}
		n, err := s.store.overriddenSince(ctx, o.By.UserID, now.Add(-time.Hour))
		if err != nil || n >= overridesPerHour {
			return c, tooOften(err, overridesPerHour, time.Hour)
		}
		if err := s.store.endExpired(ctx, o.UserID, audit.System, now); err != nil {
			return c, err
		}
		v = Override{
			ID: newID("rov", now), UserID: o.UserID, Permission: p, Effect: e, Reason: strings.TrimSpace(o.Reason), By: o.By.UserID,
			At: now, ExpiresAt: o.ExpiresAt.UTC().Truncate(time.Microsecond),
		}
		added, err := s.store.override(ctx, v)
		if err == nil && !added {
			err = ErrHas
		}
		return audit.Change{Action: "roles.override", Reason: v.Reason, After: shownOverride(v)}, err
	})
	return v, err
}

// EndOverride ends an override. The faults are those of Remove.
func (s *Service) EndOverride(ctx context.Context, o Order, overrideID string) error {
	return s.change(ctx, o.UserID, func(ctx context.Context, now time.Time) (c audit.Change, err error) {
		if err := o.check(now); err != nil {
			return c, err
		}
		has, err := s.store.overrides(ctx, o.UserID, false)
		if err != nil {
			return c, err
		}
		i := slices.IndexFunc(has, func(v Override) bool { return v.ID == overrideID })
		if i < 0 {
			return c, ErrUnknown
		}
		var gives []access.Permission
		if has[i].Effect == Revoke { // ending it gives the permission back
			gives = []access.Permission{has[i].Permission}
		}
		if err := s.mayChange(ctx, o, gives, false); err != nil {
			return c, err
		}
		if err := s.store.endOverride(ctx, overrideID, o.By.UserID, now); err != nil {
			return c, err
		}
		return audit.Change{Action: "roles.end_override", Reason: o.Reason, Before: shownOverride(has[i])}, nil
	})
}

func shownOverride(o Override) map[string]any {
	out := map[string]any{"overrideId": o.ID, "permission": o.Permission, "effect": o.Effect}
	if !o.ExpiresAt.IsZero() {
		out["expiresAt"] = o.ExpiresAt
	}
	return out
}

// Assignments returns the roles that somebody was given, the newest first;
// ended ones too when history is set.
func (s *Service) Assignments(ctx context.Context, userID string, history bool) ([]Assignment, error) {
	out, err := s.store.assignments(ctx, userID, history)
	return out, unavailable(err)
}

// Overrides returns the overrides of somebody, the newest first; ended ones too
// when history is set.
func (s *Service) Overrides(ctx context.Context, userID string, history bool) ([]Override, error) {
	out, err := s.store.overrides(ctx, userID, history)
	return out, unavailable(err)
}
