package app

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/apikey"
	"github.com/rephlo/rephlo/internal/approval"
	"github.com/rephlo/rephlo/internal/capture"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/limit"
	"github.com/rephlo/rephlo/internal/mfa"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pack"
	"github.com/rephlo/rephlo/internal/role"
	"github.com/rephlo/rephlo/internal/setting"
	"github.com/rephlo/rephlo/internal/subscription"
	"github.com/rephlo/rephlo/internal/tier"
	"github.com/rephlo/rephlo/internal/trail"
	"github.com/rephlo/rephlo/internal/usage"
	"github.com/rephlo/rephlo/internal/webhook"
)

// adminCredits is the start grant of an administrator.
const adminCredits = 1000 * money.Credit

// bonusLife is how long a bonus lasts.
const bonusLife = 90 * 24 * time.Hour

// Domains are the slices that the server and the commands share.
type Domains struct {
	Accounts *account.Service
	Credits  *credit.Service
	Usage    *usage.Service
	Keys     *apikey.Service
	Factors  *mfa.Service
	Tiers    *tier.Table
	Levels   *tier.Service // keeps Tiers in step with what administrators change
	Plans    *subscription.Service
	Roles    *role.Service
	Webhooks *webhook.Service
	Trail    *trail.Service

	Approvals *approval.Service
	Limits    *limit.Service
	Packs     *pack.Service
	Captures  *capture.Service
}

// NewDomains returns the slices on core. The ledger admits nothing until
// somebody starts it.
func NewDomains(core *Core, node string) *Domains {
	d := &Domains{Trail: trail.New(core.DB, core.Log, core.Now)}
	d.Usage = usage.New(usage.Needs{
		DB: core.DB, Now: core.Now, Cursors: core.Cursors,
		Used: func(ctx context.Context, more map[string]money.Credits) error { return d.Accounts.AddUsed(ctx, more) },
	})
	d.Keys = apikey.New(apikey.Needs{DB: core.DB, Bus: core.Bus, Log: core.Log, Now: core.Now, Happened: d.keyHappened, Plan: d.keysAllowed})
	d.Credits = credit.New(credit.Needs{
		DB: core.DB, Log: core.Log, Now: core.Now, Node: node, Records: d.Usage, Box: core.Box,
		Offset: func(ctx context.Context) (time.Duration, error) { return core.DB.ClockOffset(ctx, core.Now) },
		Spool:  filepath.Join(core.Config.Data, "spool"),
		Async:  core.Config.LedgerAck == "async", Metrics: core.Metrics,
		Granted: d.granted,
	})
	d.Levels = tier.New(tier.Needs{DB: core.DB, Bus: core.Bus, Audit: core.Audit, Log: core.Log, Now: core.Now, Base: tier.Defaults(core.Config.FreeCredits)})
	d.Tiers = d.Levels.Table
	d.Packs = pack.New(pack.Needs{DB: core.DB, Audit: core.Audit, Now: core.Now, Months: func() int64 { return setting.PackMonths.Of(core.Settings) }})
	d.Limits = limit.New(limit.Needs{DB: core.DB, Bus: core.Bus, Audit: core.Audit, Log: core.Log, Now: core.Now})
	d.Plans = subscription.New(subscription.Needs{
		DB: core.DB, Bus: core.Bus, Log: core.Log, Now: core.Now, Credits: d.Credits, Tiers: d.Tiers,
		Audit: core.Audit, Previews: core.Cursors, Default: core.Config.DefaultTier, Born: d.born, Happened: d.planHappened,
		Notice: days(core.Settings, setting.PriceNoticeDays),
	})
	d.Roles = role.New(role.Needs{
		DB: core.DB, Bus: core.Bus, Audit: core.Audit, Now: core.Now,
		Usable: func(ctx context.Context, userID string) (bool, error) {
			u, err := d.Accounts.ByID(ctx, userID)
			return account.Usable(u, core.Now()) == nil, err
		},
		Staff: func(ctx context.Context, userID string, has bool) error { return d.Accounts.SetStaff(ctx, userID, has) },
	})
	d.Approvals = approval.New(approval.Needs{DB: core.DB, Box: core.Box, Audit: core.Audit, Now: core.Now, Holding: d.Roles.Holding})
	d.Accounts = account.New(account.Needs{
		Audit: core.Audit, Closing: d.Roles.Closing,
		DB: core.DB, Bus: core.Bus, Log: core.Log, Now: core.Now,
		Passwords: core.Passwords, Mail: core.Mail, Box: core.Box, IDPURL: core.Config.IDPURL,
		Failed:   func(ctx context.Context, userID string) { d.Trail.Note(ctx, userID, trail.SignInFailed, "") },
		Closed:   func() bool { return !setting.SignupOpen.Of(core.Settings) },
		Verified: func(ctx context.Context, u account.User) error { return d.welcome(ctx, u) },
		Admin:    func(ctx context.Context, u account.User) error { return d.equip(ctx, core, u) },
		Turned:   d.turned,
	})
	d.Accounts.Changed = signOutApps(core)
	d.Factors = mfa.New(mfa.Needs{
		DB: core.DB, Box: core.Box, Passwords: core.Passwords, Now: core.Now, Issuer: "Rephlo",
		Required: func(u account.User) bool { return u.Staff },
	})
	d.Webhooks = d.webhooks(core)
	d.Captures = capture.New(capture.Needs{
		DB: core.DB, Box: core.Box, Audit: core.Audit, Log: core.Log, Now: core.Now,
		On: func() bool { return setting.Capture.Of(core.Settings) }, Keep: days(core.Settings, setting.CaptureDays),
	})
	return d
}

