package passkey

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Event says what happened to a person's passkeys.
type Event string

// The events.
const (
	Added   Event = "added"
	Removed Event = "removed"
	Suspect Event = "suspect" // its counter went back
)

// Needs are what a Service is made of.
type Needs struct {
	DB   *sqldb.DB
	Box  *seal.Box
	Log  *slog.Logger
	Now  func() time.Time
	Name string // of this installation, as authenticators show it
	// Origin is that of the Identity Provider, to whose host passkeys are bound;
	// Others are further ones on which they may be used, as far as its host covers
	// them.
	Origin string
	Others []string
	// Accounts shows whom a passkey belongs to.
	Accounts *account.Service
	// Removable returns ErrMandatory when the user may not be without a second
	// factor and the passkey is the last.
	Removable func(ctx context.Context, u account.User, left int) error
	// Happened is called in the transaction of each change: other sign-ins end
	// there, and the owner is told.
	Happened func(ctx context.Context, u account.User, e Event) error
}

// Service keeps passkeys. It is safe for concurrent use.
type Service struct {
	Needs
	host  string
	wa    *webauthn.WebAuthn // nil when there is no host name
	store store
}

// New returns a Service.
func New(n Needs) (*Service, error) {
	s := &Service{Needs: n, host: usableHost(n.Origin), store: store{n.DB}}
	if s.host == "" {
		return s, nil
	}
	var err error
	s.wa, err = webauthn.New(&webauthn.Config{
		RPID: s.host, RPDisplayName: n.Name, RPOrigins: covered(s.host, append([]string{n.Origin}, n.Others...)),
		AttestationPreference: protocol.PreferNoAttestation,
	})
	if err != nil {
		return nil, fmt.Errorf("set up passkeys: %w", err)
	}
	return s, nil
}

// Available reports whether this installation can have passkeys.
func (s *Service) Available() bool { return s.wa != nil }

// holder is a user with the credentials that a ceremony may use.
type holder struct {
	account.User
	credentials []webauthn.Credential
}

func (h holder) WebAuthnID() []byte                         { return []byte(h.ID) }
func (h holder) WebAuthnName() string                       { return h.Email }
func (h holder) WebAuthnDisplayName() string                { return h.DisplayName() }
func (h holder) WebAuthnCredentials() []webauthn.Credential { return h.credentials }

// holder returns u with those credentials that can be used here.
func (s *Service) holder(ctx context.Context, u account.User) (holder, []row, error) {
	rows, err := s.store.of(ctx, u.ID)
	if err != nil {
		return holder{}, nil, err
	}
	h := holder{User: u}
	for _, r := range rows {
		if r.Host != s.host || r.Suspect {
			continue
		}
		c, err := s.credential(r)
		if err != nil {
			return holder{}, nil, err
		}
		h.credentials = append(h.credentials, c)
	}
	return h, rows, nil
}

// sealedFor binds a record to its owner and its name, so that a row that is
// copied to another person does not open.
func sealedFor(userID, passkeyID string) string { return "passkey:" + userID + ":" + passkeyID }

func (s *Service) credential(r row) (webauthn.Credential, error) {
	var c webauthn.Credential
	plain, err := s.Box.Open(r.record, sealedFor(r.userID, r.ID))
	if err == nil {
		err = json.Unmarshal(plain, &c)
	}
	if err != nil {
		return c, fmt.Errorf("open a passkey: %w", err)
	}
	c.Authenticator.SignCount = uint32(r.signCount) //nolint:gosec // it was one
	return c, nil
}

// begin stores a ceremony that only who may answer.
func (s *Service) begin(ctx context.Context, who string, options any, data *webauthn.SessionData) (json.RawMessage, error) {
	text, err := json.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("begin a passkey ceremony: %w", err)
	}
	if err := s.store.addCeremony(ctx, hashOf(data.Challenge), who, string(text), s.Now().Add(ceremonyLife)); err != nil {
		return nil, unavailable(err)
	}
	return json.Marshal(options)
}

