package authorize

import (
	"slices"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/client"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/identity/sso"
)

// life is how long an interaction may take.
const life = time.Hour

// Faults of interactions.
var (
	ErrForeign = fault.New(fault.Invalid, "invalid_request", "This sign-in does not belong to this browser, or there is none. Start again from the app.")
	ErrEnded   = fault.New(fault.Gone, "link_expired", "This sign-in took too long or is complete already. Start again from the app.")
)

// Interaction is an authorization request and what has happened since.
type Interaction struct {
	UID     string
	Request oauth.AuthorizationRequest
	// Hint is the user that an id_token_hint names; empty if there was none.
	Hint string
	// UserID is who took the steps below. They count for nobody else.
	UserID    string
	SignedIn  bool // gave a credential in this interaction
	Consented bool // allowed the request in this interaction
	Confirmed bool // clicked in this interaction
	// Keep says that they want to stay signed in.
	Keep bool
	// Proved are the factors that UserID has given towards a sign-in that needs
	// more of them, and when; empty if there is none.
	Proved   []string
	ProvedAt time.Time

	CreatedAt time.Time

	pushed              string // the hash of its request_uri, if it was pushed
	browser             []byte // nil until the first browser shows it
	expiresAt, finished time.Time
}

// Step is what an interaction waits for.
type Step string

// The steps, in the order in which they are taken.
const (
	SignIn    Step = "login"
	Challenge Step = "mfa"
	Enroll    Step = "enroll"
	Consent   Step = "consent"
	Confirm   Step = "confirm"
	Issue     Step = "issue"
)

// silent are the answers to prompt=none when a step is missing (OpenID Connect
// Core section 3.1.2.6).
var silent = map[Step]*oauth.Error{
	SignIn:    {Code: "login_required", Description: "The user must sign in."},
	Challenge: {Code: "login_required", Description: "The user must prove a second factor."},
	Enroll:    {Code: "interaction_required", Description: "The user must set up a second factor."},
	Consent:   {Code: "consent_required", Description: "The user must consent."},
	Confirm:   {Code: "interaction_required", Description: "The user must confirm."},
}

// state is what the choice of a step depends on.
type state struct {
	in      Interaction
	client  client.Client
	session sso.Session
	user    account.User // zero when nobody is signed in
	factors Factors      // of user
	roles   []string     // of user, where the client asks for some
	half    account.User // who has given one of two factors; zero for nobody
	// halfFactors are those of half.
	halfFactors Factors
	consent     grant.Consent
	now         time.Time
}

// next returns the first step that is missing.
func (s state) next() Step {
	switch {
	case s.half.ID != "":
		return Challenge
	case s.needsSignIn():
		return SignIn
	case s.needsFactor():
		return Challenge
	case s.factors.Required && !s.factors.Any():
		return Enroll
	case s.in.Request.Back != "":
		return Issue
	case s.needsConsent():
		return Consent
	case s.needsClick():
		return Confirm
	default:
		return Issue
	}
}

// own reports whether the steps taken were the present user's.
func (s state) own() bool { return s.in.UserID == s.user.ID }

func (s state) needsSignIn() bool {
	r := s.in.Request
	if s.user.ID == "" || s.in.Hint != "" && s.in.Hint != s.user.ID {
		return true
	}
	if s.own() && s.in.SignedIn {
		return false
	}
	age := r.MaxAge
	if age == nil {
		age = s.client.DefaultMaxAge
	}
	tooOld := age != nil && s.now.Sub(s.session.AuthTime) > time.Duration(*age)*time.Second
	hopeless := s.weak() && !s.meets(s.factors.Best()) && (s.factors.Any() || !oauth.MeetsACR(s.session.ACR, r.EssentialACRs))
	return tooOld || hopeless || r.Prompts(oauth.PromptLogin) || !named(r.LoginHint, s.user)
}

// unmet reports whether the user has signed in as surely as they can, and it is
// not enough.
func (s state) unmet() bool { return s.own() && s.in.SignedIn && s.weak() }

// named reports whether a login hint is empty or means u.
func named(hint string, u account.User) bool {
	return hint == "" || strings.EqualFold(hint, u.Email) || strings.EqualFold(hint, u.Username) || hint == u.ID
}

func (s state) needsConsent() bool {
	if s.own() && s.in.Consented {
		return false
	}
	// Whoever asks somebody to type a code may have started the request: each
	// one is decided anew (RFC 8628 section 5.4).
	if s.in.Request.Prompts(oauth.PromptConsent) || s.in.Request.Device != nil {
		return true
	}
	// Anybody can call themselves a program on the user's machine: for those a
	// skipped consent would let any of them in (O29).
	if s.client.SkipConsent && !s.client.NeedsClick(s.in.Request.RedirectURI) {
		return false
	}
	return !s.consent.Covers(s.scopes(), s.in.Request.Resources)
}

func (s state) needsClick() bool {
	if s.own() && (s.in.Consented || s.in.Confirmed || s.in.SignedIn) {
		return false
	}
	return s.client.NeedsClick(s.in.Request.RedirectURI) || s.in.Request.Prompts(oauth.PromptSelect)
}

// scopes returns those that this user can grant: nobody without a role can
// hand out the right to administer.
func (s state) scopes() []string {
	if s.user.Staff {
		return s.in.Request.Scopes
	}
	return slices.DeleteFunc(slices.Clone(s.in.Request.Scopes), func(scope string) bool { return scope == oauth.ScopeAdmin })
}
