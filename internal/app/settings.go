package app

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/role"
	"github.com/rephlo/rephlo/internal/setting"
	"github.com/rephlo/rephlo/internal/web"
)

// What settings mean where they work.

var errMaintenance = fault.New(fault.Unavailable, "maintenance", "The service is being worked on. Try again in a few minutes.").After(time.Minute)

// open are the paths that answer during maintenance: administrators work there,
// or see why they cannot.
var open = []string{"/admin/", "/health", "/assets/", "/docs", "/setup", "/.well-known/"}

func (c *Core) maintenance(path string) *fault.Error {
	if !setting.Maintenance.Of(c.Settings) || path == "/" || slices.ContainsFunc(open, func(p string) bool { return strings.HasPrefix(path, p) }) {
		return nil
	}
	return errMaintenance
}

func (c *Core) allowedOrigin(origin string) bool {
	return slices.Contains(setting.AllowedOrigins.Of(c.Settings), origin)
}

// proxies are whom to believe about where requests come from.
func (c *Core) proxies() web.Proxies {
	texts := setting.TrustedProxies.Of(c.Settings)
	if len(texts) == 0 {
		return web.Proxies{}
	}
	known := c.trusted.Load()
	if known == nil || !slices.Equal(known.texts, texts) {
		known = &trustedNetworks{texts: texts}
		for _, text := range texts {
			if a, err := netip.ParseAddr(text); err == nil {
				a = a.Unmap()
				known.networks = append(known.networks, netip.PrefixFrom(a, a.BitLen()))
			} else if p, err := netip.ParsePrefix(text); err == nil {
				known.networks = append(known.networks, p)
			}
		}
		c.trusted.Store(known)
	}
	return web.Proxies{Networks: known.networks, Standard: setting.ProxyHeader.Of(c.Settings) == "forwarded"}
}

// trustedNetworks are the trusted proxies, read from the texts of the setting.
type trustedNetworks struct {
	texts    []string
	networks []netip.Prefix
}

// days is a setting in days, as the slices take it.
func days(s *setting.Service, k setting.Key[int64]) func() time.Duration {
	return func() time.Duration { return time.Duration(k.Of(s)) * 24 * time.Hour }
}

// allowance is what an administrator may give away alone: the most that one of
// their roles may. Who may it by a role of this instance's own, or by an
// override, gives what support does; a super_admin has no bounds.
func (c *Core) allowance(a access.Actor) (credit.Allowance, bool) {
	of := func(grant, day, month setting.Key[int64]) credit.Allowance {
		whole := func(k setting.Key[int64]) money.Credits { return money.Credits(k.Of(c.Settings)) * money.Credit }
		return credit.Allowance{Grant: whole(grant), Day: whole(day), Month: whole(month)}
	}
	out := of(setting.SupportGrant, setting.SupportDay, setting.SupportMonth)
	for _, name := range a.Roles {
		more := credit.Allowance{}
		switch name {
		case access.RoleSuperAdmin:
			return credit.Allowance{}, false
		case access.RoleAdmin:
			more = of(setting.AdminGrant, setting.AdminDay, setting.AdminMonth)
		case access.RoleOps:
			more = of(setting.OpsGrant, setting.OpsDay, setting.OpsMonth)
		}
		out = credit.Allowance{Grant: max(out.Grant, more.Grant), Day: max(out.Day, more.Day), Month: max(out.Month, more.Month)}
	}
	return out, true
}

// grantsLeft is what an administrator may give away alone now; nil has no
// bounds.
func (s *Server) grantsLeft(ctx context.Context, a access.Actor) (*role.GrantsLeft, error) {
	bounds, bounded := s.core.allowance(a)
	if !bounded {
		return nil, nil
	}
	left, err := s.domains.Credits.Allowed(ctx, a.UserID, bounds)
	return &role.GrantsLeft{Grant: left.Grant, Day: left.Day, Month: left.Month}, err
}

func (c *Core) testMail(ctx context.Context, to string) error {
	return c.transport.Send(ctx, mail.Message{To: to, Subject: "A test of the mail settings", Text: "If you read this, the mail settings of Rephlo work.\n"})
}
