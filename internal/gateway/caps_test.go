package gateway_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rephlo/rephlo/internal/money"
)

// A key or an app spends its budget and not a credit more, however many calls it makes at
// once; the owner's other keys and apps go on.
func TestAKeyOrAppSpendsItsBudgetAndNoMore(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		key, code string
		status    int
	}{{"thrifty", "key_budget_exceeded", http.StatusPaymentRequired}, {"daily", "daily_credit_limit", http.StatusTooManyRequests}, {"app", "app_budget_exceeded", http.StatusPaymentRequired}} {
		t.Run(tt.key, func(t *testing.T) {
			t.Parallel()
			run(t, quick(), 1000*money.Credit, func(t *testing.T, w *world) {
				w.one.does(says(200, okAnswer)) // a call is charged 0.01
				var served atomic.Int64
				var wg sync.WaitGroup
				for range 8 {
					wg.Go(func() {
						for range 40 {
							r := w.post(chat("m", `,"max_tokens":5`), "Authorization", "Bearer "+tt.key)
							switch {
							case r.status == 200:
								served.Add(1)
							case r.status == tt.status && r.code() == tt.code:
								if r.header.Get("X-Should-Retry") != "false" {
									t.Errorf("x-should-retry is %q", r.header.Get("X-Should-Retry"))
								}
								return
							case r.status != 429 || r.code() != "credits_reserved":
								t.Errorf("%d %s", r.status, r.body)
								return
							}
						}
					})
				}
				wg.Wait()
				if n := served.Load(); n > 100 || n < 95 {
					t.Errorf("%d calls of 0.01 were served for a budget of 1", n)
				}
				if int64(w.one.calls.Load()) != served.Load() {
					t.Errorf("the vendor was called %d times for %d answers", w.one.calls.Load(), served.Load())
				}
				for _, other := range []string{"live", "otherapp"} {
					if r := w.post(chat("m", `,"max_tokens":5`), "Authorization", "Bearer "+other); r.status != 200 {
						t.Errorf("another key or app: %d %s", r.status, r.body)
					}
				}
			})
		})
	}
}
