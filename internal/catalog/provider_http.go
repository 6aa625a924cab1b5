package catalog

import (
	"context"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/secret"
	"github.com/rephlo/rephlo/internal/web"
)

func (a AdminAPI) mountProviders(m *web.Mux) {
	view, edit := access.Allows(access.ViewProviders), access.Allows(access.EditProviders)
	created, gone := web.Status(http.StatusCreated), web.Status(http.StatusNoContent)
	web.Route(m, "GET /admin/providers", a.listProviders, view, web.Doc("List the providers"))
	web.Route(m, "POST /admin/providers", a.createProvider, edit, created, web.Doc("Add a provider"))
	web.Route(m, "GET /admin/providers/health", a.providersHealth, view, web.Doc("Show how the deployments do in this process"))
	web.Route(m, "GET /admin/providers/{id}", a.oneProvider, view, web.Doc("Show a provider"))
	web.Route(m, "PATCH /admin/providers/{id}", a.editProvider, edit, web.Doc("Change a provider"))
	web.Route(m, "DELETE /admin/providers/{id}", a.dropProvider, edit, gone, web.Doc("Remove a provider and its keys"))
	web.Route(m, "POST /admin/providers/{id}/drain", a.drainProvider, edit, gone, web.Doc("Send no new calls to a provider"))
	web.Route(m, "POST /admin/providers/{id}/resume", a.resumeProvider, edit, gone, web.Doc("Send calls to a provider again"))
	web.Route(m, "GET /admin/providers/{id}/keys", a.listKeys, view, web.Doc("List the keys of a provider"))
	web.Route(m, "POST /admin/providers/{id}/keys", a.addKey, edit, created, web.Doc("Add a key; it is never shown again"))
	web.Route(m, "PATCH /admin/providers/{id}/keys/{keyId}", a.editKey, edit, web.Doc("Change a key"))
	web.Route(m, "DELETE /admin/providers/{id}/keys/{keyId}", a.dropKey, edit, gone, web.Doc("Delete a key"))
	web.Route(m, "POST /admin/providers/{id}/keys/{keyId}/test", a.testKey, edit, web.Doc("Try a key: the list of models, then a call of one token"))
}

// ProviderPath names the provider that an administrator asks about.
type ProviderPath struct {
	ID string `path:"id" maxLength:"64"`
}

type providersOutput struct{ Body list.Page[Account] }

type accountOutput struct {
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     Account
}

func (a AdminAPI) listProviders(ctx context.Context, in *PageInput) (*providersOutput, error) {
	all, err := a.Models.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	body, err := page(a.Cursors, "providers", all, *in, func(p Account) string { return p.Name })
	return &providersOutput{Body: body}, err
}