// signOutApps is what follows a change of password that a command makes: the
// tokens of apps end. Sign-ins in browsers end by the time of the change. A
// server puts more in its place.
func signOutApps(core *Core) func(context.Context, account.Change) error {
	grants := grant.New(grant.Needs{DB: core.DB, Bus: core.Bus, Box: core.Box, Log: core.Log, Now: core.Now})
	return func(ctx context.Context, c account.Change) error {
		if !c.SignOut {
			return nil
		}
		return grants.Revoke(ctx, grant.KindUser, c.User.ID)
	}
}

// welcome gives a user whose address is proven the free subscription, in the
// transaction that proves it.
func (d *Domains) welcome(ctx context.Context, u account.User) error {
	return d.Plans.StartFree(ctx, u.ID, u.CreatedAt)
}

// turned lets what somebody holds follow the state of their account. Credits
// stay as they are: who is locked out cannot use them, and they expire as always.
func (d *Domains) turned(ctx context.Context, u account.User, t account.Turn) error {
	why := subscription.Why{Actor: t.Who(), Reason: t.Reason}
	switch {
	case u.State == account.StateSuspended:
		return d.Plans.Pause(ctx, u.ID, why)
	case u.State == account.StateBanned || u.State == account.StateDeleted:
		return d.Plans.Close(ctx, u.ID, why)
	case t.From == account.StateDeleted:
		if err := d.Trail.Record(ctx, u.ID, trail.Restored, ""); err != nil || !u.Verified {
			return err
		}
		return d.Plans.Return(ctx, u.ID, u.CreatedAt)
	case t.From == account.StateSuspended:
		return d.Plans.Resume(ctx, u.ID, why)
	case t.From == account.StateBanned && u.Verified:
		return d.Plans.Open(ctx, u.ID)
	}
	return nil
}

// allowance is what a user's plan shows of their usage.
func (d *Domains) allowance(user string) usage.Allowance {
	t := d.Tiers.Tier(d.Plans.TierOf(user))
	if t == nil {
		return usage.Allowance{HistoryDays: 30} // of a tier that is not there any more
	}
	return usage.Allowance{HistoryDays: t.HistoryDays, Advanced: t.AdvancedAnalytics}
}

// keysAllowed is how many API keys of a mode a user's plan allows.
func (d *Domains) keysAllowed(user string, mode apikey.Mode) int {
	t := d.Tiers.Tier(d.Plans.TierOf(user))
	switch {
	case t == nil:
		return 0 // of a tier that is not there any more
	case mode == apikey.ModeTest:
		return t.TestKeys
	}
	return t.LiveKeys
}

// born says when a user signed up and whether the address is proven.
func (d *Domains) born(ctx context.Context, id string) (at time.Time, verified bool, err error) {
	u, err := d.Accounts.ByID(ctx, id)
	return u.CreatedAt, u.Verified && u.State != account.StateDeleted, err
}

// equip gives a new administrator every right and the start grant.
func (d *Domains) equip(ctx context.Context, core *Core, u account.User) error {
	if err := d.Roles.Found(ctx, u.ID); err != nil {
		return err
	}
	if core.Config.DefaultTier != tier.Unlimited { // else a plan would take something away
		order := subscription.Order{User: u.ID, Tier: "pro_max", Cycle: subscription.Monthly, Actor: u.ID, Reason: "an administrator"}
		if _, err := d.Plans.Start(ctx, order); err != nil && !errors.Is(err, subscription.ErrHasOne) {
			return err
		}
	}
	_, err := d.Credits.Grant(ctx, credit.NewGrant{
		User: u.ID, Source: credit.Bonus, Ref: "adm:start:" + u.ID,
		Amount: adminCredits, ExpiresAt: core.Now().Add(bonusLife),
	})
	return err
}

// rolesOf returns the roles of somebody.
func (d *Domains) rolesOf(ctx context.Context, userID string) ([]string, error) {
	held, err := d.Roles.Of(ctx, userID)
	return held.Roles, err
}

// knownUser returns an error for a user that does not exist.
func (d *Domains) knownUser(ctx context.Context, id string) error {
	_, err := d.Accounts.ByID(ctx, id)
	return err
}

// userOf names who is signed in; "" for nobody.
func userOf(ctx context.Context) string {
	actor, err := access.From(ctx)
	if err != nil {
		return ""
	}
	return actor.UserID
}

// addressOf returns a user's e-mail address.
func (d *Domains) addressOf(ctx context.Context, user string) (string, error) {
	u, err := d.Accounts.ByID(ctx, user)
	return u.Email, err
}

// spentByApps returns what each app has spent of somebody's credits in this
// calendar month (UTC), by client id.
func (d *Domains) spentByApps(now func() time.Time) func(context.Context, string) (map[string]money.Credits, error) {
	return func(ctx context.Context, userID string) (map[string]money.Credits, error) {
		at := now().UTC()
		began := time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)
		st, err := d.Usage.Stats(ctx, userID, began, at.Add(time.Hour), usage.ByApp, time.UTC)
		if err != nil {
			return nil, err
		}
		out := map[string]money.Credits{}
		for _, r := range st.Rows {
			out[r.Name] = r.Charged
		}
		return out, nil
	}
}
