package app

import (
	"context"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/apikey"
	"github.com/rephlo/rephlo/internal/approval"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/authn"
	"github.com/rephlo/rephlo/internal/branding"
	"github.com/rephlo/rephlo/internal/capture"
	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/config"
	"github.com/rephlo/rephlo/internal/console"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/gateway"
	"github.com/rephlo/rephlo/internal/gateway/route"
	"github.com/rephlo/rephlo/internal/health"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/keys"
	"github.com/rephlo/rephlo/internal/identity/self"
	"github.com/rephlo/rephlo/internal/identity/sso"
	"github.com/rephlo/rephlo/internal/impersonate"
	"github.com/rephlo/rephlo/internal/job"
	"github.com/rephlo/rephlo/internal/limit"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/dialect"
	anthropicdialect "github.com/rephlo/rephlo/internal/llm/dialect/anthropic"
	googledialect "github.com/rephlo/rephlo/internal/llm/dialect/google"
	openaidialect "github.com/rephlo/rephlo/internal/llm/dialect/openai"
	"github.com/rephlo/rephlo/internal/llm/vendors/anthropic"
	"github.com/rephlo/rephlo/internal/llm/vendors/azure"
	"github.com/rephlo/rephlo/internal/llm/vendors/compat"
	"github.com/rephlo/rephlo/internal/llm/vendors/google"
	"github.com/rephlo/rephlo/internal/llm/vendors/openai"
	"github.com/rephlo/rephlo/internal/llm/vendors/test"
	"github.com/rephlo/rephlo/internal/manual"
	"github.com/rephlo/rephlo/internal/margin"
	"github.com/rephlo/rephlo/internal/mfa"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pack"
	"github.com/rephlo/rephlo/internal/passkey"
	"github.com/rephlo/rephlo/internal/privacy"
	"github.com/rephlo/rephlo/internal/role"
	"github.com/rephlo/rephlo/internal/search"
	"github.com/rephlo/rephlo/internal/secret"
	"github.com/rephlo/rephlo/internal/setting"
	"github.com/rephlo/rephlo/internal/subscription"
	"github.com/rephlo/rephlo/internal/tier"
	"github.com/rephlo/rephlo/internal/trail"
	"github.com/rephlo/rephlo/internal/ui"
	"github.com/rephlo/rephlo/internal/usage"
	"github.com/rephlo/rephlo/internal/web"
	"github.com/rephlo/rephlo/internal/webhook"
)

// terms turn what a call costs at the vendor into credits.
func (c *Core) terms() money.Terms {
	return money.Terms{
		Multiplier: setting.DefaultMargin.Of(c.Settings), CreditValue: setting.CreditValue.Of(c.Settings),
		Increment: money.Credits(setting.ChargeIncrement.Of(c.Settings)),
	}
}

