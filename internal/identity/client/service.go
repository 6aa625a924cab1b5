package client

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/sqldb"
)

const busKind = "client.changed"

// Needs is what a Service is made of.
type Needs struct {
	DB  *sqldb.DB
	Bus *bus.Bus
	Log *slog.Logger
	Now func() time.Time
	// Issuer is who client assertions are for.
	Issuer string
	// Once remembers the ids of client assertions, on all servers.
	Once oauth.Once
	// Documents reads clients that are named by an address; nil refuses them.
	Documents Documents
	// Prepare makes the key for an algorithm that somebody has chosen for what we
	// sign; nil does nothing.
	Prepare func(ctx context.Context, alg string) error
	// Dev seeds the demonstration client too, and lets documents be on this
	// machine.
	Dev bool
}

// Service knows the clients. It is safe for concurrent use.
type Service struct {
	db    *sqldb.DB
	store store
	bus   *bus.Bus
	log   *slog.Logger
	now   func() time.Time
	dev   bool
	// audiences are those of client assertions: the issuer, and the token
	// endpoint for clients that use that.
	audiences []string
	once      oauth.Once
	remote    *remote
	prepare   func(ctx context.Context, alg string) error

	loading  sync.Mutex // held while the table is read
	failedAt time.Time  // guarded by loading: when it could not be
	all      atomic.Pointer[snapshot]
	changes  atomic.Int64 // that were heard of
	loaded   atomic.Int64 // how many of them all has
}

// snapshot is every client, by id. It does not change.
type snapshot struct {
	byID      map[string]Client
	resources []Resource        // by address
	texts     map[string]string // of their scopes
	loopback  bool              // some public client is answered on the user's machine
	origins   []string          // that some client has, besides
}

// New returns a Service without clients; Seed loads them.
func New(n Needs) *Service {
	s := &Service{db: n.DB, store: store{n.DB}, bus: n.Bus, log: n.Log, now: n.Now, dev: n.Dev, audiences: []string{n.Issuer, n.Issuer + "/oauth/token"}, once: n.Once}
	if s.prepare = n.Prepare; n.Prepare == nil {
		s.prepare = func(context.Context, string) error { return nil }
	}
	s.remote = &remote{
		prepare: s.Prepare, documents: n.Documents, now: n.Now, loopback: n.Dev, hosts: oauth.NewLimiter(perHost, time.Minute, n.Now),
		clients: map[string]fetched{}, keys: map[string]remoteKey{},
	}
	s.all.Store(&snapshot{})
	n.Bus.Subscribe(busKind, func(string) { s.changes.Add(1) })
	return s
}

// Seed stores the first-party clients as this program knows them, but for what
// an administrator changed of them, and loads all. Call it at start.
func (s *Service) Seed(ctx context.Context) error {
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		for _, c := range firstParty() {
			if err := s.seed(ctx, c); err != nil {
				return err
			}
		}
		if s.dev {
			return s.seed(ctx, demo())
		}
		return s.store.remove(ctx, demo().ID)
	})
	if err != nil {
		return err
	}
	if err := s.Load(ctx); err != nil {
		return err
	}
	all := s.all.Load()
	for _, c := range all.byID {
		if err := s.Prepare(ctx, c.chosen()); err != nil {
			return err
		}
	}
	for _, r := range all.resources {
		if err := s.Prepare(ctx, r.chosen()); err != nil {
			return err
		}
	}
	return nil
}

// Prepare makes the keys for algorithms that somebody has chosen. Those that
// there are already cost nothing.
func (s *Service) Prepare(ctx context.Context, algs []string) error {
	for _, alg := range algs {
		if err := s.prepare(ctx, alg); err != nil {
			return err
		}
	}
	return nil
}

// Load reads all clients. Seed does it too; what only looks at clients needs
// nothing but this.
func (s *Service) Load(ctx context.Context) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	return s.load(ctx)
}

// Create stores a new client and returns its secret, which is shown once; a
// public client has none, nor one that signs with its own key. Settings that break a rule are ErrInvalid.
func (s *Service) Create(ctx context.Context, c Client) (secret string, err error) {
	c.readKeys()
	if err := c.check(); err != nil {
		return "", err
	}
	if c.hasSecret() {
		shown, kept := newSecret()
		secret, c.secrets = shown, []secretHash{kept}
	}
	if err := s.Prepare(ctx, c.chosen()); err != nil {
		return "", err
	}
	err = s.db.InTx(ctx, func(ctx context.Context) error {
		added, err := s.store.add(ctx, c, "", s.now())
		if err != nil {
			return err
		}
		if !added {
			return ErrExists
		}
		return s.bus.Publish(ctx, busKind, c.ID)
	})
	return secret, err
}

