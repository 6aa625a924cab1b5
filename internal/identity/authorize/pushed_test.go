package authorize_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// push sends a request of desk, a public client, and returns the path that
// continues it.
func (p *idp) push(t *testing.T, pairs ...string) string {
	t.Helper()
	got := p.browser(t).post(t, "/oauth/par", nil, params(t, request("desk", deskCallback, pairs...))...)
	var out struct {
		RequestURI string `json:"request_uri"`
		ExpiresIn  int64  `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(got.body), &out); err != nil || got.status != 201 || out.ExpiresIn != 60 || got.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	return "/oauth/authorize?" + url.Values{"client_id": {"desk"}, "request_uri": {out.RequestURI}}.Encode()
}

// params are the pairs of a request's query.
func params(t *testing.T, path string) []string {
	t.Helper()
	v, err := url.ParseQuery(strings.TrimPrefix(path, "/oauth/authorize?"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for name := range v {
		if v.Get(name) != "" {
			out = append(out, name, v.Get(name))
		}
	}
	return out
}

// O34: a pushed request is continued by one browser, until it is answered.
func TestAPushedRequest(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		idp := newIDP(t, db)
		idp.user(t, "ada@example.com")
		path := idp.push(t)
		mine, other := idp.browser(t), idp.browser(t)
		p := mine.get(t, path+"&scope=admin&redirect_uri=https://evil.test/&state=evil") // of no effect
		p.shows(t, 200, "to continue to")
		other.get(t, path).shows(t, 400, "request_uri is unknown")
		if again := mine.get(t, path); again.path != p.path {
			t.Errorf("a reload leads to %s, want %s", again.path, p.path)
		}
		p = mine.signIn(t, p, "ada@example.com")
		p.shows(t, 200, "Desk")
		if strings.Contains(p.body, "admin") {
			t.Error("a parameter beside the request_uri had an effect")
		}
		mine.submit(t, p, "decision", "allow").code(t, idp)
		mine.get(t, path).shows(t, 400, "request_uri is unknown")
	})
}

func TestPushedRequestsThatAreOver(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		idp := newIDP(t, db)
		b := idp.browser(t)
		path := idp.push(t)
		for name, wrong := range map[string]string{
			"another client":  strings.Replace(path, "client_id=desk", "client_id=shop", 1),
			"unknown":         "/oauth/authorize?client_id=desk&request_uri=urn:ietf:params:oauth:request_uri:" + strings.Repeat("A", 43),
			"another address": "/oauth/authorize?client_id=desk&request_uri=https://evil.test/request",
			"twice":           path + "&request_uri=x",
			"no client":       strings.Replace(path, "client_id=desk", "client_id=", 1),
		} {
			if p := b.get(t, wrong); p.status != 400 || p.location != nil {
				t.Errorf("%s: %d %s", name, p.status, p.body)
			}
		}
		idp.pass(61 * time.Second)
		b.get(t, path).shows(t, 400, "request_uri is unknown")

		path = idp.push(t)
		v, _ := url.ParseQuery(strings.TrimPrefix(path, "/oauth/authorize?"))
		cross := map[string]string{"Sec-Fetch-Site": "cross-site"}
		p := b.post(t, "/oauth/authorize", cross, "client_id", "desk", "request_uri", v.Get("request_uri"))
		p.shows(t, 200, "to continue to")
		idp.browser(t).get(t, path).shows(t, 400, "request_uri is unknown")
	})
}

func TestWhatIsWrongIsSaidWhenItIsPushed(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		idp := newIDP(t, db)
		b := idp.browser(t)
		for name, tt := range map[string]struct {
			pairs  []string
			status int
			code   string
		}{
			"redirect URI":  {[]string{"redirect_uri", "https://evil.test/"}, 400, "invalid_request"},
			"no challenge":  {[]string{"code_challenge", ""}, 400, "invalid_request"},
			"response type": {[]string{"response_type", "token"}, 400, "unsupported_response_type"},
			"scope":         {[]string{"scope", "everything"}, 400, "invalid_scope"},
			"resource":      {[]string{"resource", "https://other.test"}, 400, "invalid_target"},
			"request_uri":   {[]string{"request_uri", "urn:x"}, 400, "invalid_request"},
			"client":        {[]string{"client_id", "nobody"}, 401, "invalid_client"},
			"confidential":  {[]string{"client_id", "shop"}, 401, "invalid_client"},
		} {
			got := b.post(t, "/oauth/par", nil, params(t, request("desk", deskCallback, tt.pairs...))...)
			var out struct{ Error string }
			if err := json.Unmarshal([]byte(got.body), &out); err != nil || got.status != tt.status || out.Error != tt.code {
				t.Errorf("%s: %d %s, want %s", name, got.status, got.body, tt.code)
			}
		}
	})
}

// A client that must push cannot ask in the address.
func TestAClientThatMustPush(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		idp := newIDP(t, db)
		strict := testClients[1]
		strict.ID, strict.RequirePAR = "strict", true
		if _, err := idp.clients.Create(t.Context(), strict); err != nil {
			t.Fatal(err)
		}
		idp.browser(t).get(t, request("strict", deskCallback)).refused(t, idp, "invalid_request")
		got := idp.browser(t).post(t, "/oauth/par", nil, params(t, request("strict", deskCallback))...)
		if got.status != 201 {
			t.Errorf("%d %s", got.status, got.body)
		}
	})
}
