package conformance_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/identity/client"
)

const notes = "https://notes.test/api"

// Section 4: tokens for an API of somebody else's are made by the same rules
// as ours: to clients that may have them, for one audience, with its scopes
// only; and only that API may ask about them.
func TestTokensForAnAPIOfOthers(t *testing.T) {
	run(t, func(w *world) {
		admin, err := w.core.ClientAdmin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		guard, heir := w.web(), w.web()
		format := "jwt"
		if _, err := admin.CreateResource(t.Context(), notes, client.ResourceEdit{
			Name: new("Notes"), TokenFormat: &format, AccessTokenLife: new(int64(600)), Introspectors: &[]string{guard.id},
			Scopes:        &[]client.Scope{{Name: "notes.read", Text: "Read your notes & more"}, {Name: "notes.write", Text: "Write notes"}},
			DefaultScopes: &[]string{"notes.read"}, AccessTokenAlg: new("EdDSA"),
		}, because); err != nil {
			t.Fatal(err)
		}
		refused := heir.authorize("scope", "openid notes.read", "resource", notes)
		if refused.Get("error") != "invalid_target" || refused.Get("iss") != w.idp {
			t.Errorf("a client without the resource: %v", refused)
		}

		c := w.web(func(c *client.Client) {
			c.Resources = []string{notes}
			c.Grants = append(c.Grants, client.GrantCredentials)
		})
		p := w.browser.open(c.url("scope", "openid notes.read"))
		if !strings.Contains(w.browser.login(p).body, "Read your notes &amp; more") {
			t.Error("the page does not say what the scope allows")
		}
		got := c.exchange(c.code("scope", "openid offline_access credits.read notes.read notes.write bogus", "resource", "https://NOTES.test:443/api"))
		w.want("a code for the API", got, http.StatusOK, "")
		claims := w.verified(got.Access, "EdDSA")
		if claims["aud"] != notes || claims["scope"] != "openid offline_access notes.read notes.write" || got.ExpiresIn != 600 {
			t.Errorf("the token is %v, for %d s", claims, got.ExpiresIn)
		}
		if status := w.me(got.Access); status != http.StatusUnauthorized {
			t.Errorf("the Resource API takes it: %d", status)
		}
		w.want("a refresh for us", c.refresh(got.Refresh, "resource", w.api), http.StatusBadRequest, "invalid_target")
		got = c.refresh(got.Refresh, "scope", "notes.read")
		if _, claims := w.jwt(got.Access); claims["aud"] != notes || claims["scope"] != "notes.read" {
			t.Errorf("a narrowed refresh: %v", claims)
		}

		both := c.exchange(c.code("scope", "credits.read notes.write"))
		if _, claims := w.jwt(both.Access); claims["aud"] != w.api || claims["scope"] != "credits.read" {
			t.Errorf("of two resources the first is %v", claims)
		}
		plain := c.exchange(c.code("scope", "openid", "resource", notes))
		if _, claims := w.jwt(plain.Access); claims["scope"] != "openid notes.read" {
			t.Errorf("without a scope of it: %v", claims)
		}
		own := c.token(form("grant_type", client.GrantCredentials, "resource", notes, "scope", "notes.write"))
		if _, claims := w.jwt(own.Access); claims["aud"] != notes || claims["scope"] != "notes.write" || claims["sub"] != c.id {
			t.Errorf("for itself: %+v %v", own, claims)
		}

		ask := func(by *rp) map[string]any {
			var out map[string]any
			w.post(w.idp+"/oauth/introspect", url.Values{"token": {got.Access}}, &out, by.auth)
			return out
		}
		if out := ask(guard); out["active"] != true || out["client_id"] != c.id || out["aud"] != notes {
			t.Errorf("the API asks: %v", out)
		}
		if out := ask(heir); out["active"] != false {
			t.Errorf("a stranger asks: %v", out)
		}
		off := client.StatusDisabled
		if _, err := admin.EditResource(t.Context(), notes, client.ResourceEdit{Status: &off}, because); err != nil {
			t.Fatal(err)
		}
		if out := ask(guard); out["active"] != false {
			t.Errorf("of a disabled API: %v", out)
		}
		w.want("a refresh for a disabled API", c.refresh(got.Refresh), http.StatusBadRequest, "invalid_target")
	})
}