// take ends the ceremony that a challenge belongs to, if who may answer it.
func (s *Service) take(ctx context.Context, who, challenge string) (webauthn.SessionData, error) {
	var data webauthn.SessionData
	text, ok, err := s.store.takeCeremony(ctx, hashOf(challenge), who, s.Now())
	if err != nil {
		return data, unavailable(err)
	}
	if !ok {
		return data, ErrRefused.Saying("This took too long, or was done already. Try again.")
	}
	if err := json.Unmarshal([]byte(text), &data); err != nil {
		return data, fmt.Errorf("read a passkey ceremony: %w", err)
	}
	data.Expires = time.Time{} // judged above, by our clock
	return data, nil
}

func hashOf(text string) []byte {
	h := sha256.Sum256([]byte(text))
	return h[:]
}

// BeginRegistration returns the options with which a browser makes a passkey
// for u. ErrTooMany; ErrUnavailable.
func (s *Service) BeginRegistration(ctx context.Context, u account.User) (json.RawMessage, error) {
	if s.wa == nil {
		return nil, ErrUnavailable
	}
	h, rows, err := s.holder(ctx, u)
	if err != nil {
		return nil, unavailable(err)
	}
	if len(rows) >= perUser {
		return nil, ErrTooMany
	}
	var exclude []protocol.CredentialDescriptor
	for _, c := range h.credentials {
		exclude = append(exclude, c.Descriptor())
	}
	options, data, err := s.wa.BeginRegistration(h, webauthn.WithExclusions(exclude), webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{
		ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(),
		UserVerification: protocol.VerificationRequired,
	}))
	if err != nil {
		return nil, fmt.Errorf("begin a registration: %w", err)
	}
	return s.begin(ctx, "user:"+u.ID, options, data)
}

// Register stores the passkey that a browser made for u. ErrRefused when the
// answer is wrong, late or another's.
func (s *Service) Register(ctx context.Context, u account.User, name string, response []byte) (Passkey, error) {
	if s.wa == nil {
		return Passkey{}, ErrUnavailable
	}
	name, err := checkName(name)
	if err != nil {
		return Passkey{}, err
	}
	if len(response) > maxResponse {
		return Passkey{}, ErrRefused
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return Passkey{}, ErrRefused.Because(err)
	}
	data, err := s.take(ctx, "user:"+u.ID, parsed.Response.CollectedClientData.Challenge)
	if err != nil {
		return Passkey{}, err
	}
	h, _, err := s.holder(ctx, u)
	if err != nil {
		return Passkey{}, unavailable(err)
	}
	c, err := s.wa.CreateCredential(h, data, parsed)
	if err != nil {
		return Passkey{}, ErrRefused.Because(err)
	}
	now := s.Now()
	p := Passkey{ID: id.New("pky", now), Name: name, Host: s.host, CreatedAt: now}
	record, err := s.record(u.ID, p.ID, *c)
	if err != nil {
		return Passkey{}, err
	}
	err = s.DB.InTx(ctx, func(ctx context.Context) error {
		added, err := s.store.add(ctx, row{Passkey: p, userID: u.ID, credential: c.ID, record: record, signCount: int64(c.Authenticator.SignCount)}, perUser)
		if err != nil {
			return err
		}
		if !added {
			return ErrTooMany
		}
		return s.Happened(ctx, u, Added)
	})
	if sqldb.IsUnique(err) {
		err = ErrRefused.Because(err) // an authenticator's name for a key is unique in the world
	}
	return p, unavailable(err)
}

func (s *Service) record(userID, passkeyID string, c webauthn.Credential) ([]byte, error) {
	c.Attestation = webauthn.CredentialAttestation{} // not asked for, not kept
	plain, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("store a passkey: %w", err)
	}
	return s.Box.Seal(plain, sealedFor(userID, passkeyID))
}

