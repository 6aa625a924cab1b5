package app

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/health"
	"github.com/rephlo/rephlo/internal/identity/authorize"
	"github.com/rephlo/rephlo/internal/identity/challenge"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/consent"
	"github.com/rephlo/rephlo/internal/identity/device"
	"github.com/rephlo/rephlo/internal/identity/discovery"
	"github.com/rephlo/rephlo/internal/identity/federation"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/introspect"
	"github.com/rephlo/rephlo/internal/identity/keys"
	"github.com/rephlo/rephlo/internal/identity/login"
	"github.com/rephlo/rephlo/internal/identity/logout"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/identity/pages"
	"github.com/rephlo/rephlo/internal/identity/register"
	"github.com/rephlo/rephlo/internal/identity/self"
	"github.com/rephlo/rephlo/internal/identity/sso"
	"github.com/rephlo/rephlo/internal/identity/token"
	"github.com/rephlo/rephlo/internal/identity/userinfo"
	"github.com/rephlo/rephlo/internal/job"
	"github.com/rephlo/rephlo/internal/manual"
	"github.com/rephlo/rephlo/internal/passkey"
	"github.com/rephlo/rephlo/internal/role"
	"github.com/rephlo/rephlo/internal/setting"
	"github.com/rephlo/rephlo/internal/trail"
	"github.com/rephlo/rephlo/internal/ui"
	"github.com/rephlo/rephlo/internal/web"
)

// identityParts are the slices of the Identity Provider that the Resource API
// needs too: it verifies tokens with the published keys.
type identityParts struct {
	server       oauth.Server
	signing      *keys.Service
	clients      *client.Service
	grants       *grant.Service
	sessions     *sso.Service
	passkeys     *passkey.Service
	federation   *federation.Service
	proofs       *oauth.Proofs
	sealer       *oauth.Sealer   // of opaque access tokens
	accessTokens *oauth.Verifier // for the Resource API
	anyTokens    *oauth.Verifier // of any audience, for the issuer's own endpoints
}

// nonceKey names the key that the nonces of DPoP proofs are made with.
const nonceKey = "dpop nonce/v1"

// staleFeed is how old the knowledge of revocations may be: beyond it a token
// that was revoked elsewhere might be accepted here.
const staleFeed = 30 * time.Second

// identity builds and starts the shared parts once.
func (s *Server) identity(ctx context.Context) (*identityParts, error) {
	if s.parts != nil {
		return s.parts, nil
	}
	core := s.core
	p := &identityParts{
		server:  oauth.Server{Issuer: core.Config.IDPURL, Resource: core.Config.APIURL},
		signing: core.SigningKeys(),
		grants: grant.New(grant.Needs{
			DB: core.DB, Bus: core.Bus, Box: core.Box, Log: core.Log, Now: core.Now, Reused: s.tokenReused,
		}),
	}
	p.sessions = sso.New(sso.Needs{
		DB: core.DB, Log: core.Log, Now: core.Now, Accounts: s.domains.Accounts, Secure: https(core.Config.IDPURL),
		Started: s.domains.signedIn, Trusts: func() bool { return setting.TrustedDevices.Of(core.Settings) },
		Ended: func(ctx context.Context, sessionID string) error {
			if err := p.grants.Revoke(ctx, grant.KindSession, sessionID); err != nil {
				return err
			}
			return s.enqueueNotices(ctx, p.grants, sessionID)
		},
	})
	if err := s.addPasskeys(p); err != nil {
		return nil, err
	}
	s.addFederation(p)
	s.domains.Factors.Happened = s.factorsChanged(p)
	s.domains.Accounts.Changed = s.accountChanged(p)
	fetcher := egress.NewDocuments(egress.DocumentOptions{Loopback: core.Config.Dev})
	p.clients = client.New(client.Needs{
		DB: core.DB, Bus: core.Bus, Log: core.Log, Now: core.Now, Dev: core.Config.Dev, Issuer: p.server.Issuer, Once: p.grants.Once,
		Documents: s.documents(fetcher), Prepare: p.signing.Prepare,
	})
	s.handleNotices(p, fetcher)
	p.proofs = oauth.NewProofs(core.Box.Subkey(nonceKey), p.grants.Once, core.Now)
	var err error
	if p.sealer, err = oauth.NewSealer(core.Box.Subkey("access token/v1")); err != nil {
		return nil, err
	}
	p.accessTokens = oauth.NewVerifier(p.signing, p.server.Issuer, p.server.Resource, core.Now).Opaque(p.sealer)
	p.anyTokens = oauth.NewVerifier(p.signing, p.server.Issuer, "", core.Now).Opaque(p.sealer)
	if err := errors.Join(p.signing.Start(ctx), p.clients.Seed(ctx), p.grants.Start(ctx)); err != nil {
		return nil, err
	}
	s.onStop(func(context.Context) error { p.grants.Stop(); return nil })
	s.health.Register("revocations", func(context.Context) (health.State, string) {
		if age := p.grants.Age(); age > staleFeed {
			return health.Down, "revocations of the last " + age.Round(time.Second).String() + " are not known"
		}
		return health.OK, ""
	})
	s.chores = append(s.chores,
		chore{"identity.keys", time.Hour, p.signing.Maintain}, chore{"identity.grants", time.Hour, p.grants.Maintain})
	core.Jobs.Schedule("identity.clients", job.Every{Period: 6 * time.Hour}, p.clients.Sweep)
	s.parts = p
	return p, nil
}

