package grant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rephlo/rephlo/internal/identity/oauth"
)

// Kind says whose tokens a revocation ends.
type Kind string

// The kinds there are. The subject of each is in brackets.
const (
	KindInstance      Kind = "instance"      // everybody's (empty)
	KindUser          Kind = "user"          // a user's (user id)
	KindClient        Kind = "client"        // a client's (client id)
	KindConsent       Kind = "consent"       // one user's with one client (ConsentSubject)
	KindSession       Kind = "session"       // those bound to a browser session (session id)
	KindAuthorization Kind = "authorization" // those of one authorization (gid)
	KindToken         Kind = "token"         // one access token (jti)
)

const (
	busKind  = "grant.revocation"
	interval = 2 * time.Second
	// overlap covers transactions that commit later than others that began
	// after them, and clocks that differ.
	overlap = 30 * time.Second
)

// ConsentSubject names one user's tokens with one client.
func ConsentSubject(userID, clientID string) string { return userID + " " + clientID }

type epochKey struct {
	kind    Kind
	subject string
}

// epoch refuses tokens made at or before notBefore.
type epoch struct{ notBefore, until int64 } // milliseconds, microseconds

// epochs are the revocations in force, as this process knows them.
type epochs struct {
	mu       sync.RWMutex
	at       map[epochKey]epoch // guarded by mu
	caughtUp time.Time          // guarded by mu: the last successful read
}

// revocation is a stored epoch; as JSON it is the subject of a bus message.
type revocation struct {
	Kind      Kind   `json:"k"`
	Subject   string `json:"s"`
	NotBefore int64  `json:"n"`
	Until     int64  `json:"u"`
}

// Revoke ends every token of the subject that exists now: access tokens at
// once here and within seconds in other processes, refresh tokens with the
// commit. It joins the transaction that ctx carries, so that it holds exactly
// when its cause does.
func (s *Service) Revoke(ctx context.Context, kind Kind, subject string) error {
	now := s.now()
	r := revocation{kind, subject, now.UnixMilli(), now.Add(MaxAccessLife + time.Hour).UnixMicro()}
	message, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("revoke %s: %w", kind, err)
	}
	return s.db.InTx(ctx, func(ctx context.Context) error {
		if err := s.store.raise(ctx, r, now); err != nil {
			return err
		}
		if err := s.store.revokeFamilies(ctx, kind, subject, now); err != nil {
			return err
		}
		return s.bus.Publish(ctx, busKind, string(message))
	})
}

// RevokeOthers ends a user's refresh tokens and what came from them, but those
// of the browser session keep; "" keeps none. It joins the transaction that ctx
// carries.
func (s *Service) RevokeOthers(ctx context.Context, userID, keep string) error {
	return s.db.InTx(ctx, func(ctx context.Context) error {
		list, err := s.store.authorizations(ctx, userID, keep, s.now())
		if err != nil {
			return err
		}
		for _, authorization := range list {
			if err := s.Revoke(ctx, KindAuthorization, authorization); err != nil {
				return err
			}
		}
		return nil
	})
}

// Revoked reports whether an access token was revoked. It reads memory only.
func (s *Service) Revoked(c oauth.Claims) bool {
	made := oauth.IssuedMilli(c.JTI)
	e := &s.epochs
	e.mu.RLock()
	defer e.mu.RUnlock()
	if len(e.at) == 0 {
		return false
	}
	hit := func(kind Kind, subject string) bool {
		at, ok := e.at[epochKey{kind, subject}]
		return ok && made <= at.notBefore
	}
	return hit(KindInstance, "") || hit(KindUser, c.Subject) || hit(KindClient, c.ClientID) ||
		hit(KindConsent, ConsentSubject(c.Subject, c.ClientID)) || c.SessionID != "" && hit(KindSession, c.SessionID) ||
		c.GrantID != "" && hit(KindAuthorization, c.GrantID) || hit(KindToken, c.JTI)
}

// Age returns how old the newest knowledge of revocations may be. A process
// whose feed is older than 30 seconds must not answer for tokens.
func (s *Service) Age() time.Duration {
	s.epochs.mu.RLock()
	defer s.epochs.mu.RUnlock()
	return s.now().Sub(s.epochs.caughtUp)
}

// Start loads the revocations and keeps reading new ones until Stop.
func (s *Service) Start(ctx context.Context) error {
	if err := errors.Join(s.read(ctx, time.Time{}), s.readBudgets(ctx, time.Time{})); err != nil {
		return err
	}
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.done.Go(func() { s.follow(ctx) })
	return nil
}

// Stop ends the reading and waits for it. It may be called twice.
func (s *Service) Stop() {
	if s.cancel != nil {
		s.cancel()
	}
	s.done.Wait()
}

// Maintain removes what has no effect any more and reads all revocations and
// limits of apps anew. Call it hourly.
func (s *Service) Maintain(ctx context.Context) error {
	if err := s.store.sweep(ctx, s.now()); err != nil {
		return err
	}
	return errors.Join(s.read(ctx, time.Time{}), s.readBudgets(ctx, time.Time{}))
}

// follow reads what was written since, in case a message was missed: the bus
// is quicker, but it forgets.
func (s *Service) follow(ctx context.Context) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.epochs.mu.RLock()
		since := s.epochs.caughtUp.Add(-overlap)
		s.epochs.mu.RUnlock()
		if err := s.read(ctx, since); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "revocations not read", "err", err)
		}
		if err := s.readBudgets(ctx, since); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "limits of apps not read", "err", err)
		}
	}
}

// read merges the revocations written since into memory.
func (s *Service) read(ctx context.Context, since time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	started := s.now()
	list, err := s.store.revocations(ctx, since)
	if err != nil {
		return err
	}
	s.epochs.mu.Lock()
	defer s.epochs.mu.Unlock()
	for _, r := range list {
		s.epochs.merge(r)
	}
	for k, e := range s.epochs.at {
		if e.until < started.UnixMicro() {
			delete(s.epochs.at, k)
		}
	}
	s.epochs.caughtUp = started
	return nil
}

// heard takes a revocation from the bus. An epoch only ever rises, so the
// order of messages does not matter.
func (s *Service) heard(message string) {
	var r revocation
	if err := json.Unmarshal([]byte(message), &r); err != nil {
		return // the next read has it
	}
	s.epochs.mu.Lock()
	defer s.epochs.mu.Unlock()
	s.epochs.merge(r)
}

// merge is called with mu held.
func (e *epochs) merge(r revocation) {
	k := epochKey{r.Kind, r.Subject}
	old := e.at[k]
	e.at[k] = epoch{max(old.notBefore, r.NotBefore), max(old.until, r.Until)}
}

// EndClient ends every token of a client and, with forget, what people agreed
// to let it do, so that another client of this id has to ask again. It joins
// the transaction that ctx carries.
func (s *Service) EndClient(ctx context.Context, clientID string, forget bool) error {
	return s.db.InTx(ctx, func(ctx context.Context) error {
		if forget {
			if err := s.store.forgetClient(ctx, clientID); err != nil {
				return err
			}
		}
		return s.Revoke(ctx, KindClient, clientID)
	})
}

// LiveOf counts a client's refresh tokens that work.
func (s *Service) LiveOf(ctx context.Context, clientID string) (int64, error) {
	return s.store.live(ctx, clientID, s.now())
}
