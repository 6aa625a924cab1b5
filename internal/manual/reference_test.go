package manual_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/manual"
	"github.com/rephlo/rephlo/internal/web"
)

// reference serves the document of a service as it is checked in.
func reference(t *testing.T, name string) (*web.Mux, []byte) {
	t.Helper()
	data, err := os.ReadFile("../../api/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	r, err := manual.NewReference("Acme", func() ([]byte, error) { return data, nil })
	if err != nil {
		t.Fatal(err)
	}
	m := web.NewMux(web.Config{})
	r.Mount(m)
	return m, data
}

func read(t *testing.T, m *web.Mux, path string) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	m.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return rec
}

func TestEveryOperationHasAPage(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"resource", "identity"} {
		m, data := reference(t, name)
		var doc struct {
			Paths map[string]map[string]struct {
				ID      string `json:"operationId"`
				Summary string
			}
		}
		if err := json.Unmarshal(data, &doc); err != nil {
			t.Fatal(err)
		}
		overview := read(t, m, "/docs").Body.String()
		index := read(t, m, "/llms.txt").Body.String()
		for path, item := range doc.Paths {
			for method, op := range item {
				if !strings.Contains(overview, `href="/docs/operations/`+op.ID+`"`) || !strings.Contains(index, "(/docs/operations/"+op.ID+")") {
					t.Errorf("%s: nothing leads to %s", name, op.ID)
				}
				rec := read(t, m, "/docs/operations/"+op.ID)
				body := rec.Body.String()
				if rec.Code != http.StatusOK || strings.Count(body, "<h1") != 1 || !strings.Contains(body, "<b>"+strings.ToUpper(method)+"</b> "+path) {
					t.Errorf("%s: %d %s", op.ID, rec.Code, body)
				}
				for _, key := range []string{"operation.", "scheme.", "reference.", "%!", "<script"} {
					if strings.Contains(body, key) {
						t.Errorf("%s shows %s", op.ID, key)
					}
				}
				if csp := rec.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'self'") || strings.Contains(csp, "script-src") {
					t.Errorf("%s: policy %q", op.ID, csp)
				}
			}
		}
		if rec := read(t, m, "/openapi.json"); rec.Body.String() != string(data) || rec.Header().Get("ETag") == "" || rec.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: the document is served with %v", name, rec.Header())
		}
	}
}

func TestOperationsAreFoundByWords(t *testing.T) {
	t.Parallel()
	m, _ := reference(t, "resource")
	body := read(t, m, "/docs?q=API+keys+post").Body.String()
	if !strings.Contains(body, "post-v1-api-keys") || strings.Contains(body, "get-v1-api-keys") || strings.Contains(body, "Signing in") {
		t.Errorf("found: %s", body)
	}
	body = read(t, m, "/docs?q=%22%3E%3Cscript%3E").Body.String()
	if strings.Contains(body, "<script") || !strings.Contains(body, "Nothing matches") {
		t.Errorf("nothing is found so: %s", body)
	}
	if rec := read(t, m, "/docs/operations/nonsense"); rec.Code != http.StatusNotFound || !strings.Contains(rec.Body.String(), "<h1") {
		t.Errorf("an unknown operation: %d %s", rec.Code, rec.Body)
	}
}

// What is nested, listed or referred to is shown with its full name.
func TestFieldsAreShownWhole(t *testing.T) {
	t.Parallel()
	r, err := manual.NewReference("Acme", func() ([]byte, error) {
		return []byte(`{"info":{"title":"T"},"paths":{"/a":{"post":{"operationId":"a","summary":"S","tags":["A"],
			"security":[{"accessToken":["x.y"]}],"parameters":[{"$ref":"#/components/parameters/K"}],
			"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/B"}}}},
			"responses":{"200":{"content":{"application/json":{"schema":{"type":"array","items":{"$ref":"#/components/schemas/B"}}}}},"204":{"description":"No"}}}}},
			"components":{"parameters":{"K":{"name":"Some-Key","in":"header","required":true,"description":"Why","schema":{"type":"string","maxLength":9}}},
			"schemas":{"B":{"type":"object","required":["kind"],"properties":{"kind":{"type":"string","enum":["one","two"]},
			"list":{"type":["array","null"],"items":{"type":"object","properties":{"n":{"type":"integer","minimum":1,"maximum":7}}}},"self":{"$ref":"#/components/schemas/B"}}}}}}`), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m := web.NewMux(web.Config{})
	r.Mount(m)
	body := read(t, m, "/docs/operations/a").Body.String()
	for _, want := range []string{
		"with the scopes: x.y", "Some-Key", "string of at most 9 characters", "Why", "<code>one</code>, <code>two</code>", "list of object or null",
		"<code>list[].n</code>", "integer from 1 to 7", "<code>self.self.kind</code>", "-X POST", "Some-Key: …", `{&#34;kind&#34;:&#34;one&#34;}`, "There is no body",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s: %s", want, body)
		}
	}
}
