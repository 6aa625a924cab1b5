package approval

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Needs are what a Service is made of.
type Needs struct {
	DB    *sqldb.DB
	Box   *seal.Box
	Audit *audit.Log
	Now   func() time.Time
	// Holding returns who can sign in and has all of these permissions now, as
	// the transaction sees it that ctx carries.
	Holding func(ctx context.Context, ps ...access.Permission) ([]string, error)
}

// Service keeps requests until they are decided. It is safe for concurrent use.
type Service struct {
	Needs
	store store

	mu    sync.Mutex
	kinds map[string]kind // guarded by mu: the operations by name
}

// New returns a Service without operations.
func New(n Needs) *Service {
	return &Service{Needs: n, store: store{n.DB}, kinds: map[string]kind{}}
}

func (s *Service) kind(operation string) (kind, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.kinds[operation]
	return k, ok
}

// Approve runs what was asked for, for the person that ctx carries, and returns
// the request with its result. ErrUnknown; ErrState when it is not pending any
// more; ErrSelf; ErrNote; ErrAsker; access.ErrPermission; and what the operation
// refuses, after which the request is pending still.
func (s *Service) Approve(ctx context.Context, requestID, note string) (Request, error) {
	const tries = 5
	for n := 1; ; n++ {
		r, k, err := s.pending(ctx, requestID)
		if err != nil {
			return Request{}, err
		}
		if err := s.mayDecide(ctx, r, note); err != nil { // before anything is prepared for it
			return Request{}, unavailable(err)
		}
		if err := k.prepare(ctx, r); err != nil {
			return Request{}, unavailable(err)
		}
		r, err = s.approve(ctx, r, k, note)
		if k.again == nil || !errors.Is(err, k.again) || n == tries {
			return r, unavailable(err)
		}
	}
}

// approve is the decision and its effect. The row is moved from pending before
// anything else, so that who approves at the same time waits for the end of
// this transaction, and then finds nothing to move.
func (s *Service) approve(ctx context.Context, r Request, k kind, note string) (Request, error) {
	err := s.decide(ctx, &r, Approved, "approvals.approve", note, func(ctx context.Context) error {
		if err := s.mayDecide(ctx, r, note); err != nil {
			return err
		}
		may, err := s.Holding(ctx, r.Permission)
		if err != nil {
			return err
		}
		if !slices.Contains(may, r.By) {
			return ErrAsker
		}
		result, err := k.run(ctx, r)
		if err != nil {
			return err
		}
		r.Result, err = json.Marshal(result)
		return err
	})
	return r, err
}

// Deny says no to what was asked for; faults as of Approve.
func (s *Service) Deny(ctx context.Context, requestID, note string) (Request, error) {
	r, _, err := s.pending(ctx, requestID)
	if err != nil {
		return Request{}, err
	}
	err = s.decide(ctx, &r, Denied, "approvals.deny", note, func(ctx context.Context) error { return s.mayDecide(ctx, r, note) })
	return r, unavailable(err)
}

// Cancel withdraws what the person that ctx carries asked for. ErrUnknown for
// anybody else.
func (s *Service) Cancel(ctx context.Context, requestID, note string) (Request, error) {
	actor, err := access.From(ctx)
	if err != nil {
		return Request{}, err
	}
	r, err := s.ByID(ctx, requestID)
	if err != nil {
		return Request{}, err
	}
	if r.By != actor.UserID {
		return Request{}, ErrUnknown
	}
	err = s.decide(ctx, &r, Cancelled, "approvals.cancel", note, func(context.Context) error { return nil })
	return r, unavailable(err)
}

// decide moves r from pending to another state, does what belongs to that and
// writes both down, in one transaction.
func (s *Service) decide(ctx context.Context, r *Request, to Status, action, note string, do func(ctx context.Context) error) error {
	actor, err := access.From(ctx)
	if err != nil {
		return err
	}
	return s.DB.InTx(ctx, func(ctx context.Context) error {
		now := s.Now().UTC().Truncate(time.Microsecond)
		r.Status, r.DecidedBy, r.DecidedAt, r.Note = to, actor.UserID, now, strings.TrimSpace(note)
		moved, err := s.store.move(ctx, *r, now)
		if err != nil {
			return err
		}
		if !moved {
			return ErrState
		}
		if err := do(ctx); err != nil {
			return err
		}
		sealed, err := s.sealed(outcome{r.Note, r.Result}, r.ID)
		if err != nil {
			return err
		}
		if err := s.store.setOutcome(ctx, r.ID, sealed); err != nil {
			return err
		}
		return s.Audit.Write(ctx, audit.Change{
			Action: action, Type: "approval", ID: r.ID, Reason: r.Note, Before: map[string]any{"status": Pending},
			After: map[string]any{"status": to, "operation": r.Operation, "type": r.Type, "for": r.For, "requestedBy": r.By},
		})
	})
}