// newAPI builds the Resource API. Read it top to bottom: it is the dependency
// graph.
func (s *Server) newAPI(ctx context.Context) (*web.Mux, error) {
	core, cfg, d := s.core, s.core.Config, s.domains
	metadata := cfg.APIURL + "/.well-known/oauth-protected-resource"

	id, err := s.identity(ctx)
	if err != nil {
		return nil, err
	}
	counters, kept, err := s.counters(ctx)
	if err != nil {
		return nil, err
	}
	tiers, plans := d.Tiers, d.Plans
	margins := s.newMargins()
	models := catalog.New(catalog.Needs{
		Margins: margins,
		DB:      core.DB, Bus: core.Bus, Box: core.Box, Log: core.Log, Now: core.Now,
		Audit: core.Audit, Terms: core.terms, Tiers: tiers, Providers: providers(cfg),
	})
	if err := models.Start(ctx); err != nil {
		return nil, err
	}
	s.onStop(func(context.Context) error { models.Stop(); return nil })
	if err := s.startMargins(ctx, margins, models); err != nil {
		return nil, err
	}
	auth := authn.New(authn.Needs{
		Keys: d.Keys, Accounts: d.Accounts, Roles: d.Roles, Tokens: id.accessTokens, Revocations: id.grants, Now: core.Now,
		Resource: cfg.APIURL, NonceKey: core.Box.Subkey(nonceKey), Once: id.grants.Once,
	})
	outbound := egress.NewClient(egress.Options{Now: core.Now})
	s.onStop(func(context.Context) error { outbound.Close(); return nil })
	vendors := map[string]llm.Vendor{"openai": openai.New(outbound, core.Now), "azure": azure.New(outbound, core.Now), "compat": compat.New(outbound, core.Now), "anthropic": anthropic.New(outbound, core.Now), "google": google.New(outbound, core.Now), "test": test.New()}
	deployments := route.NewTable(core.Log, core.Now)
	watch := &keyWatch{models: models, table: deployments, vendors: vendors}
	s.chores = append(s.chores, chore{"catalog.keys", 2 * time.Second, watch.disable}, chore{"catalog.health", time.Minute, watch.probe})
	core.Jobs.Schedule("catalog.sunset", job.Every{Period: time.Hour}, models.Sunset)
	s.calls = gateway.New(gateway.Needs{
		Margin: multiplier(margins), Routes: deployments,
		Auth: auth, Models: models, Credits: d.Credits, Usage: d.Usage, Terms: core.terms, Tiers: tiers, Plans: plans, Own: d.Limits.Own, InFlight: func() int64 { return setting.InFlight.Of(core.Settings) }, AppLimit: id.grants.SpendsUpTo, AppPurse: grant.BudgetOwner, Counters: counters,
		Kept: kept, ChargeKept: func() bool { return setting.ChargeKept.Of(core.Settings) }, Captures: d.Captures,
		Pictures: egress.NewImages(egress.ImageOptions{}), FetchImages: func() bool { return setting.FetchImages.Of(core.Settings) },
		Vendors: vendors,
		Log:     core.Log, Now: core.Now, TopUpURL: cfg.APIURL + "/", DocURL: docURL(cfg), HoldFirst: cfg.LedgerHold == "before",
		TagKey: core.Box.Subkey("account-tag/v1"), Tracer: s.tracer(),
	})
	setup, err := console.New(console.Needs{
		Accounts: d.Accounts, Name: "Rephlo", Version: Version(), APIURL: cfg.APIURL, IDPURL: cfg.IDPURL, Model: "test-echo",
		CreateKey: func(ctx context.Context, userID string) (secret.String, error) {
			_, key, err := d.Keys.Create(ctx, apikey.NewKey{UserID: userID, Name: "First key", Mode: apikey.ModeLive, Scopes: apikey.Scopes})
			return key, err
		},
	})
	if err != nil {
		return nil, err
	}
	s.newPrivacy(id)
	data, err := privacy.NewAPI(s.privacy, "Rephlo")
	if err != nil {
		return nil, err
	}
	errorPages, err := manual.New("Rephlo")
	if err != nil {
		return nil, err
	}
	m := web.NewMux(web.Config{
		Log: core.Log, Now: core.Now, Name: "Rephlo Resource API", Version: web.Version, Contract: manual.Resource(apikey.Scopes),
		Hosts: hosts(cfg.APIURL, s.api.Addr()), Allowed: core.allowedOrigin, Proxies: core.proxies, Gate: core.maintenance, DocURL: docURL(cfg), HTTPS: https(cfg.APIURL),
		Challenge: access.Challenge(metadata),
		Use:       []web.Middleware{trail.Places(account.Address), auth.Middleware(), core.Audit.Middleware(account.Address), impersonate.Middleware(core.Audit), d.Roles.Gate(account.Address)},
		Inside:    []web.Middleware{s.keys.Middleware()},
	})
	reference, err := manual.NewReference("Rephlo", m.Document)
	if err != nil {
		return nil, err
	}
	s.health.Register("ledger", func(context.Context) (health.State, string) {
		state, reason := d.Credits.Health()
		return health.State(state), reason
	})
	s.health.Register("disk", diskState(cfg.Data))
	person := d.Accounts.Person()
	for _, part := range []web.Mounter{
		health.API{Health: s.health},
		setup,
		ui.Assets{},
		errorPages,
		reference,
		authn.API{Resource: cfg.APIURL, Issuer: cfg.IDPURL},
		gateway.API{Calls: s.calls},
		catalog.AdminAPI{
			Models: models, Cursors: core.Cursors, Prober: prober{vendors, core.Now},
			Health: func() []catalog.DeploymentHealth { return deploymentHealth(models, deployments) },
		},
		catalog.API{
			Models: models, Cursors: core.Cursors, TierOf: plans.TierOf, UpgradeURL: cfg.APIURL + "/", Errors: openaidialect.WriteError(docURL(cfg)), Failure: gateway.Failure, GoogleFailure: gateway.GoogleFailure,
			AnthropicErrors: dialect.WriteError(anthropicdialect.Errors{}, docURL(cfg)), GoogleErrors: dialect.WriteError(googledialect.Gemini{}, docURL(cfg)),
		},
		account.API{Accounts: d.Accounts},
		account.LeaveAPI{Accounts: d.Accounts, Grace: days(core.Settings, setting.GraceDays)},
		account.PreferenceAPI{Accounts: d.Accounts, Model: usableModel(models, tiers, plans, cfg.APIURL+"/"), Plan: d.planShown},
		mfa.API{Factors: d.Factors, Accounts: d.Accounts},
		mfa.AdminAPI{Factors: d.Factors, Accounts: d.Accounts, Approvals: d.Approvals, Audit: core.Audit},
		sso.API{Sessions: id.sessions},
		trail.API{Trail: d.Trail, Cursors: core.Cursors, Person: person},
		data,
		self.Apps{Grants: id.grants, Clients: id.clients, Spent: d.spentByApps(core.Now), Person: person},
		passkey.API{Passkeys: id.passkeys, Accounts: d.Accounts},
		credit.API{Credits: d.Credits, Cursors: core.Cursors, Requests: d.Usage, Audit: core.Audit, Known: d.knownUser, Pack: d.Packs.Gives, Carries: carries(tiers, plans), BonusLife: days(core.Settings, setting.BonusDays), Approvals: d.Approvals, Allowance: core.allowance, Person: person},
		usage.API{Usage: d.Usage, Parts: d.Credits.Parts, Grants: d.Credits, Free: d.Plans.FreeGrants, Allowed: d.allowance, Person: person},
		subscription.API{Plans: d.Plans, Cursors: core.Cursors},
		subscription.AdminAPI{Plans: d.Plans, Cursors: core.Cursors, Person: person, Own: d.Limits.Own},
		pack.API{Packs: d.Packs, Currency: subscription.Currency},
		tier.AdminAPI{Tiers: d.Levels, Cursors: core.Cursors, Holders: d.Plans.Holders, Terms: core.terms},
		capture.API{Captures: d.Captures, Cursors: core.Cursors, Person: person},
		apikey.API{Keys: d.Keys, Cursors: core.Cursors},
		apikey.AdminAPI{Keys: d.Keys, Cursors: core.Cursors, Audit: core.Audit, Person: person},
		job.AdminAPI{Jobs: core.Jobs, Cursors: core.Cursors, View: access.Allows(access.ViewJobs), Change: access.Allows(access.RunJobs), Audit: jobStarted(core.Audit)},
		role.AdminAPI{Roles: d.Roles, Waiting: d.Approvals.Waiting, Left: s.grantsLeft},
		approval.AdminAPI{Approvals: d.Approvals, Cursors: core.Cursors},
		account.AdminAPI{Accounts: d.Accounts, Approvals: d.Approvals, Cursors: core.Cursors, Roles: d.rolesOf, Holders: d.Roles.Holders, Overview: s.overview, Grace: days(core.Settings, setting.GraceDays)},
		search.AdminAPI{Sources: d.sources(), Audit: core.Audit},
		impersonate.AdminAPI{Impersonations: s.impersonations(id), Approvals: d.Approvals, Cursors: core.Cursors},
		limit.AdminAPI{Limits: d.Limits, Known: d.knownUser},
		margin.AdminAPI{Margins: margins, Approvals: d.Approvals, Cursors: core.Cursors},
		sso.AdminAPI{
			Sessions: id.sessions, Audit: core.Audit, Staff: d.Accounts.Staff, Person: person, Approvals: d.Approvals,
			EndTokens: func(ctx context.Context) error { return id.grants.Revoke(ctx, grant.KindInstance, "") },
		},
		keys.AdminAPI{Keys: id.signing},
		client.AdminAPI{Admin: core.clientAdmin(id.clients, id.grants), Cursors: core.Cursors},
		audit.AdminAPI{Log: core.Audit, Cursors: core.Cursors},
		branding.API{Branding: s.branding},
		branding.AdminAPI{Branding: s.branding, Cursors: core.Cursors, Audit: core.Audit},
		s.systemAPI(),
		setting.AdminAPI{Settings: core.Settings, Approvals: d.Approvals, Cursors: core.Cursors, TestMail: core.testMail},
		webhook.API{Webhooks: d.Webhooks, Cursors: core.Cursors},
		webhook.AdminAPI{Webhooks: d.Webhooks, Cursors: core.Cursors, Audit: core.Audit, Person: person},
	} {
		part.Mount(m)
	}
	m.Complete()
	return m, nil
}

