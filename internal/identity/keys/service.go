package keys

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
)

const (
	busKind = "keys.changed"
	// A token with an unknown kid may be signed by a key that another process
	// has just made; but looking must not let strangers cause reads at will.
	reloadPause = 10 * time.Second
)

// errNoKey says that no key can sign; Maintain makes one.
var errNoKey = fault.New(fault.Unavailable, "temporarily_unavailable", "No signing key is active. Try again in a few seconds.").After(5 * time.Second)

// Needs is what a Service is made of.
type Needs struct {
	DB  *sqldb.DB
	Bus *bus.Bus
	Box *seal.Box
	Log *slog.Logger
	Now func() time.Time
	// Audit remembers what administrators do with the keys; nil: nothing does.
	Audit *audit.Log
}

// Service signs, and tells which keys are ours. It is safe for concurrent use.
type Service struct {
	db    *sqldb.DB
	store store
	bus   *bus.Bus
	log   *slog.Logger
	now   func() time.Time
	audit *audit.Log

	ring     atomic.Pointer[ring]
	loading  sync.Mutex // held while the table is read
	loadedAt atomic.Int64
	stale    atomic.Bool // another process changed the table
}

// New returns a Service without keys; Start loads them.
func New(n Needs) *Service {
	s := &Service{db: n.DB, store: store{n.DB, n.Box}, bus: n.Bus, log: n.Log, now: n.Now, audit: n.Audit}
	s.ring.Store(&ring{byKid: map[string]key{}})
	n.Bus.Subscribe(busKind, func(string) { s.stale.Store(true) })
	return s
}

// Start loads the keys and makes the first one.
func (s *Service) Start(ctx context.Context) error { return s.Maintain(ctx) }

// Prepare makes sure that there is a key for alg; "" is the usual one. Call it
// when alg is chosen, outside of a transaction: making one for RS256 takes a
// tenth of a second and more.
func (s *Service) Prepare(ctx context.Context, alg string) error {
	if alg == "" || len(s.current().of(alg)) > 0 {
		return nil
	}
	if !slices.Contains(oauth.Algs(), alg) {
		return unknown(alg)
	}
	return s.maintain(ctx, alg)
}

// Maintain makes a successor where one is due, for every algorithm in use,
// destroys the private parts of retired keys, removes those that nothing refers
// to any more, and reads what other processes did. Call it hourly.
func (s *Service) Maintain(ctx context.Context) error { return s.maintain(ctx, oauth.AlgES256) }

func (s *Service) maintain(ctx context.Context, alg string) error {
	if err := s.load(ctx); err != nil {
		return err
	}
	now, have := s.now(), s.ring.Load()
	var made []key
	for _, one := range oauth.Algs() {
		from, yes := have.due(one, now)
		if one != alg && len(have.of(one)) == 0 || !yes {
			continue
		}
		k, err := newKey(one, nextGeneration(have.of(one)), now, from)
		if err != nil {
			return err
		}
		made = append(made, k)
	}
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		changed, err := s.store.expire(ctx, now)
		if err != nil {
			return err
		}
		for _, k := range made {
			// Another process may be as far as we are: the generation is
			// unique, and whoever comes second uses the first one's key.
			if err := s.store.add(ctx, k); err != nil {
				return err
			}
			s.log.InfoContext(ctx, "signing key made", "kid", k.kid, "alg", k.alg, "active_from", k.activeFrom)
		}
		if len(made) > 0 || changed {
			return s.bus.Publish(ctx, busKind, "")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.load(ctx)
}

// load reads the table.
func (s *Service) load(ctx context.Context) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	s.loadedAt.Store(s.now().UnixNano())
	list, err := s.store.list(ctx)
	if err != nil {
		return err
	}
	r, err := newRing(list, s.now())
	if err != nil {
		return err
	}
	s.ring.Store(r)
	return nil
}

// current returns the ring, read anew if another process has changed it.
func (s *Service) current() *ring {
	if s.stale.CompareAndSwap(true, false) {
		s.reload()
	}
	return s.ring.Load()
}

// reload reads the table for a request. When that fails, the keys stay as they
// were: an unknown kid or Maintain reads again.
func (s *Service) reload() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := s.load(ctx); err != nil {
		s.log.WarnContext(ctx, "signing keys not read", "err", err)
	}
}

// Public implements oauth.Keys.
func (s *Service) Public(kid string) (crypto.PublicKey, string, bool) {
	k, ok := s.current().byKid[kid]
	if !ok && s.mayReload() {
		s.reload()
		k, ok = s.ring.Load().byKid[kid]
	}
	if !ok || !k.removeAt.After(s.now()) {
		return nil, "", false
	}
	return k.public, k.alg, true
}

// mayReload lets one caller read the table every reloadPause.
func (s *Service) mayReload() bool {
	now, last := s.now().UnixNano(), s.loadedAt.Load()
	return now-last >= int64(reloadPause) && s.loadedAt.CompareAndSwap(last, now)
}

// JWKS returns the document with all published keys, to be sent as it is.
func (s *Service) JWKS() []byte { return s.current().jwks }

// Sign returns claims as a compact JWS of the type, signed with ES256 by the
// active key.
func (s *Service) Sign(typ string, claims any) (string, error) {
	return s.SignWith(oauth.AlgES256, typ, claims)
}

// SignWith is Sign with an algorithm that somebody has chosen; "" is the usual
// one.
func (s *Service) SignWith(alg, typ string, claims any) (string, error) {
	if alg == "" {
		alg = oauth.AlgES256
	}
	k, ok := s.current().signer(alg, s.now())
	if !ok && s.mayReload() { // another process may have made it just now
		s.reload()
		k, ok = s.ring.Load().signer(alg, s.now())
	}
	if !ok {
		return "", errNoKey
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	enc := base64.RawURLEncoding
	signed := enc.EncodeToString([]byte(`{"alg":"`+k.alg+`","kid":"`+k.kid+`","typ":"`+typ+`"}`)) + "." + enc.EncodeToString(payload)
	signature, err := k.sign([]byte(signed))
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return signed + "." + enc.EncodeToString(signature), nil
}
