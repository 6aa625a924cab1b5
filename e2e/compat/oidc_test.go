package compat

import (
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const desktop = "rephlo-desktop"

// visit lets ada's browser follow an authorization request and returns where
// the app is sent.
func visit(t *testing.T, request string) *url.URL {
	t.Helper()
	res, err := http.Get(env(t, "BROWSER") + "/?url=" + url.QueryEscape(request))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("the browser answered %d %s, %v", res.StatusCode, body, err)
	}
	to, err := url.Parse(string(body))
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// Discovery, code with PKCE, a verified ID token, userinfo, refresh, and the
// API with the token that came of it.
func TestSignIn(t *testing.T) {
	ctx := t.Context()
	provider, err := oidc.NewProvider(ctx, env(t, "IDP"))
	if err != nil {
		t.Fatal(err)
	}
	config := oauth2.Config{
		ClientID: desktop, Endpoint: provider.Endpoint(), RedirectURL: "http://127.0.0.1:53999/callback",
		Scopes: []string{oidc.ScopeOpenID, "email", oidc.ScopeOfflineAccess, "llm.inference", "credits.read"},
	}
	config.Endpoint.AuthStyle = oauth2.AuthStyleInParams // a public client
	verifier := oauth2.GenerateVerifier()
	to := visit(t, config.AuthCodeURL("state-1", oidc.Nonce("nonce-1"), oauth2.S256ChallengeOption(verifier)))
	if to.Query().Get("state") != "state-1" || to.Query().Get("iss") != env(t, "IDP") {
		t.Fatalf("the app is sent to %s", to)
	}
	token, err := config.Exchange(ctx, to.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.VerifierContext(ctx, &oidc.Config{ClientID: desktop}).Verify(ctx, raw)
	if err != nil || id.Nonce != "nonce-1" {
		t.Fatalf("ID token %+v, %v", id, err)
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil {
		t.Errorf("at_hash: %v", err)
	}
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil || info.Subject != id.Subject || info.Email != env(t, "EMAIL") || !info.EmailVerified {
		t.Errorf("userinfo %+v, %v", info, err)
	}
	expired := *token
	expired.AccessToken, expired.Expiry = "", token.Expiry.AddDate(-1, 0, 0)
	fresh, err := config.TokenSource(ctx, &expired).Token()
	if err != nil {
		t.Fatal(err)
	}
	if fresh.RefreshToken == token.RefreshToken || fresh.AccessToken == token.AccessToken {
		t.Error("the refresh changed nothing")
	}
	c := client(t, fresh.AccessToken)
	if _, err := c.Chat.Completions.New(ctx, ask("test-echo")); err != nil {
		t.Errorf("a call with the token: %v", err)
	}
}