// jobStarted remembers that an administrator started a job.
func jobStarted(log *audit.Log) func(context.Context, string, job.Run) error {
	return func(ctx context.Context, action string, r job.Run) error {
		return log.Write(ctx, audit.Change{Action: action, Type: "job", ID: r.Kind, After: map[string]any{"runId": r.ID}})
	}
}

// carries returns how much a user may carry over to the next cycle, and for how
// many months, by their tier.
func carries(tiers *tier.Table, plans gateway.Plans) func(user string) (money.Credits, int) {
	return func(user string) (money.Credits, int) {
		if t := tiers.Tier(plans.TierOf(user)); t != nil {
			return t.RolloverCap, t.RolloverMonths
		}
		return 0, 0
	}
}

func docURL(cfg config.Config) string { return cfg.APIURL + "/docs/errors/" }

func https(url string) bool { return strings.HasPrefix(url, "https://") }

// hosts are the names under which a service may be called: the configured one,
// and on this machine the names of loopback.
func hosts(publicURL, addr string) []string {
	_, host, _ := strings.Cut(publicURL, "://")
	out := []string{host}
	if config.Loopback(addr) {
		port := addr[strings.LastIndexByte(addr, ':'):]
		out = append(out, "localhost"+port, "127.0.0.1"+port, "[::1]"+port)
	}
	return out
}

// providers are the configured accounts at vendors, as the catalogue takes
// them.
func providers(cfg config.Config) []catalog.ProviderConfig {
	var out []catalog.ProviderConfig
	if !cfg.OpenAIAPIKey.Empty() {
		p := catalog.OpenAI(cfg.OpenAIAPIKey)
		p.BaseURL = cfg.OpenAIBaseURL
		out = append(out, p)
	}
	if !cfg.AnthropicAPIKey.Empty() {
		p := catalog.Anthropic(cfg.AnthropicAPIKey)
		p.BaseURL = cfg.AnthropicBaseURL
		out = append(out, p)
	}
	if !cfg.GeminiAPIKey.Empty() {
		p := catalog.Google(cfg.GeminiAPIKey)
		p.BaseURL = cfg.GeminiBaseURL
		out = append(out, p)
	}
	for _, p := range cfg.Providers {
		out = append(out, compatible(p))
	}
	return out
}
