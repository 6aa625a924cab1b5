package federation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// openID speaks OpenID Connect Core 1.0 with a provider that is discovered when
// it is first needed: one that is down must not keep us from starting.
type openID struct {
	settings Settings
	client   *http.Client
	now      func() time.Time

	mu    sync.Mutex
	found *discovered // guarded by mu
}

type discovered struct {
	provider *oidc.Provider
	issuer   string // as the metadata has it
	answers  bool   // its answers name the issuer (RFC 9207)
}

func (o *openID) discover() (*discovered, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.found != nil {
		return o.found, nil
	}
	// Not the caller's context: the provider's keys are fetched with it later.
	ctx := oidc.ClientContext(context.Background(), o.client)
	if o.settings.Kind == Microsoft { // its metadata names a template, which person compares
		ctx = oidc.InsecureIssuerURLContext(ctx, o.settings.Issuer)
	}
	p, err := oidc.NewProvider(ctx, o.settings.Issuer)
	if err != nil {
		return nil, err
	}
	var metadata struct {
		Issuer  string `json:"issuer"`
		Answers bool   `json:"authorization_response_iss_parameter_supported"`
	}
	if err := p.Claims(&metadata); err != nil {
		return nil, err
	}
	o.found = &discovered{p, metadata.Issuer, metadata.Answers}
	return o.found, nil
}

func (o *openID) config(d *discovered, t trip) *oauth2.Config {
	return &oauth2.Config{
		ClientID: o.settings.ClientID, ClientSecret: o.settings.Secret.Reveal(), Endpoint: d.provider.Endpoint(),
		RedirectURL: t.back, Scopes: []string{oidc.ScopeOpenID, "email", "profile"},
	}
}

func (o *openID) address(_ context.Context, t trip) (string, error) {
	d, err := o.discover()
	if err != nil {
		return "", err
	}
	return o.config(d, t).AuthCodeURL(t.state, oidc.Nonce(t.Nonce), oauth2.S256ChallengeOption(t.Verifier)), nil
}

// claims of an ID token that we read.
type claims struct {
	Subject  string `json:"sub"`
	Email    string `json:"email"`
	Verified any    `json:"email_verified"` // a boolean; some write it as text
	First    string `json:"given_name"`
	Last     string `json:"family_name"`
	Name     string `json:"name"`
	Locale   string `json:"locale"`
	Tenant   string `json:"tid"` // Microsoft's
}

func (o *openID) person(ctx context.Context, t trip, code, iss string) (Person, error) {
	d, err := o.discover()
	if err != nil {
		return Person{}, err
	}
	if o.settings.Kind != Microsoft && (d.answers || iss != "") && iss != d.issuer {
		return Person{}, fmt.Errorf("the answer is of the issuer %q, not of %q", iss, d.issuer)
	}
	ctx = oidc.ClientContext(ctx, o.client)
	tokens, err := o.config(d, t).Exchange(ctx, code, oauth2.VerifierOption(t.Verifier))
	if err != nil {
		return Person{}, exchanged(err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	if raw == "" {
		return Person{}, errors.New("the provider sent no ID token")
	}
	// The issuer is compared below; the rest is checked here.
	token, err := d.provider.VerifierContext(ctx, &oidc.Config{ClientID: o.settings.ClientID, SkipIssuerCheck: true, Now: o.now}).Verify(ctx, raw)
	if err != nil {
		return Person{}, err
	}
	var c claims
	if err := token.Claims(&c); err != nil {
		return Person{}, err
	}
	tenant := ""
	if o.settings.Kind == Microsoft {
		tenant = c.Tenant
	}
	switch {
	case !issuedBy(d.issuer, token.Issuer, tenant):
		return Person{}, fmt.Errorf("the ID token is of the issuer %q, not of %q", token.Issuer, d.issuer)
	case token.Nonce != t.Nonce:
		return Person{}, errors.New("the ID token has another nonce")
	case len(token.Audience) > 1:
		return Person{}, errors.New("the ID token is for others too")
	case c.Subject == "" || len(c.Subject) > 255:
		return Person{}, errors.New("the ID token has no usable subject")
	}
	return o.read(token.Issuer, c), nil
}

func (o *openID) read(issuer string, c claims) Person {
	p := Person{Issuer: issuer, Subject: c.Subject, Email: short(c.Email), Locale: short(c.Locale)}
	p.First, p.Last = names(short(c.First), short(c.Last), short(c.Name))
	proven := c.Verified == true || c.Verified == "true"
	switch o.settings.Kind {
	case Google:
		p.Vouched = proven
	case OpenID:
		p.Vouched = proven && o.settings.TrustEmail
	}
	return p
}

// exchanged leaves out of an error what a provider said: it may repeat the code.
func exchanged(err error) error {
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return fmt.Errorf("the token endpoint refused: %q (%d)", short(e.ErrorCode), e.Response.StatusCode)
	}
	return err
}
