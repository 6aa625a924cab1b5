package catalog

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/secret"
)

// assemble makes the snapshot from rows. Keys are unsealed here and nowhere
// else.
func (s *Service) assemble(t tables) (*snapshot, error) {
	providers, err := s.accounts(t)
	if err != nil {
		return nil, err
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
	routes := map[string][]routeRow{}
	for _, r := range t.routes {
		routes[r.model] = append(routes[r.model], r)
	}
	models := make([]*Model, 0, len(t.models))
	for _, row := range t.models {
		m, err := newModel(row)
		if err != nil {
			return nil, err
		}
		for _, r := range routes[row.id] {
			rows := prices[[2]string{r.provider, r.vendorModel}]
			p, ok := providers[r.provider]
			if !ok {
				continue
			}
			var limits RouteLimits
			if err := json.Unmarshal([]byte(r.limits), &limits); err != nil {
				return nil, fmt.Errorf("limits of a route of %s: %w", row.id, err)
			}
			m.price(p.provider, r, rows)
			for _, k := range p.keyed {
				route := Route{Provider: k.provider, VendorModel: r.vendorModel, Priority: r.priority, Weight: r.weight * k.weight, Limits: limits, rows: rows}
				if limits != (RouteLimits{}) {
					route.Subject = fmt.Sprintf("deployment/%s/%x/%s", r.provider, k.provider.Credential, r.vendorModel)
				}
				m.Routes = append(m.Routes, route)
			}
		}
		models = append(models, m)
	}
	snap := newSnapshot(models, t.aliases)
	snap.keys = map[credentialOf]*Provider{}
	for name, a := range providers {
		for _, k := range a.keyed {
			snap.keys[credentialOf{name, k.provider.Credential}] = k.provider
		}
	}
	return snap, nil
}

func newModel(row modelRow) (*Model, error) {
	m := &Model{
		ID: row.id, Name: row.name, Description: row.description, State: State(row.state), ContextLength: row.contextLength, MaxOutput: row.maxOutput,
		CreatedAt: row.created, DeprecatedAt: row.deprecated, SunsetAt: row.sunset, Replacement: row.replacement,
		CacheFor: time.Duration(row.cacheSeconds) * time.Second,
	}
	for _, part := range []struct {
		what, text string
		into       any
	}{
		{"capabilities", row.capabilities, &m.Capabilities},
		{"fallbacks", row.fallbacks, &m.Fallbacks},
		{"access", row.access, &m.Access},
		{"parameters", row.parameters, &m.Constraints},
	} {
		if err := json.Unmarshal([]byte(part.text), part.into); err != nil {
			return nil, fmt.Errorf("%s of %s: %w", part.what, row.id, err)
		}
	}
	return m, nil
}

// price makes r the route whose prices are charged, if it is the first.
func (m *Model) price(p *Provider, r routeRow, rows []priceRow) {
	first := Route{Provider: p, VendorModel: r.vendorModel, Priority: r.priority, Weight: r.weight, rows: rows}
	if m.first.Provider == nil || compareRoutes(first, m.first) < 0 {
		m.first = first
	}
}

// account is a provider with its keys that take calls.
type account struct {
	provider *Provider
	keyed    []keyed
}

type keyed struct {
	provider *Provider // with this key
	weight   int64
}

// accounts returns the providers that are switched on. One that is drained, or
// whose keys are all out of use, has no keys: nothing is routed to it.
func (s *Service) accounts(t tables) (map[string]account, error) {
	keys := map[string][]keyRow{}
	for _, k := range t.keys {
		keys[k.provider] = append(keys[k.provider], k)
	}
	out := map[string]account{}
	for _, row := range t.providers {
		if !row.enabled || !row.removed.IsZero() {
			continue
		}
		p := Provider{Name: row.name, Vendor: row.vendor, BaseURL: row.baseURL, AllowPrivate: row.allowPrivate}
		if err := json.Unmarshal([]byte(row.options), &p.Options); err != nil {
			return nil, fmt.Errorf("options of provider %s: %w", row.name, err)
		}
		if err := json.Unmarshal([]byte(row.timeouts), &p.Timeouts); err != nil {
			return nil, fmt.Errorf("timeouts of provider %s: %w", row.name, err)
		}
		a := account{provider: &p}
		switch own := keys[row.name]; {
		case row.draining:
		case len(own) == 0:
			a.keyed = []keyed{{&p, 1}}
		default:
			for _, k := range own {
				if k.state != KeyActive {
					continue
				}
				withKey, err := s.unseal(p, k)
				if err != nil {
					return nil, err
				}
				a.keyed = append(a.keyed, keyed{withKey, k.weight})
			}
		}
		out[row.name] = a
	}
	return out, nil
}

// unseal returns p with the key of a row.
func (s *Service) unseal(p Provider, k keyRow) (*Provider, error) {
	key, err := s.needs.Box.Open(k.sealed, keyAD(k.id))
	if err != nil {
		return nil, fmt.Errorf("key %s of provider %s: %w", k.id, p.Name, err)
	}
	sum := sha256.Sum256(key)
	p.KeyID, p.Key, p.Credential = k.id, secret.New(string(key)), binary.BigEndian.Uint64(sum[:])
	return &p, nil
}

// newSnapshot orders the routes of the models, best first.
func newSnapshot(models []*Model, aliases []aliasRow) *snapshot {
	s := &snapshot{models: make(map[string]*Model, len(models)+len(aliases)), sorted: models}
	for _, m := range models {
		slices.SortFunc(m.Routes, compareRoutes)
		s.models[m.ID] = m
	}
	for _, a := range aliases { // never equal to an id
		if m := s.models[a.model]; m != nil && s.models[a.alias] == nil {
			s.models[a.alias] = m
			m.Aliases = append(m.Aliases, a.alias)
		}
	}
	return s
}
