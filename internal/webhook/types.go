package webhook

import "encoding/json"

// Type is a kind of event.
type Type struct {
	Name, Description string
	Example           json.RawMessage // of its data
}

// Names of the types.
const (
	SubscriptionCreated   = "subscription.created"
	SubscriptionUpdated   = "subscription.updated"
	SubscriptionCancelled = "subscription.cancelled"
	SubscriptionExpired   = "subscription.expired"
	SubscriptionPastDue   = "subscription.past_due"
	CreditsGranted        = "credits.granted"
	UsageAlert            = "usage.alert"
	ExportReady           = "export.ready"
	KeyCreated            = "api_key.created"
	KeyRevoked            = "api_key.revoked"
	Test                  = "webhook.test"
)

const (
	exampleSubscription = `"id":"sub_01k8x4","tier":"pro","billingCycle":"monthly","billingMode":"vendor","price":1500,"currency":"USD","creditsPerMonth":1500,` +
		`"currentPeriodStart":"2026-03-01T00:00:00Z","currentPeriodEnd":"2026-04-01T00:00:00Z","cancelAtPeriodEnd":false}`
	exampleKey = `{"id":"key_01k8x4","name":"Build server","prefix":"rpk_live_8f3a","mode":"live","scopes":["llm.inference"],"createdAt":"2026-03-20T09:46:40Z"}`
)

// Types are all types of events, by name.
var Types = []Type{
	{KeyCreated, "An API key was made. Its secret is not part of the event.", json.RawMessage(exampleKey)},
	{KeyRevoked, "An API key was revoked.", json.RawMessage(exampleKey)},
	{CreditsGranted, "Credits were given: by the plan, a purchase or the operator.", json.RawMessage(`{"id":"grt_01k8x4m2p9q5r","source":"plan","amount":1500,"remaining":1500,"expiresAt":"2026-04-01T00:00:00Z","createdAt":"2026-03-01T00:00:00Z"}`)},
	{ExportReady, "The export of your data can be downloaded. Its link is mailed to you.", json.RawMessage(`{"id":"exp_01k8x4","expiresAt":"2026-03-21T09:46:40Z"}`)},
	{SubscriptionCancelled, "A subscription ended because it was cancelled.", json.RawMessage(`{"status":"cancelled",` + exampleSubscription)},
	{SubscriptionCreated, "A subscription began.", json.RawMessage(`{"status":"active",` + exampleSubscription)},
	{SubscriptionExpired, "A subscription ended because nothing was paid or its time was over.", json.RawMessage(`{"status":"expired",` + exampleSubscription)},
	{SubscriptionPastDue, "A renewal could not be collected.", json.RawMessage(`{"status":"past_due",` + exampleSubscription)},
	{SubscriptionUpdated, "A subscription changed: its plan, its period, or what will happen at the period's end.", json.RawMessage(`{"status":"active",` + exampleSubscription)},
	{UsageAlert, "75, 90 or 100 % of the plan's credits of a cycle are used.", json.RawMessage(`{"percent":75,"granted":1500,"used":1130.5,"grantId":"grt_01k8x4m2p9q5r"}`)},
	{Test, "A test that you asked for.", json.RawMessage(`{"message":"This is a test."}`)},
}

func exampleOf(name string) json.RawMessage {
	for _, t := range Types {
		if t.Name == name {
			return t.Example
		}
	}
	return nil
}
