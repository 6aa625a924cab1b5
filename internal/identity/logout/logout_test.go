package logout_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/keys"
	"github.com/rephlo/rephlo/internal/identity/logout"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

// browser is one browser's session; "" is none.
type browser struct{ session string }

func (b *browser) Current(*http.Request) (logout.Session, bool, error) {
	return logout.Session{ID: b.session, UserID: "usr_1"}, b.session != "", nil
}

func (b *browser) SignOut(http.ResponseWriter, *http.Request) error {
	b.session = ""
	return nil
}

// pages says which page it is.
type pages struct{}

func (pages) ConfirmSignOut(w http.ResponseWriter, _ *http.Request, action string) error {
	_, err := fmt.Fprint(w, "confirm "+action)
	return err
}

func (pages) SignedOut(w http.ResponseWriter, _ *http.Request) error {
	_, err := fmt.Fprint(w, "signed out")
	return err
}

const confirm = "confirm " + logout.ConfirmPath

func TestSignOut(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		log := slog.New(slog.NewTextHandler(t.Output(), nil))
		box, err := seal.NewBox(make([]byte, seal.KeySize))
		if err != nil {
			t.Fatal(err)
		}
		messages := bus.New(db, log, time.Now)
		ring := keys.New(keys.Needs{DB: db, Bus: messages, Box: box, Log: log, Now: time.Now})
		clients := client.New(client.Needs{DB: db, Bus: messages, Log: log, Now: time.Now, Dev: true})
		if err := ring.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := clients.Seed(t.Context()); err != nil {
			t.Fatal(err)
		}
		b := &browser{}
		m := web.NewMux(web.Config{Log: log})
		logout.API{Clients: clients, Tokens: oauth.NewVerifier(ring, "https://id.test", "", time.Now), Sessions: b, Pages: pages{}}.Mount(m)

		sign := func(typ string, edit func(*oauth.IDToken)) string {
			claims := oauth.IDToken{
				Issuer: "https://id.test", Subject: "usr_1", Audience: "rephlo-demo", SessionID: "ses_1",
				IssuedAt: time.Now().Add(-48 * time.Hour).Unix(), Expiry: time.Now().Add(-47 * time.Hour).Unix(), // long expired
			}
			edit(&claims)
			text, err := ring.Sign(typ, claims)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		hint := sign(oauth.TypeID, func(*oauth.IDToken) {})
		modified := strings.Replace(hint, ".e", ".f", 1)
		unsigned := hint[:strings.LastIndexByte(hint, '.')+1]
		access := sign(oauth.TypeAccess, func(*oauth.IDToken) {})
		elsewhere := sign(oauth.TypeID, func(c *oauth.IDToken) { c.SessionID = "ses_2" })
		foreign := sign(oauth.TypeID, func(c *oauth.IDToken) { c.Issuer = "https://evil.test" })
		nobody := sign(oauth.TypeID, func(c *oauth.IDToken) { c.Audience = "nobody" })
		home := "http://127.0.0.1:4711/"

		for _, tt := range []struct {
			name  string
			query []string
			ends  bool
			want  string // a page, or where it redirects to
		}{
			{"everything", []string{"id_token_hint", hint, "post_logout_redirect_uri", home, "state", "a b", "client_id", "rephlo-demo"}, true, home + "?state=a+b"},
			{"no state", []string{"id_token_hint", hint, "post_logout_redirect_uri", home}, true, home},
			{"no address", []string{"id_token_hint", hint}, true, "signed out"},
			{"only the state", []string{"state", "x"}, false, confirm},
			{"nothing", nil, false, confirm},
			{"no hint", []string{"post_logout_redirect_uri", home, "client_id", "rephlo-demo"}, false, confirm},
			{"modified hint", []string{"id_token_hint", modified, "post_logout_redirect_uri", home}, false, confirm},
			{"unsigned hint", []string{"id_token_hint", unsigned, "post_logout_redirect_uri", home}, false, confirm},
			{"access token", []string{"id_token_hint", access, "post_logout_redirect_uri", home}, false, confirm},
			{"foreign hint", []string{"id_token_hint", foreign, "post_logout_redirect_uri", home}, false, confirm},
			{"unknown client", []string{"id_token_hint", nobody, "post_logout_redirect_uri", home}, false, confirm},
			{"another client", []string{"id_token_hint", hint, "client_id", "rephlo-cli", "post_logout_redirect_uri", home}, false, confirm},
			{"two hints", []string{"id_token_hint", hint, "id_token_hint", hint}, false, confirm},
			{"unregistered address", []string{"id_token_hint", hint, "post_logout_redirect_uri", "https://evil.test/"}, true, "signed out"},
			{"query added", []string{"id_token_hint", hint, "post_logout_redirect_uri", home + "?x=1"}, true, "signed out"},
			{"session of another browser", []string{"id_token_hint", elsewhere, "post_logout_redirect_uri", home}, false, home},
			{"session of another browser, no address", []string{"id_token_hint", elsewhere}, false, confirm},
		} {
			v := url.Values{}
			for i := 0; i+1 < len(tt.query); i += 2 {
				v.Add(tt.query[i], tt.query[i+1])
			}
			for _, path := range []string{logout.Path, "/session/end", "/logout"} {
				for _, method := range []string{"GET", "POST"} {
					b.session = "ses_1"
					r := httptest.NewRequestWithContext(t.Context(), method, path+"?"+v.Encode(), nil)
					if method == "POST" {
						r = httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(v.Encode()))
						r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					}
					rec := httptest.NewRecorder()
					m.ServeHTTP(rec, r)
					got := rec.Body.String()
					if location := rec.Header().Get("Location"); location != "" {
						got = location
					}
					if got != tt.want || (b.session == "") != tt.ends || (rec.Header().Get("Clear-Site-Data") == `"cache"`) != tt.ends {
						t.Errorf("%s, %s %s: %d %q, session ended %t; want %q, %t", tt.name, method, path, rec.Code, got, b.session == "", tt.want, tt.ends)
					}
				}
			}
		}

		// The answer of the confirmation page counts from our own page only.
		for origin, want := range map[string]string{"cross-site": "ses_1", "same-origin": ""} {
			b.session = "ses_1"
			r := httptest.NewRequestWithContext(t.Context(), "POST", logout.ConfirmPath, nil)
			r.Header.Set("Sec-Fetch-Site", origin)
			rec := httptest.NewRecorder()
			m.ServeHTTP(rec, r)
			if b.session != want || (rec.Code == 200) != (want == "") {
				t.Errorf("%s: %d, session %q", origin, rec.Code, b.session)
			}
		}
		b.session = ""
		rec := httptest.NewRecorder()
		m.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/logout", nil))
		if rec.Body.String() != "signed out" {
			t.Errorf("with nobody signed in: %q", rec.Body)
		}
	})
}