// BeginSignIn returns the options with which the browser finds a passkey: any of
// ours, or one of u when that is not zero.
func (s *Service) BeginSignIn(ctx context.Context, browser []byte, u account.User) (json.RawMessage, error) {
	if s.wa == nil {
		return nil, ErrUnavailable
	}
	var options *protocol.CredentialAssertion
	var data *webauthn.SessionData
	var err error
	if u.ID == "" {
		options, data, err = s.wa.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	} else {
		h, _, e := s.holder(ctx, u)
		if e != nil {
			return nil, unavailable(e)
		}
		if len(h.credentials) == 0 {
			return nil, ErrUnknown
		}
		options, data, err = s.wa.BeginLogin(h, webauthn.WithUserVerification(protocol.VerificationRequired))
	}
	if err != nil {
		return nil, fmt.Errorf("begin a sign-in: %w", err)
	}
	return s.begin(ctx, "browser:"+hex.EncodeToString(browser), options, data)
}

// Proof is who signed in with a passkey.
type Proof struct {
	User account.User
	// Synced says that the key can be on several devices.
	Synced bool
}

// SignIn returns whose passkey answered a challenge of the browser. ErrRefused
// says no more to the caller; why is its cause.
func (s *Service) SignIn(ctx context.Context, browser, response []byte) (Proof, error) {
	if s.wa == nil {
		return Proof{}, ErrUnavailable
	}
	if len(response) > maxResponse {
		return Proof{}, ErrRefused
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return Proof{}, ErrRefused.Because(err)
	}
	data, err := s.take(ctx, "browser:"+hex.EncodeToString(browser), parsed.Response.CollectedClientData.Challenge)
	if err != nil {
		return Proof{}, err
	}
	r, ok, err := s.store.byCredential(ctx, parsed.RawID)
	if err != nil {
		return Proof{}, unavailable(err)
	}
	if !ok || r.Host != s.host || r.Suspect {
		return Proof{}, ErrRefused
	}
	u, err := s.Accounts.ByID(ctx, r.userID)
	if errors.Is(err, account.ErrUnknown) {
		return Proof{}, ErrRefused
	}
	if err != nil {
		return Proof{}, err
	}
	c, err := s.validate(r, u, data, parsed)
	if err != nil {
		return Proof{}, err
	}
	return Proof{User: u, Synced: c.Flags.BackupEligible}, s.used(ctx, u, r, c)
}

// validate checks the signature, the origin, the challenge and that the user
// was verified.
func (s *Service) validate(r row, u account.User, data webauthn.SessionData, parsed *protocol.ParsedCredentialAssertionData) (*webauthn.Credential, error) {
	stored, err := s.credential(r)
	if err != nil {
		return nil, err
	}
	h := holder{User: u, credentials: []webauthn.Credential{stored}}
	var c *webauthn.Credential
	if len(data.UserID) > 0 {
		c, err = s.wa.ValidateLogin(h, data, parsed)
	} else {
		c, err = s.wa.ValidateDiscoverableLogin(func(_, handle []byte) (webauthn.User, error) {
			if string(handle) != u.ID {
				return nil, errors.New("the passkey is another user's")
			}
			return h, nil
		}, data, parsed)
	}
	if err != nil {
		return nil, ErrRefused.Because(err)
	}
	return c, nil
}

// used records a use, or, when the counter went back, that the passkey was
// copied.
func (s *Service) used(ctx context.Context, u account.User, r row, c *webauthn.Credential) error {
	record, err := s.record(u.ID, r.ID, *c)
	if err != nil {
		return err
	}
	suspect := false
	err = s.DB.InTx(ctx, func(ctx context.Context) error {
		if !c.Authenticator.CloneWarning {
			ok, err := s.store.used(ctx, r.ID, record, int64(c.Authenticator.SignCount), s.Now())
			if err != nil || ok {
				return err
			}
		}
		suspect = true
		if err := s.store.suspect(ctx, r.ID); err != nil {
			return err
		}
		return s.Happened(ctx, u, Suspect)
	})
	if err == nil && suspect {
		s.Log.WarnContext(ctx, "passkey suspect", "passkey", r.ID, "user", u.ID)
		err = ErrRefused
	}
	return unavailable(err)
}

func unavailable(err error) error {
	if sqldb.IsUnavailable(err) {
		return fault.ErrUnavailable.Because(err)
	}
	return err
}
