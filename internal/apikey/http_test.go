package apikey_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/apikey"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

// actAs lets the header User say who asks.
func actAs(next web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if u := r.Header.Get("User"); u != "" {
			a := access.Actor{UserID: u, Scopes: strings.Fields(r.Header.Get("Scope"))}
			r = r.WithContext(access.With(r.Context(), a, nil))
		}
		return next(w, r)
	}
}

type answer struct {
	status   int
	location string
	text     string
	body     map[string]any
}

func call(t *testing.T, h http.Handler, user, method, path, body string) answer {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", "a key")
	if user != "" {
		r.Header.Set("User", user)
		r.Header.Set("Scope", "keys.manage")
	}
	if user == "weak" {
		r.Header.Set("Scope", "llm.inference")
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	a := answer{status: rec.Code, location: rec.Header().Get("Location"), text: rec.Body.String()}
	if a.text != "" {
		if err := json.Unmarshal(rec.Body.Bytes(), &a.body); err != nil {
			t.Fatalf("%s %s: %s: %v", method, path, a.text, err)
		}
	}
	return a
}

func TestManagingKeysOverHTTP(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s, _ := newService(t, db, c)
		m := web.NewMux(web.Config{Now: c.now, Use: []web.Middleware{actAs}})
		apikey.API{Keys: s, Cursors: list.NewCursors([]byte("k"))}.Mount(m)

		made := call(t, m, "ada", "POST", "/v1/api-keys", `{"name":"laptop","expiresInDays":0}`)
		text, _ := made.body["key"].(string)
		id, _ := made.body["id"].(string)
		if made.status != 201 || made.location != "/v1/api-keys/"+id || made.body["expiresAt"] != nil || made.body["mode"] != "live" {
			t.Fatalf("created: %d %s", made.status, made.text)
		}
		if _, err := s.Lookup(t.Context(), text); err != nil {
			t.Errorf("the key that was shown: %v", err)
		}
		for range 3 {
			call(t, m, "ada", "POST", "/v1/api-keys", `{"name":"more","mode":"test","scopes":["llm.inference"],"expiresAt":"2027-01-01T00:00:00Z"}`)
		}

		for _, tt := range []struct {
			name, user, method, path, body string
			status                         int
			want                           string
		}{
			{"one", "ada", "GET", "/v1/api-keys/" + id, "", 200, `"status":"active"`},
			{"somebody else's", "eve", "GET", "/v1/api-keys/" + id, "", 404, `"code":"not_found"`},
			{"none", "ada", "GET", "/v1/api-keys/key_x", "", 404, `"code":"not_found"`},
			{"all by mode", "ada", "GET", "/v1/api-keys?mode=live", "", 200, `"name":"laptop"`},
			{"nobody", "", "GET", "/v1/api-keys", "", 401, `"code":"unauthorized"`},
			{"without the scope", "weak", "GET", "/v1/api-keys", "", 403, `"code":"insufficient_scope"`},
			{"wrong cursor", "ada", "GET", "/v1/api-keys?cursor=abc", "", 400, `"code":"invalid_cursor"`},
			{"wrong status", "ada", "GET", "/v1/api-keys?status=lost", "", 422, `"code":"validation_error"`},
			{"scope no key has", "ada", "POST", "/v1/api-keys", `{"name":"a","scopes":["admin"]}`, 422, `"code":"validation_error"`},
			{"no name", "ada", "POST", "/v1/api-keys", `{"name":" "}`, 422, `"param":"name"`},
			{"past", "ada", "POST", "/v1/api-keys", `{"name":"a","expiresAt":"2020-01-01T00:00:00Z"}`, 422, `"param":"expiresAt"`},
			{"both ends", "ada", "POST", "/v1/api-keys", `{"name":"a","expiresAt":"2027-01-01T00:00:00Z","expiresInDays":1}`, 422, `"param":"expiresInDays"`},
			{"another payer", "ada", "POST", "/v1/api-keys", `{"name":"a","userId":"eve"}`, 422, `"code":"unknown_field"`},
			{"delete somebody else's", "eve", "DELETE", "/v1/api-keys/" + id, "", 404, `"code":"not_found"`},
		} {
			a := call(t, m, tt.user, tt.method, tt.path, tt.body)
			if a.status != tt.status || !strings.Contains(a.text, tt.want) || strings.Contains(a.text, text) {
				t.Errorf("%s: %d %s, want %d with %s", tt.name, a.status, a.text, tt.status, tt.want)
			}
		}

		seen, path := map[any]bool{}, "/v1/api-keys?limit=3"
		for path != "" {
			page := call(t, m, "ada", "GET", path, "")
			data, _ := page.body["data"].([]any)
			for _, k := range data {
				seen[k.(map[string]any)["id"]] = true
			}
			cursor, more := page.body["nextCursor"].(string)
			if path = ""; more {
				path = "/v1/api-keys?limit=3&cursor=" + cursor
			}
		}
		if len(seen) != 4 {
			t.Errorf("paging showed %d keys, want 4", len(seen))
		}

		for range 2 {
			if a := call(t, m, "ada", "DELETE", "/v1/api-keys/"+id, ""); a.status != 204 {
				t.Errorf("revoke: %d %s", a.status, a.text)
			}
		}
		if a := call(t, m, "ada", "GET", "/v1/api-keys?status=revoked", ""); !strings.Contains(a.text, id) {
			t.Errorf("revoked keys: %s", a.text)
		}
	})
}

func TestAKeySaysWhatIsKeptOfItsCalls(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s, _ := newService(t, db, newClock())
		m := web.NewMux(web.Config{Use: []web.Middleware{actAs}})
		apikey.API{Keys: s, Cursors: list.NewCursors(make([]byte, 32))}.Mount(m)
		made := call(t, m, "ada", "POST", "/v1/api-keys", `{"name":"k","cache":true,"capture":true}`)
		id, _ := made.body["id"].(string)
		text, _ := made.body["key"].(string)
		k, err := s.Lookup(t.Context(), text)
		if made.status != 201 || made.body["cache"] != true || made.body["capture"] != true || err != nil || k.Policy == nil || !k.Policy.Cache || !k.Policy.Capture {
			t.Fatalf("%d %s, %v %+v", made.status, made.text, err, k)
		}
		if a := call(t, m, "ada", "PATCH", "/v1/api-keys/"+id, `{"name":"other"}`); a.body["cache"] != true {
			t.Errorf("another change: %s", a.text)
		}
		if a := call(t, m, "ada", "PATCH", "/v1/api-keys/"+id, `{"cache":false,"capture":false}`); a.body["cache"] != false || a.body["capture"] != false {
			t.Errorf("switched off: %s", a.text)
		}
		if k, err := s.Lookup(t.Context(), text); err != nil || k.Policy != nil {
			t.Errorf("%v %+v", err, k.Policy)
		}
		if plain := call(t, m, "ada", "POST", "/v1/api-keys", `{"name":"k"}`); plain.body["cache"] != false {
			t.Errorf("unless it is said: %s", plain.text)
		}
	})
}
