package catalog_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/secret"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/tier"
	"github.com/rephlo/rephlo/internal/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that a test moves.
type clock struct{ atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMicro())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMicro(c.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.Add(d.Microseconds()) }

func start(t *testing.T, db *sqldb.DB, c *clock, providers ...catalog.ProviderConfig) *catalog.Service {
	t.Helper()
	s, _ := startOn(t, db, c, providers...)
	return s
}

func startOn(t *testing.T, db *sqldb.DB, c *clock, providers ...catalog.ProviderConfig) (*catalog.Service, *bus.Bus) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	b := bus.New(db, log, time.Now)
	s := catalog.New(catalog.Needs{DB: db, Bus: b, Box: box, Log: log, Now: c.now, Terms: pricing.DefaultTerms, Tiers: tier.Seeds(), Providers: providers})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s, b
}

func provider(name string, models ...catalog.ModelConfig) catalog.ProviderConfig {
	return catalog.ProviderConfig{Name: name, Vendor: "compat", BaseURL: "https://" + name + ".test/v1", Key: secret.New("key-of-" + name), Models: models}
}

func model(id string, prices pricing.Prices) catalog.ModelConfig {
	return catalog.ModelConfig{ID: id, ContextLength: 1000, MaxOutput: 100, Prices: prices}
}

func TestAFreshInstallationHasTheTestModels(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		for range 2 { // the second start finds all as it should be
			s := start(t, db, c)
			var ids []string
			for _, m := range s.Models() {
				ids = append(ids, m.ID)
				if p := m.Prices(c.now()); !m.Test() || p == nil || p.Input != 1_000_000 || p.Output != 2_000_000 {
					t.Errorf("%s: test %v, prices %+v", m.ID, m.Test(), p)
				}
			}
			if got, want := strings.Join(ids, " "), "test-cut-stream test-echo test-error-429 test-slow"; got != want {
				t.Errorf("models %s, want %s", got, want)
			}
			c.advance(time.Hour)
		}
		if n := count(t, db, `SELECT COUNT(*) FROM catalog_price`); n != 4 {
			t.Errorf("%d price rows, want 4", n)
		}
		if n := count(t, db, `SELECT COUNT(*) FROM bus_message`); n != 1 {
			t.Errorf("%d announcements, want the one of the first start", n)
		}
	})
}

func count(t *testing.T, db *sqldb.DB, q string) (n int) {
	t.Helper()
	if err := db.Q(t.Context()).QueryRowContext(t.Context(), q).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A price that changes closes the row before it and leaves it as it was; calls
// use the row of their moment.
func TestANewPriceKeepsTheOldRow(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		before := c.now()
		start(t, db, c, provider("one", model("m", pricing.Prices{Input: 5, Output: 7})))
		c.advance(time.Hour)
		s := start(t, db, c, provider("one", model("m", pricing.Prices{Input: 6, Output: 7})))
		m, err := s.Model("m")
		if err != nil {
			t.Fatal(err)
		}
		if p := m.Prices(c.now()); p == nil || p.Input != 6 {
			t.Errorf("price %+v, want 6", p)
		}
		if p := m.Prices(before.Add(-time.Second)); p != nil {
			t.Errorf("a price %+v before the first row", p)
		}
		var until int64
		if err := db.Q(t.Context()).QueryRowContext(t.Context(), `SELECT effective_until FROM catalog_price WHERE vendor_model = 'm' AND effective_from = $1`, before.UnixMicro()).Scan(&until); err != nil || until != c.now().UnixMicro() {
			t.Errorf("the first row ends at %d, %v; want now", until, err)
		}
	})
}

func TestTheFirstProviderIsTheFirstRouteAndSetsThePrice(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		b, a := provider("b", model("m", pricing.Prices{Input: 1})), provider("a", model("m", pricing.Prices{Input: 2}))
		m, err := start(t, db, c, b, a).Model("m")
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Routes) != 2 || m.Routes[0].Provider.Name != "b" || m.Prices(c.now()).Input != 1 {
			t.Errorf("routes %+v", m.Routes)
		}
		c.advance(time.Hour)
		if m, err = start(t, db, c, a).Model("m"); err != nil || len(m.Routes) != 1 || m.Prices(c.now()).Input != 2 {
			t.Errorf("without b: %+v, %v", m, err)
		}
		c.advance(time.Hour)
		if _, err = start(t, db, c).Model("m"); !errors.Is(err, catalog.ErrRetired) {
			t.Errorf("without any: %v, want ErrRetired", err)
		}
		c.advance(time.Hour)
		if m, err = start(t, db, c, a, b).Model("m"); err != nil || m.Routes[0].Provider.Name != "a" {
			t.Errorf("with both again: %+v, %v", m, err)
		}
	})
}

