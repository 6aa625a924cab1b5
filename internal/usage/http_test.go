package usage_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/usage"
	"github.com/rephlo/rephlo/internal/web"
)

// as makes the router believe that requests come from the user in the header.
func as(next web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if user := r.Header.Get("User"); user != "" {
			a := access.Actor{UserID: user, Scopes: strings.Fields(r.Header.Get("Scope")), Roles: strings.Fields(r.Header.Get("Role"))}
			r = r.WithContext(access.With(r.Context(), a, nil))
		}
		return next(w, r)
	}
}

func newMux(s *usage.Service) *web.Mux {
	m := web.NewMux(web.Config{Use: []web.Middleware{as}})
	parts := func(_ context.Context, _, call string) ([]credit.Part, error) {
		return []credit.Part{{Grant: 1, Held: 2, Charged: 1}}[:min(len(call), 1)], nil
	}
	usage.API{Usage: s, Parts: parts}.Mount(m)
	return m
}

func get(h http.Handler, path, user, scope string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set("User", user)
	r.Header.Set("Scope", scope)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

func TestUsageAPI(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newService(db)
		e := entry(func(e *usage.Entry) { e.RequestID = "mine-0001" })
		add(t, s, e, entry(func(e *usage.Entry) { e.At = noon.Add(-48 * time.Hour) }))
		m := newMux(s)
		for _, tt := range []struct {
			name, path, user, scope string
			status                  int
			want                    string
		}{
			{"list", "/v1/usage?limit=1", "usr_ada", "credits.read", 200, `{"data":[{"id":"` + e.ID + `","requestId":"mine-0001","modelId":"gpt-5-mini","operation":"chat","status":"success","creditsUsed":0.33,"inputTokens":10000,"cachedTokens":8000,"cacheWriteTokens":0,"outputTokens":900,"reasoningTokens":600,"totalTokens":10900,"requestDurationMs":1200,"timeToFirstTokenMs":80,"replayed":false,"apiKeyId":"key_1","clientId":null,"createdAt":"2026-03-20T12:00:00Z"}],"nextCursor":"`},
			{"day", "/v1/usage?start_date=2026-03-20&end_date=2026-03-20", "usr_ada", "credits.read", 200, `"nextCursor":null`},
			{"time", "/v1/usage?start_date=2026-03-20T12:00:01Z", "usr_ada", "credits.read", 200, `{"data":[],"nextCursor":null}`},
			{"bad date", "/v1/usage?start_date=yesterday", "usr_ada", "credits.read", 400, `"param":"start_date"`},
			{"bad cursor", "/v1/usage?cursor=abc", "usr_ada", "credits.read", 400, `"code":"invalid_cursor"`},
			{"bad status", "/v1/usage?status=lost", "usr_ada", "credits.read", 422, `"param":"status"`},
			{"bad limit", "/v1/usage?limit=101", "usr_ada", "credits.read", 422, `"param":"limit"`},
			{"one", "/v1/usage/mine-0001", "usr_ada", "credits.read", 200, `"endReason":"finished","priceLines":[{"class":"input","quantity":2000,"creditsPerMillion":32.5,"credits":0.065},`},
			{"by call id", "/v1/usage/" + e.ID, "usr_ada", "credits.read", 200, `"requestId":"mine-0001"`},
			{"saved", "/v1/usage/cache?group_by=model&end_date=2026-03-20", "usr_ada", "credits.read", 200, `{"data":[{"key":"gpt-5-mini","requests":2,"inputTokens":20000,"cachedTokens":16000,"hitRate":0.8,"creditsSaved":0.468,"replayed":0,"replayedCreditsSaved":0}],"total":{`},
			{"another's saved", "/v1/usage/cache", "usr_bob", "credits.read", 200, `{"data":[],"total":{"requests":0,`},
			{"another's", "/v1/usage/" + e.ID, "usr_bob", "credits.read", 404, `"code":"not_found"`},
			{"another's list", "/v1/usage", "usr_bob", "credits.read", 200, `{"data":[],"nextCursor":null}`},
			{"scope", "/v1/usage", "usr_ada", "models.read", 403, `"code":"insufficient_scope"`},
			{"nobody", "/v1/usage/mine-0001", "", "", 401, `"code":"unauthorized"`},
		} {
			rec := get(m, tt.path, tt.user, tt.scope)
			if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.want) {
				t.Errorf("%s: got %d %s, want %d containing %s", tt.name, rec.Code, rec.Body, tt.status, tt.want)
			}
			for _, inside := range []string{"cost", "vendor", "multiplier", "provider"} { // for administrators only
				if strings.Contains(strings.ToLower(rec.Body.String()), inside) {
					t.Errorf("%s: the answer tells the %s: %s", tt.name, inside, rec.Body)
				}
			}
		}
	})
}

