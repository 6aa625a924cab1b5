package userinfo_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/keys"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/identity/userinfo"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// people has one user, who may be gone, or cannot be asked.
type people struct {
	gone bool
	err  error
}

func (p *people) Profile(_ context.Context, id string) (oauth.Profile, error) {
	return oauth.Profile{ID: id, Active: !p.gone, Email: "ada@example.test", Username: "ada"}, p.err
}

func TestUserinfo(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		log := slog.New(slog.NewTextHandler(t.Output(), nil))
		box, err := seal.NewBox(make([]byte, seal.KeySize))
		if err != nil {
			t.Fatal(err)
		}
		messages := bus.New(db, log, time.Now)
		ring := keys.New(keys.Needs{DB: db, Bus: messages, Box: box, Log: log, Now: time.Now})
		grants := grant.New(grant.Needs{DB: db, Bus: messages, Box: box, Log: log, Now: time.Now})
		for _, start := range []func(context.Context) error{ring.Start, grants.Start} {
			if err := start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		defer grants.Stop()
		users := &people{}
		clients := client.New(client.Needs{DB: db, Bus: messages, Log: log, Now: time.Now, Prepare: ring.Prepare})
		for alg, id := range map[string]string{"EdDSA": "shop", "": "desktop"} {
			if _, err := clients.Create(t.Context(), client.Client{
				ID: id, Name: id, AuthMethod: client.AuthBasic, RefreshLife: client.LifeSession, UserinfoAlg: alg,
			}); err != nil {
				t.Fatal(err)
			}
		}
		m := web.NewMux(web.Config{Log: log})
		userinfo.API{
			Tokens: oauth.NewVerifier(ring, "https://id.test", "", time.Now), Grants: grants, Users: users, Keys: ring, Clients: clients, Issuer: "https://id.test",
			Origins: func(o string) bool { return o == "https://spa.test" },
		}.Mount(m)

		token := func(scope string, edit ...func(*oauth.AccessToken)) string {
			now := time.Now()
			c := oauth.AccessToken{
				Issuer: "https://id.test", Subject: "usr_ada", Audience: "https://id.test", ClientID: "desktop", JTI: id.New("at", now),
				IssuedAt: now.Unix(), Expiry: now.Add(time.Hour).Unix(), Scope: scope, GrantID: "gnt_1",
			}
			for _, f := range edit {
				f(&c)
			}
			text, err := ring.Sign(oauth.TypeAccess, c)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		call := func(method, path, authorization, body string) (*httptest.ResponseRecorder, map[string]any) {
			r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
			if authorization != "" {
				r.Header.Set("Authorization", authorization)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", "https://spa.test")
			rec := httptest.NewRecorder()
			m.ServeHTTP(rec, r)
			var out map[string]any
			if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
				t.Fatalf("%s: %v", rec.Body, err)
			}
			return rec, out
		}
		good := token("openid email")
		for _, c := range []struct{ method, authorization, body string }{
			{"GET", "Bearer " + good, ""}, {"GET", "bearer " + good, ""}, {"POST", "Bearer " + good, ""}, {"POST", "", "access_token=" + good},
		} {
			rec, out := call(c.method, userinfo.Path, c.authorization, c.body)
			if rec.Code != 200 || out["sub"] != "usr_ada" || out["email"] != "ada@example.test" || out["email_verified"] != false || len(out) != 3 ||
				rec.Header().Get("Access-Control-Allow-Origin") != "https://spa.test" {
				t.Errorf("%s: %d %v", c.method, rec.Code, out)
			}
		}
		revoked := token("openid", func(c *oauth.AccessToken) { c.GrantID = "gnt_2" })
		if err := grants.Revoke(t.Context(), grant.KindAuthorization, "gnt_2"); err != nil {
			t.Fatal(err)
		}
		ask := httptest.NewRequestWithContext(t.Context(), "GET", userinfo.Path, nil)
		ask.Header.Set("Authorization", "Bearer "+token("openid", func(c *oauth.AccessToken) { c.ClientID = "shop" }))
		answer := httptest.NewRecorder()
		m.ServeHTTP(answer, ask)
		signed := answer.Body.String()
		if h := answer.Header().Get("Content-Type"); answer.Code != 200 || h != "application/jwt" || strings.Count(signed, ".") != 2 {
			t.Errorf("a client that wants it signed gets %d %s: %s", answer.Code, h, signed)
		}
		if _, err := oauth.NewVerifier(ring, "https://id.test", "", time.Now).Hint(signed); err == nil {
			t.Error("signed userinfo passes for an ID token")
		}
		idToken, err := ring.Sign(oauth.TypeID, oauth.IDToken{Issuer: "https://id.test", Subject: "usr_ada", Audience: "desktop", Expiry: time.Now().Add(time.Hour).Unix()})
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			name, method, path, authorization, body string
			status                                  int
			challenge                               string
		}{
			{"no token", "GET", "", "", "", 401, "Bearer"},
			{"in the address", "GET", "?access_token=" + good, "", "", 401, "Bearer"},
			{"Basic", "GET", "", "Basic YTpi", "", 401, "Bearer"},
			{"junk", "GET", "", "Bearer junk", "", 401, `Bearer error="invalid_token"`},
			{"ID token", "GET", "", "Bearer " + idToken, "", 401, `Bearer error="invalid_token"`},
			{"signed userinfo", "GET", "", "Bearer " + signed, "", 401, `Bearer error="invalid_token"`},
			{"revoked", "GET", "", "Bearer " + revoked, "", 401, `Bearer error="invalid_token"`},
			{"expired", "GET", "", "Bearer " + token("openid", func(c *oauth.AccessToken) { c.Expiry = time.Now().Add(-2 * time.Minute).Unix() }), "", 401, `Bearer error="invalid_token"`},
			{"another issuer", "GET", "", "Bearer " + token("openid", func(c *oauth.AccessToken) { c.Issuer = "https://evil.test" }), "", 401, `Bearer error="invalid_token"`},
			{"no openid", "GET", "", "Bearer " + token("email"), "", 403, `Bearer error="insufficient_scope", scope="openid"`},
			{"twice", "POST", "", "Bearer " + good, "access_token=" + good, 400, ""},
		} {
			rec, out := call(tt.method, userinfo.Path+tt.path, tt.authorization, tt.body)
			if rec.Code != tt.status || rec.Header().Get("WWW-Authenticate") != tt.challenge || out["error"] == nil || out["sub"] != nil {
				t.Errorf("%s: %d %q %v", tt.name, rec.Code, rec.Header().Get("WWW-Authenticate"), out)
			}
		}
		users.err = fault.ErrUnavailable
		if rec, out := call("GET", userinfo.Path, "Bearer "+good, ""); rec.Code != 503 || out["error"] != "temporarily_unavailable" || rec.Header().Get("Retry-After") == "" {
			t.Errorf("store down: %d %v", rec.Code, out)
		}
		users.err, users.gone = nil, true
		if rec, _ := call("GET", userinfo.Path, "Bearer "+good, ""); rec.Code != http.StatusUnauthorized {
			t.Errorf("a user who is gone: %d", rec.Code)
		}
	})
}
