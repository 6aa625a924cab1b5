package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/e2e"
)

// A thousand parallel calls on a balance that pays for a hundred: a hundred
// are served, and the others are told what is missing.
func TestThousandCallsCannotOverspend(t *testing.T) {
	e2e.Engines(t, func(t *testing.T, database string) {
		const calls, paid = 1000, 100
		vendor := e2e.NewVendor(t)
		s := e2e.Start(t, e2e.Options{Database: database, Providers: vendor.Providers(), Env: vendor.Env()})
		ada := s.NewPerson("ada@example.com")
		ada.Register()
		key := s.Key(ada.Email)
		spendDownTo(t, s, key, paid*e2e.UnitPrice)
		left := s.Balance(key).Remaining
		vendor.Hits.Store(0)

		var served, refused, waited atomic.Int64
		var running sync.WaitGroup
		for range calls {
			running.Go(func() {
				for {
					a, err := s.Chat(t.Context(), key, unit(1))
					switch {
					case err != nil:
						t.Errorf("chat: %v", err)
					case a.Status == http.StatusOK:
						served.Add(1)
					case a.Status == http.StatusTooManyRequests && a.Error != nil && a.Error.Code == "credits_reserved":
						waited.Add(1) // others may give back what they hold
						time.Sleep(20 * time.Millisecond)
						continue
					default:
						refused.Add(1)
						checkShortage(t, a)
					}
					return
				}
			})
		}
		running.Wait()
		t.Logf("%d served, %d refused, %d asked again while credits were reserved", served.Load(), refused.Load(), waited.Load())
		if served.Load() != paid || refused.Load() != calls-paid || vendor.Hits.Load() != paid {
			t.Errorf("%d served, %d refused, %d calls reached the vendor; want %d, %d, %d", served.Load(), refused.Load(), vendor.Hits.Load(), paid, calls-paid, paid)
		}
		if b := s.Balance(key); b.Held != 0 || b.Remaining != left-paid*e2e.UnitPrice {
			t.Errorf("the balance is %+v, want %d", b, left-paid*e2e.UnitPrice)
		}
		s.Verify()
	})
}

// unit asks for n words at the unit price.
func unit(n int64) string {
	return fmt.Sprintf(`{"model":"unit","max_tokens":%d,"messages":[{"role":"user","content":"go"}]}`, n)
}

// spendDownTo makes calls until the balance is at least least, and less than a
// call more.
func spendDownTo(t *testing.T, s *e2e.Server, key string, least e2e.Micro) {
	t.Helper()
	have := s.Balance(key).Remaining
	if have < least {
		t.Fatalf("the account has %d µcr, which is too little for this test", have)
	}
	n := int64((have - least) / e2e.UnitPrice)
	if n == 0 {
		return
	}
	a, err := s.Chat(t.Context(), key, unit(n))
	if err != nil || a.Status != http.StatusOK || a.Usage.Completion != n {
		t.Fatalf("spending: %+v, %v", a, err)
	}
	if now := s.Balance(key).Remaining; now != have-e2e.Micro(n)*e2e.UnitPrice {
		t.Fatalf("%d units cost %d µcr, want %d", n, have-now, e2e.Micro(n)*e2e.UnitPrice)
	}
}

// checkShortage checks that a refusal has code, balance, need and fix.
func checkShortage(t *testing.T, a e2e.Answer) {
	t.Helper()
	if a.Status != http.StatusPaymentRequired || a.Error == nil || a.Error.Code != "insufficient_credits" || a.Error.Type != "insufficient_quota" {
		t.Errorf("refused with %d %s", a.Status, a.Body)
		return
	}
	_, available := a.Error.Details["available"].(float64)
	if required, ok := a.Error.Details["required"].(float64); !ok || !available || required != 1.5 {
		t.Errorf("the details are %v", a.Error.Details)
	}
	if !strings.Contains(strings.ToLower(a.Error.Message), "add credits") || a.Error.RequestID == "" {
		t.Errorf("the refusal says %s", a.Body)
	}
}
