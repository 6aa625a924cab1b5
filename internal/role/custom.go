package role

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/audit"
)

// Definition is what a role that an instance defines is made of.
type Definition struct {
	Name        string // 3 to 40 characters
	Description string
	Permissions []access.Permission
}

// Roles returns the roles of the system, then the defined ones by name.
func (s *Service) Roles(ctx context.Context) ([]Role, error) {
	var out []Role
	for _, name := range access.SystemRoles() {
		out = append(out, systemRole(name))
	}
	own, err := s.store.customs(ctx)
	return append(out, own...), unavailable(err)
}

// ByID returns a role, or ErrUnknown.
func (s *Service) ByID(ctx context.Context, roleID string) (Role, error) {
	r, err := s.byID(ctx, roleID)
	return r, unavailable(err)
}

func (s *Service) byID(ctx context.Context, roleID string) (Role, error) {
	if access.IsSystemRole(roleID) {
		return systemRole(roleID), nil
	}
	return s.store.custom(ctx, roleID)
}

func systemRole(name string) Role {
	return Role{ID: name, Name: name, System: true, Permissions: access.PermissionsOf(name)}
}

// clean checks d for the one who defines it.
func (d Definition) clean(by access.Actor) (Definition, error) {
	d.Name, d.Description = strings.TrimSpace(d.Name), strings.TrimSpace(d.Description)
	if n := utf8.RuneCountInString(d.Name); n < 3 || n > 40 {
		return d, wrong("name", "use 3 to 40 characters")
	}
	if access.IsSystemRole(strings.ToLower(d.Name)) {
		return d, ErrTaken
	}
	if utf8.RuneCountInString(d.Description) > 500 {
		return d, wrong("description", "use at most 500 characters")
	}
	slices.Sort(d.Permissions)
	d.Permissions = slices.Compact(d.Permissions)
	for _, p := range d.Permissions {
		if !slices.Contains(access.Permissions(), p) {
			return d, wrong("permissions", "there is no permission "+string(p))
		}
		if !by.May(p) {
			return d, ErrBeyond.Saying("Nobody gives what they do not have: you do not have %s.", p).With("permission", p)
		}
	}
	return d, nil
}

// Define makes a role. ErrTaken, ErrBeyond, ErrTooOften.
func (s *Service) Define(ctx context.Context, by access.Actor, reason string, d Definition) (Role, error) {
	d, err := d.clean(by)
	if err != nil {
		return Role{}, err
	}
	var r Role
	err = s.define(ctx, func(ctx context.Context, now time.Time) (c audit.Change, err error) {
		n, err := s.store.definedSince(ctx, by.UserID, now.Add(-24*time.Hour))
		if err != nil || n >= definitionsPerDay {
			return c, tooOften(err, definitionsPerDay, 24*time.Hour)
		}
		r = Role{ID: newID("role", now), Name: d.Name, Description: d.Description, Permissions: d.Permissions, Version: 1, UpdatedAt: now}
		added, err := s.store.define(ctx, r, by.UserID)
		if err == nil && !added {
			err = ErrTaken
		}
		return audit.Change{Action: "roles.create", ID: r.ID, Reason: reason, After: shownRole(r)}, err
	})
	return r, err
}

// Redefine changes a role; seen is the version it is based on, 0 is any. Who
// has the role has the new permissions at once. ErrSystem, ErrEdited and the
// faults of Define.
func (s *Service) Redefine(ctx context.Context, by access.Actor, reason, roleID string, seen int64, change func(*Definition)) (Role, error) {
	var r Role
	err := s.define(ctx, func(ctx context.Context, now time.Time) (c audit.Change, err error) {
		was, err := s.own(ctx, roleID, seen)
		if err != nil {
			return c, err
		}
		d := Definition{was.Name, was.Description, slices.Clone(was.Permissions)}
		change(&d)
		if d, err = d.clean(by); err != nil {
			return c, err
		}
		r = Role{ID: roleID, Name: d.Name, Description: d.Description, Permissions: d.Permissions, Version: was.Version + 1, UpdatedAt: now}
		taken, err := s.store.redefine(ctx, r)
		if err == nil && taken {
			err = ErrTaken
		}
		return audit.Change{Action: "roles.edit", ID: roleID, Reason: reason, Before: shownRole(was), After: shownRole(r)}, err
	})
	return r, err
}

// Undefine deletes a role that nobody has. ErrInUse, ErrSystem, ErrEdited.
func (s *Service) Undefine(ctx context.Context, reason, roleID string, seen int64) error {
	return s.define(ctx, func(ctx context.Context, now time.Time) (c audit.Change, err error) {
		was, err := s.own(ctx, roleID, seen)
		if err != nil {
			return c, err
		}
		n, err := s.store.holders(ctx, roleID, now)
		if err != nil {
			return c, err
		}
		if n > 0 {
			return c, ErrInUse.With("holders", n)
		}
		return audit.Change{Action: "roles.delete", ID: roleID, Reason: reason, Before: shownRole(was)}, s.store.undefine(ctx, roleID, now)
	})
}

// own returns a defined role at the version that was seen.
func (s *Service) own(ctx context.Context, roleID string, seen int64) (Role, error) {
	if access.IsSystemRole(roleID) {
		return Role{}, ErrSystem
	}
	r, err := s.store.custom(ctx, roleID)
	if err == nil && seen != 0 && seen != r.Version {
		err = ErrEdited
	}
	return r, err
}

// define runs f as the only one who changes rights, remembers what it returns
// and announces it.
func (s *Service) define(ctx context.Context, f func(ctx context.Context, now time.Time) (audit.Change, error)) error {
	return unavailable(s.DB.InTx(ctx, func(ctx context.Context) error {
		if err := s.store.lock(ctx); err != nil {
			return err
		}
		c, err := f(ctx, s.Now().UTC().Truncate(time.Microsecond))
		if err != nil {
			return err
		}
		c.Type = "role"
		if err := s.Audit.Write(ctx, c); err != nil {
			return err
		}
		return s.Bus.Publish(ctx, busRole, c.ID)
	}))
}

func shownRole(r Role) map[string]any {
	return map[string]any{"name": r.Name, "description": r.Description, "permissions": r.Permissions}
}