func TestKeysAreSealedForTheirRow(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s := start(t, db, c, provider("one", model("m", pricing.Prices{})), provider("two", model("n", pricing.Prices{})))
		if m, err := s.Model("m"); err != nil || m.Routes[0].Provider.Key.Reveal() != "key-of-one" {
			t.Fatalf("%+v, %v", m, err)
		}
		var sealed []byte
		if err := db.Q(t.Context()).QueryRowContext(t.Context(), `SELECT sealed FROM catalog_key WHERE provider = 'one'`).Scan(&sealed); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(sealed), "key-of-one") {
			t.Error("the key is readable in the database")
		}
		// Moved to another row it does not open, and that is not hidden.
		if _, err := db.Q(t.Context()).ExecContext(t.Context(), `UPDATE catalog_key SET sealed = $1 WHERE provider = 'two'`, sealed); err != nil {
			t.Fatal(err)
		}
		if err := s.Reload(t.Context()); !errors.Is(err, seal.ErrSealed) {
			t.Errorf("a key of another row: %v, want ErrSealed", err)
		}
	})
}

// A message makes another process see the change without a restart.
func TestAMessageReloadsTheSnapshot(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s, b := startOn(t, db, c)
		c.advance(time.Second)
		start(t, db, c, provider("late", model("m", pricing.Prices{}))) // its own bus
		if err := b.Publish(t.Context(), catalog.Changed, ""); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for {
			if _, err := s.Model("m"); err == nil {
				return
			}
			select {
			case <-ctx.Done():
				t.Fatal("the model did not appear")
			case <-time.After(time.Millisecond):
			}
		}
	})
}

func TestUnknownModelsSuggestSimilarNames(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := start(t, db, newClock(), catalog.OpenAI(secret.New("k")))
		for asked, want := range map[string]string{"gpt-4o-mnii": "gpt-4o-mini", "gpt5": "gpt-5", "test-eco": "test-echo", "Test-Slow": "test-slow", "GPT-4.1": "gpt-4.1"} {
			_, err := s.Model(asked)
			f := fault.From(err)
			names, _ := f.Details["suggestions"].([]string)
			if !errors.Is(err, catalog.ErrNotFound) || len(names) == 0 || names[0] != want || f.Param != "model" {
				t.Errorf("%s: %v suggests %v, want %s first", asked, err, names, want)
			}
		}
		if _, err := s.Model(strings.Repeat("zq", 5000)); fault.From(err).Details != nil {
			t.Errorf("nonsense suggests %v", fault.From(err).Details)
		}
	})
}

