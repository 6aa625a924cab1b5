package keys

import (
	"context"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// Faults of changing the keys.
var (
	ErrUnknown = fault.New(fault.NotFound, "not_found", "There is no published key with this kid.")
	ErrUnused  = fault.New(fault.Conflict, "invalid_state", "Nobody has chosen this algorithm, so there is no key for it.")
	ErrPending = fault.New(fault.Conflict, "invalid_state", "A key that signs later is published already. Wait until it does, or rotate now.")
)

// State is where a key is in its life; it follows from the times.
type State string

// The states.
const (
	Pending State = "pending" // published, and signs later
	Active  State = "active"
	Retired State = "retired" // verifies what it has signed
)

// Listed is a published key.
type Listed struct {
	KID, Alg                                    string
	State                                       State
	PublishedAt, ActiveFrom, RetireAt, RemoveAt time.Time
}

func (k key) listed(now time.Time) Listed {
	l := Listed{
		KID: k.kid, Alg: k.alg, State: Active,
		PublishedAt: k.publishedAt, ActiveFrom: k.activeFrom, RetireAt: k.retireAt, RemoveAt: k.removeAt,
	}
	switch {
	case k.activeFrom.After(now):
		l.State = Pending
	case !k.retireAt.After(now):
		l.State = Retired
	}
	return l
}

// List returns the published keys, the oldest first.
func (s *Service) List(ctx context.Context) ([]Listed, error) {
	list, err := s.store.list(ctx)
	if err != nil {
		return nil, err
	}
	var out []Listed
	now := s.now()
	for _, k := range list {
		if k.removeAt.After(now) {
			out = append(out, k.listed(now))
		}
	}
	return out, nil
}

// Rotate publishes a key for alg that signs from tomorrow on, when everybody who caches
// our keys has it, and retires the one that signs now then; or, if at once, has
// the pending or a new one sign from now. ErrPending. reason is for the audit log.
// "" is ES256. ErrUnused.
func (s *Service) Rotate(ctx context.Context, alg string, atOnce bool, reason string) (Listed, error) {
	if alg == "" {
		alg = oauth.AlgES256
	}
	var next key
	err := s.change(ctx, func(ctx context.Context, all []key) (audit.Change, error) {
		now, list := s.now(), ofAlg(all, alg)
		if len(list) == 0 && alg != oauth.AlgES256 {
			return audit.Change{}, ErrUnused
		}
		from := now.Add(pending)
		if atOnce {
			from = now
		}
		var err error
		if n := len(list); n > 0 && list[n-1].activeFrom.After(now) {
			if !atOnce {
				return audit.Change{}, ErrPending
			}
			next = list[n-1]
			next.activeFrom, next.retireAt, next.removeAt = from, from.Add(active), from.Add(active+retired)
			err = s.store.move(ctx, next)
		} else {
			next, err = s.addAfter(ctx, alg, list, now, from)
		}
		if err != nil {
			return audit.Change{}, err
		}
		err = s.store.retire(ctx, next, from, from.Add(retired))
		return audit.Change{Action: "signing_keys.rotate", ID: next.kid, Reason: reason, After: map[string]any{"alg": alg, "activeFrom": from.UTC()}}, err
	})
	return next.listed(s.now()), err
}

// Revoke removes a key at once: whatever it has signed is refused. When it was
// the one that signs, another does from now. ErrUnknown.
func (s *Service) Revoke(ctx context.Context, kid, reason string) error {
	return s.change(ctx, func(ctx context.Context, all []key) (audit.Change, error) {
		now := s.now()
		at := slices.IndexFunc(all, func(k key) bool { return k.kid == kid && k.removeAt.After(now) })
		if at < 0 {
			return audit.Change{}, ErrUnknown
		}
		alg := all[at].alg
		list := ofAlg(all, alg)
		signs := slices.ContainsFunc(list, func(k key) bool { return k.kid != kid && k.listed(now).State == Active })
		c := audit.Change{Action: "signing_keys.revoke", ID: kid, Reason: reason}
		if err := s.store.remove(ctx, kid); err != nil || signs {
			return c, err
		}
		next, err := s.addAfter(ctx, alg, list, now, now)
		c.After = map[string]any{"replacedBy": next.kid}
		return c, err
	})
}

// addAfter makes a key for alg that follows those of list.
func (s *Service) addAfter(ctx context.Context, alg string, list []key, now, from time.Time) (key, error) {
	k, err := newKey(alg, nextGeneration(list), now, from)
	if err != nil {
		return key{}, err
	}
	return k, s.store.add(ctx, k)
}

// change lets do change the keys, in one transaction with what the audit log
// remembers of it, and has every process read them anew.
func (s *Service) change(ctx context.Context, do func(ctx context.Context, list []key) (audit.Change, error)) error {
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		if err := s.store.lock(ctx); err != nil {
			return err
		}
		list, err := s.store.list(ctx)
		if err != nil {
			return err
		}
		c, err := do(ctx, list)
		if err != nil {
			return err
		}
		c.Type = "signing_key"
		if err := s.audit.Write(ctx, c); err != nil {
			return err
		}
		return s.bus.Publish(ctx, busKind, "")
	})
	if err != nil {
		return err
	}
	return s.load(ctx)
}
