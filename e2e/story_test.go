package e2e_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/e2e"
)

// Credits per million tokens of the built-in test models: 1 and 2 dollars, at
// one and a half times the price and a cent a credit.
const echoInput, echoOutput = e2e.Micro(150_000_000), e2e.Micro(300_000_000)

// Somebody who knows nothing of Rephlo but its address signs up, signs in with
// an app, calls a model, pays exactly its price, and signs out.
func TestStrangerPaysExactlyThePrice(t *testing.T) {
	e2e.Engines(t, func(t *testing.T, database string) {
		s := e2e.Start(t, e2e.Options{Database: database})
		ada := s.NewPerson("ada@example.com")
		ada.Register()
		app := s.NewApp()
		tokens := app.SignIn(ada)
		checkTokens(t, s, tokens)

		var me struct {
			Email         string `json:"email"`
			EmailVerified bool   `json:"emailVerified"`
		}
		e2e.GetJSON(t, s.API+"/v1/users/me", tokens.Access, &me)
		if me.Email != ada.Email || !me.EmailVerified {
			t.Errorf("the account is %+v", me)
		}
		var models struct{ Data []struct{ ID string } }
		e2e.GetJSON(t, s.API+"/v1/models", tokens.Access, &models)
		if len(models.Data) == 0 {
			t.Error("a fresh installation has no models")
		}

		start := s.Balance(tokens.Access)
		if start.Remaining <= 0 || start.Held != 0 {
			t.Fatalf("a verified account has %+v", start)
		}
		begin := time.Now().Add(-time.Minute)
		price := callTwice(t, s, tokens.Access)
		if now := s.Balance(tokens.Access); now.Remaining != start.Remaining-price || now.Held != 0 {
			t.Errorf("credits went from %d to %d (held %d), want them to fall by %d", start.Remaining, now.Remaining, now.Held, price)
		}
		var recorded e2e.Micro
		records := s.UsageSince(tokens.Access, begin)
		for _, u := range records {
			recorded += u.CreditsUsed
		}
		if len(records) != 2 || recorded != price {
			t.Errorf("%d usage records of %d µcr, want 2 of %d", len(records), recorded, price)
		}

		fresh, err := app.RefreshTokens(tokens.Refresh)
		if err != nil {
			t.Fatal(err)
		}
		if fresh.Refresh == tokens.Refresh || fresh.Access == tokens.Access {
			t.Error("a refresh gave the same token again")
		}
		s.Balance(fresh.Access)
		signOut(t, app, ada, fresh.ID)
		s.Verify()
	})
}

func checkTokens(t *testing.T, s *e2e.Server, tokens e2e.Tokens) {
	t.Helper()
	header, claims := e2e.Claims(t, tokens.Access)
	if header["typ"] != "at+jwt" || header["alg"] != "ES256" || header["kid"] == nil {
		t.Errorf("the access token's header is %v (RFC 9068 section 2.1)", header)
	}
	if claims["iss"] != s.IDP || claims["aud"] != s.API || claims["client_id"] != e2e.Desktop || claims["sub"] == nil || claims["jti"] == nil {
		t.Errorf("the access token says %v", claims)
	}
	_, id := e2e.Claims(t, tokens.ID)
	if id["iss"] != s.IDP || id["aud"] != e2e.Desktop || id["sub"] != claims["sub"] {
		t.Errorf("the ID token says %v", id)
	}
}

