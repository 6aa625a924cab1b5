package catalog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/secret"
)

// accessDefault is who may call a model: everybody from the free tier on.
const accessDefault = `{"mode":"minimum","tier":"free"}`

// tables are rows of all four tables.
type tables struct {
	providers []providerRow
	models    []modelRow
	routes    []routeRow
	prices    []storedPrice
}

type providerRow struct {
	name, vendor, baseURL string
	sealed                []byte // nil: no key
	options               string
	allowPrivate, enabled bool
}

type modelRow struct {
	id, name, state          string
	contextLength, maxOutput int64
	capabilities, access     string
	fallbacks                string
	created                  time.Time
}

type routeRow struct {
	model, provider, vendorModel string
	priority, weight             int64
}

type storedPrice struct {
	provider, vendorModel string
	from, until           time.Time
	prices, source        string
}

// keyAD is what a provider's key is sealed for.
func keyAD(provider string) string { return "catalog_provider|sealed_key|" + provider }

// sync writes what the configuration says and announces it if that changed
// anything.
func (s *Service) sync(ctx context.Context) error {
	return s.needs.DB.InTx(ctx, func(ctx context.Context) error {
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
// already right come back as they are.
func (s *Service) desired(have tables, now time.Time) (tables, error) {
	var want tables
	known := map[string]bool{}
	for i, p := range append([]ProviderConfig{testProvider()}, s.needs.Providers...) {
		row, err := s.providerRow(p, have.providers)
		if err != nil {
			return tables{}, err
		}
		want.providers = append(want.providers, row)
		for _, m := range p.Models {
			if !known[m.ID] {
				known[m.ID] = true
				row, err := newModelRow(m, now)
				if err != nil {
					return tables{}, err
				}
				want.models = append(want.models, row)
			}
			vendorModel := m.vendorModel()
			want.routes = append(want.routes, m.route(p.Name, int64(i)))
			prices, err := json.Marshal(m.Prices)
			if err != nil {
				return tables{}, err
			}
			source := m.Source
			if source == "" {
				source = "configuration"
			}
			want.prices = append(want.prices, storedPrice{provider: p.Name, vendorModel: vendorModel, from: now, prices: string(prices), source: source})
		}
	}
	return want, nil
}

// route is the way to m at a provider, the listed-th one.
func (m ModelConfig) route(provider string, listed int64) routeRow {
	r := routeRow{model: m.ID, provider: provider, vendorModel: m.vendorModel(), priority: m.Priority, weight: max(m.Weight, 1)}
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

// providerRow returns the row of p. A key that is already sealed in have is
// kept as it is, since sealing it again would look like a change.
func (s *Service) providerRow(p ProviderConfig, have []providerRow) (providerRow, error) {
	options, err := json.Marshal(p.Options)
	if err != nil {
		return providerRow{}, err
	}
	row := providerRow{name: p.Name, vendor: p.Vendor, baseURL: p.BaseURL, options: string(options), allowPrivate: p.AllowPrivate, enabled: true}
	if p.Key.Empty() {
		return row, nil
	}
	for _, h := range have {
		if h.name != p.Name || h.sealed == nil {
			continue
		}
		if plain, err := s.needs.Box.Open(h.sealed, keyAD(p.Name)); err == nil && bytes.Equal(plain, []byte(p.Key.Reveal())) {
			row.sealed = h.sealed
			return row, nil
		}
	}
	row.sealed, err = s.needs.Box.Seal([]byte(p.Key.Reveal()), keyAD(p.Name))
	return row, err
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
		capabilities: string(text), access: accessDefault, fallbacks: string(fallbacks), created: now,
	}, nil
}

// assemble makes models from rows. Keys are unsealed here and nowhere else.
func (s *Service) assemble(t tables) ([]*Model, error) {
	providers := map[string]*Provider{}
	for _, row := range t.providers {
		if !row.enabled {
			continue
		}
		p := &Provider{Name: row.name, Vendor: row.vendor, BaseURL: row.baseURL, AllowPrivate: row.allowPrivate}
		if err := json.Unmarshal([]byte(row.options), &p.Options); err != nil {
			return nil, fmt.Errorf("options of provider %s: %w", row.name, err)
		}
		if row.sealed != nil {
			key, err := s.needs.Box.Open(row.sealed, keyAD(row.name))
			if err != nil {
				return nil, fmt.Errorf("key of provider %s: %w", row.name, err)
			}
			p.Key = secret.New(string(key))
			sum := sha256.Sum256(key)
			p.Credential = binary.BigEndian.Uint64(sum[:])
		}
		providers[row.name] = p
	}
	prices := map[[2]string][]priceRow{}
	for _, row := range t.prices {
		r := priceRow{from: row.from, until: row.until}
		if err := json.Unmarshal([]byte(row.prices), &r.prices); err != nil {
			return nil, fmt.Errorf("prices of %s at %s: %w", row.vendorModel, row.provider, err)
		}
		key := [2]string{row.provider, row.vendorModel}
		prices[key] = append(prices[key], r)
	}
	models := make([]*Model, 0, len(t.models))
	for _, row := range t.models {
		m := &Model{ID: row.id, Name: row.name, State: State(row.state), ContextLength: row.contextLength, MaxOutput: row.maxOutput, CreatedAt: row.created}
		if err := json.Unmarshal([]byte(row.capabilities), &m.Capabilities); err != nil {
			return nil, fmt.Errorf("capabilities of %s: %w", row.id, err)
		}
		if err := json.Unmarshal([]byte(row.fallbacks), &m.Fallbacks); err != nil {
			return nil, fmt.Errorf("fallbacks of %s: %w", row.id, err)
		}
		for _, r := range t.routes {
			if p := providers[r.provider]; p != nil && r.model == row.id {
				m.Routes = append(m.Routes, Route{Provider: p, VendorModel: r.vendorModel, Priority: r.priority, Weight: r.weight, rows: prices[[2]string{r.provider, r.vendorModel}]})
			}
		}
		models = append(models, m)
	}
	return models, nil
}
