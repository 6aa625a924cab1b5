package gateway_test

import (
	"math/rand/v2"
	"testing"

	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/gateway"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/secret"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// A model that has cost more than was held gets larger holds from then on, also
// as a fallback, so that the next call of that kind is paid whole.
func TestAModelThatCostMoreThanWasHeldGetsLargerHolds(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		v := newVendor(t)
		model := func(id string, fallbacks ...catalog.Fallback) catalog.ModelConfig {
			return catalog.ModelConfig{ID: id, VendorModel: id, ContextLength: 10_000, MaxOutput: 1000, Prices: exactPrices, Fallbacks: fallbacks}
		}
		w := newWorld(t, db, quick(), 1000*money.Credit, catalog.ProviderConfig{
			Name: "large", Vendor: "compat", BaseURL: v.URL, Key: secret.New(plantedKey), AllowPrivate: true,
			Models: []catalog.ModelConfig{model("large"), model("first", catalog.Fallback{Model: "large"})},
		})
		v.does(says(200, `{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":300,"completion_tokens":5}}`))
		price := priced(300, 0, 5, 0)
		body := func(model string) string { return chat(model, `,"max_tokens":10`) }
		// The third is held for at the price of its fallback.
		for i, model := range []string{"large", "large", "first"} {
			r := w.post(body(model))
			got := w.last(i + 1)
			waitFor(t, func() bool { return w.credits.Stats().Open == 0 })
			paid := got.Charged == price
			if n := w.credits.Stats().Overruns; r.status != 200 || n != 1 || paid != (i > 0) {
				t.Errorf("call %d: %d %s, charged %s of %s, %d overruns", i, r.status, r.body, got.Charged, price, n)
			}
		}
		// A vendor that reports what cannot be raises nothing.
		w.calls.ForgetShortfalls()
		v.does(says(200, `{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":99999999,"completion_tokens":5}}`))
		w.post(body("large"))
		v.does(says(200, `{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":5}}`))
		w.post(body("large"))
		w.records(5)
		var least, most int64
		const q = `SELECT MIN(amount), MAX(amount) FROM (SELECT amount FROM credit_transfer WHERE kind = 'hold' ORDER BY lane, seq DESC LIMIT 2) held`
		if err := db.Q(t.Context()).QueryRowContext(t.Context(), q).Scan(&least, &most); err != nil || least != most {
			t.Errorf("held %d and %d, %v", least, most, err)
		}
	})
}

// What is left of room for the bound, once the bound is raised, is within room.
func TestARaisedBoundIsWithinTheRoom(t *testing.T) {
	t.Parallel()
	for range 10_000 {
		room, factor := money.Credits(rand.Int64N(int64(money.MaxTransfer))>>rand.IntN(50)), 10_000+rand.Int64N(30_001)
		low := gateway.Lowered(room, factor)
		if up := gateway.Raise(low, factor); up > room || low > room || up < low {
			t.Fatalf("of %s with %d: %s, raised %s", room, factor, low, up)
		}
	}
}
