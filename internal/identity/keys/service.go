package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
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

// Maintain makes a successor when one is due, destroys the private parts of
// retired keys, removes those that nothing refers to any more, and reads what
// other processes did. Call it hourly.
func (s *Service) Maintain(ctx context.Context) error {
	if err := s.load(ctx); err != nil {
		return err
	}
	now := s.now()
	from, yes := s.ring.Load().due(now)
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		changed, err := s.store.expire(ctx, now)
		if err != nil {
			return err
		}
		if yes {
			k, err := newKey(s.nextGeneration(), now, from)
			if err != nil {
				return err
			}
			// Another process may be as far as we are: the generation is
			// unique, and whoever comes second uses the first one's key.
			if err := s.store.add(ctx, k); err != nil {
				return err
			}
			s.log.InfoContext(ctx, "signing key made", "kid", k.kid, "active_from", k.activeFrom)
		}
		if yes || changed {
			return s.bus.Publish(ctx, busKind, "")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.load(ctx)
}

func (s *Service) nextGeneration() int64 {
	list := s.ring.Load().keys
	if len(list) == 0 {
		return 1
	}
	return list[len(list)-1].generation + 1
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
	return k.public, oauth.AlgES256, true
}

// mayReload lets one caller read the table every reloadPause.
func (s *Service) mayReload() bool {
	now, last := s.now().UnixNano(), s.loadedAt.Load()
	return now-last >= int64(reloadPause) && s.loadedAt.CompareAndSwap(last, now)
}

// JWKS returns the document with all published keys, to be sent as it is.
func (s *Service) JWKS() []byte { return s.current().jwks }

// Algs returns the algorithms of our signatures.
func (s *Service) Algs() []string { return []string{oauth.AlgES256} }

// Sign returns claims as a compact JWS of the type, signed by the active key.
func (s *Service) Sign(typ string, claims any) (string, error) {
	k, ok := s.current().signer(s.now())
	if !ok {
		return "", errNoKey
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	enc := base64.RawURLEncoding
	signed := enc.EncodeToString([]byte(`{"alg":"`+oauth.AlgES256+`","kid":"`+k.kid+`","typ":"`+typ+`"}`)) + "." + enc.EncodeToString(payload)
	digest := sha256.Sum256([]byte(signed))
	r, v, err := ecdsa.Sign(rand.Reader, k.private, digest[:])
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	v.FillBytes(signature[32:])
	return signed + "." + enc.EncodeToString(signature[:]), nil
}
