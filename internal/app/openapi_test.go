package app

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/web"
)

// contract is as much of an OpenAPI document as the tests look at.
type contract struct {
	Paths map[string]map[string]struct {
		ID         string `json:"operationId"`
		Summary    string
		Security   []map[string][]string
		Permission string `json:"x-permission"`
		Parameters []contractParam
		Responses  map[string]json.RawMessage
	}
}

type contractParam struct {
	Ref      string `json:"$ref"`
	Name, In string
	Required bool
}

// services are the Muxes by the name of their document.
func services(t *testing.T) (*Server, map[string]*web.Mux) {
	t.Helper()
	s := start(t)
	api, err := s.newAPI(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	idp, err := s.newIdentity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s, map[string]*web.Mux{"resource": api, "identity": idp}
}

func described(t *testing.T, mux *web.Mux) (c contract) {
	t.Helper()
	data, err := mux.Document()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

var inBraces = regexp.MustCompile(`\{[^}]*\}`)

// TestDocumentsAreTheRoutes holds the OpenAPI documents against the routes, both
// ways: what is mounted is described, or marked as a page; what is described is
// mounted, with the method.
func TestDocumentsAreTheRoutes(t *testing.T) {
	t.Parallel()
	_, muxes := services(t)
	for name, mux := range muxes {
		c := described(t, mux)
		found := map[string]bool{}
		for path, item := range c.Paths {
			for method, op := range item {
				at := strings.ToUpper(method) + " " + path
				pattern := mux.Pattern(strings.ToUpper(method), inBraces.ReplaceAllString(path, "x"))
				if pattern == "" {
					t.Errorf("%s: %s is described and not mounted", name, at)
				}
				found[pattern] = true
				for _, in := range inBraces.FindAllString(path, -1) {
					if !slices.ContainsFunc(op.Parameters, func(p contractParam) bool {
						return p.In == "path" && "{"+p.Name+"}" == in && p.Required
					}) {
						t.Errorf("%s: %s does not describe %s", name, at, in)
					}
				}
				if op.Summary == "" || op.Responses["default"] == nil || len(op.Responses) < 2 {
					t.Errorf("%s: %s lacks a summary, an answer or the error", name, at)
				}
			}
		}
		pages := mux.Pages()
		for _, pattern := range mux.Routes() {
			if found[pattern] == slices.Contains(pages, pattern) {
				t.Errorf("%s: %s is mounted: described %v, a page %v", name, pattern, found[pattern], !found[pattern])
			}
		}
	}
}

// Who may call what is described as it is enforced: by a stranger's and by a
// powerless person's request to each operation.
func TestDocumentsSayWhoMayCall(t *testing.T) {
	t.Parallel()
	s, muxes := services(t)
	mux := muxes["resource"]
	c := described(t, mux)
	ask := func(method, path, credential string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, inBraces.ReplaceAllString(path, "x"), strings.NewReader("{}"))
		r.Host = strings.TrimPrefix(s.core.Config.APIURL, "http://")
		r.Header.Set("Content-Type", "application/json")
		if credential != "" {
			r.Header.Set("Authorization", "Bearer "+credential)
		}
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, r)
		return rec
	}
	u, err := s.domains.Accounts.CreateAdmin(t.Context(), "root@example.com", "correct horse battery staple")
	if err != nil {
		t.Fatal(err)
	}
	f := &staff{T: t, Server: s, acr: "mfa"}
	without := f.token(u.ID, "openid", 0)
	once := mux.OnceRoutes()
	for path, item := range c.Paths {
		for method, op := range item {
			method = strings.ToUpper(method)
			at := method + " " + path
			public := len(op.Security) == 1 && len(op.Security[0]) == 0
			if code := ask(method, path, "").Code; (code != http.StatusUnauthorized) != public {
				t.Errorf("%s answers a stranger %d, described as public: %v", at, code, public)
			}
			if public {
				continue
			}
			scopes := op.Security[0][web.SchemeToken]
			rec := ask(method, path, without)
			if len(scopes) > 0 && !slices.Equal(scopes, []string{access.ScopeAdmin}) {
				if rec.Code != http.StatusForbidden || !strings.Contains(rec.Body.String(), "insufficient_scope") || !strings.Contains(rec.Body.String(), scopes[0]) {
					t.Errorf("%s wants %v, a token without is answered %d %s", at, scopes, rec.Code, rec.Body)
				}
			} else if strings.Contains(rec.Body.String(), "insufficient_scope") && len(scopes) == 0 {
				t.Errorf("%s is described without scopes and answers %s", at, rec.Body)
			}
			if strings.HasPrefix(path, "/admin/") != (op.Permission != "") {
				t.Errorf("%s names the permission %q", at, op.Permission)
			}
			needs := slices.ContainsFunc(op.Parameters, func(p contractParam) bool { return strings.HasSuffix(p.Ref, "/RequiredIdempotencyKey") })
			if needs != slices.Contains(once, mux.Pattern(method, inBraces.ReplaceAllString(path, "x"))) {
				t.Errorf("%s: an Idempotency-Key is described as required: %v", at, needs)
			}
		}
	}
	ids := map[string]bool{}
	for _, item := range c.Paths {
		for op := range maps.Values(item) {
			if ids[op.ID] {
				t.Errorf("two operations are called %s", op.ID)
			}
			ids[op.ID] = true
		}
	}
}
