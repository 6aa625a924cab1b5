package app

import (
	"context"
	"time"

	"github.com/rephlo/rephlo/internal/apikey"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/setting"
	"github.com/rephlo/rephlo/internal/subscription"
	"github.com/rephlo/rephlo/internal/tier"
	"github.com/rephlo/rephlo/internal/webhook"
)

// What happens in one slice and matters to others: here it is passed on, in the
// transaction in which it happens.

func (d *Domains) webhooks(core *Core) *webhook.Service {
	return webhook.New(webhook.Needs{
		DB: core.DB, Jobs: core.Jobs, Box: core.Box, Log: core.Log, Now: core.Now,
		Sender: egress.NewDocuments(egress.DocumentOptions{Loopback: core.Config.Dev}),
		Limit:  func(user string) int { return endpointsOf(d.Tiers.Tier(d.Plans.TierOf(user))) },
		Keep:   days(core.Settings, setting.WebhookLogDays),
		Disabled: func(ctx context.Context, e webhook.Endpoint) error {
			u, err := d.Accounts.ByID(ctx, e.UserID)
			if err != nil || u.Email == "" {
				return err
			}
			return core.Mail.Send(ctx, disabledMail(u.Email, e))
		},
	})
}

func endpointsOf(t *tier.Tier) int {
	if t == nil {
		return 0 // of a tier that is not there any more
	}
	return t.WebhookEndpoints
}

// disabledMail tells the owner of an endpoint that it was switched off.
func disabledMail(to string, e webhook.Endpoint) mail.Message {
	why := "It has failed for five days."
	if e.DisabledReason == webhook.OffGone {
		why = "It answered 410, which says that it wants no more."
	}
	return mail.Message{To: to, Subject: "A webhook endpoint was switched off", Text: `Hello,

Rephlo no longer sends events to this webhook endpoint of yours:

` + e.URL + `

` + why + ` When it works again, switch it on and replay what it
missed: the log of its deliveries is kept for 30 days.
`}
}

// keyEvent is an API key in an event.
type keyEvent struct {
	ID        string      `json:"id"`
	Name      string      `json:"name"`
	Prefix    string      `json:"prefix"`
	Mode      apikey.Mode `json:"mode"`
	Scopes    []string    `json:"scopes"`
	CreatedAt time.Time   `json:"createdAt"`
}

func (d *Domains) keyHappened(ctx context.Context, k apikey.Key, revoked bool) error {
	if err := d.keyTrailed(ctx, k, revoked); err != nil {
		return err
	}
	kind := webhook.KeyCreated
	if revoked {
		kind = webhook.KeyRevoked
	}
	return d.Webhooks.Emit(ctx, k.UserID, kind, keyEvent{k.ID, k.Name, k.Prefix, k.Mode, k.Scopes, k.CreatedAt})
}

// grantEvent is a grant in an event, with the fields of GET /v1/credits/grants.
type grantEvent struct {
	ID        string        `json:"id"`
	Source    credit.Source `json:"source"`
	Amount    money.Credits `json:"amount"`
	Remaining money.Credits `json:"remaining"`
	ExpiresAt *time.Time    `json:"expiresAt"`
	CreatedAt time.Time     `json:"createdAt"`
}

func (d *Domains) granted(ctx context.Context, g credit.Given) error {
	e := grantEvent{ID: g.ID.String(), Source: g.Source, Amount: g.Amount, Remaining: g.Amount, CreatedAt: g.CreatedAt.UTC()}
	if !g.ExpiresAt.IsZero() {
		at := g.ExpiresAt.UTC()
		e.ExpiresAt = &at
	}
	return d.Webhooks.Emit(ctx, g.User, webhook.CreditsGranted, e)
}

func (d *Domains) planHappened(ctx context.Context, v subscription.Subscription, e subscription.Event) error {
	tier, err := d.Plans.LiveTier(ctx, v.UserID)
	if err == nil {
		err = d.Accounts.SetTier(ctx, v.UserID, tier)
	}
	if err != nil {
		return err
	}
	if v.Live() {
		if err := d.Webhooks.Fit(ctx, v.UserID, endpointsOf(d.Tiers.Tier(v.Tier))); err != nil {
			return err
		}
	}
	kind := planEvent(e)
	if kind == "" {
		return nil
	}
	return d.Webhooks.Emit(ctx, v.UserID, kind, d.Plans.Shown(v))
}

// planEvent names what happened to a subscription; "" is nothing that its user
// would notice: a checkout that was begun, or given up.
func planEvent(e subscription.Event) string {
	began := e.From == "" || e.From == subscription.Incomplete
	ended := e.To == subscription.Cancelled || e.To == subscription.Expired
	switch {
	case e.To == subscription.Incomplete, began && ended:
		return ""
	case began:
		return webhook.SubscriptionCreated
	case e.From == e.To:
		return webhook.SubscriptionUpdated
	case e.To == subscription.Cancelled:
		return webhook.SubscriptionCancelled
	case e.To == subscription.Expired:
		return webhook.SubscriptionExpired
	case e.To == subscription.PastDue:
		return webhook.SubscriptionPastDue
	}
	return webhook.SubscriptionUpdated
}