func (a AdminAPI) oneProvider(ctx context.Context, in *ProviderPath) (*accountOutput, error) {
	p, err := a.Models.Account(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &accountOutput{ETag: ETag(p.Version), Body: p}, nil
}

// ProviderFields are what can be written of a provider; nil stays.
type ProviderFields struct {
	Name         *string   `json:"name,omitempty" maxLength:"100"`
	BaseURL      *string   `json:"baseUrl,omitempty" maxLength:"500"`
	AllowPrivate *bool     `json:"allowPrivate,omitempty" doc:"Its address may be in a private network"`
	Options      *Options  `json:"options,omitempty"`
	Timeouts     *Timeouts `json:"timeouts,omitempty"`
	Enabled      *bool     `json:"enabled,omitempty"`
	Reason       string    `json:"reason" minLength:"10" maxLength:"500"`
}

func (f ProviderFields) apply(p *Account) {
	set(&p.Title, f.Name)
	set(&p.BaseURL, f.BaseURL)
	set(&p.AllowPrivate, f.AllowPrivate)
	set(&p.Options, f.Options)
	set(&p.Timeouts, f.Timeouts)
	set(&p.Enabled, f.Enabled)
}

func set[T any](to *T, v *T) {
	if v != nil {
		*to = *v
	}
}

type createProviderInput struct {
	Body struct {
		ID     string `json:"id" minLength:"1" maxLength:"40" doc:"Small letters, digits and hyphens; it never changes"`
		Vendor string `json:"vendor" minLength:"1" maxLength:"40" doc:"The protocol it speaks"`
		ProviderFields
	}
}

func (a AdminAPI) createProvider(ctx context.Context, in *createProviderInput) (*accountOutput, error) {
	who, err := by(ctx, in.Body.Reason, "")
	if err != nil {
		return nil, err
	}
	p := Account{Name: in.Body.ID, Title: in.Body.ID, Vendor: in.Body.Vendor}
	in.Body.apply(&p)
	if p, err = a.Models.CreateAccount(ctx, p, who); err != nil {
		return nil, err
	}
	return &accountOutput{Location: "/admin/providers/" + p.Name, ETag: ETag(p.Version), Body: p}, nil
}

type editProviderInput struct {
	ProviderPath
	Match string `header:"If-Match" maxLength:"64"`
	Body  ProviderFields
}

func (a AdminAPI) editProvider(ctx context.Context, in *editProviderInput) (*accountOutput, error) {
	who, err := by(ctx, in.Body.Reason, in.Match)
	if err != nil {
		return nil, err
	}
	p, err := a.Models.EditAccount(ctx, in.ID, who, in.Body.apply)
	if err != nil {
		return nil, err
	}
	return &accountOutput{ETag: ETag(p.Version), Body: p}, nil
}

type dropProviderInput struct {
	ProviderPath
	WhyQuery
}

func (a AdminAPI) dropProvider(ctx context.Context, in *dropProviderInput) (*struct{}, error) {
	who, err := in.by(ctx)
	if err != nil {
		return nil, err
	}
	return nil, a.Models.RemoveAccount(ctx, in.ID, who)
}

type drainInput struct {
	ProviderPath
	WhyInput
}

func (a AdminAPI) drainProvider(ctx context.Context, in *drainInput) (*struct{}, error) {
	return a.drain(ctx, in, true)
}

func (a AdminAPI) resumeProvider(ctx context.Context, in *drainInput) (*struct{}, error) {
	return a.drain(ctx, in, false)
}

func (a AdminAPI) drain(ctx context.Context, in *drainInput, draining bool) (*struct{}, error) {
	who, err := by(ctx, in.Body.Reason, "")
	if err != nil {
		return nil, err
	}
	return nil, a.Models.DrainAccount(ctx, in.ID, draining, who)
}

type keysOutput struct{ Body list.Page[Key] }

func (a AdminAPI) listKeys(ctx context.Context, in *ProviderPath) (*keysOutput, error) {
	keys, err := a.Models.Keys(ctx, in.ID)
	return &keysOutput{Body: list.Page[Key]{Data: keys}}, err
}

type keyOutput struct {
	Location string `header:"Location"`
	Body     Key
}

type addKeyInput struct {
	ProviderPath
	Body struct {
		Label  string        `json:"label" minLength:"1" maxLength:"100"`
		Value  secret.String `json:"value" doc:"The key itself; it is sealed and never shown"`
		Weight int64         `json:"weight,omitempty" minimum:"1" maximum:"1000" default:"1"`
		Reason string        `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a AdminAPI) addKey(ctx context.Context, in *addKeyInput) (*keyOutput, error) {
	who, err := by(ctx, in.Body.Reason, "")
	if err != nil {
		return nil, err
	}
	k, err := a.Models.AddKey(ctx, in.ID, in.Body.Label, in.Body.Value, in.Body.Weight, who)
	if err != nil {
		return nil, err
	}
	return &keyOutput{Location: "/admin/providers/" + k.Provider + "/keys/" + k.ID, Body: k}, nil
}

// KeyPath names one of its keys.
type KeyPath struct {
	ProviderPath
	KeyID string `path:"keyId" maxLength:"64"`
}

type editKeyInput struct {
	KeyPath
	Body struct {
		Label  *string   `json:"label,omitempty" minLength:"1" maxLength:"100"`
		Weight *int64    `json:"weight,omitempty" minimum:"1" maximum:"1000"`
		State  *KeyState `json:"state,omitempty" enum:"active,draining,disabled"`
		Reason string    `json:"reason" minLength:"10" maxLength:"500"`
	}
}

func (a AdminAPI) editKey(ctx context.Context, in *editKeyInput) (*keyOutput, error) {
	who, err := by(ctx, in.Body.Reason, "")
	if err != nil {
		return nil, err
	}
	k, err := a.Models.EditKey(ctx, in.ID, in.KeyID, KeyEdit{Label: in.Body.Label, Weight: in.Body.Weight, State: in.Body.State}, who)
	return &keyOutput{Body: k}, err
}

type dropKeyInput struct {
	KeyPath
	WhyQuery
}

func (a AdminAPI) dropKey(ctx context.Context, in *dropKeyInput) (*struct{}, error) {
	who, err := in.by(ctx)
	if err != nil {
		return nil, err
	}
	return nil, a.Models.RemoveKey(ctx, in.ID, in.KeyID, who)
}

// Prober tries a provider with one of its keys. What it reports is safe to
// show.
type Prober interface {
	Probe(ctx context.Context, p *Provider, vendorModel string) Probe
}

// Probe is how a provider answered.
type Probe struct {
	Models ProbeStep `json:"models"` // GET /models
	Call   ProbeStep `json:"call"`   // a call of one token
}

// ProbeStep is one request of a probe.
type ProbeStep struct {
	OK      bool   `json:"ok"`
	Status  int    `json:"status" doc:"What the vendor answered with; 0 when it did not"`
	Code    string `json:"code" doc:"Our code for the failure; empty on success"`
	Message string `json:"message"`
	TookMS  int64  `json:"tookMs"`
	Skipped bool   `json:"skipped" doc:"The vendor has no such request, or there is no model to call"`
}

type testKeyInput struct {
	KeyPath
	Body struct {
		VendorModelID string `json:"vendorModelId,omitempty" maxLength:"200" doc:"Default: the first that a route leads to"`
	}
}

type probeOutput struct{ Body Probe }

func (a AdminAPI) testKey(ctx context.Context, in *testKeyInput) (*probeOutput, error) {
	p, err := a.Models.AccountWithKey(ctx, in.ID, in.KeyID)
	if err != nil {
		return nil, err
	}
	model := in.Body.VendorModelID
	if model == "" {
		if model, err = a.Models.anyModel(ctx, in.ID); err != nil {
			return nil, err
		}
	}
	return &probeOutput{Body: a.Prober.Probe(ctx, p, model)}, nil
}

// anyModel is a model that a route to the provider names, or "".
func (s *Service) anyModel(ctx context.Context, provider string) (string, error) {
	t, err := s.rows(ctx)
	for _, r := range t.routes {
		if r.provider == provider {
			return r.vendorModel, err
		}
	}
	return "", err
}

// DeploymentHealth is how a deployment does in this process.
type DeploymentHealth struct {
	Provider    string     `json:"providerId"`
	VendorModel string     `json:"vendorModelId"`
	KeyID       string     `json:"keyId"`
	State       string     `json:"state" doc:"active, cooling, open, trial or disabled"`
	Reason      string     `json:"reason" doc:"Why it cools or is disabled: rate, quota or auth; else empty"`
	InFlight    int64      `json:"inFlight"`
	Until       *time.Time `json:"until" doc:"When it may be asked again"`
	Calls       int64      `json:"calls" doc:"In the last ten seconds"`
	Faults      int64      `json:"faults" doc:"In the last ten seconds"`
}

type healthOutput struct {
	Body struct {
		Data []DeploymentHealth `json:"data"`
	}
}

func (a AdminAPI) providersHealth(context.Context, *struct{}) (*healthOutput, error) {
	out := &healthOutput{}
	out.Body.Data = append([]DeploymentHealth{}, a.Health()...)
	return out, nil
}