// callTwice calls the model streamed and not, and returns what both cost.
func callTwice(t *testing.T, s *e2e.Server, token string) e2e.Micro {
	t.Helper()
	const question = "Every good answer begins with the question: what does it cost?"
	whole, err := s.Chat(t.Context(), token, `{"model":"test-echo","messages":[{"role":"user","content":"`+question+`"}]}`)
	if err != nil || !whole.Done || !strings.Contains(whole.Text, question) {
		t.Fatalf("chat: %+v, %v", whole, err)
	}
	price := whole.Usage.Price(echoInput, echoOutput)
	if got, err := e2e.ParseCredits(whole.Header.Get("X-Rephlo-Credits-Charged")); err != nil || got != price || price == 0 {
		t.Errorf("charged %s, want %d µcr", whole.Header.Get("X-Rephlo-Credits-Charged"), price)
	}
	stream, err := s.Chat(t.Context(), token, `{"model":"test-echo","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"`+question+`"}]}`)
	if err != nil || !stream.Done || stream.Error != nil || stream.Text != whole.Text {
		t.Fatalf("stream: %+v, %v", stream, err)
	}
	if got, err := e2e.ParseCredits(stream.Trailer.Get("X-Rephlo-Credits-Charged")); err != nil || got != stream.Usage.Price(echoInput, echoOutput) {
		t.Errorf("the stream's trailers are %v, want a charge of %d µcr", stream.Trailer, stream.Usage.Price(echoInput, echoOutput))
	}
	return price + stream.Usage.Price(echoInput, echoOutput)
}

// signOut ends the sign-in; afterwards the app is not let in without the page.
func signOut(t *testing.T, app *e2e.App, p *e2e.Person, idToken string) {
	t.Helper()
	silent := app.Request(func(v url.Values) { v.Set("prompt", "none") })
	if to, err := p.Authorize(silent.URL); err != nil || to.Query().Get("error") == "login_required" {
		t.Errorf("before signing out, prompt=none leads to %v, %v", to, err)
	}
	page := p.Visit(app.Metadata.EndSession + "?" + url.Values{"id_token_hint": {idToken}, "client_id": {app.ClientID}}.Encode())
	if f, ok := page.Choice("decision", "signout"); ok {
		page, _ = p.Submit(page, f)
	}
	if page == nil || page.Status != http.StatusOK {
		t.Fatalf("signing out shows %+v", page)
	}
	silent = app.Request(func(v url.Values) { v.Set("prompt", "none") })
	if to, err := p.Authorize(silent.URL); err != nil || to.Query().Get("error") != "login_required" {
		t.Errorf("after signing out, prompt=none leads to %v, %v", to, err)
	}
}

// An API key is used where a token is, and is dead once revoked.
func TestAPIKeyOfTheCommandLine(t *testing.T) {
	e2e.Engines(t, func(t *testing.T, database string) {
		s := e2e.New(t, e2e.Options{Database: database})
		key := s.Admin("root@example.com") // before the first start
		s.Up()
		a, err := s.Chat(t.Context(), key, `{"model":"test-echo","messages":[{"role":"user","content":"hello"}]}`)
		if err != nil || a.Status != http.StatusOK {
			t.Fatalf("chat: %+v, %v", a, err)
		}
		second := s.Key("root@example.com") // beside the running server
		if status, body := e2e.Get(t, s.API+"/v1/credits/me", second); status != http.StatusOK {
			t.Errorf("a key made while the server runs: %d %s", status, body)
		}
		out := s.MustCLI("", "version")
		if !strings.Contains(out, "rephlo") {
			t.Errorf("version says %q", out)
		}
	})
}

// Both documents describe the same server.
func TestDiscovery(t *testing.T) {
	e2e.Require(t)
	s := e2e.Start(t, e2e.Options{})
	app := s.NewApp()
	status, body := e2e.Get(t, s.IDP+"/.well-known/oauth-authorization-server", "")
	var other e2e.Metadata
	if err := json.Unmarshal(body, &other); status != http.StatusOK || err != nil || other.Token != app.Metadata.Token {
		t.Errorf("RFC 8414 metadata: %d %s, %v", status, body, err)
	}
	var resource struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
	}
	e2e.GetJSON(t, s.API+"/.well-known/oauth-protected-resource", "", &resource)
	if resource.Resource != s.API || len(resource.Servers) != 1 || resource.Servers[0] != s.IDP {
		t.Errorf("protected resource metadata: %+v", resource)
	}
	if status, body := e2e.Get(t, app.Metadata.JWKS, ""); status != http.StatusOK || !strings.Contains(string(body), `"ES256"`) || strings.Contains(string(body), `"d":`) {
		t.Errorf("JWKS: %d %s", status, body)
	}
}
