package account_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

// api mounts the routes; the header Actor stands for a credential of that user.
func api(w *world, log *bytes.Buffer) *web.Mux {
	m := web.NewMux(web.Config{Log: slog.New(slog.NewTextHandler(log, nil)), Use: []web.Middleware{func(next web.Handler) web.Handler {
		return func(rw http.ResponseWriter, r *http.Request) error {
			if u := r.Header.Get("Actor"); u != "" {
				a := access.Actor{UserID: u, KeyID: r.Header.Get("Key"), Scopes: []string{access.ScopeUser}}
				r = r.WithContext(access.With(r.Context(), a, nil))
			}
			return next(rw, r)
		}
	}}})
	account.API{Accounts: w.Service}.Mount(m)
	return m
}

func send(h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

func TestAPI(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		var log bytes.Buffer
		w := newWorld(t, db)
		m := api(w, &log)
		register := `{"email":"ada@example.com","password":"` + good + `","username":"ada","firstName":"Ada","acceptedTerms":true}`
		first := send(m, "POST", "/auth/register", register)
		if first.Code != 201 || strings.TrimSpace(first.Body.String()) != `{"status":"verification_sent"}` {
			t.Fatalf("register: %d %s", first.Code, first.Body)
		}
		token := w.link(t, "ada@example.com")
		if rec := send(m, "POST", "/auth/verify-email", `{"token":"`+token+`"}`); rec.Code != 200 || !strings.Contains(rec.Body.String(), `{"verified":true}`) {
			t.Fatalf("verify: %d %s", rec.Code, rec.Body)
		}
		u, err := w.ByEmail(t.Context(), "ada@example.com")
		if err != nil {
			t.Fatal(err)
		}
		other := `{"email":"ada@example.com","password":"` + good + `","acceptedTerms":true}`
		for _, tt := range []struct {
			name, method, path, body string
			header                   []string
			status                   int
			want                     string
		}{
			{"known address", "POST", "/auth/register", other, nil, 201, `{"status":"verification_sent"}`},
			{"username taken", "POST", "/auth/register", strings.Replace(register, "ada@", "eve@", 1), nil, 409, `"code":"username_taken"`},
			{"common password", "POST", "/auth/register", strings.Replace(other, good, "Password123", 1), nil, 422, `"code":"password_too_common"`},
			{"short password", "POST", "/auth/register", strings.Replace(other, good, "x", 1), nil, 422, `"code":"password_too_short"`},
			{"no terms", "POST", "/auth/register", strings.Replace(other, "true", "false", 1), nil, 422, `"param":"acceptedTerms"`},
			{"used link", "POST", "/auth/verify-email", `{"token":"` + token + `"}`, nil, 410, `"code":"link_used"`},
			{"no such link", "POST", "/auth/verify-email", `{"token":"x"}`, nil, 410, `"code":"link_expired"`},
			{"resend", "POST", "/auth/resend-verification", `{"email":"nobody@example.com"}`, nil, 202, ``},
			{"nobody", "GET", "/v1/users/me", "", nil, 401, `"code":"unauthorized"`},
			{"me", "GET", "/v1/users/me", "", []string{"Actor", u.ID}, 200, `"firstName":"Ada","lastName":null,"profilePictureUrl":null,"status":"active","createdAt":"2026-05-01T12:00:00Z","lastLoginAt":null`},
			{"set", "PATCH", "/v1/users/me", `{"lastName":"Lovelace"}`, []string{"Actor", u.ID}, 200, `"firstName":"Ada","lastName":"Lovelace"`},
			{"clear", "PATCH", "/v1/users/me", `{"lastName":null}`, []string{"Actor", u.ID}, 200, `"firstName":"Ada","lastName":null`},
			{"nothing", "PATCH", "/v1/users/me", `{}`, []string{"Actor", u.ID}, 422, `"code":"validation_error"`},
			{"no name", "PATCH", "/v1/users/me", `{"username":null}`, []string{"Actor", u.ID}, 422, `"code":"validation_error"`},
			{"bad name", "PATCH", "/v1/users/me", `{"username":"a b c"}`, []string{"Actor", u.ID}, 422, `"param":"username"`},
			{"unknown field", "PATCH", "/v1/users/me", `{"role":"super_admin"}`, []string{"Actor", u.ID}, 422, `"code":"unknown_field"`},
			{"by key", "PATCH", "/v1/users/me", `{"lastName":"X"}`, []string{"Actor", u.ID, "Key", "key_1"}, 403, `"code":"forbidden"`},
		} {
			rec := send(m, tt.method, tt.path, tt.body, tt.header...)
			if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.want) {
				t.Errorf("%s: %d %s, want %d with %s", tt.name, rec.Code, rec.Body, tt.status, tt.want)
			}
		}
		var me map[string]any
		if err := json.Unmarshal(send(m, "GET", "/v1/users/me", "", "Actor", u.ID).Body.Bytes(), &me); err != nil || len(me) != 10 {
			t.Errorf("profile %v, %v; want its ten fields", me, err)
		}
		for _, secret := range []string{good, token, "ada@example.com"} {
			if strings.Contains(log.String(), secret) {
				t.Errorf("%q is in the log", secret)
			}
		}
	})
}
