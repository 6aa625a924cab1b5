package app

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/gateway/route"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/vendors/azure"
	"github.com/rephlo/rephlo/internal/llm/vendors/compat"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/secret"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/tier"
)

// onWatch has a provider of one model whose list of models answers with status.
func onWatch(t *testing.T, vendorName string, f func(t *testing.T, k *keyWatch, status *atomic.Int64, asked *atomic.Int64)) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		var status, asked atomic.Int64
		status.Store(http.StatusOK)
		vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && r.URL.Path == "/v1/models" {
				asked.Add(1)
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(int(status.Load()))
		}))
		t.Cleanup(vendor.Close)
		box, err := seal.NewBox(make([]byte, seal.KeySize))
		if err != nil {
			t.Fatal(err)
		}
		client := egress.NewClient(egress.Options{})
		t.Cleanup(client.Close)
		log := slog.New(slog.DiscardHandler)
		models := catalog.New(catalog.Needs{
			DB: db, Bus: bus.New(db, log, time.Now), Box: box, Log: log, Now: time.Now, Terms: pricing.DefaultTerms, Tiers: tier.Seeds(),
			Providers: []catalog.ProviderConfig{{
				Name: "acme", Vendor: vendorName, BaseURL: vendor.URL + "/v1", Key: secret.New("planted-key-0042"), AllowPrivate: true,
				Models: []catalog.ModelConfig{{ID: "m", VendorModel: "vm", MaxOutput: 100, Prices: pricing.Prices{Input: money.Price(1), Output: money.Price(1)}}},
			}},
		})
		if err := models.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(models.Stop)
		f(t, &keyWatch{models: models, table: route.NewTable(log, time.Now), vendors: map[string]llm.Vendor{"compat": compat.New(client, time.Now), "azure": azure.New(client, time.Now)}}, &status, &asked)
	})
}

// calls makes calls to the model that end with kind, and returns how many found
// a deployment.
func (k *keyWatch) calls(t *testing.T, kinds ...llm.Kind) int {
	t.Helper()
	m, err := k.models.Model("m")
	if err != nil || len(m.Routes) == 0 {
		return 0
	}
	n := 0
	for _, kind := range kinds {
		p := m.Routes[0].Provider
		_, try, _, ok := k.table.Choose([]route.Candidate{{ID: route.ID{Provider: p.Name, Model: "vm", Credential: p.Credential}, Weight: 1}}, 1, 0)
		if ok {
			n++
			try.End(route.Result{Kind: kind})
		}
	}
	return n
}

func (k *keyWatch) turn(t *testing.T) {
	t.Helper()
	if err := k.probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := k.disable(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAKeyThatIsRefusedThriceIsDisabledForAll(t *testing.T) {
	onWatch(t, "compat", func(t *testing.T, k *keyWatch, status, _ *atomic.Int64) {
		status.Store(http.StatusUnauthorized)
		k.calls(t, llm.Auth)
		k.turn(t)
		if keys, err := k.models.Keys(t.Context(), "acme"); err != nil || keys[0].State != catalog.KeyActive {
			t.Fatalf("after two refusals: %+v, %v", keys, err)
		}
		k.turn(t)
		keys, err := k.models.Keys(t.Context(), "acme")
		if err != nil || keys[0].State != catalog.KeyDisabled || keys[0].Reason != refusedKey {
			t.Fatalf("after three: %+v, %v", keys, err)
		}
		seen(t, "the key has left the catalogue", func() bool { m, err := k.models.Model("m"); return err == nil && len(m.Routes) == 0 })
		if h := deploymentHealth(k.models, k.table); len(h) != 1 || h[0].State != "disabled" || h[0].Reason != "auth" {
			t.Errorf("health %+v", h)
		}
		k.turn(t)
		if len(k.table.Statuses()) != 0 {
			t.Error("what has left the catalogue is not forgotten")
		}
		// An administrator has mended the account.
		status.Store(http.StatusOK)
		active := catalog.KeyActive
		if _, err := k.models.EditKey(t.Context(), "acme", keys[0].ID, catalog.KeyEdit{State: &active}, catalog.By{Actor: "usr_1", Reason: "the account is paid again"}); err != nil {
			t.Fatal(err)
		}
		seen(t, "the key is back", func() bool { return k.calls(t, 0) == 1 })
	})
}

// Azure's list of models needs the key, so a key that sees it is good: only the
// deployment rests.
func TestAKeyThatIsGoodForTheListIsNotDisabled(t *testing.T) {
	onWatch(t, "azure", func(t *testing.T, k *keyWatch, status, asked *atomic.Int64) {
		refuse := func() {
			status.Store(http.StatusForbidden)
			k.calls(t, llm.Auth)
			for range 2 {
				if err := k.probe(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		refuse()
		status.Store(http.StatusOK)
		if err := k.disable(t.Context()); err != nil {
			t.Fatal(err)
		}
		if keys, err := k.models.Keys(t.Context(), "acme"); err != nil || keys[0].State != catalog.KeyActive || asked.Load() != 3 {
			t.Errorf("keys %+v, %v after %d lists", keys, err, asked.Load())
		}
		if h := deploymentHealth(k.models, k.table); len(h) != 1 || h[0].State != "cooling" || h[0].Reason != "auth" {
			t.Errorf("health %+v", h)
		}
	})
}

func TestProbesAskOnlyForWhatRests(t *testing.T) {
	onWatch(t, "compat", func(t *testing.T, k *keyWatch, status, asked *atomic.Int64) {
		k.calls(t, 0)
		k.turn(t)
		k.calls(t, llm.Server, llm.Server, llm.Server, llm.Server, llm.Server)
		if k.calls(t, 0) != 0 || asked.Load() != 0 {
			t.Fatalf("the breaker is closed, or %d probes of what was well", asked.Load())
		}
		status.Store(http.StatusServiceUnavailable)
		k.turn(t)
		if k.calls(t, 0) != 0 || asked.Load() != 1 {
			t.Errorf("after a probe that failed: %d probes", asked.Load())
		}
		status.Store(http.StatusOK)
		k.turn(t)
		if k.calls(t, 0) != 1 || asked.Load() != 2 {
			t.Errorf("after a probe that succeeded: %d probes", asked.Load())
		}
		if keys, err := k.models.Keys(t.Context(), "acme"); err != nil || keys[0].State != catalog.KeyActive {
			t.Errorf("keys %+v, %v", keys, err)
		}
	})
}

func seen(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not seen: " + what)
		}
	}
}