// openToAll reports whether clients that nobody has vouched for may sign people
// in.
func (s *Server) openToAll() bool {
	return register.Mode(s.core.Config.ClientRegistration) == register.Open
}

// documents reads what clients publish about themselves, where any client may
// come.
func (s *Server) documents(fetcher *egress.Documents) client.Documents {
	if !s.openToAll() {
		return nil
	}
	return register.Documents{Fetcher: fetcher}
}

// newIdentity builds the Identity Provider.
func (s *Server) newIdentity(ctx context.Context) (*web.Mux, error) {
	core, cfg, d := s.core, s.core.Config, s.domains
	p, err := s.identity(ctx)
	if err != nil {
		return nil, err
	}
	screens, err := pages.New("Rephlo", cfg.APIURL+"/", cfg.Dev)
	if err != nil {
		return nil, err
	}
	screens.Passkeys = p.passkeys.Available()
	for _, one := range social(cfg) {
		screens.Social = append(screens.Social, pages.Social{ID: one.ID, Name: one.Name})
	}
	sessions := p.sessions
	core.Jobs.Schedule("identity.sessions", job.Every{Period: time.Hour}, sessions.Sweep)
	steps := authorize.New(authorize.Needs{
		DB: core.DB, Log: core.Log, Now: core.Now, Accounts: d.Accounts, Clients: p.clients, Grants: p.grants,
		Sessions: sessions, Tokens: p.anyTokens, Screens: screens, Server: p.server, Proofs: p.proofs,
		Factors: s.secondFactors,
		Roles: func(ctx context.Context, userID string) ([]string, error) {
			held, err := d.Roles.Of(ctx, userID)
			return held.Roles, err
		},
	})
	core.Jobs.Schedule("identity.interactions", job.Every{Period: time.Hour}, steps.Sweep)
	users := people{d.Accounts, d.Roles, core.Now}
	tokens := token.New(token.Needs{
		Log: core.Log, Now: core.Now, Clients: p.clients, Grants: p.grants, Keys: p.signing, Users: users, Server: p.server,
		Proofs: p.proofs, Sealer: p.sealer,
	})
	m := web.NewMux(web.Config{
		Log: core.Log, Now: core.Now, Name: "Rephlo Identity Provider", Version: web.Version, Contract: manual.Identity(),
		Use:   []web.Middleware{trail.Places(account.Address), core.Audit.Middleware(account.Address)}, // sign-ins are remembered with where they came from
		Hosts: hosts(cfg.IDPURL, s.idp.Addr()), Proxies: core.proxies, DocURL: docURL(cfg), HTTPS: https(cfg.IDPURL),
	})
	reference, err := manual.NewReference("Rephlo", m.Document)
	if err != nil {
		return nil, err
	}
	for _, part := range []web.Mounter{
		health.API{Health: s.health},
		ui.Assets{},
		reference,
		discovery.API{Issuer: cfg.IDPURL, Keys: p.signing, Registration: register.Mode(cfg.ClientRegistration) != register.Off, Documents: s.openToAll()},
		register.New(register.Needs{
			Issuer: cfg.IDPURL, Mode: register.Mode(cfg.ClientRegistration), Initial: cfg.ClientRegistrationToken,
			Clients: p.clients, Grants: p.grants, Now: core.Now, Address: account.Address,
		}),
		authorize.API{Authorize: steps},
		login.API{Disown: s.disown, Accounts: d.Accounts, Sessions: sessions, Authorize: steps, Screens: screens},
		challenge.API{Trail: d.Trail, Factors: d.Factors, Passkeys: p.passkeys, Accounts: d.Accounts, Authorize: steps, Screens: screens},
		federation.API{Federation: p.federation, Authorize: steps, Screens: screens},
		self.API{
			Trail: d.Trail, Federation: p.federation, Accounts: d.Accounts, Factors: d.Factors, Passkeys: p.passkeys, Sessions: sessions, Authorize: steps, Screens: screens, Now: core.Now, Grants: p.grants, Clients: p.clients, SignOutOthers: p.signOutOthers,
			Privacy: self.Privacy{Exports: s.privacy, Grace: days(core.Settings, setting.GraceDays)},
		},
		consent.API{DB: core.DB, Authorize: steps, Grants: p.grants, Screens: screens, Logos: consent.NewLogos(egress.NewImages(egress.ImageOptions{}).Fetch, core.Now)},
		device.New(device.Needs{
			Server: p.server, Clients: p.clients, Grants: p.grants, Authorize: steps, Sessions: sessions, Screens: screens, Now: core.Now,
			Address: account.Address,
		}),
		token.API{Tokens: tokens, Address: account.Address},
		introspect.API{Issuer: cfg.IDPURL, Resource: cfg.APIURL, Clients: p.clients, Grants: p.grants, Tokens: p.anyTokens, Users: users, Keys: p.signing, Now: core.Now},
		userinfo.API{Tokens: p.anyTokens, Grants: p.grants, Users: users, Clients: p.clients, Keys: p.signing, Origins: p.clients.Origins, Issuer: cfg.IDPURL, Proofs: p.proofs},
		logout.API{Clients: p.clients, Tokens: p.anyTokens, Sessions: browsers{sessions}, Pages: screens, Errors: screens.WriteError},
	} {
		part.Mount(m)
	}
	m.Complete()
	return m, nil
}

