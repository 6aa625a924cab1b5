package gateway

import (
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/money"
)

// caps are the limits on spending that the call must fit into: a day's of the
// tier, and those of the API key or the month's of the app. Each window has an owner of its own name,
// since a day and a month can begin together.
func (c *call) caps() []credit.Cap {
	day, k := c.tier.CreditsPerDay, c.actor.Key
	var app money.Credits
	if c.actor.ClientID != "" && c.s.needs.AppLimit != nil {
		app = c.s.needs.AppLimit(c.actor.UserID, c.actor.ClientID)
	}
	if day == 0 && app == 0 && (k == nil || !k.SpendsUpTo()) {
		return nil
	}
	today := c.began.UTC().Truncate(24 * time.Hour)
	var out []credit.Cap
	add := func(owner string, window time.Time, limit money.Credits, full *fault.Error) {
		if limit > 0 {
			out = append(out, credit.Cap{Owner: owner, Window: window, Limit: limit, Full: full})
		}
	}
	add(c.actor.UserID, today, day, credit.ErrDayCap)
	if k != nil {
		add(c.actor.Purse()+"/day", today, k.CreditsPerDay, credit.ErrDayCap)
		add(c.actor.Purse()+"/month", month(today), k.CreditsPerMonth, credit.ErrKeyCap)
		add(c.actor.Purse(), time.Time{}, k.CreditsTotal, credit.ErrKeyCap)
	}
	if app > 0 {
		add(c.s.needs.AppPurse(c.actor.UserID, c.actor.ClientID), month(today), app, credit.ErrAppCap)
	}
	return out
}

// month returns the first moment of the calendar month (UTC) of a day.
func month(day time.Time) time.Time { return day.AddDate(0, 0, 1-day.Day()) }
