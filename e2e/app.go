package e2e

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Desktop is the client of an app that runs on the person's own machine.
const Desktop = "rephlo-desktop"

// DesktopScopes is everything that the app may ask for.
const DesktopScopes = "openid profile email offline_access llm.inference models.read user.info credits.read"

// App is an OAuth client that signs people in, written here from the standards
// alone. The clients that others wrote are in compat and npm.
type App struct {
	ClientID, Redirect, Scope string
	Metadata                  Metadata
	t                         testing.TB
}

// Metadata is what an App reads of the server's description.
type Metadata struct {
	Issuer             string   `json:"issuer"`
	Authorization      string   `json:"authorization_endpoint"`
	Token              string   `json:"token_endpoint"`
	UserInfo           string   `json:"userinfo_endpoint"`
	EndSession         string   `json:"end_session_endpoint"`
	JWKS               string   `json:"jwks_uri"`
	CodeChallengeTypes []string `json:"code_challenge_methods_supported"`
}

// NewApp returns the desktop app, configured by discovery.
func (s *Server) NewApp() *App {
	s.t.Helper()
	a := &App{ClientID: Desktop, Redirect: "http://127.0.0.1:53682/callback", Scope: DesktopScopes, t: s.t}
	status, body := Get(s.t, s.IDP+"/.well-known/openid-configuration", "")
	if status != http.StatusOK {
		s.t.Fatalf("discovery: %d %s", status, body)
	}
	if err := json.Unmarshal(body, &a.Metadata); err != nil {
		s.t.Fatal(err)
	}
	if a.Metadata.Issuer != s.IDP {
		s.t.Fatalf("issuer %q, want %q", a.Metadata.Issuer, s.IDP)
	}
	return a
}

// Request is an authorization request and the secrets that belong to it.
type Request struct{ URL, State, Nonce, Verifier string }

// Request returns a fresh authorization request; change may alter it.
func (a *App) Request(change func(url.Values)) Request {
	r := Request{State: rand.Text(), Nonce: rand.Text(), Verifier: rand.Text() + rand.Text()}
	sum := sha256.Sum256([]byte(r.Verifier))
	v := url.Values{
		"client_id": {a.ClientID}, "redirect_uri": {a.Redirect}, "response_type": {"code"}, "scope": {a.Scope},
		"state": {r.State}, "nonce": {r.Nonce},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	if change != nil {
		change(v)
	}
	r.URL = a.Metadata.Authorization + "?" + v.Encode()
	return r
}

// Tokens are what the token endpoint gives.
type Tokens struct {
	Access    string `json:"access_token"`
	ID        string `json:"id_token"`
	Refresh   string `json:"refresh_token"`
	Type      string `json:"token_type"`
	ExpiresIn int    `json:"expires_in"`
}

// SignIn takes p through the whole flow.
func (a *App) SignIn(p *Person) Tokens {
	a.t.Helper()
	tokens, err := a.Exchange(a.Code(p))
	if err != nil {
		a.t.Fatal(err)
	}
	return tokens
}

// Code returns a code for p and the request that it answers.
func (a *App) Code(p *Person) (string, Request) {
	a.t.Helper()
	r := a.Request(nil)
	to, err := p.Authorize(r.URL)
	if err != nil {
		a.t.Fatal(err)
	}
	q := to.Query()
	if q.Get("code") == "" || q.Get("state") != r.State || q.Get("iss") != a.Metadata.Issuer || !strings.HasPrefix(to.String(), a.Redirect+"?") {
		a.t.Fatalf("the app is sent to %s", to)
	}
	return q.Get("code"), r
}

// Exchange redeems a code.
func (a *App) Exchange(code string, r Request) (Tokens, error) {
	return a.Post(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {a.ClientID}, "code": {code},
		"redirect_uri": {a.Redirect}, "code_verifier": {r.Verifier},
	})
}

// RefreshTokens trades a refresh token for new tokens.
func (a *App) RefreshTokens(refresh string) (Tokens, error) {
	return a.Post(url.Values{"grant_type": {"refresh_token"}, "client_id": {a.ClientID}, "refresh_token": {refresh}})
}

// OAuthError is a refusal of the token endpoint.
type OAuthError struct {
	Status      int    `json:"-"`
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func (e *OAuthError) Error() string { return fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Description) }

// Post sends a form to the token endpoint.
func (a *App) Post(v url.Values) (Tokens, error) {
	a.t.Helper()
	res, err := http.PostForm(a.Metadata.Token, v)
	if err != nil {
		a.t.Fatal(err)
	}
	body := readAll(a.t, res)
	if res.StatusCode != http.StatusOK {
		refusal := &OAuthError{Status: res.StatusCode}
		if err := json.Unmarshal(body, refusal); err != nil {
			a.t.Fatalf("the token endpoint answered %d %s", res.StatusCode, body)
		}
		return Tokens{}, refusal
	}
	var t Tokens
	if err := json.Unmarshal(body, &t); err != nil {
		a.t.Fatal(err)
	}
	return t, nil
}

// Claims returns the unchecked claims of a token, and its header.
func Claims(t testing.TB, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("a token with %d parts", len(parts))
	}
	for i, into := range []*map[string]any{&header, &claims} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}
