package catalog

import (
	"context"
	"slices"

	"github.com/rephlo/rephlo/internal/fault"
)

func (t *tables) key(provider, id string) (*keyRow, error) {
	i := slices.IndexFunc(t.keys, func(r keyRow) bool { return r.provider == provider && r.id == id })
	if i < 0 {
		return nil, fault.ErrNotFound
	}
	return &t.keys[i], nil
}

// KeyEdit is what changes of a key; nil fields stay.
type KeyEdit struct {
	Label  *string
	Weight *int64
	State  *KeyState
}

// EditKey changes a key. Making it active again forgets why it was not.
func (s *Service) EditKey(ctx context.Context, provider, id string, k KeyEdit, by By) (Key, error) {
	if k.Label != nil {
		if err := checkLabel("label", *k.Label, 1); err != nil {
			return Key{}, err
		}
	}
	if k.Weight != nil {
		if err := checkWeight(*k.Weight); err != nil {
			return Key{}, err
		}
	}
	if k.State != nil && !slices.Contains([]KeyState{KeyActive, KeyDraining, KeyDisabled}, *k.State) {
		return Key{}, wrong("state", "it is active, draining or disabled")
	}
	return s.editKey(ctx, provider, id, "edit", by, func(row *keyRow) {
		if k.Label != nil {
			row.label = *k.Label
		}
		if k.Weight != nil {
			row.weight = *k.Weight
		}
		if k.State != nil && *k.State != row.state {
			row.state, row.reason = *k.State, ""
			if row.state == KeyDisabled {
				row.reason = by.Reason
			}
		}
	})
}

// DisableKey takes a key out of use because of reason, which the process has
// found out by itself.
func (s *Service) DisableKey(ctx context.Context, provider, id, reason string) error {
	_, err := s.editKey(ctx, provider, id, "disable", By{Actor: "gateway", Reason: reason}, func(row *keyRow) {
		row.state, row.reason = KeyDisabled, reason
	})
	return err
}

func (s *Service) editKey(ctx context.Context, provider, id, action string, by By, f func(*keyRow)) (Key, error) {
	var after Key
	err := s.change(ctx, by, func(ctx context.Context, e *edit) error {
		row, err := e.have.key(provider, id)
		if err != nil {
			return err
		}
		before := newKey(*row)
		f(row)
		row.updated = e.at
		after = newKey(*row)
		e.putKey(ctx, *row)
		return e.remembered(ctx, kindKey, id, action, before, after)
	})
	return after, err
}

// RemoveKey forgets a key. That of the configuration is ErrConfigured.
func (s *Service) RemoveKey(ctx context.Context, provider, id string, by By) error {
	return s.change(ctx, by, func(ctx context.Context, e *edit) error {
		row, err := e.have.key(provider, id)
		if err != nil {
			return err
		}
		if row.origin == originConfig {
			return ErrConfigured
		}
		e.dropKey(ctx, id)
		return e.remembered(ctx, kindKey, id, "delete", newKey(*row), nil)
	})
}

// AccountWithKey returns a provider with one of its keys unsealed, or with
// none for an empty id, whatever their states: to try it.
func (s *Service) AccountWithKey(ctx context.Context, provider, id string) (*Provider, error) {
	t, err := s.rows(ctx)
	if err != nil {
		return nil, err
	}
	row, err := t.provider(provider)
	if err != nil {
		return nil, err
	}
	a, err := newAccount(*row)
	if err != nil {
		return nil, err
	}
	p := Provider{Name: a.Name, Vendor: a.Vendor, BaseURL: a.BaseURL, AllowPrivate: a.AllowPrivate, Options: a.Options, Timeouts: a.Timeouts}
	if id == "" {
		return &p, nil
	}
	k, err := t.key(provider, id)
	if err != nil {
		return nil, err
	}
	return s.unseal(p, *k)
}
