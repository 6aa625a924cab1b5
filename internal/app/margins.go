package app

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/margin"
	"github.com/rephlo/rephlo/internal/setting"
)

// newMargins returns the rules of prices, which know nothing before
// startMargins.
func (s *Server) newMargins() *margin.Service {
	core, tiers := s.core, s.domains.Tiers
	return margin.New(margin.Needs{
		DB: core.DB, Bus: core.Bus, Audit: core.Audit, Log: core.Log, Now: core.Now,
		Default: func() int64 { return setting.DefaultMargin.Of(core.Settings) },
		OfTier: func(name string) int64 {
			t := tiers.Tier(name)
			if t == nil {
				return 0
			}
			return t.Multiplier
		},
	})
}

func (s *Server) startMargins(ctx context.Context, m *margin.Service, models *catalog.Service) error {
	tiers := s.domains.Tiers
	m.Known = func(of margin.Scope) error {
		switch {
		case of.Tier != "" && tiers.Tier(of.Tier) == nil:
			return margin.ErrScope.At("tier").Saying("There is no tier %q.", of.Tier)
		case of.Provider != "" && !models.HasProvider(of.Provider):
			return margin.ErrScope.At("providerId").Saying("There is no provider %q.", of.Provider)
		case of.Model != "":
			found, err := models.Model(of.Model)
			if err != nil {
				return margin.ErrScope.At("modelId").Saying("There is no model %q.", of.Model)
			}
			if found.ID != of.Model {
				return margin.ErrScope.At("modelId").Saying("%q is an alias. Name the model %q.", of.Model, found.ID)
			}
		}
		return nil
	}
	if err := m.Load(ctx); err != nil {
		return err
	}
	m.Start(ctx)
	s.onStop(func(context.Context) error { m.Stop(); return nil })
	return nil
}

// multiplier is what the gateway asks for.
func multiplier(m *margin.Service) func(tier, provider, model string, at time.Time) int64 {
	return func(tier, provider, model string, at time.Time) int64 {
		return m.Of(margin.Scope{Tier: tier, Provider: provider, Model: model}, at).Multiplier
	}
}
