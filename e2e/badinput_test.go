package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/e2e"
)

const hello = `{"model":"test-echo","messages":[{"role":"user","content":"hello"}]}`

// What is wrong with a request is said in the shape that OpenAI's clients
// read, and nothing is charged for it.
func TestBadRequests(t *testing.T) {
	e2e.Require(t)
	vendor := e2e.NewVendor(t)
	s := e2e.Start(t, e2e.Options{Providers: vendor.Providers(), Env: vendor.Env()})
	ada := s.NewPerson("ada@example.com")
	ada.Register()
	tokens := s.NewApp().SignIn(ada)
	key := s.Key(ada.Email)
	before := s.Balance(key)
	chat := func(model string) string { return strings.Replace(hello, "test-echo", model, 1) }
	for _, tt := range []struct {
		name, credential, body string
		header                 []string
		status                 int
		code                   string
	}{
		{"broken JSON", key, `{"model":`, nil, 400, "invalid_request"},
		{"not an object", key, `[1]`, nil, 400, "invalid_request"},
		{"two models", key, `{"model":"test-echo","model":"unit","messages":[{"role":"user","content":"x"}]}`, nil, 400, "invalid_request"},
		{"trailing bytes", key, hello + `{}`, nil, 400, "invalid_request"},
		{"bad UTF-8", key, strings.Replace(hello, "hello", "\xff", 1), nil, 400, "invalid_request"},
		{"no messages", key, `{"model":"test-echo"}`, nil, 400, "invalid_request"},
		{"no model", key, `{"messages":[{"role":"user","content":"x"}]}`, nil, 400, "invalid_request"},
		{"unknown model", key, chat("gpt-none"), nil, 404, "model_not_found"},
		{"max_tokens of 0", key, strings.Replace(hello, "{", `{"max_tokens":0,`, 1), nil, 400, ""},
		{"max_tokens above the model's", key, strings.Replace(hello, "{", `{"max_tokens":10000000,`, 1), nil, 400, ""},
		{"wrong content type", key, hello, []string{"Content-Type", "text/plain"}, 415, "unsupported_media_type"},
		{"compressed", key, hello, []string{"Content-Encoding", "gzip"}, 415, "unsupported_media_type"},
		{"body above the limit", key, `{"model":"test-echo","messages":[{"role":"user","content":"` + strings.Repeat("x", 33<<20) + `"}]}`, nil, 413, "request_too_large"},
		{"no credential", "", hello, nil, 401, "unauthorized"},
		{"no such key", "rph_live_aaaaaaaaaaaaaaaaaaaaaaaaaa_aaaaaa", hello, nil, 401, "api_key_invalid"},
		{"nonsense", "nonsense", hello, nil, 401, ""},
		{"ID token", tokens.ID, hello, nil, 401, "invalid_token"},
		{"refresh token", tokens.Refresh, hello, nil, 401, ""},
		{"unsigned", unsigned(t, tokens.Access), hello, nil, 401, "invalid_token"},
		{"signature changed", broken(tokens.Access), hello, nil, 401, "invalid_token"},
		{"claims changed", altered(t, tokens.Access), hello, nil, 401, "invalid_token"},
		{"vendor garbage", key, chat("garbage"), nil, 502, "upstream_error"},
		{"vendor down", key, chat("down"), nil, 502, "upstream_error"},
		{"vendor unreachable", key, chat("gone"), nil, 502, "upstream_error"},
		{"vendor busy", key, chat("busy"), nil, 429, "upstream_rate_limited"},
		{"vendor refuses our key", key, chat("key"), nil, 502, "provider_auth_failed"},
		{"test vendor busy", key, chat("test-error-429"), nil, 429, "upstream_rate_limited"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := s.Chat(t.Context(), tt.credential, tt.body, tt.header...)
			if err != nil {
				t.Fatalf("%+v, %v", a, err)
			}
			if a.Status != tt.status || a.Error == nil || tt.code != "" && a.Error.Code != tt.code {
				t.Fatalf("got %d %s, want %d %s", a.Status, a.Body, tt.status, tt.code)
			}
			if a.Error.Message == "" || a.Error.RequestID != a.Header.Get("X-Request-Id") || a.Error.DocURL == "" {
				t.Errorf("the error says %s", a.Body)
			}
			if a.Status == http.StatusUnauthorized && !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer ") {
				t.Errorf("WWW-Authenticate is %q", a.Header.Get("WWW-Authenticate"))
			}
			for _, secret := range []string{e2e.VendorKey, "org-secret", "goroutine", "SELECT"} {
				if strings.Contains(string(a.Body), secret) {
					t.Errorf("the answer tells %s: %s", secret, a.Body)
				}
			}
		})
	}
	if now := s.Balance(key); now.Remaining != before.Remaining || now.Held != 0 {
		t.Errorf("credits went from %d to %d (held %d) for nothing", before.Remaining, now.Remaining, now.Held)
	}
	if strings.Contains(s.Said(), e2e.VendorKey) {
		t.Error("the log has the vendor's key")
	}
	s.Verify()
}

