package app

import (
	"context"
	"fmt"

	"github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/setting"
	"github.com/rephlo/rephlo/internal/subscription"
	"github.com/rephlo/rephlo/internal/tier"
)

// tellPrice mails those who pay for a tier that its price rises.
func (d *Domains) tellPrice(core *Core) func(ctx context.Context, v subscription.Subscription, before, after *tier.Tier) error {
	return func(ctx context.Context, v subscription.Subscription, before, after *tier.Tier) error {
		from, to := before.Price(v.Cycle.Months()), after.Price(v.Cycle.Months())
		if to <= from {
			return nil
		}
		address, err := d.addressOf(ctx, v.UserID)
		if err != nil {
			return err
		}
		return core.Mail.Send(ctx, priceMail(address, v, from, to, setting.PriceNoticeDays.Of(core.Settings)))
	}
}

// priceMail tells of a higher price, in minor units.
func priceMail(to string, v subscription.Subscription, from, price, days int64) mail.Message {
	every := "month"
	if v.Cycle == subscription.Annual {
		every = "year"
	}
	return mail.Message{
		To: to, Subject: "The price of your plan will change",
		Text: fmt.Sprintf(`Your plan %s costs %s %s a %s now. From your first renewal that is at least %d days
from today it costs %s %s a %s.

You need not do anything to keep the plan. You can cancel it until then in your
account, at the end of the period that you have paid for.
`, v.Tier, amount(from), subscription.Currency, every, days, amount(price), subscription.Currency, every),
	}
}

// amount writes minor units as major ones.
func amount(minor int64) string { return fmt.Sprintf("%d.%02d", minor/100, minor%100) }
