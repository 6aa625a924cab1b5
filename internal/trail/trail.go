package trail

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Kind says what happened.
type Kind string

// The kinds.
const (
	SignIn          Kind = "sign_in"
	NewDevice       Kind = "sign_in_new_device"
	SignInFailed    Kind = "sign_in_failed" // a wrong password
	FactorFailed    Kind = "factor_failed"  // a wrong code after the right password
	PasswordChanged Kind = "password_changed"
	PasswordReset   Kind = "password_reset"
	EmailChanged    Kind = "email_changed"
	FactorAdded     Kind = "factor_added"
	FactorRemoved   Kind = "factor_removed"
	CodesRenewed    Kind = "recovery_codes_renewed"
	CodeUsed        Kind = "recovery_code_used"
	PasskeyAdded    Kind = "passkey_added"
	PasskeyRemoved  Kind = "passkey_removed"
	PasskeySuspect  Kind = "passkey_blocked"
	Linked          Kind = "account_linked"
	Unlinked        Kind = "account_unlinked"
	KeyCreated      Kind = "api_key_created"
	KeyReplaced     Kind = "api_key_replaced"
	KeyRevoked      Kind = "api_key_revoked"
	TokenReused     Kind = "token_reused"
	SignedOut       Kind = "signed_out_by_operator"
	DataExported    Kind = "data_exported" // a copy of everything was asked for
	Deleted         Kind = "account_deleted"
	Restored        Kind = "account_restored"
	Impersonated    Kind = "read_by_operator" // an administrator looked as them
	DeviceTrusted   Kind = "device_trusted"   // it stands for the second factor
	Disowned        Kind = "sign_in_disowned" // its owner says that it was not theirs
)

// Kept is how long events are kept.
const Kept = 400 * 24 * time.Hour

const (
	waiting   = 256 // notes that are not stored yet
	maxDetail = 120
	maxAgent  = 200
)

// Event is one thing that happened.
type Event struct {
	ID      string
	UserID  string
	Kind    Kind
	Detail  string // what it was about
	Address string // of the network
	Agent   string // what the browser called itself
	At      time.Time
}

// Place is where a request comes from.
type Place struct{ Address, Agent string }

type placeKey struct{}

// At returns a context of what comes from p.
func At(ctx context.Context, p Place) context.Context { return context.WithValue(ctx, placeKey{}, p) }

func placeOf(ctx context.Context) Place {
	p, _ := ctx.Value(placeKey{}).(Place)
	return p
}

// Service keeps events. It is safe for concurrent use.
type Service struct {
	store store
	log   *slog.Logger
	now   func() time.Time
	notes chan Event
}

// New returns a Service.
func New(db *sqldb.DB, log *slog.Logger, now func() time.Time) *Service {
	return &Service{store: store{db}, log: log, now: now, notes: make(chan Event, waiting)}
}

func (s *Service) event(ctx context.Context, userID string, k Kind, detail string) Event {
	p := placeOf(ctx)
	return Event{
		ID: id.New("evt", s.now()), UserID: userID, Kind: k, Detail: clean(detail, maxDetail), Address: p.Address,
		Agent: clean(p.Agent, maxAgent), At: s.now(),
	}
}

// clean bounds a text that others made.
func clean(text string, size int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if len(text) > size {
		text = strings.ToValidUTF8(text[:size], "")
	}
	return text
}

// Record stores that something happened to a user, in the transaction that ctx
// carries. The place is that of ctx, see At.
func (s *Service) Record(ctx context.Context, userID string, k Kind, detail string) error {
	return unavailable(s.store.add(ctx, s.event(ctx, userID, k, detail)))
}

// Note stores it a moment later, and waits for nothing. When too much is waiting
// it is lost.
func (s *Service) Note(ctx context.Context, userID string, k Kind, detail string) {
	select {
	case s.notes <- s.event(ctx, userID, k, detail):
	default:
	}
}

// Run stores notes until ctx ends, and then what is left.
func (s *Service) Run(ctx context.Context) {
	keep := func(e Event) {
		// Not ctx: the last ones are stored when it has ended.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := s.store.add(ctx, e); err != nil {
			s.log.WarnContext(ctx, "security event not recorded", "kind", string(e.Kind), "err", err)
		}
	}
	for {
		select {
		case e := <-s.notes:
			keep(e)
		case <-ctx.Done():
			for {
				select {
				case e := <-s.notes:
					keep(e)
				default:
					return
				}
			}
		}
	}
}

// List returns up to limit of a user's events, the newest first, that are older
// than the one with the id before; "" begins at the newest.
func (s *Service) List(ctx context.Context, userID, before string, limit int) ([]Event, error) {
	list, err := s.store.list(ctx, userID, before, limit)
	return list, unavailable(err)
}

// Forget removes all of a user's events, in the transaction that ctx carries.
func (s *Service) Forget(ctx context.Context, userID string) error {
	return s.store.forget(ctx, userID)
}

// Sweep removes old events.
func (s *Service) Sweep(ctx context.Context) error { return s.store.sweep(ctx, s.now().Add(-Kept)) }

func unavailable(err error) error {
	if sqldb.IsUnavailable(err) {
		return fault.ErrUnavailable.Because(err)
	}
	return err
}
