package impersonate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/approval"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/secret"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Faults of impersonation.
var (
	ErrUnknown  = fault.New(fault.NotFound, "not_found", "There is no such impersonation of yours.")
	ErrOver     = fault.New(fault.Conflict, "invalid_state", "This impersonation is over. Ask for another one.")
	ErrStaff    = fault.New(fault.Forbidden, "forbidden", "Nobody with a role is impersonated.")
	ErrReadOnly = fault.New(fault.Forbidden, "impersonation_read_only", "Whoever looks as somebody else only reads. End the impersonation first.")
)

// Life is how long an impersonation takes, and Wait how long after its approval
// it can begin.
const (
	Life = 30 * time.Minute
	Wait = 24 * time.Hour
)

// Prefix begins the ids of impersonations, which the tokens carry as the
// authorization they come from.
const Prefix = "imp"

// Scopes are what a token of an impersonation may do.
func Scopes() []string {
	return []string{access.ScopeUser, access.ScopeCredits, access.ScopeModels}
}

// Impersonation is the right of an administrator to read as somebody.
type Impersonation struct {
	ID, UserID, AdminID string
	CreatedAt           time.Time
	StartedAt           time.Time // zero: no token was taken yet
	EndsAt              time.Time // before it started: when it must have started
}

// Needs are what a Service is made of.
type Needs struct {
	DB    *sqldb.DB
	Audit *audit.Log
	Now   func() time.Time
	// May returns nil for an active person without a role, else ErrStaff or
	// another fault.
	May func(ctx context.Context, userID string) error
	// Sign makes the access token.
	Sign func(i Impersonation) (secret.String, error)
	// Revoke ends all tokens of an impersonation, in the transaction that ctx
	// carries.
	Revoke func(ctx context.Context, id string) error
	// Started tells the person, in the transaction that ctx carries.
	Started func(ctx context.Context, i Impersonation) error
}

// Service keeps impersonations. It is safe for concurrent use.
type Service struct {
	Needs
	store store
}

// New returns a Service.
func New(n Needs) *Service { return &Service{Needs: n, store: store{n.DB}} }

func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Second) }

// allow notes that an administrator may read as somebody, in the transaction of
// the approval.
func (s *Service) allow(ctx context.Context, r approval.Request, userID string) (Impersonation, error) {
	if err := s.May(ctx, userID); err != nil {
		return Impersonation{}, err
	}
	now := s.now()
	i := Impersonation{ID: id.New(Prefix, now), UserID: userID, AdminID: r.By, CreatedAt: now, EndsAt: now.Add(Wait)}
	if err := s.store.add(ctx, i); err != nil {
		return i, err
	}
	return i, s.Audit.Write(ctx, audit.Change{
		Action: "users.impersonate", Type: "user", ID: userID, Reason: r.Reason,
		After: map[string]any{"impersonationId": i.ID, "by": r.By, "approvalId": r.ID},
	})
}

// Take returns a token for the administrator that ctx carries, whose
// impersonation it is. The first one begins it; later ones end when the first
// one does. ErrUnknown, ErrOver, and what May returns.
func (s *Service) Take(ctx context.Context, impersonationID string) (i Impersonation, token secret.String, err error) {
	by, err := access.Admin(ctx, access.Impersonate)
	if err != nil {
		return i, token, err
	}
	err = s.DB.InTx(ctx, func(ctx context.Context) error {
		now := s.now()
		if i, err = s.store.byID(ctx, impersonationID); err != nil {
			return err
		}
		if i.AdminID != by.UserID {
			return ErrUnknown
		}
		if !now.Before(i.EndsAt) {
			return ErrOver
		}
		if err := s.May(ctx, i.UserID); err != nil {
			return err
		}
		if !i.StartedAt.IsZero() {
			return nil
		}
		i.StartedAt, i.EndsAt = now, now.Add(Life)
		first, err := s.store.start(ctx, i)
		if err != nil || !first {
			return errors.Join(err, fmt.Errorf("begin %s: %w", i.ID, ErrOver))
		}
		if err := s.Started(ctx, i); err != nil {
			return fmt.Errorf("tell a person that somebody looks: %w", err)
		}
		return s.Audit.Write(ctx, audit.Change{Action: "users.impersonation_started", Type: "user", ID: i.UserID, After: map[string]any{"impersonationId": i.ID, "until": i.EndsAt}})
	})
	if err != nil {
		return i, token, unavailable(err)
	}
	token, err = s.Sign(i)
	return i, token, err
}

// End ends an impersonation of the administrator that ctx carries, or of
// anybody for who manages security.
func (s *Service) End(ctx context.Context, impersonationID string) error {
	by, err := access.Admin(ctx, access.AnyRole)
	if err != nil {
		return err
	}
	return unavailable(s.DB.InTx(ctx, func(ctx context.Context) error {
		i, err := s.store.byID(ctx, impersonationID)
		if err != nil {
			return err
		}
		if i.AdminID != by.UserID && !by.May(access.ManageSecurity) {
			return ErrUnknown
		}
		if !s.now().Before(i.EndsAt) {
			return ErrOver
		}
		if err := s.store.end(ctx, i.ID, s.now()); err != nil {
			return err
		}
		if err := s.Revoke(ctx, i.ID); err != nil {
			return err
		}
		return s.Audit.Write(ctx, audit.Change{Action: "users.impersonation_ended", Type: "user", ID: i.UserID, After: map[string]any{"impersonationId": i.ID}})
	}))
}

// List returns up to limit impersonations with ids below before, newest first:
// of one administrator, or of everybody when adminID is empty.
func (s *Service) List(ctx context.Context, adminID, before string, limit int) ([]Impersonation, error) {
	out, err := s.store.list(ctx, adminID, before, limit)
	return out, unavailable(err)
}

func unavailable(err error) error {
	if sqldb.IsUnavailable(err) {
		return fault.ErrUnavailable.Because(err)
	}
	return err
}
