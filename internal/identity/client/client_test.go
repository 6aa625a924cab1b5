package client_test

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

func seeded(t *testing.T, db *sqldb.DB, dev bool) *client.Service {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	s := client.New(client.Needs{DB: db, Bus: bus.New(db, log, time.Now), Log: log, Now: time.Now, Dev: dev})
	if err := s.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// confidential is a server application.
func confidential(id string, method client.AuthMethod) client.Client {
	return client.Client{
		ID: id, Name: "Shop", AuthMethod: method, RedirectURIs: []string{"https://shop.test/cb"}, Scopes: []string{"openid"},
		Grants: []string{client.GrantCode}, RefreshLife: client.LifeSession,
	}
}

func TestSeededClients(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := seeded(t, db, true)
		for _, id := range []string{"rephlo-cli", "rephlo-desktop", "rephlo-demo"} {
			c, err := s.ByID(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if !c.Public || !c.Native || !c.FirstParty || c.SkipConsent || c.RefreshLife != client.LifeStandalone || !c.May("refresh_token") || c.May("password") {
				t.Errorf("%+v", c)
			}
			if !c.NeedsClick(c.RedirectURIs[0]) || c.Facts().ID != id {
				t.Errorf("%s: %+v", id, c.Facts())
			}
		}
		desktop, _ := s.ByID(t.Context(), "rephlo-desktop")
		for _, uri := range []string{"http://127.0.0.1:4711/callback", "http://localhost:80/callback", "ai.rephlo.desktop:/callback"} {
			if !oauth.MatchRedirect(desktop.RedirectURIs, uri) || !desktop.NeedsClick(uri) {
				t.Errorf("%s does not match or needs no click", uri)
			}
		}
		if _, err := s.ByID(t.Context(), "nobody"); !errors.Is(err, client.ErrUnknown) {
			t.Errorf("an unknown client: %v", err)
		}
		if _, err := seeded(t, db, false).ByID(t.Context(), "rephlo-demo"); !errors.Is(err, client.ErrUnknown) {
			t.Errorf("the demonstration client outside of development: %v", err)
		}
	})
}

// O21: each client proves itself in its own way and in no other.
func TestAuthenticate(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := seeded(t, db, false)
		secrets := map[string]string{}
		for id, method := range map[string]client.AuthMethod{"basic": client.AuthBasic, "post": client.AuthPost} {
			secret, err := s.Create(t.Context(), confidential(id, method))
			if err != nil || !oauth.IsSecret(oauth.PrefixSecret, secret) {
				t.Fatalf("secret of the wrong form, or %v", err)
			}
			secrets[id] = secret
		}
		other := seeded(t, db, false) // reads them from the table
		for _, tt := range []struct {
			name string
			cr   client.Credentials
			ok   bool
		}{
			{"basic", client.Credentials{ID: "basic", Secret: secrets["basic"], Method: client.AuthBasic}, true},
			{"post", client.Credentials{ID: "post", Secret: secrets["post"], Method: client.AuthPost}, true},
			{"public", client.Credentials{ID: "rephlo-cli", Method: client.AuthNone}, true},
			{"wrong secret", client.Credentials{ID: "basic", Secret: secrets["post"], Method: client.AuthBasic}, false},
			{"no secret", client.Credentials{ID: "basic", Method: client.AuthBasic}, false},
			{"as public", client.Credentials{ID: "basic", Method: client.AuthNone}, false},
			{"another method", client.Credentials{ID: "basic", Secret: secrets["basic"], Method: client.AuthPost}, false},
			{"public with a secret", client.Credentials{ID: "rephlo-cli", Secret: "x", Method: client.AuthPost}, false},
			{"unknown", client.Credentials{ID: "nobody", Method: client.AuthNone}, false},
			{"nothing", client.Credentials{}, false},
		} {
			for _, s := range []*client.Service{s, other} {
				c, err := s.Authenticate(t.Context(), tt.cr)
				if tt.ok && (err != nil || c.ID != tt.cr.ID) || !tt.ok && !errors.Is(err, oauth.ErrInvalidClient) {
					t.Errorf("%s: %s, %v", tt.name, c.ID, err)
				}
			}
		}
		if _, err := s.Create(t.Context(), confidential("basic", client.AuthBasic)); !errors.Is(err, client.ErrExists) {
			t.Errorf("an id that is taken: %v", err)
		}
	})
}

func TestCreateChecksSettings(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := seeded(t, db, false)
		for name, spoil := range map[string]func(*client.Client){
			"no id":                   func(c *client.Client) { c.ID = "" },
			"id with a colon":         func(c *client.Client) { c.ID = "a:b" },
			"no name":                 func(c *client.Client) { c.Name = "" },
			"public with a secret":    func(c *client.Client) { c.Public = true },
			"unknown method":          func(c *client.Client) { c.AuthMethod = "tls" },
			"skips consent":           func(c *client.Client) { c.SkipConsent = true },
			"unknown grant":           func(c *client.Client) { c.Grants = []string{"password"} },
			"unknown scope":           func(c *client.Client) { c.Scopes = []string{"root"} },
			"unknown life":            func(c *client.Client) { c.RefreshLife = "" },
			"no redirect":             func(c *client.Client) { c.RedirectURIs = nil },
			"loopback of a web app":   func(c *client.Client) { c.RedirectURIs = []string{"http://127.0.0.1/cb"} },
			"plain http after logout": func(c *client.Client) { c.PostLogoutRedirectURIs = []string{"http://shop.test/"} },
			"origin with a path":      func(c *client.Client) { c.CORSOrigins = []string{"https://shop.test/"} },
		} {
			c := confidential("shop", client.AuthBasic)
			spoil(&c)
			if _, err := s.Create(t.Context(), c); !errors.Is(err, client.ErrInvalid) {
				t.Errorf("%s: %v, want %v", name, err, client.ErrInvalid.Code)
			}
		}
		native := client.Client{
			ID: "native", Name: "N", FirstParty: true, Native: true, Public: true, SkipConsent: true, AuthMethod: client.AuthNone,
			RedirectURIs: []string{"http://127.0.0.1/cb"}, Grants: []string{client.GrantCode}, RefreshLife: client.LifeSession,
		}
		if _, err := s.Create(t.Context(), native); !errors.Is(err, client.ErrInvalid) {
			t.Errorf("a native client that skips the consent: %v", err)
		}
	})
}

func TestOriginsOfPublicClients(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := seeded(t, db, false)
		spa := confidential("spa", client.AuthNone)
		spa.Public = true
		spa.RedirectURIs = []string{"https://spa.test:8443/cb"}
		for _, c := range []client.Client{spa, confidential("shop", client.AuthBasic)} {
			if _, err := s.Create(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		for origin, want := range map[string]bool{
			"http://localhost:5173":         true,
			"http://127.0.0.1":              true,
			"http://[::1]:1":                true,
			"https://spa.test:8443":         true,
			"https://spa.test":              false,
			"https://shop.test":             false, // confidential: its server asks
			"https://localhost":             false,
			"http://localhost.evil.test":    false,
			"http://127.0.0.1.evil.test":    false,
			"null":                          false,
			"https://spa.test:8443.evil.de": false,
		} {
			if got := s.Origins(origin); got != want {
				t.Errorf("%s: %t, want %t", origin, got, want)
			}
		}
		if spa.AllowsOrigin("http://localhost:5173") {
			t.Error("a client without loopback addresses has loopback pages")
		}
	})
}
