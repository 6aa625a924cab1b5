package catalog_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

// reader asks for lists of models.
type reader struct {
	t *testing.T
	m *web.Mux
}

// onLists has the models a to e, the newest first in Anthropic's list, a model
// for pictures and one without a price.
func onLists(t *testing.T, f func(r reader)) {
	t.Parallel()
	errs := func(shape string) web.ErrorWriter {
		return func(w http.ResponseWriter, _ *http.Request, f *fault.Error) {
			_ = web.JSON(w, f.Kind.Status(), map[string]string{"shape": shape, "code": f.Code, "param": f.Param})
		}
	}
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		var models []catalog.ModelConfig
		for _, id := range []string{"b", "a", "e", "d", "c"} {
			m := model(id, pricing.Prices{Input: 1000, Output: 2000})
			m.ContextLength, m.MaxOutput, m.Name = 1000, 100, "Model "+strings.ToUpper(id)
			models = append(models, m)
		}
		picture := model("picture", pricing.Prices{Input: 1000, Output: 2000})
		picture.Capabilities = []string{"image"}
		thinker := model("thinker", pricing.Prices{Input: 1000, Output: 2000})
		thinker.Capabilities = []string{"text", "reasoning"}
		embedder := model("embedder", pricing.Prices{Input: 1000, Output: 2000})
		embedder.Capabilities = []string{"embedding"}
		s := start(t, db, newClock(), provider("acme", append(models, picture, thinker, embedder)...))
		m := web.NewMux(web.Config{Use: []web.Middleware{func(next web.Handler) web.Handler {
			return func(w http.ResponseWriter, r *http.Request) error {
				if scope := r.Header.Get("Scope"); scope != "" {
					actor := access.Actor{UserID: "usr_1", KeyID: "key_1", Scopes: []string{scope}}
					if only := r.Header.Get("Only"); only != "" {
						actor.Key = &access.Policy{Models: strings.Split(only, ",")}
					}
					r = r.WithContext(access.With(r.Context(), actor, nil))
				}
				return next(w, r)
			}
		}}})
		catalog.API{
			Models: s, Cursors: list.NewCursors(make([]byte, 32)), TierOf: func(string) string { return "free" },
			Errors: errs("openai"), AnthropicErrors: errs("anthropic"), GoogleErrors: errs("google"),
		}.Mount(m)
		f(reader{t, m})
	})
}

// get asks; header has pairs.
func (r reader) get(path string, header ...string) (int, map[string]any) {
	r.t.Helper()
	req := httptest.NewRequest("GET", path, nil)
	req.Header.Set("Scope", access.ScopeModels)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	r.m.ServeHTTP(rec, req)
	var body map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil {
		r.t.Fatalf("%s: %v: %s", path, err, rec.Body)
	}
	return rec.Code, body
}

func names(list any, field string) []string {
	out := []string{}
	all, _ := list.([]any)
	for _, e := range all {
		m, _ := e.(map[string]any)
		name, _ := m[field].(string)
		out = append(out, name)
	}
	return out
}

var version = []string{"Anthropic-Version", "2023-06-01"}

func TestClientsOfAnthropicGetTheirList(t *testing.T) {
	onLists(t, func(r reader) {
		_, whole := r.get("/v1/models", version...)
		all := names(whole["data"], "id")
		if !slices.Contains(all, "thinker") || !slices.Contains(all, "test-echo") || slices.Contains(all, "picture") || slices.Contains(all, "embedder") {
			r.t.Errorf("listed %v", all)
		}
		_, one := r.get("/v1/models/b", version...)
		want := map[string]any{"type": "model", "id": "b", "display_name": "Model B", "created_at": one["created_at"], "max_input_tokens": 1000.0, "max_tokens": 100.0}
		if diff := cmp.Diff(want, one); diff != "" || one["created_at"] == "" {
			r.t.Error(diff)
		}
		// There and back in parts of each size.
		for limit := 1; limit <= len(all)+1; limit++ {
			size := strconv.Itoa(limit)
			var forth, back []string
			for after := ""; ; {
				_, p := r.get("/v1/models?limit="+size+"&after_id="+after, version...)
				forth = append(forth, names(p["data"], "id")...)
				if data, _ := p["data"].([]any); len(data) == 0 || len(data) > limit {
					r.t.Errorf("in parts of %d: %d behind %q", limit, len(data), after)
				}
				if p["has_more"] == false {
					break
				}
				after, _ = p["last_id"].(string)
			}
			for before := all[len(all)-1]; ; {
				_, p := r.get("/v1/models?limit="+size+"&before_id="+before, version...)
				back = append(names(p["data"], "id"), back...)
				if data, _ := p["data"].([]any); len(data) > limit {
					r.t.Errorf("in parts of %d: %d before %q", limit, len(data), before)
				}
				if p["has_more"] == false {
					break
				}
				before, _ = p["first_id"].(string)
			}
			if !slices.Equal(forth, all) || !slices.Equal(back, all[:len(all)-1]) {
				r.t.Errorf("in parts of %d: %v and back %v, want %v", limit, forth, back, all)
			}
		}
		_, none := r.get("/v1/models", append(version, "Only", "picture")...)
		if data, _ := none["data"].([]any); data == nil || len(data) != 0 || none["first_id"] != nil || none["last_id"] != nil || none["has_more"] != false {
			r.t.Errorf("a key for nothing: %v", none)
		}
	})
}

