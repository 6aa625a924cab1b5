package catalog_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/secret"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

func TestVendorsBringTheirEmbeddingModels(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := start(t, db, newClock(), catalog.OpenAI(secret.New("k")), catalog.Google(secret.New("k")))
		for id, price := range map[string]int64{"text-embedding-3-small": 20_000, "text-embedding-3-large": 130_000, "text-embedding-ada-002": 100_000, "gemini-embedding-001": 150_000} {
			m, err := s.Model(id)
			if err != nil {
				t.Fatal(err)
			}
			if p := m.Prices(time.Now()); !m.OnlyEmbeds() || int64(p.Input) != price || p.Free() || slices.Contains(m.Capabilities.Parameters, "dimensions") == (id == "text-embedding-ada-002") {
				t.Errorf("%s: %+v at %+v", id, m.Capabilities, p)
			}
		}
		if m, err := s.Model("gpt-4o"); err != nil || m.OnlyEmbeds() {
			t.Errorf("a model that writes only embeds: %v", err)
		}
		mux := web.NewMux(web.Config{Use: []web.Middleware{func(next web.Handler) web.Handler {
			return func(w http.ResponseWriter, r *http.Request) error {
				return next(w, r.WithContext(access.With(r.Context(), access.Actor{UserID: "usr_1", Scopes: []string{access.ScopeModels}}, nil)))
			}
		}}})
		catalog.API{Models: s, TierOf: func(string) string { return "free" }}.Mount(mux)
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/v1/models?capability=embedding", nil))
		if n := strings.Count(rec.Body.String(), `"object":"model"`); rec.Code != 200 || n != 4 || !strings.Contains(rec.Body.String(), `"output_modalities":["embedding"]`) {
			t.Errorf("%d, %d models: %s", rec.Code, n, rec.Body)
		}
	})
}
