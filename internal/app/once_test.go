package app

import (
	"slices"
	"testing"
)

// The contract marks the requests that must not happen twice by accident. Those
// that are mounted refuse to go without an Idempotency-Key, and no others do.
func TestTheContractSaysWhichRequestsNameThemselves(t *testing.T) {
	t.Parallel()
	marked := []string{
		"DELETE /v1/users/me", "POST /v1/credit-packs/{id}/checkout", "POST /v1/api-keys", "POST /v1/api-keys/{id}/rotate",
		"POST /v1/subscriptions", "PATCH /v1/subscriptions/current", "POST /v1/subscriptions/current/cancel", "POST /v1/subscriptions/current/reactivate",
		"PATCH /v1/subscriptions/me", "POST /v1/subscriptions/me/cancel", "POST /v1/subscriptions/me/reactivate",
		"POST /api/coupons/redeem", "POST /api/licenses/purchase", "POST /api/licenses/{id}/upgrade",
		"POST /api/migrations/perpetual-to-subscription", "POST /api/migrations/subscription-to-perpetual",
		"POST /v1/webhooks/{id}/rotate-secret", "POST /v1/webhooks/deliveries/{id}/replay", "POST /v1/webhooks/{id}/replay-failed",
		"POST /admin/credits/grant-bonus", "POST /admin/credits/deduct", "POST /admin/credits/allocate", "POST /admin/usage/{requestId}/reverse",
		"POST /admin/subscriptions", "POST /admin/subscriptions/{id}/change", "POST /admin/subscriptions/{id}/extend", "POST /admin/subscriptions/{id}/trial",
		"POST /admin/subscriptions/{id}/cancel", "POST /admin/subscriptions/{id}/reactivate", "POST /admin/subscriptions/{id}/cancel-with-refund",
		"POST /admin/prorations/{id}/reverse", "POST /admin/billing/invoices/{id}/void", "POST /admin/billing/invoices/{id}/pay",
		"POST /admin/billing/balance/{userId}", "POST /admin/billing/dunning/{id}/retry", "POST /admin/billing/dunning/{id}/stop",
		"POST /admin/refunds", "POST /admin/licenses", "POST /admin/pricing/vendor-prices", "POST /admin/analytics/export",
	}
	s := start(t)
	mux, err := s.newAPI(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keyed := mux.OnceRoutes()
	if len(keyed) < 10 {
		t.Errorf("only %d routes ask for a key: %v", len(keyed), keyed)
	}
	for _, pattern := range mux.Routes() {
		if slices.Contains(marked, pattern) != slices.Contains(keyed, pattern) {
			t.Errorf("%s: the contract says %v, the route says %v", pattern, slices.Contains(marked, pattern), slices.Contains(keyed, pattern))
		}
	}
}
