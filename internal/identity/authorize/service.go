package authorize

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/identity/pages"
	"github.com/rephlo/rephlo/internal/identity/sso"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Needs are what a Service is made of.
type Needs struct {
	DB       *sqldb.DB
	Log      *slog.Logger
	Now      func() time.Time
	Accounts *account.Service
	Clients  *client.Service
	Grants   *grant.Service
	Sessions *sso.Service
	Tokens   *oauth.Verifier // reads id_token_hint
	Screens  *pages.Screens
	Server   oauth.Server
	Proofs   *oauth.Proofs
	// Factors returns which second factors somebody has.
	Factors func(ctx context.Context, u account.User) (Factors, error)
	// Roles returns the roles of somebody who has some.
	Roles func(ctx context.Context, userID string) ([]string, error)
}

// Service keeps interactions. It is safe for concurrent use.
type Service struct {
	Needs
	store store
}

// New returns a Service.
func New(n Needs) *Service {
	if n.Factors == nil {
		n.Factors = func(context.Context, account.User) (Factors, error) { return Factors{}, nil }
	}
	if n.Roles == nil {
		n.Roles = func(context.Context, string) ([]string, error) { return nil, nil }
	}
	return &Service{Needs: n, store: store{n.DB}}
}

// begin checks a request and stores it as an interaction, or continues one that
// was pushed. An *oauth.Error that is not for our page goes to the client, at
// the redirect URI of the interaction returned.
func (s *Service) begin(ctx context.Context, v url.Values, browser []byte) (Interaction, client.Client, error) {
	if v.Get("request_uri") != "" {
		return s.pulled(ctx, v, browser)
	}
	in, c, err := s.check(ctx, v, browser)
	if err == nil && c.RequirePAR {
		err = &oauth.Error{Code: "invalid_request", Description: "The client must push its requests to /oauth/par first."}
	}
	if err == nil {
		err = unavailable(s.store.insert(ctx, in))
	}
	return in, c, err
}

// check makes the interaction of a request whose parameters are all right.
func (s *Service) check(ctx context.Context, v url.Values, browser []byte) (Interaction, client.Client, error) {
	var in Interaction
	clientID, err := oauth.ClientID(v)
	if err != nil {
		return in, client.Client{}, err
	}
	c, err := s.Clients.ByID(ctx, clientID)
	if errors.Is(err, client.ErrUnknown) {
		return in, c, &oauth.Error{Code: "invalid_request", Description: "The client is unknown.", Page: true}
	}
	if errors.Is(err, client.ErrDocument) {
		return in, c, &oauth.Error{Code: "invalid_client", Description: fault.From(err).Message, Page: true}
	}
	if err != nil {
		return in, c, unavailable(err)
	}
	if v, err = s.opened(ctx, c, v); err != nil {
		return in, c, err
	}
	if in.Request, err = oauth.ParseAuthorize(v, c.Facts(), s.Server); err != nil {
		return in, c, err
	}
	if !c.May(client.GrantCode) {
		return in, c, &oauth.Error{Code: "unauthorized_client", Description: "The client may not use the authorization code grant."}
	}
	if hint := in.Request.IDTokenHint; hint != "" {
		t, err := s.Tokens.Hint(hint)
		if err != nil || t.Audience != c.ID {
			return in, c, &oauth.Error{Code: "invalid_request", Description: "The id_token_hint is not an ID token of this client."}
		}
		in.Hint = t.Subject
	}
	if in.Hint == "" {
		in.Hint = in.Request.Subject
	}
	return s.fresh(in, browser), c, nil
}

// opened returns the parameters of a signed request instead of those beside it
// (RFC 9101 section 6.3), and v as it is when there is none.
func (s *Service) opened(ctx context.Context, c client.Client, v url.Values) (url.Values, error) {
	token := v.Get("request")
	switch {
	case token == "" && c.SignedRequests:
		return nil, &oauth.Error{Code: "invalid_request", Description: "The client must sign its requests.", Page: true}
	case token == "":
		return v, nil
	case len(v["request"]) > 1 || len(token) > oauth.MaxToken:
		return nil, &oauth.Error{Code: "invalid_request", Description: "The parameter request must be sent once.", Page: true}
	}
	o, err := oauth.CheckRequestObject(token, s.Clients.Keys(ctx, c, oauth.RequestKid(token)), oauth.RequestRules{
		ClientID: c.ID, Issuer: s.Server.Issuer, Algs: c.Algs(), Now: s.Now(),
	})
	if err != nil {
		return nil, err
	}
	if o.JTI != "" {
		first, err := s.Grants.Once(ctx, "request", c.ID+" "+o.JTI, o.Until)
		if err != nil {
			return nil, unavailable(err)
		}
		if !first {
			return nil, &oauth.Error{Code: "invalid_request_object", Description: "The signed request was used before.", Page: true}
		}
	}
	o.Values.Set("client_id", c.ID)
	return o.Values, nil
}

// fresh gives in a name and its time.
func (s *Service) fresh(in Interaction, browser []byte) Interaction {
	now := s.Now()
	in.UID, in.browser, in.CreatedAt, in.expiresAt = strings.ToLower(rand.Text()), browser, now, now.Add(life)
	return in
}

// BeginDevice starts the interaction in which the person in front of the
// browser decides about a device, and returns its path.
func (s *Service) BeginDevice(ctx context.Context, d grant.Device, browser []byte) (path string, err error) {
	in := s.fresh(Interaction{Request: oauth.AuthorizationRequest{
		ClientID: d.ClientID, Scopes: d.Scopes, Resources: d.Resources,
		Device: &oauth.DeviceRequest{Ref: d.Ref(), Address: d.Address, Agent: d.Agent, AskedAt: d.CreatedAt},
	}}, browser)
	return "/interaction/" + in.UID, unavailable(s.store.insert(ctx, in))
}