// ByID returns a client, or ErrUnknown, also for one that is disabled. It reads memory, but for a client that
// is named by the address of its metadata document, which may have to be
// fetched; one that cannot be used is ErrDocument.
func (s *Service) ByID(ctx context.Context, id string) (Client, error) {
	if c, ok := s.current(ctx).byID[id]; ok {
		if c.Disabled {
			return Client{}, ErrUnknown
		}
		return c, nil
	}
	if IsURL(id) {
		c, err := s.remote.client(ctx, id)
		return s.current(ctx).placed(c), err
	}
	return Client{}, ErrUnknown
}

// Introspects reports whether a client may ask about the tokens of an audience
// besides its own. It reads memory.
func (s *Service) Introspects(ctx context.Context, clientID, audience string) bool {
	for _, r := range s.current(ctx).resources {
		if r.ID == audience && !r.Disabled {
			return slices.Contains(r.Introspectors, clientID)
		}
	}
	return false
}

// Known reports whether tokens are issued for an audience of others.
func (s *Service) Known(ctx context.Context, audience string) bool {
	return slices.ContainsFunc(s.current(ctx).resources, func(r Resource) bool { return r.ID == audience && !r.Disabled })
}

// Origins reports whether some client's page may have this origin: it answers
// a browser's preflight, which names no client.
func (s *Service) Origins(origin string) bool {
	all := s.current(context.Background())
	return all.loopback && oauth.LoopbackOrigin(origin) || slices.Contains(all.origins, origin)
}

// AllowsOrigin reports whether c's pages may have this origin.
func (c Client) AllowsOrigin(origin string) bool {
	return c.Public && slices.ContainsFunc(c.RedirectURIs, oauth.Loopback) && oauth.LoopbackOrigin(origin) ||
		slices.Contains(c.origins(), origin)
}

// origins returns those of c besides loopback ones.
func (c Client) origins() []string {
	out := slices.Clone(c.CORSOrigins)
	for _, uri := range c.RedirectURIs {
		if c.Public && strings.HasPrefix(uri, "https://") {
			out = append(out, oauth.OriginOf(uri))
		}
	}
	return out
}

