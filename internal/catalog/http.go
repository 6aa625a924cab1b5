package catalog

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/web"
)

// API is the list of models as OpenAI's clients read it, with more in it, and
// as those of Anthropic and of Google do.
type API struct {
	Models  *Service
	Cursors list.Cursors
	// Errors are those of OpenAI's dialect; nil is the product's own, also for
	// the two others.
	Errors, AnthropicErrors, GoogleErrors web.ErrorWriter
	// Failure and GoogleFailure describe what Errors and GoogleErrors write by
	// values of their types.
	Failure, GoogleFailure any
	// TierOf says which tier a user has.
	TierOf func(userID string) string
	// UpgradeURL is where people get another one.
	UpgradeURL string
}

const (
	tagModels   = "Models"
	asAnthropic = "With a header `anthropic-version`, the answer is as Anthropic's models endpoint gives it: `{\"data\":[{\"type\":\"model\",\"id\",\"display_name\",\"created_at\"}],\"has_more\",\"first_id\",\"last_id\"}`, or one of its entries."
)

// Mount registers the routes.
func (a API) Mount(m *web.Mux) {
	opts := []web.Option{access.Needs(access.ScopeModels), web.Tag(tagModels), web.Failures(a.Failure)}
	if a.Errors != nil && a.AnthropicErrors != nil {
		opts = append(opts, web.Errors(func(w http.ResponseWriter, r *http.Request, f *fault.Error) {
			if anthropic(r) {
				a.AnthropicErrors(w, r, f)
				return
			}
			a.Errors(w, r, f)
		}))
	}
	opts = slices.Clip(opts)
	web.Route(m, "GET /v1/models", a.list, append(opts, orAnthropic(a.anthropicList), web.Doc("List the models"), web.Detail(asAnthropic))...)
	web.Route(m, "GET /v1/models/{model}", a.one, append(opts, orAnthropic(a.anthropicOne), web.Doc("Show one model"), web.Detail(asAnthropic))...)
	a.mountGemini(m)
}

type listInput struct {
	Available  bool     `query:"available" doc:"only models that can be called now"`
	Capability []string `query:"capability" doc:"only models with one of these, separated by commas"`
	Provider   string   `query:"provider" doc:"only models of this provider"`
}

type listOutput struct {
	Body struct {
		Object   string       `json:"object"`
		Data     []shownModel `json:"data"`
		UserTier string       `json:"user_tier"`
	}
}

type oneInput struct {
	Model string `path:"model" maxLength:"200"`
}

type oneOutput struct{ Body shownModel }

// shownModel is a model in the public list, in the vendor's spelling of names.
type shownModel struct {
	ID                  string        `json:"id"`
	Object              string        `json:"object"`
	Created             int64         `json:"created"`
	OwnedBy             string        `json:"owned_by"`
	Name                string        `json:"name"`
	Provider            string        `json:"provider"`
	Description         string        `json:"description"`
	Version             string        `json:"version"`
	Capabilities        []string      `json:"capabilities"`
	InputModalities     []string      `json:"input_modalities"`
	OutputModalities    []string      `json:"output_modalities"`
	ContextLength       int64         `json:"context_length"`
	MaxOutputTokens     int64         `json:"max_output_tokens"`
	SupportedParameters []string      `json:"supported_parameters"`
	InputPerK           money.Credits `json:"input_credits_per_k"`
	OutputPerK          money.Credits `json:"output_credits_per_k"`
	Per1KTokens         money.Credits `json:"credits_per_1k_tokens"`
	Pricing             *shownPrices  `json:"pricing"`
	IsAvailable         bool          `json:"is_available"`
	RequiredTier        string        `json:"required_tier"`
	TierRestrictionMode string        `json:"tier_restriction_mode"`
	AllowedTiers        []string      `json:"allowed_tiers"`
	AccessStatus        string        `json:"access_status"`
	UpgradeInfo         *upgrade      `json:"upgrade_info"`
	IsDeprecated        bool          `json:"is_deprecated"`
	DeprecatedAt        *string       `json:"deprecated_at"`
	SunsetAt            *string       `json:"sunset_at"`
	ReplacementModelID  *string       `json:"replacement_model_id"`
}

type upgrade struct {
	RequiredTier string `json:"required_tier"`
	UpgradeURL   string `json:"upgrade_url"`
}

// shownPrices are credits for a million tokens.
type shownPrices struct {
	Input       money.Credits  `json:"input"`
	CachedInput money.Credits  `json:"cached_input"`
	CacheWrite  money.Credits  `json:"cache_write"`
	Output      money.Credits  `json:"output"`
	Reasoning   money.Credits  `json:"reasoning"`
	Image       *money.Credits `json:"image"`
	HighContext *highContext   `json:"high_context"`
}

type highContext struct {
	Threshold   int64         `json:"threshold"`
	Input       money.Credits `json:"input"`
	CachedInput money.Credits `json:"cached_input"`
	CacheWrite  money.Credits `json:"cache_write"`
	Output      money.Credits `json:"output"`
	Reasoning   money.Credits `json:"reasoning"`
}

// caller is who asks for the list.
type caller struct {
	actor access.Actor
	tier  string
}

func (a API) caller(ctx context.Context) (caller, error) {
	actor, err := access.From(ctx)
	return caller{actor, a.TierOf(actor.UserID)}, err
}

