package discovery_test

import (
	"encoding/json"
	"flag"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rephlo/rephlo/internal/identity/discovery"
	"github.com/rephlo/rephlo/internal/web"
)

var update = flag.Bool("update", false, "rewrite the golden file")

type ring struct{}

func (ring) JWKS() []byte { return []byte(`{"keys":[{"kid":"k1"}]}`) }

func newMux() *web.Mux {
	m := web.NewMux(web.Config{})
	discovery.API{Issuer: "https://id.test", Keys: ring{}}.Mount(m)
	return m
}

func get(t *testing.T, m *web.Mux, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	m.ServeHTTP(rec, r)
	return rec
}

// What we announce changes on purpose only: the golden file is the contract.
func TestMetadata(t *testing.T) {
	t.Parallel()
	m := newMux()
	a, b := get(t, m, "/.well-known/openid-configuration", "Host", "evil.test"), get(t, m, "/.well-known/oauth-authorization-server")
	if a.Code != 200 || a.Body.String() != b.Body.String() || a.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("status %d, the documents differ: %s %s", a.Code, a.Body, b.Body)
	}
	var indented any
	if err := json.Unmarshal(a.Body.Bytes(), &indented); err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(indented, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("testdata/metadata.json", append(got, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/metadata.json")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)+"\n"); d != "" {
		t.Error(d)
	}
}

func TestDocumentsAreCachedAndOpen(t *testing.T) {
	t.Parallel()
	m := newMux()
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", discovery.JWKSPath} {
		rec := get(t, m, path, "Origin", "https://any.test")
		tag := rec.Header().Get("ETag")
		if rec.Code != 200 || tag == "" || rec.Header().Get("Cache-Control") != "public, max-age=300" || rec.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %v", path, rec.Code, rec.Header())
		}
		if again := get(t, m, path, "If-None-Match", tag); again.Code != 304 || again.Body.Len() != 0 {
			t.Errorf("%s again: %d", path, again.Code)
		}
		if changed := get(t, m, path, "If-None-Match", `"other"`); changed.Code != 200 {
			t.Errorf("%s with another tag: %d", path, changed.Code)
		}
	}
}
