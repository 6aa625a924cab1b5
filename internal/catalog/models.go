package catalog

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
)

// Entry is a model as administrators see and write it.
type Entry struct {
	ID            string       `json:"id"`
	Aliases       []string     `json:"aliases"`
	Name          string       `json:"name"`
	Description   string       `json:"description"`
	State         State        `json:"state"`
	ContextLength int64        `json:"contextLength"`
	MaxOutput     int64        `json:"maxOutputTokens"`
	Capabilities  Capabilities `json:"capabilities"`
	Access        Access       `json:"access"`
	Parameters    Constraints  `json:"parameters"`
	Routes        []EntryRoute `json:"routes"`
	Fallbacks     []Fallback   `json:"fallbacks"`
	CacheSeconds  int64        `json:"cacheSeconds" doc:"How long whole answers are kept for those whose API keys ask for it; 0: not at all"`
	Replacement   string       `json:"replacementModelId"`
	Notice        string       `json:"deprecationNotice"`
	DeprecatedAt  time.Time    `json:"deprecatedAt,omitzero"`
	SunsetAt      time.Time    `json:"sunsetAt,omitzero"`
	CreatedAt     time.Time    `json:"createdAt"`
	// Configured says that it comes from the configuration of the process. The
	// first edit takes it over; from then on the configuration leaves it alone.
	Configured bool  `json:"configured"`
	Version    int64 `json:"-"`
}

// EntryRoute is a way to a model.
type EntryRoute struct {
	Provider    string      `json:"providerId"`
	VendorModel string      `json:"vendorModelId"`
	Priority    int64       `json:"priority"`
	Weight      int64       `json:"weight"`
	Limits      RouteLimits `json:"limits"`
}

const (
	maxAliases     = 20
	maxRoutes      = 64
	maxDescription = 2000 // bytes
	maxRouteLimit  = 1_000_000_000
	maxCache       = 3600 // seconds
)

// reservedIDs are words of administrators' paths.
var reservedIDs = []string{"tiers", "import"}

// check says which field of e breaks a rule; t is what else there is.
func (e *Entry) check(t tables) error {
	m := ModelConfig{ID: e.ID, ContextLength: e.ContextLength, MaxOutput: e.MaxOutput, Fallbacks: e.Fallbacks}
	if err := m.check(); err != nil {
		return wrong("model", "%s", err)
	}
	if slices.Contains(reservedIDs, e.ID) {
		return wrong("id", "%q is a word of the administrators' addresses", e.ID)
	}
	if err := checkLabel("name", e.Name, 1); err != nil {
		return err
	}
	if len(e.Description) > maxDescription || len(e.Notice) > maxDescription {
		return wrong("description", "it has at most %d bytes", maxDescription)
	}
	if len(e.Capabilities.Words) == 0 || len(e.Capabilities.Words) > 50 || len(e.Capabilities.Parameters) > 100 {
		return wrong("capabilities", "list 1 to 50 of them")
	}
	if e.CacheSeconds < 0 || e.CacheSeconds > maxCache {
		return wrong("cacheSeconds", "it is from 0 (off) to %d", maxCache)
	}
	if err := e.checkAliases(t); err != nil {
		return err
	}
	if err := e.checkRoutes(t); err != nil {
		return err
	}
	for _, f := range e.Fallbacks {
		if !slices.ContainsFunc(t.models, func(r modelRow) bool { return r.id == f.Model }) {
			return wrong("fallbacks", "there is no model %q", f.Model)
		}
	}
	if err := e.checkReplacement(t); err != nil {
		return err
	}
	return e.Parameters.check()
}

func (e *Entry) checkReplacement(t tables) error {
	if e.Replacement == "" {
		return nil
	}
	if e.Replacement == e.ID || !slices.ContainsFunc(t.models, func(r modelRow) bool { return r.id == e.Replacement }) {
		return wrong("replacementModelId", "it is not the id of another model")
	}
	return nil
}

func (e *Entry) checkAliases(t tables) error {
	if len(e.Aliases) > maxAliases {
		return wrong("aliases", "at most %d are possible", maxAliases)
	}
	for i, name := range e.Aliases {
		switch {
		case !modelID.MatchString(name) || slices.Contains(e.Aliases[:i], name):
			return wrong("aliases", "%q has not the form of an id, or is there twice", name)
		case slices.ContainsFunc(t.models, func(r modelRow) bool { return r.id == name }) || name == e.ID:
			return wrong("aliases", "%q is the id of a model", name)
		case slices.ContainsFunc(t.aliases, func(r aliasRow) bool { return r.alias == name && r.model != e.ID }):
			return wrong("aliases", "%q is an alias of another model", name)
		}
	}
	if slices.ContainsFunc(t.aliases, func(r aliasRow) bool { return r.alias == e.ID }) {
		return wrong("id", "it is an alias of another model")
	}
	return nil
}

