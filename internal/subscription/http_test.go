package subscription_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/subscription"
	"github.com/rephlo/rephlo/internal/tier"
	"github.com/rephlo/rephlo/internal/web"
)

// api serves both surfaces to whoever the header names.
type api struct {
	*world
	mux *web.Mux
	own *func(string, *tier.Tier) *tier.Tier // the limits of one's own; nil: none
}

func newAPI(w *world) api {
	actors := map[string]access.Actor{
		"ada":   {UserID: user, Scopes: []string{access.ScopeUser, access.ScopeBilling}},
		"read":  {UserID: user, Scopes: []string{access.ScopeUser, access.ScopeCredits}},
		"admin": {UserID: "usr_root", Scopes: []string{access.ScopeAdmin}, Roles: []string{"ops"}},
		"root":  {UserID: "usr_root", Scopes: []string{access.ScopeAdmin}, Roles: []string{"admin"}},
		"help":  {UserID: "usr_help", Scopes: []string{access.ScopeAdmin}, Roles: []string{"support"}},
	}
	m := web.NewMux(web.Config{Use: []web.Middleware{func(next web.Handler) web.Handler {
		return func(rw http.ResponseWriter, r *http.Request) error {
			if actor, ok := actors[r.Header.Get("Who")]; ok {
				r = r.WithContext(access.With(r.Context(), actor, nil))
			}
			return next(rw, r)
		}
	}}})
	cursors := list.NewCursors(make([]byte, 32))
	subscription.API{Plans: w.subs, Cursors: cursors}.Mount(m)
	var own func(string, *tier.Tier) *tier.Tier
	subscription.AdminAPI{Plans: w.subs, Cursors: cursors, Own: func(u string, t *tier.Tier) *tier.Tier {
		if own == nil {
			return t
		}
		return own(u, t)
	}}.Mount(m)
	return api{w, m, &own}
}

type object = map[string]any

// do sends a request and returns the body of the answer, which must have the
// status.
func (a api) do(who, request, body string, status int) object {
	a.Helper()
	method, path, _ := strings.Cut(request, " ")
	r := httptest.NewRequestWithContext(a.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Who", who)
	r.Header.Set("Idempotency-Key", "a key")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	rec := httptest.NewRecorder()
	a.mux.ServeHTTP(rec, r)
	if rec.Code != status {
		a.Fatalf("%s by %s: %d %s, want %d", request, who, rec.Code, rec.Body, status)
	}
	out := object{}
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil && rec.Body.Len() > 0 {
		a.Fatalf("%s: %v", request, err)
	}
	return out
}

func TestAUserChangesTheirPlan(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-04-01 00:00")
		a := newAPI(w)
		if plans, _ := a.do("", "GET /v1/subscription-plans", "", 200)["data"].([]any); len(plans) != 4 {
			t.Errorf("%d plans can be bought, want 4", len(plans))
		}
		a.do("", "GET /v1/subscriptions/current", "", 401)
		a.do("read", "POST /v1/subscriptions", `{"tier":"pro","billingCycle":"monthly"}`, 403)
		if s := a.do("read", "GET /v1/subscriptions/me", "", 200); s["tier"] != "free" || s["currentPeriodEnd"] != nil {
			t.Errorf("at first %v", s)
		}
		a.do("ada", "POST /v1/subscriptions", `{"tier":"enterprise_pro","billingCycle":"monthly"}`, 422)
		a.do("ada", "POST /v1/subscriptions", `{"tier":"pro","billingCycle":"weekly"}`, 422)
		link, _ := a.do("ada", "POST /v1/subscriptions", `{"tier":"pro","billingCycle":"monthly"}`, 201)["checkoutUrl"].(string)
		_, err := w.subs.Confirm(t.Context(), strings.TrimPrefix(link, "https://pay.test/"))
		w.must(err)
		a.do("ada", "POST /v1/subscriptions", `{"tier":"pro","billingCycle":"monthly"}`, 409)

		w.clock.set(at("2026-04-16 00:00"))
		p := a.do("ada", "POST /v1/subscriptions/current/preview", `{"tier":"pro_plus","billingCycle":"monthly"}`, 200)
		for name, want := range (object{"when": "now", "credit": 750., "charge": 2250., "net": 1500., "extraCredits": 1750., "secondsLeft": 1296000.}) {
			if p[name] != want {
				t.Errorf("%s is %v, want %v", name, p[name], want)
			}
		}
		token, _ := p["previewToken"].(string)
		a.do("ada", "PATCH /v1/subscriptions/current", `{"tier":"pro_max","billingCycle":"monthly","previewToken":"`+token+`"}`, 422)
		s := a.do("ada", "PATCH /v1/subscriptions/current", `{"tier":"pro_plus","billingCycle":"monthly","previewToken":"`+token+`"}`, 200)
		if s["tier"] != "pro_plus" || s["currentPeriodEnd"] != "2026-05-01T00:00:00Z" || w.bank.last.Amount != 1500 {
			t.Errorf("after it %v, charged %d", s, w.bank.last.Amount)
		}
		lines, _ := a.do("read", "GET /v1/subscriptions/prorations", "", 200)["data"].([]any)
		if len(lines) != 1 || lines[0].(object)["net"] != 1500. { //nolint:forcetypeassert // a test
			t.Errorf("prorations %v", lines)
		}
		if s := a.do("ada", "POST /v1/subscriptions/current/cancel", `{"reason":"too much"}`, 200); s["cancelAtPeriodEnd"] != true {
			t.Errorf("cancelled: %v", s)
		}
		a.do("ada", "POST /v1/subscriptions/current/cancel", `{}`, 409)
		a.do("ada", "POST /v1/subscriptions/current/reactivate", "", 200)
		a.do("ada", "POST /v1/subscriptions/current/reactivate", "", 409)
		a.do("ada", "DELETE /v1/subscriptions/current/scheduled-change", "", 409)
		first := a.do("read", "GET /v1/subscriptions/history?limit=2", "", 200)
		rest := a.do("read", "GET /v1/subscriptions/history?limit=100&cursor="+first["nextCursor"].(string), "", 200) //nolint:forcetypeassert // a test
		if n := len(first["data"].([]any)) + len(rest["data"].([]any)); n != 6 || rest["nextCursor"] != nil {         //nolint:forcetypeassert // a test
			t.Errorf("%d events in two pages, want 6: %v %v", n, first, rest)
		}
	})
}