// open returns a live interaction of the browser. One that no browser has
// shown yet is bound to this one.
func (s *Service) open(ctx context.Context, uid string, browser []byte) (Interaction, client.Client, error) {
	in, err := s.store.byID(ctx, uid)
	if err != nil {
		return in, client.Client{}, unavailable(err)
	}
	if in.browser == nil {
		bound, err := s.store.bind(ctx, uid, browser)
		if err != nil {
			return in, client.Client{}, unavailable(err)
		}
		if bound {
			in.browser = browser
		}
	}
	switch {
	case len(browser) == 0 || !bytes.Equal(in.browser, browser):
		return in, client.Client{}, ErrForeign
	case !in.finished.IsZero() || !s.Now().Before(in.expiresAt):
		return in, client.Client{}, ErrEnded
	}
	if in.Request.Back != "" {
		return in, ours, nil
	}
	c, err := s.Clients.ByID(ctx, in.Request.ClientID)
	if errors.Is(err, client.ErrUnknown) {
		err = ErrEnded.Because(err) // it was deleted meanwhile
	}
	return in, c, unavailable(err)
}

// ours stands for a client in our own interactions.
var ours = client.Client{FirstParty: true}

// BeginOwn starts an interaction that leads to back, a path of ours, once
// somebody is signed in whose sign-in is at most maxAge seconds old, and returns
// its path; nil is any age.
func (s *Service) BeginOwn(ctx context.Context, back string, maxAge *int64, browser []byte) (path string, err error) {
	in := s.fresh(Interaction{Request: oauth.AuthorizationRequest{Back: back, MaxAge: maxAge}}, browser)
	return "/interaction/" + in.UID, unavailable(s.store.insert(ctx, in))
}

// state reads what the choice of the next step depends on. ss is zero when
// nobody is signed in.
func (s *Service) state(ctx context.Context, in Interaction, c client.Client, ss sso.Session) (state, error) {
	st := state{in: in, client: c, session: ss, now: s.Now()}
	var err error
	if st.half, st.halfFactors, err = s.halfway(ctx, in); err != nil || ss.ID == "" {
		return st, err
	}
	if st.user, err = s.Accounts.Snapshot(ctx, ss.UserID); err != nil {
		return st, err
	}
	if st.factors, err = s.Factors(ctx, st.user); err != nil {
		return st, unavailable(err)
	}
	if c.MinimumACR != "" && c.MinimumACR != sso.ACRSingle {
		st.factors.Required = true // who has none sets one up
	}
	if len(c.AllowedRoles) > 0 && st.user.Staff {
		if st.roles, err = s.Roles(ctx, st.user.ID); err != nil {
			return st, unavailable(err)
		}
	}
	st.consent, _, err = s.Grants.Consent(ctx, ss.UserID, c.ID)
	return st, unavailable(err)
}

// decided is ErrEnded when somebody else was faster, or it took too long.
func decided(first bool, err error) error {
	if err == nil && !first {
		err = ErrEnded
	}
	return err
}

// finish ends the interaction with a code; a device gets its tokens by itself,
// so that there is none.
func (s *Service) finish(ctx context.Context, st state) (code string, err error) {
	r := st.in.Request
	err = s.DB.InTx(ctx, func(ctx context.Context) error {
		if err := s.end(ctx, st.in); err != nil {
			return err
		}
		allowed := grant.Code{
			ClientID: r.ClientID, UserID: st.user.ID, SessionID: st.session.ID, RedirectURI: r.RedirectURI, Challenge: r.Challenge,
			Nonce: r.Nonce, Scopes: st.scopes(), Resources: r.Resources, AuthTime: st.session.AuthTime, ACR: st.session.ACR, AMR: st.session.AMR,
			JKT: r.JKT, Claims: r.Claims,
		}
		if r.Device != nil {
			return decided(s.Grants.ApproveDevice(ctx, r.Device.Ref, allowed))
		}
		code, err = s.Grants.IssueCode(ctx, allowed)
		return err
	})
	return code, unavailable(err)
}

// end makes sure that an interaction has one answer.
func (s *Service) end(ctx context.Context, in Interaction) error {
	return decided(s.store.end(ctx, in.UID, s.Now()))
}

// Allowed records that a user allowed what the interaction asks for, in the
// transaction that ctx carries.
func (s *Service) Allowed(ctx context.Context, in Interaction, userID string) error {
	return unavailable(s.store.took(ctx, in.by(userID, true, false)))
}

// Clicked records that a user wants to go on.
func (s *Service) Clicked(ctx context.Context, in Interaction, userID string) error {
	return unavailable(s.store.took(ctx, in.by(userID, false, true)))
}

// by returns in with a step of the user; steps of others do not count.
func (in Interaction) by(userID string, consented, confirmed bool) Interaction {
	if in.UserID != userID {
		in.UserID, in.SignedIn, in.Consented, in.Confirmed = userID, false, false, false
		in.Proved, in.ProvedAt = nil, time.Time{}
	}
	in.Consented, in.Confirmed = in.Consented || consented, in.Confirmed || confirmed
	return in
}

// Sweep removes interactions that ended a day ago.
func (s *Service) Sweep(ctx context.Context) error {
	return s.store.sweep(ctx, s.Now().Add(-24*time.Hour))
}

func unavailable(err error) error {
	if sqldb.IsUnavailable(err) {
		return fault.ErrUnavailable.Because(err)
	}
	return err
}
