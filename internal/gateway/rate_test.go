package gateway_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/gateway"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/web"
)

// Looking at limits shows what calls have used of them, and uses up none.
func TestLimitsAreShownWithWhatIsLeft(t *testing.T) {
	t.Parallel()
	run(t, quick(), 10_000*money.Credit, func(t *testing.T, w *world) {
		actor := access.Actor{UserID: user, KeyID: "key_5", Key: &access.Policy{CreditsPerDay: money.Credit, CreditsPerMonth: 5 * money.Credit}}
		m := web.NewMux(web.Config{Use: []web.Middleware{func(next web.Handler) web.Handler {
			return func(rw http.ResponseWriter, r *http.Request) error {
				return next(rw, r.WithContext(access.With(r.Context(), actor, nil)))
			}
		}}})
		gateway.API{Calls: w.calls}.Mount(m)
		left := func() (tier string, remaining map[string]json.Number) {
			t.Helper()
			rec := httptest.NewRecorder()
			m.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/rate-limit", nil))
			var b struct {
				Tier   string
				Limits []struct {
					Name, Scope string
					Remaining   json.Number
				}
			}
			if err := json.Unmarshal(rec.Body.Bytes(), &b); rec.Code != http.StatusOK || err != nil {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
			remaining = map[string]json.Number{}
			for _, l := range b.Limits {
				remaining[l.Scope+" "+l.Name] = l.Remaining
			}
			return b.Tier, remaining
		}
		w.plans.set("pro")
		for range 3 {
			left()
		}
		tier, before := left()
		for name, want := range map[string]json.Number{
			"user requests": "30", "user tokens": "100000", "user concurrency": "3", "user creditsPerDay": "5000",
			"key creditsPerDay": "1", "key creditsPerMonth": "5",
		} {
			if before[name] != want {
				t.Errorf("%s of %s: %s left, want %s", name, tier, before[name], want)
			}
		}
		// Buckets fill up meanwhile, so that a slow machine sees less of it.
		w.one.does(says(200, okAnswer))
		for range 10 {
			if r := w.post(chat("single", ""), "Authorization", "Bearer daily"); r.status != 200 {
				t.Fatalf("%d %s", r.status, r.body)
			}
		}
		w.one.does(says(200, `{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],
			"usage":{"prompt_tokens":90000,"completion_tokens":900,"total_tokens":90900}}`))
		if r := w.post(chat("single", "")); r.status != 200 {
			t.Fatalf("%d %s", r.status, r.body)
		}
		_, after := left()
		if after["user concurrency"] != "3" {
			t.Errorf("after calls %v", after)
		}
		for _, name := range []string{"user requests", "user tokens", "user creditsPerDay", "key creditsPerDay", "key creditsPerMonth"} {
			a, errA := after[name].Float64()
			b, errB := before[name].Float64()
			if errA != nil || errB != nil || a >= b {
				t.Errorf("%s: %s before and %s after calls", name, before[name], after[name])
			}
		}
		limits := *actor.Key
		limits.Purse, actor.KeyID, actor.Key = actor.KeyID, "key_50", &limits
		if _, next := left(); next["key creditsPerDay"] != after["key creditsPerDay"] || next["key creditsPerMonth"] != after["key creditsPerMonth"] {
			t.Errorf("the key that replaced it has %v left, want what the old one had, %v", next, after)
		}
		w.plans.set("")
		if _, none := left(); len(none) != 2 {
			t.Errorf("without a limited tier %v, want the key's two", none)
		}
	})
}