func TestAnAdministratorGivesAndChangesPlans(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-04-01 00:00")
		a := newAPI(w)
		const order = `{"userId":"usr_ada","tier":"enterprise_pro","billingCycle":"annual","billingMode":"manual","endsAt":"2026-12-01T00:00:00Z","reason":"partner"}`
		a.do("ada", "POST /admin/subscriptions", order, 403)
		a.do("help", "POST /admin/subscriptions", order, 403)
		id, _ := a.do("admin", "POST /admin/subscriptions", order, 201)["id"].(string)
		a.do("admin", "POST /admin/subscriptions", order, 409)
		a.do("help", "GET /admin/subscriptions/sub_none", "", 404)
		page, _ := a.do("help", "GET /admin/subscriptions?user_id=usr_ada&billing_mode=manual", "", 200)["data"].([]any)
		if len(page) != 1 {
			t.Errorf("%d listed", len(page))
		}
		a.do("admin", "POST /admin/credits/allocate", `{"subscriptionId":"`+id+`"}`, 409)
		w.clock.set(at("2026-05-01 00:00").Add(time.Minute))
		a.do("admin", "POST /admin/credits/allocate", `{"subscriptionId":"`+id+`"}`, 200)
		p := a.do("admin", "POST /admin/subscriptions/"+id+"/preview", `{"tier":"enterprise_pro_plus","billingCycle":"annual"}`, 200)
		if p["net"] != 0. {
			t.Errorf("who pays nothing is asked for %v", p["net"])
		}
		token, _ := p["previewToken"].(string)
		a.do("admin", "POST /admin/subscriptions/"+id+"/change", `{"tier":"enterprise_pro_plus","billingCycle":"annual","previewToken":"`+token+`"}`, 200)
		if got, _ := a.do("help", "GET /admin/prorations?user_id=usr_ada", "", 200)["data"].([]any); len(got) != 1 {
			t.Errorf("%d prorations", len(got))
		}
		a.do("admin", "POST /admin/subscriptions/"+id+"/cancel", `{"atPeriodEnd":false}`, 200)
		a.do("admin", "POST /admin/subscriptions/"+id+"/reactivate", "", 409)
		if events, _ := a.do("help", "GET /admin/subscriptions/"+id+"/events", "", 200)["data"].([]any); len(events) != 3 {
			t.Errorf("%d events, want 3", len(events))
		}
	})
}

func TestWithoutAPaymentServicePaidPlansCannotBeBought(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, "2026-04-01 00:00")
		w.subs.Payments = nil
		a := newAPI(w)
		a.do("ada", "POST /v1/subscriptions", `{"tier":"pro","billingCycle":"monthly"}`, 503)
		if b := a.do("ada", "GET /v1/billing/balance", "", 200); b["amount"] != 0. || b["currency"] != "USD" {
			t.Errorf("balance %v", b)
		}
	})
}
