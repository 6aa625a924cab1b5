package authn

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/sqldb"
)

var (
	errScheme = ErrInvalidToken.Saying("The access token came by the wrong scheme: one that is bound to a key comes as DPoP with a proof, another as Bearer.")
	errProof  = fault.New(fault.Unauthenticated, "invalid_dpop_proof", "The DPoP proof is missing, or not by the key that the access token is bound to.")
)

// prove checks that the caller holds the key that the token is bound to (RFC
// 9449 section 7.2).
func (s *Service) prove(r *http.Request, token, jkt string) error {
	proof, err := oauth.ReadProof(r)
	if err != nil || proof == "" {
		return s.failed(r, errProof)
	}
	got, err := s.proofs.Check(r.Context(), proof, oauth.ProofRules{
		Method: r.Method, URL: s.resource + r.URL.EscapedPath(), AccessToken: token,
	})
	switch {
	case errors.Is(err, oauth.ErrUseNonce):
		f := *fault.From(err)
		f.Kind = fault.Unauthenticated
		return &f
	case errors.Is(err, oauth.ErrProof):
		return s.failed(r, errProof.Saying("%s", fault.From(err).Message))
	case err != nil:
		return fault.ErrUnavailable.Because(err)
	case got != jkt:
		return s.failed(r, errProof)
	}
	return nil
}

// used remembers the proofs that were accepted. What this process has seen is
// refused without asking the database; while that does not answer, this memory
// is all there is.
type used struct {
	once oauth.Once
	now  func() time.Time

	mu    sync.Mutex
	seen  map[string]time.Time // guarded by mu: until when
	sweep time.Time            // guarded by mu: when it was last cleared of what is over
}

// maxUsed bounds the memory; beyond it only the database remembers.
const maxUsed = 200_000

func (u *used) first(ctx context.Context, kind, value string, until time.Time) (bool, error) {
	if !u.add(value, until) {
		return false, nil
	}
	first, err := u.once(ctx, kind, value, until)
	if sqldb.IsUnavailable(err) {
		return true, nil
	}
	return first, err
}

func (u *used) add(value string, until time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.now()
	if now.Sub(u.sweep) > time.Minute {
		u.sweep = now
		for v, t := range u.seen {
			if !t.After(now) {
				delete(u.seen, v)
			}
		}
	}
	if t, ok := u.seen[value]; ok && t.After(now) {
		return false
	}
	if len(u.seen) < maxUsed {
		u.seen[value] = until
	}
	return true
}