// pending returns a request that can be decided.
func (s *Service) pending(ctx context.Context, requestID string) (Request, kind, error) {
	r, err := s.ByID(ctx, requestID)
	if err != nil {
		return r, kind{}, err
	}
	if status := r.state(s.Now()); status != Pending {
		return r, kind{}, ErrState.With("status", status)
	}
	k, ok := s.kind(r.Operation)
	if !ok {
		return r, k, ErrState.Saying("This version of the program cannot do this any more. Let it expire.")
	}
	return r, k, nil
}

// mayDecide returns nil when the person that ctx carries may decide on r.
func (s *Service) mayDecide(ctx context.Context, r Request, note string) error {
	for _, p := range []access.Permission{access.DecideApprovals, r.Permission} {
		if _, err := access.Admin(ctx, p); err != nil {
			return err
		}
	}
	actor, err := access.From(ctx)
	if err != nil {
		return err
	}
	if actor.UserID == r.Person {
		return ErrSelf
	}
	if actor.UserID != r.By {
		return nil
	}
	others, err := s.Holding(ctx, access.DecideApprovals, r.Permission)
	if err != nil {
		return err
	}
	if len(others) != 1 || others[0] != actor.UserID {
		return ErrSelf
	}
	if utf8.RuneCountInString(strings.TrimSpace(note)) < shortestNote {
		return ErrNote
	}
	return nil
}

// ByID returns a request, or ErrUnknown.
func (s *Service) ByID(ctx context.Context, requestID string) (Request, error) {
	r, err := s.store.byID(ctx, requestID)
	if err == nil {
		r, err = s.open(r)
	}
	return r, unavailable(err)
}

// List returns up to limit requests, the newest first.
func (s *Service) List(ctx context.Context, f Filter, limit int) ([]Request, error) {
	rows, err := s.store.list(ctx, f, s.Now(), limit)
	if err != nil {
		return nil, unavailable(err)
	}
	out := make([]Request, 0, len(rows))
	for _, row := range rows {
		r, err := s.open(row)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// Waiting counts what is pending for an administrator: what they may decide,
// and what they asked for.
func (s *Service) Waiting(ctx context.Context, a access.Actor) (toDecide, own int, err error) {
	rows, err := s.store.waiting(ctx, s.Now())
	if err != nil {
		return 0, 0, unavailable(err)
	}
	for _, r := range rows {
		switch {
		case r.By == a.UserID:
			own++
		case r.Person != a.UserID && a.May(access.DecideApprovals) && a.May(r.Permission):
			toDecide++
		}
	}
	return toDecide, own, nil
}

// Expire writes down that requests have expired; they could not be decided any
// more since. Run it every few minutes.
func (s *Service) Expire(ctx context.Context) error {
	ids, err := s.store.overdue(ctx, s.Now())
	if err != nil {
		return unavailable(err)
	}
	var errs []error
	for _, requestID := range ids {
		errs = append(errs, s.DB.InTx(ctx, func(ctx context.Context) error {
			moved, err := s.store.expire(ctx, requestID, s.Now())
			if err != nil || !moved {
				return err
			}
			return s.Audit.Write(ctx, audit.Change{
				Action: "approvals.expire", Actor: audit.System, Type: "approval", ID: requestID,
				Before: map[string]any{"status": Pending}, After: map[string]any{"status": Expired},
			})
		}))
	}
	return errors.Join(errs...)
}

func (s *Service) sealed(v any, requestID string) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return s.Box.Seal(plain, "approval:"+requestID)
}

// open reads what is sealed of a request.
func (s *Service) open(r Request) (Request, error) {
	var f frozen
	if err := s.unseal(r.ID, r.frozen, &f); err != nil {
		return r, err
	}
	r.Reason, r.Input = f.Reason, f.Input
	if len(r.outcome) == 0 {
		return r, nil
	}
	var o outcome
	err := s.unseal(r.ID, r.outcome, &o)
	r.Note, r.Result = o.Note, o.Result
	return r, err
}

func (s *Service) unseal(requestID string, sealed []byte, v any) error {
	plain, err := s.Box.Open(sealed, "approval:"+requestID)
	if err == nil {
		err = json.Unmarshal(plain, v)
	}
	if err != nil {
		return fmt.Errorf("open approval %s: %w", requestID, err)
	}
	return nil
}

func unavailable(err error) error {
	if sqldb.IsUnavailable(err) {
		return fault.ErrUnavailable.Because(err)
	}
	return err
}
