package approval

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/id"
)

// Definition says what an operation is. Its functions are given the actor of
// who decides by their context.
type Definition[T any] struct {
	Name       string // a dotted word, as "users.ban"
	Permission access.Permission
	// Check refuses what cannot be done now, when it is asked for; nil: nothing.
	Check func(ctx context.Context, r Request, in T) error
	// Prepare does what must not happen in a transaction, before it, and may be
	// done without anything coming of it; nil: nothing.
	Prepare func(ctx context.Context, in T) error
	// Again is an error of Run after which Prepare and Run are tried again, a few
	// times.
	Again error
	// Run does it, in the transaction that ctx carries and with nothing that
	// outlives that transaction's failure. What it returns is shown to who
	// decides, and kept.
	Run func(ctx context.Context, r Request, in T) (any, error)
}

// kind is a Definition without its type.
type kind struct {
	permission access.Permission
	check      func(ctx context.Context, r Request) error
	prepare    func(ctx context.Context, r Request) error
	run        func(ctx context.Context, r Request) (any, error)
	again      error
}

// Operation is a kind of thing that needs an approval.
type Operation[T any] struct {
	s    *Service
	name string
}

// Define adds an operation to s.
func Define[T any](s *Service, d Definition[T]) Operation[T] {
	typed := func(f func(ctx context.Context, r Request, in T) error) func(ctx context.Context, r Request) error {
		return func(ctx context.Context, r Request) error {
			var in T
			if err := json.Unmarshal(r.Input, &in); err != nil {
				return fmt.Errorf("read what was asked for: %w", err)
			}
			return f(ctx, r, in)
		}
	}
	k := kind{permission: d.Permission, again: d.Again}
	k.check = typed(func(ctx context.Context, r Request, in T) error {
		if d.Check == nil {
			return nil
		}
		return d.Check(ctx, r, in)
	})
	k.prepare = typed(func(ctx context.Context, _ Request, in T) error {
		if d.Prepare == nil {
			return nil
		}
		return d.Prepare(ctx, in)
	})
	k.run = func(ctx context.Context, r Request) (result any, err error) {
		err = typed(func(ctx context.Context, r Request, in T) error {
			result, err = d.Run(ctx, r, in)
			return err
		})(ctx, r)
		return result, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kinds[d.Name] = k
	return Operation[T]{s, d.Name}
}

// Wish is what somebody asks for.
type Wish[T any] struct {
	Type, For string // what it is about, in the words of the audit log
	Person    string // the user whom it is about; "" for nobody
	Reason    string
	// Once names the wish: the same asks for nothing new. Empty: it has no name.
	Once  string
	Input T
}

// Ask keeps a wish of the person that ctx carries until somebody decides, in
// the transaction that ctx carries or in its own. The same wish of before is
// returned as it is now; ErrOther when another has its name. What Check returns.
func (o Operation[T]) Ask(ctx context.Context, w Wish[T]) (Request, error) {
	k, _ := o.s.kind(o.name)
	actor, err := access.Admin(ctx, k.permission)
	if err != nil {
		return Request{}, err
	}
	input, err := json.Marshal(w.Input)
	if err != nil {
		return Request{}, fmt.Errorf("ask for %s: %w", o.name, err)
	}
	now := o.s.Now().UTC().Truncate(time.Microsecond)
	r := Request{
		ID: id.New("apr", now), Operation: o.name, Permission: k.permission, Type: w.Type, For: w.For, Person: w.Person, By: actor.UserID,
		Reason: strings.TrimSpace(w.Reason), Input: input, At: now, ExpiresAt: now.Add(Life), Status: Pending, once: w.Once,
	}
	if r.once == "" {
		r.once = r.ID
	}
	err = o.s.DB.InTx(ctx, func(ctx context.Context) error {
		before, err := o.s.before(ctx, r)
		if !errors.Is(err, ErrUnknown) {
			r = before
			return err
		}
		if err := k.check(ctx, r); err != nil {
			return err
		}
		first, err := o.s.keep(ctx, r)
		if err == nil && !first { // the same was asked for at the same time
			r, err = o.s.before(ctx, r)
		}
		return err
	})
	return r, unavailable(err)
}

// before returns what was asked for under the name of r, ErrUnknown for nothing
// and ErrOther for something else.
func (s *Service) before(ctx context.Context, r Request) (Request, error) {
	was, err := s.store.byOnce(ctx, r.once)
	if err == nil {
		was, err = s.open(was)
	}
	if err == nil && (was.Operation != r.Operation || !bytes.Equal(was.Input, r.Input)) {
		err = ErrOther
	}
	return was, err
}

// keep writes a new request down and reports whether it was the first of its
// name.
func (s *Service) keep(ctx context.Context, r Request) (bool, error) {
	sealed, err := s.sealed(frozen{r.Reason, r.Input}, r.ID)
	if err != nil {
		return false, err
	}
	if first, err := s.store.add(ctx, r, sealed); err != nil || !first {
		return false, err
	}
	return true, s.Audit.Write(ctx, audit.Change{
		Action: "approvals.request", Type: "approval", ID: r.ID, Reason: r.Reason,
		After: map[string]any{"operation": r.Operation, "type": r.Type, "for": r.For, "expiresAt": r.ExpiresAt},
	})
}
