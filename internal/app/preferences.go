package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/gateway"
	"github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/subscription"
	"github.com/rephlo/rephlo/internal/tier"
	"github.com/rephlo/rephlo/internal/webhook"
)

// usableModel finds a model that somebody may call, as their plan says.
func usableModel(models *catalog.Service, tiers *tier.Table, plans gateway.Plans, upgradeURL string) func(userID, id string) (account.Model, error) {
	return func(userID, id string) (account.Model, error) {
		m, err := models.Model(id)
		if err != nil {
			return account.Model{}, err
		}
		if has := plans.TierOf(userID); !m.Access.Allows(has, tiers) {
			return account.Model{}, catalog.ErrRestricted.Saying("Your plan does not include the model %s. The details say which plans do.", m.ID).
				With("modelId", m.ID).With("userTier", has).With("requiredTiers", m.Access.Required(tiers)).With("upgradeUrl", upgradeURL)
		}
		return account.Model{ID: m.ID, Name: m.Name, Capabilities: append([]string{}, m.Capabilities.Words...)}, nil
	}
}

// planShown is somebody's subscription as their profile shows it; nil while they
// have none.
func (d *Domains) planShown(ctx context.Context, userID string) (*account.Plan, error) {
	v, err := d.Plans.Current(ctx, userID)
	if errors.Is(err, subscription.ErrUnknown) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p := &account.Plan{Tier: v.Tier, Status: string(v.State), CancelAtPeriodEnd: v.CancelAtEnd}
	period := v.CreditCycle()
	if v.Billed() {
		period = v.Period()
	}
	from, to := period.Start.UTC().Truncate(time.Second), period.End.UTC().Truncate(time.Second)
	p.CurrentPeriodStart, p.CurrentPeriodEnd = &from, &to
	return p, nil
}

// useEvent is how far a plan is used, in an event.
type useEvent struct {
	Percent int64         `json:"percent"`
	Granted money.Credits `json:"granted"`
	Used    money.Credits `json:"used"`
	GrantID string        `json:"grantId"`
}

// used tells somebody how far their plan is used: their endpoints, and by mail
// if they want to know.
func (d *Domains) used(core *Core) func(context.Context, credit.Use) error {
	return func(ctx context.Context, use credit.Use) error {
		e := useEvent{use.Percent, use.Granted, use.Used, use.Grant.String()}
		if err := d.Webhooks.Emit(ctx, use.User, webhook.UsageAlert, e); err != nil {
			return err
		}
		u, err := d.Accounts.ByID(ctx, use.User)
		if errors.Is(err, account.ErrUnknown) {
			return nil
		}
		if err != nil {
			return err
		}
		p, err := d.Accounts.Preferences(ctx, use.User)
		if err != nil || !p.Alerts || !u.Verified || account.Usable(u, core.Now()) != nil {
			return err
		}
		return core.Mail.Send(ctx, useMail(u.Email, use, core.Config.APIURL))
	}
}

func useMail(to string, use credit.Use, api string) mail.Message {
	return mail.Message{To: to, Subject: fmt.Sprintf("%d %% of your plan's credits are used", use.Percent), Text: fmt.Sprintf(`Hello,

%s of the %s credits that your plan gave you for this cycle are used.
Other credits of yours are used next, if there are any. See what is left:

%s/

You can switch these mails off in your preferences (usageAlerts).
`, use.Used, use.Granted, api)}
}