// check returns ErrInvalid for settings that break a rule.
func (c Client) check() error {
	https := func(uri string) bool { return strings.HasPrefix(uri, "https://") }
	switch {
	case !c.Document && !CheckURL(c.ID, false) && (c.ID == "" || len(c.ID) > 128 || strings.Trim(c.ID, idAlphabet) != ""):
		return ErrInvalid.Saying("The client id must be 1 to 128 letters, digits, dots, dashes or underscores.").At("id")
	case c.Name == "" || len(c.Name) > 120:
		return ErrInvalid.Saying("The name must be 1 to 120 bytes.").At("name")
	case c.Public != (c.AuthMethod == AuthNone) || !slices.Contains(AuthMethods(), c.AuthMethod):
		return ErrInvalid.Saying("The authentication method does not fit the client.").At("auth_method")
	case strings.HasPrefix(c.ID, "usr_"): // a token's subject names a user or a client (RFC 9068 section 5)
		return ErrInvalid.Saying("A client id cannot look like a user's.").At("id")
	case c.Document && c.AuthMethod != AuthNone && c.AuthMethod != AuthKey:
		return ErrInvalid.Saying("A client that publishes its metadata cannot have a secret.").At("auth_method")
	case c.AuthMethod == AuthKey && c.keys.Len() == 0 && c.JWKSURI == "":
		return ErrInvalid.Saying("A client that signs its assertions needs public keys: P-256, Ed25519, or RSA of 2048 to 4096 bits.").At("jwks")
	case c.Public && c.NoPKCE:
		return ErrInvalid.Saying("A public client must send a code challenge.").At("no_pkce")
	case c.Strict && (c.AuthMethod != AuthKey || !c.RequirePAR || !c.RequireDPoP || c.NoPKCE || c.TokenAudience):
		return ErrInvalid.Saying("The strict profile needs a client that signs its assertions, pushes its requests and binds its tokens.").At("strict")
	case !all(c.chosen(), func(alg string) bool { return slices.Contains(oauth.Algs(), alg) }):
		return ErrInvalid.Saying("What we sign is signed with one of: %s.", strings.Join(oauth.Algs(), ", ")).At("idTokenAlg")
	case c.Strict && slices.Contains(c.chosen(), oauth.AlgRS256):
		return ErrInvalid.Saying("The strict profile has no RS256.").At("idTokenAlg")
	case c.SignedRequests && c.keys.Len() == 0 && c.JWKSURI == "":
		return ErrInvalid.Saying("A client that signs its requests needs public keys.").At("jwks")
	case c.BackchannelLogoutURI != "" && !https(c.BackchannelLogoutURI) && !oauth.Loopback(c.BackchannelLogoutURI):
		return ErrInvalid.Saying("The back-channel logout URI must be an https address.").At("backchannel_logout_uri")
	case c.Public && c.May(GrantExchange):
		return ErrInvalid.Saying("A public client cannot exchange tokens: anybody could be it.").At("grants")
	case !all(c.ExchangeScopes, func(sc string) bool { return slices.Contains(oauth.Scopes(), sc) }):
		return ErrInvalid.Saying("A scope is unknown.").At("exchange_scopes")
	case c.Public && c.May(GrantCredentials):
		return ErrInvalid.Saying("A public client cannot act for itself: anybody could be it.").At("grants")
	case c.SkipConsent && (!c.FirstParty || c.Public && !all(c.RedirectURIs, https)):
		return ErrInvalid.Saying("Only a first-party client whose identity is certain may skip the consent.").At("skip_consent")
	case !all(c.Grants, func(g string) bool { return slices.Contains(grants(), g) }):
		return ErrInvalid.Saying("A grant is unknown.").At("grants")
	case !all(c.Scopes, func(sc string) bool { return slices.Contains(oauth.Scopes(), sc) }):
		return ErrInvalid.Saying("A scope is unknown.").At("scopes")
	case c.RefreshLife != LifeSession && c.RefreshLife != LifeStandalone:
		return ErrInvalid.Saying("The refresh life must be session or standalone.").At("refresh_life")
	case c.May(GrantCode) && len(c.RedirectURIs) == 0 || !all(c.RedirectURIs, c.mayReturnTo):
		return ErrInvalid.Saying("A redirect URI is not allowed for this kind of client.").At("redirect_uris")
	case !all(c.PostLogoutRedirectURIs, c.mayReturnTo):
		return ErrInvalid.Saying("A post-logout redirect URI is not allowed for this kind of client.").At("post_logout_redirect_uris")
	case !all(c.CORSOrigins, func(o string) bool { return o != "" && oauth.OriginOf(o) == o }):
		return ErrInvalid.Saying("A CORS origin must be a scheme and a host.").At("cors_origins")
	case c.Homepage != "" && !IsHTTPS(c.Homepage) && !c.Development:
		return ErrInvalid.Saying("The homepage must be an https address.").At("homepage")
	}
	if err := c.Details.check(); err != nil {
		return err
	}
	return c.Limits.check()
}

// mayReturnTo reports whether c may be answered at uri.
func (c Client) mayReturnTo(uri string) bool {
	return oauth.CheckRedirect(uri, c.Native) || c.Development && oauth.Loopback(uri) && oauth.CheckRedirect(uri, true)
}

const idAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

func all(list []string, ok func(string) bool) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !ok(s) })
}

// reloadPause is how long a table that could not be read is left alone.
const reloadPause = time.Second

// current returns the snapshot, read anew if the table has changed: nobody sees
// the state before a change that was announced.
func (s *Service) current(ctx context.Context) *snapshot {
	if s.loaded.Load() == s.changes.Load() {
		return s.all.Load()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	s.loading.Lock()
	defer s.loading.Unlock()
	if s.loaded.Load() != s.changes.Load() && s.now().Sub(s.failedAt).Abs() >= reloadPause {
		if err := s.load(ctx); err != nil {
			s.failedAt = s.now()
			s.log.WarnContext(ctx, "clients not read", "err", err)
		}
	}
	return s.all.Load()
}

// load reads the table. The caller holds loading.
func (s *Service) load(ctx context.Context) error {
	heard := s.changes.Load()
	list, err := s.store.list(ctx)
	if err != nil {
		return err
	}
	next := &snapshot{byID: map[string]Client{}, texts: map[string]string{}}
	if next.resources, err = s.store.resources(ctx); err != nil {
		return err
	}
	for _, r := range next.resources {
		for _, scope := range r.Scopes {
			next.texts[scope.Name] = scope.Text
		}
	}
	for _, c := range list {
		c.readKeys()
		c = next.placed(c)
		if next.byID[c.ID] = c; c.Disabled {
			continue
		}
		next.origins = append(next.origins, c.origins()...)
		next.loopback = next.loopback || c.Public && slices.ContainsFunc(c.RedirectURIs, oauth.Loopback)
	}
	s.all.Store(next)
	s.loaded.Store(heard)
	return nil
}