func TestWrongConfigurationsAreRefused(t *testing.T) {
	t.Parallel()
	good := func() catalog.ProviderConfig { return provider("good", model("m", pricing.Prices{})) }
	for name, change := range map[string]func(p *catalog.ProviderConfig){
		"name":          func(p *catalog.ProviderConfig) { p.Name = "Bad Name" },
		"built-in name": func(p *catalog.ProviderConfig) { p.Name = "test" },
		"vendor":        func(p *catalog.ProviderConfig) { p.Vendor = "test" },
		"plain http":    func(p *catalog.ProviderConfig) { p.BaseURL = "http://x.test/v1" },
		"credentials":   func(p *catalog.ProviderConfig) { p.BaseURL = "https://a:b@x.test/v1" },
		"query":         func(p *catalog.ProviderConfig) { p.BaseURL = "https://x.test/v1?key=1" },
		"header":        func(p *catalog.ProviderConfig) { p.Options.Headers = map[string]string{"X": "a\r\nb: c"} },
		"authorization": func(p *catalog.ProviderConfig) { p.Options.Headers = map[string]string{"Authorization": "x"} },
		"model id":      func(p *catalog.ProviderConfig) { p.Models[0].ID = "UPPER" },
		"test model":    func(p *catalog.ProviderConfig) { p.Models[0].ID = "test-echo" },
		"two prices": func(p *catalog.ProviderConfig) {
			p.Models = append(p.Models, catalog.ModelConfig{ID: "n", VendorModel: "m", MaxOutput: 1, Prices: pricing.Prices{Input: 1}})
		},
		"same model":     func(p *catalog.ProviderConfig) { p.Models = append(p.Models, p.Models[0]) },
		"no output":      func(p *catalog.ProviderConfig) { p.Models[0].MaxOutput = 0 },
		"negative price": func(p *catalog.ProviderConfig) { p.Models[0].Prices.Input = -1 },
		"weight below 0": func(p *catalog.ProviderConfig) { p.Models[0].Weight = -1 },
		"fallback to itself": func(p *catalog.ProviderConfig) {
			p.Models[0].Fallbacks = []catalog.Fallback{{Model: "m"}}
		},
		"fallback to nothing": func(p *catalog.ProviderConfig) {
			p.Models[0].Fallbacks = []catalog.Fallback{{Model: "nowhere"}}
		},
		"fallback twice": func(p *catalog.ProviderConfig) {
			p.Models[0].Fallbacks = []catalog.Fallback{{Model: "test-echo"}, {Model: "test-echo"}}
		},
		"fallback after what": func(p *catalog.ProviderConfig) {
			p.Models[0].Fallbacks = []catalog.Fallback{{Model: "test-echo", On: []catalog.Cause{"rain"}}}
		},
		"quote in vendor": func(p *catalog.ProviderConfig) { p.Models[0].VendorModel = `x","n":"10` },
	} {
		p := good()
		change(&p)
		if err := catalog.New(catalog.Needs{Providers: []catalog.ProviderConfig{p}}).Start(t.Context()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	fine := good()
	fine.Models[0].Fallbacks = []catalog.Fallback{{Model: "test-echo", On: catalog.Causes}}
	if err := catalog.CheckConfig([]catalog.ProviderConfig{fine}); err != nil {
		t.Error(err)
	}
	if err := catalog.CheckConfig([]catalog.ProviderConfig{good(), catalog.OpenAI(secret.New("k"))}); err != nil {
		t.Error(err)
	}
}

func TestModelListShowsWhatPeopleNeed(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := start(t, db, newClock(), catalog.OpenAI(secret.New("sk-planted")))
		m := web.NewMux(web.Config{Use: []web.Middleware{func(next web.Handler) web.Handler {
			return func(w http.ResponseWriter, r *http.Request) error {
				if scope := r.Header.Get("Scope"); scope != "" {
					r = r.WithContext(access.With(r.Context(), access.Actor{UserID: "usr_1", KeyID: "key_1", Scopes: []string{scope}}, nil))
				}
				return next(w, r)
			}
		}}})
		catalog.API{Models: s, TierOf: func(string) string { return "free" }}.Mount(m)
		get := func(path, scope string) (int, map[string]any) {
			r := httptest.NewRequest("GET", path, nil)
			r.Header.Set("Scope", scope)
			rec := httptest.NewRecorder()
			m.ServeHTTP(rec, r)
			var body map[string]any
			if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(rec.Body.String(), "sk-planted") {
				t.Errorf("%s shows the key", path)
			}
			return rec.Code, body
		}
		if code, _ := get("/v1/models", ""); code != 401 {
			t.Errorf("without a credential: %d", code)
		}
		if code, _ := get("/v1/models", access.ScopeInference); code != 403 {
			t.Errorf("without the scope: %d", code)
		}
		code, body := get("/v1/models", access.ScopeModels)
		if data, _ := body["data"].([]any); code != 200 || len(data) != 26 || body["object"] != "list" || body["user_tier"] != "free" {
			t.Errorf("list: %d %v", code, body)
		}
		_, body = get("/v1/models?provider=test&capability=vision,function_calling&available=true", access.ScopeModels)
		if data, _ := body["data"].([]any); len(data) != 4 {
			t.Errorf("filtered list: %v", body)
		}
		_, e := get("/v1/models/gpt-5.4", access.ScopeModels)
		for field, want := range map[string]any{
			"id": "gpt-5.4", "object": "model", "owned_by": "openai", "is_available": true, "access_status": "allowed",
			"context_length": 1_050_000.0, "max_output_tokens": 128_000.0, "input_credits_per_k": 0.375, "output_credits_per_k": 2.25,
			"upgrade_info": nil, "required_tier": "free", "tier_restriction_mode": "minimum", "is_deprecated": false,
		} {
			if e[field] != want {
				t.Errorf("%s is %v, want %v", field, e[field], want)
			}
		}
		prices, _ := e["pricing"].(map[string]any)
		high, _ := prices["high_context"].(map[string]any)
		if prices["input"] != 375.0 || prices["cached_input"] != 37.5 || high["threshold"] != 272_000.0 || high["output"] != 3375.0 {
			t.Errorf("pricing %v", prices)
		}
		if len(e) != 28 {
			t.Errorf("%d fields, want the 28 of the contract", len(e))
		}
		if code, body := get("/v1/models/gpt-5.44", access.ScopeModels); code != 404 || body["error"].(map[string]any)["code"] != "model_not_found" {
			t.Errorf("unknown: %d %v", code, body)
		}
	})
}