func TestListsRefuseInTheClientsDialect(t *testing.T) {
	onLists(t, func(r reader) {
		for _, tt := range []struct {
			path, shape, code string
			status            int
			header            []string
		}{
			{"/v1/models/none", "openai", "model_not_found", 404, nil},
			{"/v1/models/none", "anthropic", "model_not_found", 404, version},
			{"/v1/models/a", "anthropic", "model_not_found", 404, append(version, "Only", "b")},
			{"/v1/models", "anthropic", "insufficient_scope", 403, append(version, "Scope", access.ScopeInference)},
			{"/v1/models?limit=0", "anthropic", "invalid_request", 400, version},
			{"/v1/models?limit=1001", "anthropic", "invalid_request", 400, version},
			{"/v1/models?limit=x", "anthropic", "invalid_request", 400, version},
			{"/v1/models?after_id=none", "anthropic", "invalid_request", 400, version},
			{"/v1/models?before_id=none", "anthropic", "invalid_request", 400, version},
			{"/v1/models?before_id=a&after_id=b", "anthropic", "invalid_request", 400, version},
			{"/v1beta/models/none", "google", "model_not_found", 404, nil},
			{"/v1beta/models", "google", "insufficient_scope", 403, []string{"Scope", access.ScopeInference}},
			{"/v1beta/models?pageSize=-1", "google", "invalid_request", 400, nil},
			{"/v1beta/models?pageSize=x", "google", "invalid_request", 400, nil},
			{"/v1beta/models?pageToken=x", "google", "invalid_request", 400, nil},
		} {
			if status, body := r.get(tt.path, tt.header...); status != tt.status || body["shape"] != tt.shape || body["code"] != tt.code {
				r.t.Errorf("%s %v: %d %v", tt.path, tt.header, status, body)
			}
		}
	})
}

func TestClientsOfGoogleGetTheirList(t *testing.T) {
	onLists(t, func(r reader) {
		_, whole := r.get("/v1beta/models?pageSize=5000")
		all := names(whole["models"], "name")
		if !slices.IsSorted(all) || !slices.Contains(all, "models/thinker") || slices.Contains(all, "models/picture") || whole["nextPageToken"] != nil {
			r.t.Errorf("listed %v", all)
		}
		for size := 1; size <= len(all); size++ {
			var got []string
			for token := ""; ; {
				_, p := r.get("/v1beta/models?pageSize=" + strconv.Itoa(size) + "&pageToken=" + url.QueryEscape(token))
				got = append(got, names(p["models"], "name")...)
				if p["nextPageToken"] == nil {
					break
				}
				token, _ = p["nextPageToken"].(string)
			}
			if !slices.Equal(got, all) {
				r.t.Errorf("in parts of %d: %v, want %v", size, got, all)
			}
		}
		_, embedder := r.get("/v1beta/models/embedder")
		if diff := cmp.Diff([]any{"embedContent", "batchEmbedContents"}, embedder["supportedGenerationMethods"]); diff != "" || !slices.Contains(all, "models/embedder") {
			r.t.Errorf("an embedding model: %s", diff)
		}
		_, one := r.get("/v1beta/models/thinker")
		want := map[string]any{
			"name": "models/thinker", "baseModelId": "thinker", "version": one["version"], "displayName": "thinker", "thinking": true,
			"inputTokenLimit": one["inputTokenLimit"], "outputTokenLimit": one["outputTokenLimit"],
			"supportedGenerationMethods": []any{"generateContent", "streamGenerateContent", "countTokens"},
		}
		for _, unset := range []string{"inputTokenLimit", "outputTokenLimit"} {
			if want[unset] == nil {
				delete(want, unset)
			}
		}
		if diff := cmp.Diff(want, one); diff != "" {
			r.t.Error(diff)
		}
	})
}

// Who names no version of Anthropic's gets OpenAI's list.
func TestTheListIsOpenAIsWithoutAVersion(t *testing.T) {
	onLists(t, func(r reader) {
		if _, body := r.get("/v1/models"); body["object"] != "list" || body["has_more"] != nil {
			r.t.Errorf("%v", body)
		}
	})
}
