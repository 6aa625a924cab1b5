package app

import (
	"slices"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/apikey"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/subscription"
	"github.com/rephlo/rephlo/internal/webhook"
)

// What happens in a slice is told to the webhooks of whom it happened to, in the
// same transaction, and a smaller plan takes the newest endpoints away.
func TestWhatHappensIsToldToWebhooks(t *testing.T) {
	t.Parallel()
	d := start(t).domains
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	u, err := d.Accounts.CreateAdmin(ctx, "ada@example.com", "correct horse battery")
	must(err)
	must(d.Plans.StartFree(ctx, u.ID, time.Now()))
	made, err := d.Plans.Start(ctx, subscription.Order{User: u.ID, Tier: "pro_max", Cycle: subscription.Monthly, Actor: "root", Reason: "a test"})
	must(err)
	for range 6 { // they are made in an order that their ids show
		_, _, err := d.Webhooks.Create(ctx, webhook.NewEndpoint{UserID: u.ID, URL: "https://hooks.invalid/", Events: []string{"*"}, Enabled: true})
		must(err)
	}
	k, _, err := d.Keys.Create(ctx, apikey.NewKey{UserID: u.ID, Name: "k", Mode: apikey.ModeLive, Scopes: apikey.Scopes})
	must(err)
	must(d.Keys.Revoke(ctx, u.ID, k.ID))
	must(d.Keys.Revoke(ctx, u.ID, k.ID)) // says nothing new
	_, err = d.Credits.Grant(ctx, credit.NewGrant{User: u.ID, Source: credit.Bonus, Ref: "test", Amount: 5 * money.Credit, ExpiresAt: time.Now().Add(time.Hour)})
	must(err)
	_, err = d.Plans.Cancel(ctx, made.ID, false, subscription.Why{Actor: u.ID})
	must(err)
	log, err := d.Webhooks.Deliveries(ctx, webhook.Filter{User: u.ID}, 1000)
	must(err)
	counts := map[string]int{}
	for _, v := range log {
		counts[v.Type]++
	}
	for kind, want := range map[string]int{webhook.KeyCreated: 6, webhook.KeyRevoked: 6, webhook.CreditsGranted: 6, webhook.SubscriptionCancelled: 6} {
		if counts[kind] < want {
			t.Errorf("%d of %s, want %d: %v", counts[kind], kind, want, counts)
		}
	}
	if counts[webhook.KeyRevoked] != 6 {
		t.Errorf("a second revocation was told: %v", counts)
	}
	on, err := d.Webhooks.List(ctx, u.ID, "", 10)
	must(err)
	if slices.ContainsFunc(on, func(e webhook.Endpoint) bool { return e.Enabled || e.DisabledReason != webhook.OffPlan }) {
		t.Errorf("the free plan, which has none, leaves %v", on)
	}
}

func TestEventsOfSubscriptionsHaveNames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		from, to subscription.State
		want     string
	}{
		{"", subscription.Incomplete, ""},
		{subscription.Incomplete, subscription.Expired, ""},
		{subscription.Incomplete, subscription.Active, webhook.SubscriptionCreated},
		{"", subscription.Active, webhook.SubscriptionCreated},
		{subscription.Trial, subscription.Active, webhook.SubscriptionUpdated},
		{subscription.Active, subscription.Active, webhook.SubscriptionUpdated},
		{subscription.Active, subscription.PastDue, webhook.SubscriptionPastDue},
		{subscription.PastDue, subscription.Active, webhook.SubscriptionUpdated},
		{subscription.Active, subscription.Cancelled, webhook.SubscriptionCancelled},
		{subscription.PastDue, subscription.Expired, webhook.SubscriptionExpired},
	} {
		if got := planEvent(subscription.Event{From: tt.from, To: tt.to}); got != tt.want {
			t.Errorf("from %q to %q is %q, want %q", tt.from, tt.to, got, tt.want)
		}
	}
}
