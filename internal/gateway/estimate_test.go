package gateway_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/gateway"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/web"
)

// What a call would cost is what its hold would be, and asking sets nothing
// aside.
func TestACallIsEstimatedByTheBoundsOfItsHold(t *testing.T) {
	t.Parallel()
	run(t, quick(), 20*money.Credit, func(t *testing.T, w *world) {
		m := web.NewMux(web.Config{Use: []web.Middleware{func(next web.Handler) web.Handler {
			return func(rw http.ResponseWriter, r *http.Request) error {
				a := access.Actor{UserID: user, Scopes: strings.Fields(r.Header.Get("Scopes"))}
				return next(rw, r.WithContext(access.With(r.Context(), a, nil)))
			}
		}}})
		gateway.API{Calls: w.calls}.Mount(m)
		type quote struct {
			MinCredits, MaxCredits, Available json.Number
			Affordable                        bool
			MaxAffordableOutputTokens         int64
		}
		ask := func(body string, status int, code string) (q quote) {
			t.Helper()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/estimate", strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Scopes", access.ScopeInference)
			rec := httptest.NewRecorder()
			m.ServeHTTP(rec, r)
			if rec.Code != status || !strings.Contains(rec.Body.String(), code) {
				t.Errorf("%s: %d %s, want %d %s", body, rec.Code, rec.Body, status, code)
			}
			_ = json.Unmarshal(rec.Body.Bytes(), &q)
			return q
		}
		price := func(in, reasoning int64) json.Number {
			c, _, err := pricing.Price(pricing.Counts{Input: in, Reasoning: reasoning}, vendorPrices, pricing.DefaultTerms())
			if err != nil {
				t.Fatal(err)
			}
			return json.Number(c.String())
		}
		q := ask(`{"model":"single","inputTokens":1000,"maxOutputTokens":500}`, 200, "")
		// The dearest kind of output counts.
		if want := (quote{price(1000, 0), price(1000, 500), "20", true, 1000}); q != want {
			t.Errorf("got %+v, want %+v", q, want)
		}
		// Its fallback is dearer, and may be what answers.
		if dear := ask(`{"model":"failing","inputTokens":1000,"maxOutputTokens":500}`, 200, ""); dear.MaxCredits != "1.2" {
			t.Errorf("with a dearer fallback %+v", dear)
		}
		if long := ask(`{"model":"single","messages":[{"role":"user","content":"`+strings.Repeat("word ", 300)+`"}]}`, 200, ""); long.MinCredits == "0" || !long.Affordable {
			t.Errorf("messages: %+v", long)
		}
		if _, err := w.credits.Take(t.Context(), credit.Taking{User: user, Ref: "adm:take", Amount: 19 * money.Credit}); err != nil {
			t.Fatal(err)
		}
		if poor := ask(`{"model":"dear","inputTokens":1000,"maxOutputTokens":500}`, 200, ""); poor != (quote{"0.6", "1.2", "1", false, 333}) {
			t.Errorf("with one credit %+v", poor)
		}
		if whole := ask(`{"model":"dear","inputTokens":1000,"maxOutputTokens":1000}`, 200, ""); whole.Affordable {
			t.Errorf("all that the model can write, with one credit: %+v", whole)
		}
		if open := ask(`{"model":"dear","inputTokens":1000}`, 200, ""); !open.Affordable || open.MaxCredits != "1" {
			t.Errorf("without a limit, with one credit: %+v", open)
		}
		ask(`{"model":"single"}`, 400, "inputTokens")
		ask(`{"model":"single","inputTokens":1,"messages":[]}`, 400, "either")
		ask(`{"model":"single","inputTokens":-1}`, 422, "inputTokens")
		ask(`{"model":"single","inputTokens":10,"maxOutputTokens":5000}`, 400, "1000")
		ask(`{"model":"nothing","inputTokens":1}`, 404, "model_not_found")
		if b, err := w.credits.Balance(t.Context(), user); err != nil || b.Held != 0 || b.Used != 19*money.Credit || len(w.records(0)) != 0 {
			t.Errorf("asking changed %+v, %v", b, err)
		}
	})
}