// people shows accounts to the Identity Provider's protocol.
type people struct {
	accounts *account.Service
	roles    *role.Service
	now      func() time.Time
}

func (p people) Profile(ctx context.Context, userID string) (oauth.Profile, error) {
	u, err := p.accounts.Snapshot(ctx, userID)
	if errors.Is(err, account.ErrUnknown) {
		return oauth.Profile{ID: userID}, nil // not active: what was issued for them is void
	}
	if err != nil {
		return oauth.Profile{}, err
	}
	out := oauth.Profile{
		ID: u.ID, Active: account.Usable(u, p.now()) == nil, Email: u.Email, EmailVerified: u.Verified, Username: u.Username,
		FirstName: u.FirstName, LastName: u.LastName, Locale: u.Locale, Zone: u.Timezone, CreatedAt: u.CreatedAt, LastLoginAt: u.LastLoginAt,
	}
	if u.Staff {
		held, err := p.roles.Of(ctx, userID)
		if err != nil {
			return oauth.Profile{}, err
		}
		out.Roles = held.Roles
	}
	return out, nil
}

// browsers shows sign-in sessions to the sign-out endpoint.
type browsers struct{ sessions *sso.Service }

func (b browsers) Current(r *http.Request) (logout.Session, bool, error) {
	s, ok, err := b.sessions.Current(r)
	return logout.Session{ID: s.ID, UserID: s.UserID}, ok, err
}

func (b browsers) SignOut(w http.ResponseWriter, r *http.Request) error {
	return b.sessions.SignOut(w, r)
}
