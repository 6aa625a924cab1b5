package app

import (
	"context"
	"errors"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/apikey"
	"github.com/rephlo/rephlo/internal/limit"
	"github.com/rephlo/rephlo/internal/subscription"
)

// counted is the most that an overview counts.
const counted = 100

// overview is what the slices know of somebody, as far as a reader may see it.
func (s *Server) overview(ctx context.Context, reader access.Actor, u account.User) (account.Overview, error) {
	d := s.domains
	out := account.Overview{Tier: d.Plans.TierOf(u.ID), Factors: []string{}}
	if reader.May(access.ViewPlans) {
		list, err := d.Plans.List(ctx, subscription.Filter{User: u.ID}, 1)
		if err != nil {
			return out, err
		}
		if len(list) > 0 {
			out.Subscription = d.Plans.Shown(list[0])
		}
	}
	if reader.May(access.ViewBalance) {
		b, err := d.Credits.Balance(ctx, u.ID)
		if err != nil {
			return out, err
		}
		out.Credits = &account.OverviewCredits{Remaining: b.Available, Held: b.Held, Total: b.Granted}
	}
	if own, ok := d.Limits.Of(u.ID); ok && reader.May(access.ViewTiers) {
		out.Limits = limit.Show(own)
	}
	factors, err := s.secondFactors(ctx, u)
	if err != nil {
		return out, err
	}
	for _, f := range []struct {
		name string
		has  bool
	}{{"totp", factors.App}, {"passkey", factors.Passkey}, {"recovery_code", factors.Recovery}} {
		if f.has {
			out.Factors = append(out.Factors, f.name)
		}
	}
	out.Counts, err = s.countsOf(ctx, u.ID)
	return out, err
}

func (s *Server) countsOf(ctx context.Context, userID string) (account.OverviewCounts, error) {
	d := s.domains
	keys, err1 := d.Keys.List(ctx, userID, apikey.Filter{Status: apikey.StatusActive}, counted)
	hooks, err2 := d.Webhooks.List(ctx, userID, "", counted)
	apps, err3 := s.parts.grants.Apps(ctx, userID)
	sessions, err4 := s.parts.sessions.List(ctx, userID)
	return account.OverviewCounts{APIKeys: len(keys), Webhooks: len(hooks), Apps: len(apps), Sessions: len(sessions)}, errors.Join(err1, err2, err3, err4)
}