func (e *Entry) checkRoutes(t tables) error {
	if len(e.Routes) > maxRoutes {
		return wrong("routes", "at most %d are possible", maxRoutes)
	}
	seen := map[[2]string]bool{}
	for _, r := range e.Routes {
		if _, err := t.provider(r.Provider); err != nil {
			return wrong("routes", "there is no provider %q", r.Provider)
		}
		key := [2]string{r.Provider, r.VendorModel}
		if seen[key] || r.VendorModel == "" || len(r.VendorModel) > 200 || strings.ContainsAny(r.VendorModel, "\"\\\r\n\x00") {
			return wrong("routes", "vendorModelId %q is there twice, or is not a model's id", r.VendorModel)
		}
		seen[key] = true
		if r.Priority < 0 || r.Priority > maxPriority {
			return wrong("routes", "priority is from 0 to %d", maxPriority)
		}
		if err := checkWeight(r.Weight); err != nil {
			return err
		}
		for _, n := range []int64{r.Limits.RequestsPerMinute, r.Limits.TokensPerMinute, r.Limits.ConcurrentRequests} {
			if n < 0 || n > maxRouteLimit {
				return wrong("routes", "limits are from 0 (none) to %d", maxRouteLimit)
			}
		}
	}
	return nil
}

// entry returns the model of a row with what belongs to it.
func (t tables) entry(r modelRow) (Entry, error) {
	e := Entry{
		ID: r.id, Aliases: []string{}, Name: r.name, Description: r.description, State: State(r.state), ContextLength: r.contextLength, MaxOutput: r.maxOutput,
		Routes: []EntryRoute{}, Replacement: r.replacement, Notice: r.notice, DeprecatedAt: r.deprecated, SunsetAt: r.sunset, CreatedAt: r.created,
		Configured: r.origin == originConfig, Version: r.version, CacheSeconds: r.cacheSeconds,
	}
	for text, into := range map[string]any{r.capabilities: &e.Capabilities, r.access: &e.Access} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			return e, err
		}
	}
	if err := json.Unmarshal([]byte(r.parameters), &e.Parameters); err != nil {
		return e, err
	}
	if err := json.Unmarshal([]byte(r.fallbacks), &e.Fallbacks); err != nil {
		return e, err
	}
	for _, a := range t.aliases {
		if a.model == r.id {
			e.Aliases = append(e.Aliases, a.alias)
		}
	}
	for _, route := range t.routes {
		if route.model != r.id {
			continue
		}
		out := EntryRoute{Provider: route.provider, VendorModel: route.vendorModel, Priority: route.priority, Weight: route.weight}
		if err := json.Unmarshal([]byte(route.limits), &out.Limits); err != nil {
			return e, err
		}
		e.Routes = append(e.Routes, out)
	}
	return e, nil
}

// rows turns e into its row and its routes.
func (e *Entry) rows(origin string) (modelRow, []routeRow, error) {
	m := modelRow{
		id: e.ID, name: e.Name, state: string(e.State), contextLength: e.ContextLength, maxOutput: e.MaxOutput, created: e.CreatedAt, origin: origin,
		description: e.Description, replacement: e.Replacement, notice: e.Notice, deprecated: e.DeprecatedAt, sunset: e.SunsetAt, version: e.Version, cacheSeconds: e.CacheSeconds,
	}
	if e.Parameters == nil {
		e.Parameters = Constraints{}
	}
	if e.Fallbacks == nil {
		e.Fallbacks = []Fallback{}
	}
	for into, v := range map[*string]any{&m.capabilities: e.Capabilities, &m.access: e.Access, &m.parameters: e.Parameters, &m.fallbacks: e.Fallbacks} {
		text, err := json.Marshal(v)
		if err != nil {
			return m, nil, err
		}
		*into = string(text)
	}
	routes := make([]routeRow, 0, len(e.Routes))
	for _, r := range e.Routes {
		limits, err := json.Marshal(r.Limits)
		if err != nil {
			return m, nil, err
		}
		routes = append(routes, routeRow{model: e.ID, provider: r.Provider, vendorModel: r.VendorModel, priority: r.Priority, weight: r.Weight, limits: string(limits)})
	}
	return m, routes, nil
}

// Entries returns all models, by id.
func (s *Service) Entries(ctx context.Context) ([]Entry, error) {
	t, err := s.rows(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Entry, 0, len(t.models))
	for _, r := range t.models {
		e, err := t.entry(r)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// Entry returns one model by its id; one that is not there is ErrNotFound.
func (s *Service) Entry(ctx context.Context, id string) (Entry, error) {
	t, err := s.rows(ctx)
	if err != nil {
		return Entry{}, err
	}
	row, err := t.model(id)
	if err != nil {
		return Entry{}, err
	}
	return t.entry(*row)
}

func (t *tables) model(id string) (*modelRow, error) {
	i := slices.IndexFunc(t.models, func(r modelRow) bool { return r.id == id })
	if i < 0 {
		return nil, fault.ErrNotFound
	}
	return &t.models[i], nil
}
