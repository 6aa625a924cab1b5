package authn_test

import (
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/authn"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/identity/oauth/oauthtest"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// O32 at the Resource API: a token that is bound to a key opens nothing without
// a new proof by it (RFC 9449 section 7).
func TestTokensThatAreBoundToAKey(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		key, other := oauthtest.NewKey(t, "ES256"), oauthtest.NewKey(t, "ES256")
		bound := w.token(t, func(_, claims map[string]any) { claims["cnf"] = map[string]any{"jkt": key.Thumbprint()} })
		strange := w.token(t, func(_, claims map[string]any) { claims["cnf"] = map[string]any{"x5t#S256": "x"} })
		free := w.token(t, nil)
		const at = audience + "/v1/users/me"
		ask := func(scheme, token string, proofs ...string) error {
			r := httptest.NewRequest("GET", "/v1/users/me?x=1", nil)
			r.Header.Set("Authorization", scheme+" "+token)
			for _, p := range proofs {
				r.Header.Add("DPoP", p)
			}
			_, err := w.Authenticate(r)
			return err
		}
		fresh := func() string { return key.Proof("GET", at, bound, w.now()) }
		good := fresh()
		for _, scheme := range []string{"DPoP", "dpop"} {
			if err := ask(scheme, bound, fresh()); err != nil {
				t.Errorf("%s: %v", scheme, err)
			}
		}
		if err := ask("DPoP", bound, good); err != nil {
			t.Errorf("a proof: %v", err)
		}
		for name, err := range map[string]error{
			"that proof again":     ask("DPoP", bound, good),
			"no proof":             ask("DPoP", bound),
			"two proofs":           ask("DPoP", bound, fresh(), fresh()),
			"another key":          ask("DPoP", bound, other.Proof("GET", at, bound, w.now())),
			"another token's ath":  ask("DPoP", bound, key.Proof("GET", at, free, w.now())),
			"another method":       ask("DPoP", bound, key.Proof("POST", at, bound, w.now())),
			"another address":      ask("DPoP", bound, key.Proof("GET", audience+"/v1/models", bound, w.now())),
			"another service":      ask("DPoP", bound, key.Proof("GET", issuer+"/v1/users/me", bound, w.now())),
			"an old one":           ask("DPoP", bound, key.Proof("GET", at, bound, w.now().Add(-2*time.Minute))),
			"without ath":          ask("DPoP", bound, key.Proof("GET", at, "", w.now())),
			"an assertion instead": ask("DPoP", bound, key.Assertion("x", at, w.now())),
		} {
			if f := fault.From(err); f.Code != oauth.ErrProof.Code || f.Kind != fault.Unauthenticated {
				t.Errorf("%s: %v", name, err)
			}
		}
		stale := key.Proof("GET", at, bound, w.now(), oauthtest.With("nonce", "old"))
		if f := fault.From(ask("DPoP", bound, stale)); f.Code != oauth.ErrUseNonce.Code || f.Kind != fault.Unauthenticated {
			t.Errorf("a nonce that is not ours: %v", f)
		}
		for name, err := range map[string]error{
			"bound, as Bearer":        ask("Bearer", bound, fresh()),
			"bearer, as DPoP":         ask("DPoP", free, key.Proof("GET", at, free, w.now())),
			"bound to something else": ask("Bearer", strange),
		} {
			if !errors.Is(err, authn.ErrInvalidToken) {
				t.Errorf("%s: %v, want %v", name, err, authn.ErrInvalidToken)
			}
		}
	})
}
