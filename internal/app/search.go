package app

import (
	"context"
	"errors"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/apikey"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/search"
	"github.com/rephlo/rephlo/internal/subscription"
	"github.com/rephlo/rephlo/internal/usage"
)

// sources are what administrators find by its name.
func (d *Domains) sources() []search.Source {
	return []search.Source{
		{Kind: "users", Permission: access.ViewUsers, Find: d.findPerson},
		{Kind: "api_keys", Permission: access.ViewKeys, Find: found(func(ctx context.Context, name string) ([]apikey.Key, error) {
			if !apikey.Prefixed(name) && !id.Is("key", name) {
				return nil, nil
			}
			return d.Keys.Named(ctx, name, search.Most)
		}, func(k apikey.Key) search.Hit {
			return search.Hit{ID: k.ID, UserID: k.UserID, Title: k.Name, Detail: k.Prefix, Path: "/admin/users/" + k.UserID + "/api-keys", At: k.CreatedAt}
		})},
		{Kind: "requests", Permission: access.ViewUsage, Find: found(d.Usage.Calls, func(e usage.Entry) search.Hit {
			return search.Hit{ID: e.ID, UserID: e.UserID, Title: e.ModelID, Detail: e.RequestID + " " + e.Status, Path: "/admin/users/" + e.UserID + "/usage", At: e.At}
		})},
		{Kind: "subscriptions", Permission: access.ViewPlans, Find: found(func(ctx context.Context, name string) ([]subscription.Subscription, error) {
			v, err := d.Plans.ByID(ctx, name)
			if errors.Is(err, subscription.ErrUnknown) {
				return nil, nil
			}
			return []subscription.Subscription{v}, err
		}, func(v subscription.Subscription) search.Hit {
			return search.Hit{ID: v.ID, UserID: v.UserID, Title: v.Tier, Detail: string(v.State), Path: "/admin/subscriptions/" + v.ID, At: v.CreatedAt}
		})},
	}
}

// found makes the Find of a kind of which everybody sees the same.
func found[T any](find func(ctx context.Context, name string) ([]T, error), show func(T) search.Hit) func(context.Context, access.Actor, string) ([]search.Hit, error) {
	return func(ctx context.Context, _ access.Actor, name string) ([]search.Hit, error) {
		all, err := find(ctx, name)
		out := make([]search.Hit, 0, search.Most)
		for _, v := range all[:min(len(all), search.Most)] {
			out = append(out, show(v))
		}
		return out, err
	}
}

// findPerson finds by id, and by address or user name for who may see those.
func (d *Domains) findPerson(ctx context.Context, reader access.Actor, name string) ([]search.Hit, error) {
	if !reader.May(access.ViewPII) && !id.Is("usr", name) {
		return nil, nil
	}
	u, err := d.Accounts.Named(ctx, name)
	if errors.Is(err, account.ErrUnknown) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !reader.May(access.ViewPII) {
		u = u.Masked()
	}
	return []search.Hit{{ID: u.ID, UserID: u.ID, Title: u.Username, Detail: u.Email + " " + u.State, Path: "/admin/users/" + u.ID, At: u.CreatedAt}}, nil
}
