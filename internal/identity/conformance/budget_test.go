package conformance_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/usage"
)

// Section 10.5: what an app may spend in a month is said where it is allowed, on
// the page of apps or by the API; and the gateway refuses the app beyond it, and
// no other.
func TestPeopleLimitWhatAnAppSpends(t *testing.T) {
	run(t, func(w *world) {
		const scopes = "openid llm.inference account.manage models.read"
		credits := credit.New(credit.Needs{DB: w.core.DB, Log: w.core.Log, Now: w.now, Records: usage.New(usage.Needs{DB: w.core.DB, Now: w.now})})
		if _, err := credits.Grant(t.Context(), credit.NewGrant{User: w.ada.ID, Source: credit.Pack, Ref: "pay:1", Amount: 10 * money.Credit}); err != nil {
			t.Fatal(err)
		}
		c, other := w.web(), w.web()
		p := w.browser.open(c.url("scope", scopes))
		p = w.browser.login(p)
		if !strings.Contains(p.body, `name="limit"`) {
			t.Fatalf("the consent has no field for a limit: %s", p.body)
		}
		if bad := w.browser.submit(p, "decision", "allow", "limit", "-1"); bad.status != http.StatusUnprocessableEntity || bad.location != nil {
			t.Errorf("a limit below nothing: %d %s", bad.status, bad.body)
		}
		p = w.browser.finish(w.browser.submit(p, "decision", "allow", "limit", "0.000001"))
		if p.location == nil || p.location.Query().Get("code") == "" {
			t.Fatalf("not allowed: %d %s", p.status, p.body)
		}
		token := c.exchange(p.location.Query().Get("code")).Access
		second := other.exchange(other.code("scope", scopes)).Access

		type app struct {
			ClientID string
			Limit    json.Number `json:"creditLimitPerMonth"`
			Spent    json.Number `json:"creditsThisMonth"`
			Error    struct{ Code string }
		}
		limit := func(want string) {
			t.Helper()
			var list struct{ Data []app }
			if status := w.ask(http.MethodGet, "/v1/users/me/apps", token, nil, &list); status != http.StatusOK {
				t.Fatalf("apps: %d", status)
			}
			for _, a := range list.Data {
				if a.ClientID == c.id && a.Limit.String() != want || a.ClientID != c.id && a.Limit != "" {
					t.Errorf("the limit of %s is %q, want %q", a.ClientID, a.Limit, want)
				}
			}
		}
		limit("0.000001")
		call := func(token string) (int, string) {
			var a app
			status := w.ask(http.MethodPost, "/v1/chat/completions", token, json.RawMessage(`{"model":"test-echo","messages":[{"role":"user","content":"hello"}]}`), &a)
			return status, a.Error.Code
		}
		if status, code := call(token); status != http.StatusPaymentRequired || code != "app_budget_exceeded" {
			t.Errorf("a call beyond the limit: %d %s", status, code)
		}
		if status, code := call(second); status != http.StatusOK {
			t.Errorf("another app is limited too: %d %s", status, code)
		}
		change := func(id, body string) int {
			var a app
			return w.ask(http.MethodPatch, "/v1/users/me/apps/"+id, token, json.RawMessage(body), &a)
		}
		for _, tt := range []struct {
			id, body string
			want     int
		}{
			{c.id, `{"creditLimitPerMonth":0}`, http.StatusUnprocessableEntity},
			{"nobody", `{"creditLimitPerMonth":5}`, http.StatusNotFound},
			{c.id, `{"creditLimitPerMonth":5}`, http.StatusOK},
		} {
			if got := change(tt.id, tt.body); got != tt.want {
				t.Errorf("%s %s: %d, want %d", tt.id, tt.body, got, tt.want)
			}
		}
		limit("5")
		page := w.browser.open(w.idp + "/account/apps")
		if !strings.Contains(page.body, "at most 5 credits a month") {
			t.Errorf("the page of apps is %s", page.body)
		}
		if done := w.browser.send(w.idp+"/account/apps/limit", form("client", c.id, "limit", "")); !strings.Contains(done.body, "The limit is changed") {
			t.Errorf("taking the limit away: %d %s", done.status, done.body)
		}
		limit("")
		if status, code := call(token); status != http.StatusOK {
			t.Errorf("without a limit: %d %s", status, code)
		}
	})
}
