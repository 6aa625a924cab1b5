package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/id"
)

// accessDefault is who may call a model: everybody from the free tier on.
const accessDefault = `{"mode":"minimum","tier":"free"}`

// sync writes what the configuration says and announces it if that changed
// anything.
func (s *Service) sync(ctx context.Context) error {
	return s.needs.DB.InTx(ctx, func(ctx context.Context) error {
		if _, err := s.store.lock(ctx); err != nil {
			return err
		}
		now := s.needs.Now()
		have, err := s.store.read(ctx, now)
		if err != nil {
			return err
		}
		want, err := s.desired(have, now)
		if err != nil {
			return err
		}
		changed, err := s.store.apply(ctx, have, want, now)
		if err != nil || !changed {
			return err
		}
		return s.needs.Bus.Publish(ctx, Changed, "configuration")
	})
}

// desired returns the rows that the configuration stands for. Rows that are
// already right come back as they are. What an administrator has taken over is
// left out: a model with its routes, and the price of a vendor's model.
func (s *Service) desired(have tables, now time.Time) (tables, error) {
	var want tables
	known := map[string]bool{}
	for i, p := range append([]ProviderConfig{testProvider()}, s.needs.Providers...) {
		if slices.ContainsFunc(have.providers, func(r providerRow) bool { return r.name == p.Name && r.origin == originAdmin }) {
			return tables{}, fmt.Errorf("%w: an administrator has made a provider %q; give the configured one another name", errConfig, p.Name)
		}
		row, err := newProviderRow(p)
		if err != nil {
			return tables{}, err
		}
		want.providers = append(want.providers, row)
		if want.keys, err = s.appendKey(want.keys, p, have.keys, now); err != nil {
			return tables{}, err
		}
		for _, m := range p.Models {
			if slices.ContainsFunc(have.models, func(r modelRow) bool { return r.id == m.ID && r.origin == originAdmin }) {
				known[m.ID] = true
			} else if !known[m.ID] {
				known[m.ID] = true
				row, err := newModelRow(m, now)
				if err != nil {
					return tables{}, err
				}
				want.models = append(want.models, row)
			}
			want.routes = append(want.routes, m.route(p.Name, int64(i)))
			price, err := m.price(p.Name, now)
			if err != nil {
				return tables{}, err
			}
			want.prices = append(want.prices, price)
		}
	}
	want.routes = slices.DeleteFunc(want.routes, func(r routeRow) bool { return have.adminModel(r.model) })
	return want, nil
}

// adminModel reports whether a model is an administrator's.
func (t tables) adminModel(id string) bool {
	return slices.ContainsFunc(t.models, func(r modelRow) bool { return r.id == id && r.origin == originAdmin })
}

// route is the way to m at a provider, the listed-th one.
func (m ModelConfig) route(provider string, listed int64) routeRow {
	r := routeRow{model: m.ID, provider: provider, vendorModel: m.vendorModel(), priority: m.Priority, weight: max(m.Weight, 1), limits: "{}"}
	if r.priority == 0 {
		r.priority = listed
	}
	return r
}

func (m ModelConfig) vendorModel() string {
	if m.VendorModel == "" {
		return m.ID
	}
	return m.VendorModel
}

func (m ModelConfig) price(provider string, now time.Time) (storedPrice, error) {
	prices, err := json.Marshal(m.Prices)
	if err != nil {
		return storedPrice{}, err
	}
	source := m.Source
	if source == "" {
		source = originConfig
	}
	return storedPrice{id: id.New("price", now), provider: provider, vendorModel: m.vendorModel(), from: now, prices: string(prices), source: source}, nil
}

func newProviderRow(p ProviderConfig) (providerRow, error) {
	options, err := json.Marshal(p.Options)
	if err != nil {
		return providerRow{}, err
	}
	return providerRow{
		name: p.Name, vendor: p.Vendor, baseURL: p.BaseURL, options: string(options), allowPrivate: p.AllowPrivate, enabled: true, origin: originConfig,
	}, nil
}

// appendKey adds the row of p's key. One that is already sealed in have is kept
// as it is, since sealing it again would look like a change.
func (s *Service) appendKey(to []keyRow, p ProviderConfig, have []keyRow, now time.Time) ([]keyRow, error) {
	if p.Key.Empty() {
		return to, nil
	}
	name := configuredKey(p.Name)
	for _, h := range have {
		if h.id != name {
			continue
		}
		if plain, err := s.needs.Box.Open(h.sealed, keyAD(name)); err == nil && bytes.Equal(plain, []byte(p.Key.Reveal())) {
			return append(to, h), nil
		}
	}
	sealed, err := s.needs.Box.Seal([]byte(p.Key.Reveal()), keyAD(name))
	if err != nil {
		return nil, err
	}
	return append(to, keyRow{
		id: name, provider: p.Name, origin: originConfig, label: "Configuration", sealed: sealed, hint: hint(p.Key.Reveal()),
		weight: 1, state: KeyActive, created: now, updated: now,
	}), nil
}

// hint is what is shown of a key. Of a short one nothing is.
func hint(key string) string {
	const shown, least = 4, 12
	if len(key) < least {
		return ""
	}
	return key[len(key)-shown:]
}

func newModelRow(m ModelConfig, now time.Time) (modelRow, error) {
	c := Capabilities{Words: m.Capabilities, Parameters: m.Parameters}
	if len(c.Words) == 0 {
		c.Words = []string{"text"}
	}
	text, err := json.Marshal(c)
	if err != nil {
		return modelRow{}, err
	}
	fallbacks, err := json.Marshal(append([]Fallback{}, m.Fallbacks...))
	if err != nil {
		return modelRow{}, err
	}
	name := m.Name
	if name == "" {
		name = m.ID
	}
	return modelRow{
		id: m.ID, name: name, state: string(StateActive), contextLength: m.ContextLength, maxOutput: m.MaxOutput,
		capabilities: string(text), access: accessDefault, fallbacks: string(fallbacks), created: now, origin: originConfig, parameters: "{}",
	}, nil
}