// rewrite returns a token with its header or claims changed.
func rewrite(t *testing.T, token string, part int, change func(map[string]any)) []string {
	t.Helper()
	parts := strings.Split(token, ".")
	header, claims := e2e.Claims(t, token)
	values := []map[string]any{header, claims}
	change(values[part])
	b, err := json.Marshal(values[part])
	if err != nil {
		t.Fatal(err)
	}
	parts[part] = base64.RawURLEncoding.EncodeToString(b)
	return parts
}

func unsigned(t *testing.T, token string) string {
	parts := rewrite(t, token, 0, func(h map[string]any) { h["alg"] = "none" })
	return parts[0] + "." + parts[1] + "."
}

func altered(t *testing.T, token string) string {
	return strings.Join(rewrite(t, token, 1, func(c map[string]any) { c["exp"] = time.Now().Add(1000 * time.Hour).Unix() }), ".")
}

func broken(token string) string {
	last := byte('A')
	if token[len(token)-5] == last {
		last = 'B'
	}
	return token[:len(token)-5] + string(last) + token[len(token)-4:]
}

// A head that is too large is refused before anything reads it.
func TestHugeHeaders(t *testing.T) {
	e2e.Require(t)
	s := e2e.Start(t, e2e.Options{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.API+"/v1/models", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Large", strings.Repeat("x", 64<<10))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body struct{ Error struct{ Code string } }
	err = json.NewDecoder(res.Body).Decode(&body)
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge || err != nil || body.Error.Code != "headers_too_large" {
		t.Errorf("status %d, code %q, %v; want 431 headers_too_large", res.StatusCode, body.Error.Code, err)
	}
}

// A stream that breaks ends with an error event, never as if it were whole,
// and costs what was delivered.
func TestStreamThatBreaksEndsWithAnError(t *testing.T) {
	e2e.Engines(t, func(t *testing.T, database string) {
		vendor := e2e.NewVendor(t)
		s := e2e.Start(t, e2e.Options{Database: database, Providers: vendor.Providers(), Env: vendor.Env()})
		ada := s.NewPerson("ada@example.com")
		ada.Register()
		key := s.Key(ada.Email)
		for _, model := range []string{"cut", "test-cut-stream"} {
			before := s.Balance(key)
			a, err := s.Chat(t.Context(), key, `{"model":"`+model+`","stream":true,"messages":[{"role":"user","content":"one two three four five six seven eight nine ten"}]}`)
			if err != nil || a.Done || a.Error == nil || a.Error.Code != "upstream_error" || a.Text == "" {
				t.Errorf("%s: %+v, %v", model, a, err)
			}
			after := s.Balance(key)
			if spent := before.Remaining - after.Remaining; spent <= 0 || spent > 100_000 || after.Held != 0 {
				t.Errorf("%s: five words cost %d µcr, held %d", model, spent, after.Held)
			}
		}
		s.Verify()
	})
}

// A client that leaves stops paying: the vendor is cancelled, and only what
// was delivered is charged.
func TestClientThatLeavesStopsPaying(t *testing.T) {
	e2e.Engines(t, func(t *testing.T, database string) {
		vendor := e2e.NewVendor(t)
		s := e2e.Start(t, e2e.Options{Database: database, Providers: vendor.Providers(), Env: vendor.Env()})
		ada := s.NewPerson("ada@example.com")
		ada.Register()
		key := s.Key(ada.Email)
		before := s.Balance(key)
		ctx, leave := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer leave()
		a, err := s.Chat(ctx, key, `{"model":"slow","stream":true,"messages":[{"role":"user","content":"go"}]}`)
		if !errors.Is(err, context.DeadlineExceeded) || a.Text == "" {
			t.Fatalf("%+v, %v", a, err)
		}
		var after e2e.Balance
		for range 100 {
			if after = s.Balance(key); after.Held == 0 {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if spent := before.Remaining - after.Remaining; after.Held != 0 || spent <= 0 || spent > 50_000 {
			t.Errorf("leaving cost %d µcr, held %d", spent, after.Held)
		}
		s.Verify()
	})
}

// The authorization endpoint never sends a code, or an error, to an address
// that is not registered.
func TestBadAuthorizationRequests(t *testing.T) {
	e2e.Require(t)
	s := e2e.Start(t, e2e.Options{})
	ada := s.NewPerson("ada@example.com")
	ada.Register()
	app := s.NewApp()
	for name, change := range map[string]func(url.Values){
		"unknown client":       func(v url.Values) { v.Set("client_id", "nobody") },
		"foreign redirect URI": func(v url.Values) { v.Set("redirect_uri", "https://evil.example/callback") },
		"other path":           func(v url.Values) { v.Set("redirect_uri", "http://127.0.0.1:53682/callback/x") },
		"fragment":             func(v url.Values) { v.Set("redirect_uri", app.Redirect+"#x") },
		"no redirect URI":      func(v url.Values) { v.Del("redirect_uri") },
	} {
		page := ada.Visit(app.Request(change).URL)
		if page.Status != http.StatusBadRequest || strings.HasPrefix(page.URL.String(), "https://evil") {
			t.Errorf("%s: status %d at %s, want a page with 400", name, page.Status, page.URL)
		}
	}
	for name, tt := range map[string]struct {
		change func(url.Values)
		code   string
	}{
		"no PKCE":               {func(v url.Values) { v.Del("code_challenge"); v.Del("code_challenge_method") }, "invalid_request"},
		"plain PKCE":            {func(v url.Values) { v.Set("code_challenge_method", "plain") }, "invalid_request"},
		"implicit":              {func(v url.Values) { v.Set("response_type", "token") }, "unsupported_response_type"},
		"only unknown scopes":   {func(v url.Values) { v.Set("scope", "everything") }, "invalid_scope"},
		"foreign resource":      {func(v url.Values) { v.Set("resource", "https://evil.example/") }, "invalid_target"},
		"prompt none, not in":   {func(v url.Values) { v.Set("prompt", "none") }, "login_required"},
		"prompt none and login": {func(v url.Values) { v.Set("prompt", "none login") }, "invalid_request"},
	} {
		r := app.Request(tt.change)
		to, err := ada.Authorize(r.URL)
		if err != nil || to.Query().Get("error") != tt.code || to.Query().Get("state") != r.State || to.Query().Get("iss") != s.IDP {
			t.Errorf("%s: sent to %v, %v; want error=%s with state and iss", name, to, err, tt.code)
		}
	}
}

// Codes and refresh tokens work once; a second use ends what came of the
// first.
func TestCodesAndRefreshTokensWorkOnce(t *testing.T) {
	e2e.Engines(t, func(t *testing.T, database string) {
		s := e2e.Start(t, e2e.Options{Database: database})
		ada := s.NewPerson("ada@example.com")
		ada.Register()
		app := s.NewApp()

		code, r := app.Code(ada)
		wrong := r
		wrong.Verifier += "x"
		if _, err := app.Exchange(code, wrong); !refused(err, "invalid_grant") {
			t.Errorf("wrong verifier: %v", err)
		}
		if _, err := app.Exchange(code, r); !refused(err, "invalid_grant") {
			t.Errorf("a code that was presented with a wrong verifier still works: %v", err)
		}

		code, r = app.Code(ada)
		tokens, err := app.Exchange(code, r)
		if err != nil {
			t.Fatal(err)
		}
		s.Balance(tokens.Access)
		if _, err := app.Exchange(code, r); !refused(err, "invalid_grant") {
			t.Errorf("second use of a code: %v", err)
		}
		if _, err := app.RefreshTokens(tokens.Refresh); !refused(err, "invalid_grant") {
			t.Errorf("the refresh token of a replayed code: %v", err)
		}
		deadline := time.Now().Add(6 * time.Second)
		for {
			if status, _ := e2e.Get(t, s.API+"/v1/credits/me", tokens.Access); status == http.StatusUnauthorized {
				break
			}
			if time.Now().After(deadline) {
				t.Error("the access token of a replayed code works after five seconds")
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		for name, form := range map[string]url.Values{
			"forged refresh token": {"grant_type": {"refresh_token"}, "client_id": {app.ClientID}, "refresh_token": {"rph_rt_" + strings.Repeat("A", 60)}},
			"another client's":     {"grant_type": {"refresh_token"}, "client_id": {"rephlo-cli"}, "refresh_token": {app.SignIn(ada).Refresh}},
		} {
			if _, err := app.Post(form); !refused(err, "invalid_grant") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := app.Post(url.Values{"grant_type": {"password"}, "client_id": {app.ClientID}, "username": {ada.Email}, "password": {ada.Password}}); !refused(err, "unsupported_grant_type") {
			t.Errorf("password grant: %v", err)
		}
	})
}

func refused(err error, code string) bool {
	refusal, ok := errors.AsType[*e2e.OAuthError](err)
	return ok && refusal.Code == code
}

// An access token is for the Resource API only when it was asked for there:
// one that only knows the person's name cannot spend their credits.
func TestTokenWithoutScopeCannotCall(t *testing.T) {
	e2e.Require(t)
	s := e2e.Start(t, e2e.Options{})
	ada := s.NewPerson("ada@example.com")
	ada.Register()
	app := s.NewApp()
	app.Scope = "openid"
	tokens := app.SignIn(ada)
	a, err := s.Chat(t.Context(), tokens.Access, hello)
	if err != nil || a.Status != http.StatusUnauthorized && a.Status != http.StatusForbidden {
		t.Errorf("a token with openid alone: %+v, %v", a, err)
	}
	status, body := e2e.Get(t, app.Metadata.UserInfo, tokens.Access)
	if status != http.StatusOK || bytes.Contains(body, []byte(ada.Email)) {
		t.Errorf("userinfo without the scope email: %d %s", status, body)
	}
}

// Guessing a password gets slow, and the answer never says whether the account
// exists.
func TestGuessingIsThrottled(t *testing.T) {
	e2e.Require(t)
	s := e2e.Start(t, e2e.Options{})
	ada := s.NewPerson("ada@example.com")
	ada.Register()
	var known, unknown string
	for _, who := range []struct {
		email string
		said  *string
	}{{ada.Email, &known}, {"nobody@example.com", &unknown}} {
		mallory := s.NewPerson(who.email)
		page := mallory.Visit(s.NewApp().Request(nil).URL)
		for n := range 12 {
			f, err := page.Form("name", "password")
			if err != nil {
				t.Fatalf("after %d tries: %v", n, err)
			}
			f.Values.Set("name", who.email)
			f.Values.Set("password", fmt.Sprintf("wrong password %d", n))
			page, _ = mallory.Submit(page, f)
			if page == nil {
				t.Fatal("a wrong password was accepted")
			}
			if n == 0 {
				*who.said = strings.ReplaceAll(page.Text, who.email, "")
			}
			if page.Status == http.StatusTooManyRequests {
				break
			}
		}
		if page.Status != http.StatusTooManyRequests {
			t.Errorf("%s: 12 guesses and the status is %d, want 429", who.email, page.Status)
		}
	}
	if cut := func(s string) string { text, _, _ := strings.Cut(s, "Request req_"); return text }; cut(known) != cut(unknown) {
		t.Errorf("a known address is answered %q, an unknown one %q", known, unknown)
	}
}