// sees reports whether the caller's key may call m at all; whether the tier does
// is shown instead.
func (c caller) sees(m *Model) bool {
	return c.actor.Key.MayCall(m.ID) && (!c.actor.Test || m.Test())
}

func (a API) list(ctx context.Context, in *listInput) (*listOutput, error) {
	who, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	out := &listOutput{}
	out.Body.Object, out.Body.UserTier, out.Body.Data = "list", who.tier, []shownModel{}
	now := a.Models.needs.Now()
	for _, m := range a.Models.Models() {
		if !who.sees(m) {
			continue
		}
		e := a.entry(m, who, now)
		if in.Available && (!e.IsAvailable || e.AccessStatus != accessAllowed) || in.Provider != "" && e.Provider != in.Provider {
			continue
		}
		if len(in.Capability) > 0 && !slices.ContainsFunc(in.Capability, func(c string) bool { return slices.Contains(e.Capabilities, c) }) {
			continue
		}
		out.Body.Data = append(out.Body.Data, e)
	}
	return out, nil
}

func (a API) one(ctx context.Context, in *oneInput) (*oneOutput, error) {
	who, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	m, err := a.Models.Model(in.Model)
	if err != nil {
		return nil, err
	}
	if !who.sees(m) {
		return nil, ErrNotFound
	}
	return &oneOutput{Body: a.entry(m, who, a.Models.needs.Now())}, nil
}

// What a list says of the caller's tier.
const (
	accessAllowed = "allowed"
	accessUpgrade = "upgrade_required"
)

func (a API) entry(m *Model, who caller, now time.Time) shownModel {
	e := shownModel{
		ID: m.ID, Object: "model", Created: m.CreatedAt.Unix(), Name: m.Name,
		Capabilities: m.Capabilities.Words, InputModalities: []string{"text"}, OutputModalities: []string{"text"},
		ContextLength: m.ContextLength, MaxOutputTokens: m.MaxOutput, SupportedParameters: m.Capabilities.Parameters,
		Description: m.Description, TierRestrictionMode: string(m.Access.Mode), RequiredTier: m.Access.Tier,
		AllowedTiers: append([]string{}, m.Access.Tiers...), AccessStatus: accessAllowed, IsDeprecated: m.State == StateLegacy,
		DeprecatedAt: stamp(m.DeprecatedAt), SunsetAt: stamp(m.SunsetAt),
	}
	if m.Replacement != "" {
		e.ReplacementModelID = &m.Replacement
	}
	if !m.Access.Allows(who.tier, a.Models.needs.Tiers) {
		e.AccessStatus, e.UpgradeInfo = accessUpgrade, &upgrade{UpgradeURL: a.UpgradeURL}
		if need := m.Access.Required(a.Models.needs.Tiers); len(need) > 0 {
			e.UpgradeInfo.RequiredTier = need[0]
		}
	}
	if e.SupportedParameters == nil {
		e.SupportedParameters = []string{}
	}
	if slices.Contains(m.Capabilities.Words, "vision") {
		e.InputModalities = append(e.InputModalities, "image")
	}
	if m.OnlyEmbeds() {
		e.OutputModalities = []string{wordEmbedding}
	}
	if slices.Contains(m.Capabilities.Words, "audio") {
		e.InputModalities = append(e.InputModalities, "audio")
	}
	if p := m.first.Provider; p != nil {
		e.Provider, e.OwnedBy, e.Version = p.Name, p.Name, m.first.VendorModel
	}
	p := m.Prices(now)
	if p == nil {
		return e
	}
	e.IsAvailable = true
	t := a.Models.terms(m, who.tier, now)
	const thousand = 1000
	e.InputPerK = pricing.Shown(p.Input, t, thousand)
	e.OutputPerK = pricing.Shown(p.Output, t, thousand)
	if e.Per1KTokens = (e.InputPerK + 10*e.OutputPerK) / 11; m.OnlyEmbeds() { // which writes nothing
		e.Per1KTokens = e.InputPerK
	}
	e.Pricing = newShownPrices(p, t)
	return e
}

// stamp is a time as this list shows it; null for none.
func stamp(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := t.UTC().Format(time.RFC3339)
	return &text
}

func newShownPrices(p *pricing.Prices, t money.Terms) *shownPrices {
	base := shown(p, t)
	out := &shownPrices{Input: base.Input, CachedInput: base.CachedInput, CacheWrite: base.CacheWrite, Output: base.Output, Reasoning: base.Reasoning}
	if p.High != nil {
		high := shown(p.High, t)
		high.Threshold = p.Threshold
		out.HighContext = &high
	}
	return out
}

// shown returns a set of prices as credits for a million tokens.
func shown(p *pricing.Prices, t money.Terms) highContext {
	const million = 1_000_000
	return highContext{
		Input:       pricing.Shown(p.Input, t, million),
		CachedInput: pricing.Shown(p.CacheRead.Or(p.Input), t, million),
		CacheWrite:  pricing.Shown(p.CacheWrite.Or(p.Input), t, million),
		Output:      pricing.Shown(p.Output, t, million),
		Reasoning:   pricing.Shown(p.Reasoning.Or(p.Output), t, million),
	}
}
