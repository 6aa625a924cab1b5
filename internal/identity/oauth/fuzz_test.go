package oauth_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// No mutation of a good token is accepted.
func FuzzVerify(f *testing.F) {
	good := signed(goodHeader, goodClaims)
	v := newVerifier()
	f.Add(good)
	f.Add(unsigned(goodHeader, goodClaims) + ".")
	f.Add("..")
	f.Add(signed(changed(goodHeader, object{"alg": "none"}), goodClaims))
	f.Fuzz(func(t *testing.T, token string) {
		c, err := v.Verify(token)
		if err == nil && (token[:strings.LastIndexByte(token, '.')] != good[:strings.LastIndexByte(good, '.')] || c.Subject != "usr_1") {
			t.Errorf("accepted %q", token)
		}
		_, _ = v.Hint(token)
	})
}

// Whatever is sent: an error is a page error until the redirect URI is the
// client's, and what is accepted obeys the rules.
func FuzzParseAuthorize(f *testing.F) {
	f.Add(request().Encode())
	f.Add(request("redirect_uri", "http://127.0.0.1:5/cb", "resource", "https://api.test").Encode())
	f.Add("client_id=desktop&redirect_uri=https://app.test/cb&state=%00&prompt=none")
	f.Add("client_id=desktop&client_id=x")
	f.Fuzz(func(t *testing.T, query string) {
		v, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		r, err := oauth.ParseAuthorize(v, desktop, server)
		if err != nil {
			if e := func() *oauth.Error {
				target := &oauth.Error{}
				_ = errors.As(err, &target)
				return target
			}(); !e.Page && !oauth.MatchRedirect(desktop.RedirectURIs, r.RedirectURI) {
				t.Errorf("%q would redirect to %q", query, r.RedirectURI)
			}
			return
		}
		for _, s := range r.Scopes {
			if !slices.Contains(desktop.Scopes, s) {
				t.Errorf("granted %q", s)
			}
		}
		if len(r.Challenge) != 43 || len(r.State) > oauth.MaxParameter || len(r.Resources) > 1 {
			t.Errorf("accepted %+v", r)
		}
	})
}

// What matches a registered URI goes to the same host.
func FuzzMatchRedirect(f *testing.F) {
	for _, uri := range []string{"http://127.0.0.1:99/cb", "https://app.test/cb", "http://127.0.0.1:80@evil.test/cb", "http://[::1]/cb", "ai.rephlo.desktop:/callback"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		_ = oauth.CheckRedirect(uri, true)
		_ = oauth.LoopbackOrigin(uri)
		if !oauth.MatchRedirect(desktop.RedirectURIs, uri) || slices.Contains(desktop.RedirectURIs, uri) {
			return
		}
		u, err := url.Parse(uri)
		if err != nil || u.Hostname() != "127.0.0.1" || u.Path != "/cb" || u.RawQuery != "" || u.User != nil {
			t.Errorf("%q matches", uri)
		}
	})
}

// Whatever is asked for, a token has no scope that its client may not have, and
// none that belongs to another audience.
func FuzzResolve(f *testing.F) {
	f.Add("openid llm.inference", "https://api.test")
	f.Add("openid  openid admin notes.write", "HTTPS://api.test:443/")
	f.Add("llm.inference notes.read notes.write", "https://NOTES.test/")
	f.Add("", "*")
	notes := oauth.Resource{ID: "https://notes.test", Scopes: []string{"notes.read"}, Default: []string{"notes.read"}}
	f.Fuzz(func(t *testing.T, scope, resource string) {
		s := server.With([]oauth.Resource{notes})
		granted, resources, err := oauth.Resolve(strings.Fields(scope), []string{resource}, desktop, s)
		if err != nil {
			return
		}
		aud, err := oauth.Audience("", resources, s)
		if err != nil || aud != s.Resource && aud != s.Issuer && aud != notes.ID {
			t.Errorf("audience %q, %v", aud, err)
		}
		for _, name := range oauth.TokenScopes(granted, aud, s) {
			if theirs := slices.Contains(notes.Scopes, name); !theirs && !slices.Contains(desktop.Scopes, name) || theirs && aud != notes.ID {
				t.Errorf("granted %q for %s", name, aud)
			}
		}
	})
}

func FuzzParseBasic(f *testing.F) {
	f.Add("Basic YSUzQWI6YytkJTI1")
	f.Add("Basic OmE=")
	f.Fuzz(func(t *testing.T, header string) {
		if id, _, ok := oauth.ParseBasic(header); ok && id == "" {
			t.Errorf("%q has no id", header)
		}
	})
}

func FuzzParseForm(f *testing.F) {
	f.Add("grant_type=authorization_code&code=x&resource=a&resource=b")
	f.Add("a=1&a=2")
	f.Add("a=%zz;b")
	f.Fuzz(func(t *testing.T, body string) {
		v, err := oauth.ParseForm(body)
		if err != nil {
			return
		}
		for name, values := range v {
			if len(values) != 1 && name != "resource" {
				t.Errorf("%q repeats %q", body, name)
			}
		}
	})
}
