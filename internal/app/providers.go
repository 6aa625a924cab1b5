package app

import (
	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/config"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
)

// compatible turns a provider of the providers file into the catalogue's form.
func compatible(p config.Provider) catalog.ProviderConfig {
	vendor := p.Vendor
	if vendor == "" {
		vendor = "compat"
	}
	out := catalog.ProviderConfig{
		Name: p.ID, Vendor: vendor, BaseURL: p.BaseURL, Key: p.APIKey, AllowPrivate: p.AllowPrivate,
		Options: catalog.Options{Headers: p.Headers, NoStreamUsage: p.NoStreamUsage, Drain: p.Drain, MaxTokensKey: p.MaxTokensKey, APIVersion: p.APIVersion},
	}
	for _, m := range p.Models {
		prices := pricing.Prices{Input: money.Price(*m.Input), Output: money.Price(*m.Output)}
		if m.CachedInput != nil {
			prices.CacheRead = pricing.At(money.Price(*m.CachedInput))
		}
		model := catalog.ModelConfig{
			ID: m.ID, VendorModel: m.VendorModel, Name: m.Name,
			Capabilities: m.Capabilities, ContextLength: m.ContextLength, MaxOutput: m.MaxOutputTokens, Prices: prices, Priority: m.Priority, Weight: m.Weight,
		}
		for _, f := range m.Fallbacks {
			fallback := catalog.Fallback{Model: f.Model}
			for _, on := range f.On {
				fallback.On = append(fallback.On, catalog.Cause(on))
			}
			model.Fallbacks = append(model.Fallbacks, fallback)
		}
		out.Models = append(out.Models, model)
	}
	return out
}