func TestListPagesOverHTTP(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newService(db)
		for range 5 {
			add(t, s, entry(nil))
		}
		m, seen, path := newMux(s), map[string]bool{}, "/v1/usage?limit=2"
		for path != "" {
			var page struct {
				Data       []struct{ ID string }
				NextCursor string
			}
			rec := get(m, path, "usr_ada", "credits.read")
			if err := json.Unmarshal(rec.Body.Bytes(), &page); err != nil {
				t.Fatalf("%s: %v", rec.Body, err)
			}
			for _, r := range page.Data {
				seen[r.ID] = true
			}
			if path = ""; page.NextCursor != "" {
				path = "/v1/usage?limit=2&cursor=" + page.NextCursor
			}
		}
		if len(seen) != 5 {
			t.Errorf("the pages show %d records, want 5", len(seen))
		}
	})
}

// Administrators see everybody's calls, and what they cost if they may see prices.
func TestAdministratorsSeeEverybodysCalls(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newService(db)
		for i, user := range []string{"usr_ada", "usr_bob", "usr_ada", "usr_cem"} {
			add(t, s, entry(func(e *usage.Entry) {
				e.At = noon.Add(-time.Duration(i) * 24 * time.Hour)
				e.ID, e.RequestID, e.UserID = id.New("call", e.At), "req-"+user, user
				if i == 3 {
					e.Status = usage.Failed
				}
			}))
		}
		m := newMux(s)
		ask := func(role, path string) (int, string) {
			r := httptest.NewRequest("GET", path, nil)
			r.Header.Set("User", "usr_root")
			r.Header.Set("Scope", "admin")
			r.Header.Set("Role", role)
			rec := httptest.NewRecorder()
			m.ServeHTTP(rec, r)
			return rec.Code, rec.Body.String()
		}
		names := func(text string) (out string) {
			for _, part := range strings.Split(text, `"userId":"usr_`)[1:] {
				out += part[:1]
			}
			return out
		}
		for path, want := range map[string]string{
			"/admin/usage": "abac", "/admin/usage?user_id=usr_ada": "aa", "/admin/usage?status=failed": "c", "/admin/usage?start_date=2026-03-19&end_date=2026-03-19": "b",
		} {
			if status, text := ask("analyst", path); status != 200 || names(text) != want {
				t.Errorf("%s: %d %s, want %s", path, status, text, want)
			}
		}
		var all string
		for path := "/admin/usage?limit=1"; path != ""; {
			status, text := ask("ops", path)
			if status != 200 {
				t.Fatalf("%s: %d %s", path, status, text)
			}
			all += names(text)
			_, rest, more := strings.Cut(text, `"nextCursor":"`)
			cursor, _, _ := strings.Cut(rest, `"`)
			if path = "/admin/usage?limit=1&cursor=" + cursor; !more {
				path = ""
			}
		}
		if all != "abac" {
			t.Errorf("in pages: %s", all)
		}
		// 0.33 credits at a cent are 3,300,000,000 p$; the vendor asked 2,500,000,000.
		if status, text := ask("analyst", "/admin/usage/req-usr_ada"); status != 200 || !strings.Contains(text, `"vendorCostPicoUsd":2500000000,"marginPicoUsd":800000000`) || !strings.Contains(text, `"priceLines":[{`) || !strings.Contains(text, noon.Format(time.RFC3339)) {
			t.Errorf("one: %d %s", status, text)
		}
		if status, text := ask("auditor", "/admin/usage"); status != 403 {
			t.Errorf("an auditor: %d %s", status, text)
		}
		if status, text := ask("analyst", "/admin/usage/req-nobody"); status != 404 {
			t.Errorf("none: %d %s", status, text)
		}
		if status, text := ask("analyst", "/admin/usage?start_date=2025-01-01"); status != 400 || !strings.Contains(text, "31 days") {
			t.Errorf("a wide time: %d %s", status, text)
		}
	})
}
