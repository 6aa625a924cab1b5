package keys_test

import (
	"crypto"
	"encoding/base64"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/rephlo/rephlo/internal/identity/keys"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// by signs an access token with alg, and returns it with the kid in it.
func by(t *testing.T, s *keys.Service, c *clock, alg string) (text, kid string) {
	t.Helper()
	text, err := s.SignWith(alg, oauth.TypeAccess, oauth.AccessToken{
		Issuer: "i", Subject: "s", Audience: "a", ClientID: "c", IssuedAt: c.now().Unix(), Expiry: c.now().Add(time.Hour).Unix(), JTI: "j",
	})
	if err != nil {
		t.Fatalf("%s: %v", alg, err)
	}
	sig, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil {
		t.Fatal(err)
	}
	return text, sig.Signatures[0].Protected.KeyID
}

// A foreign library verifies what every algorithm signs with what we publish,
// also after a restart, and names the keys as we do.
func TestForeignLibraryVerifiesEveryAlgorithm(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s := started(t, db, c)
		if n := len(published(t, s).Keys); n != 1 {
			t.Fatalf("%d keys before anybody chose an algorithm, want 1", n)
		}
		if _, err := s.SignWith(oauth.AlgEdDSA, oauth.TypeAccess, nil); err == nil {
			t.Error("signed with an algorithm that nobody has chosen")
		}
		if err := s.Prepare(t.Context(), "none"); err == nil {
			t.Error("none is an algorithm")
		}
		for _, alg := range oauth.Algs() {
			for range 2 { // choosing it again changes nothing
				if err := s.Prepare(t.Context(), alg); err != nil {
					t.Fatal(err)
				}
			}
		}
		for name, s := range map[string]*keys.Service{"first": s, "restarted": started(t, db, c)} {
			set := published(t, s)
			if len(set.Keys) != len(oauth.Algs()) {
				t.Fatalf("%s: %d keys are published, want one of each algorithm", name, len(set.Keys))
			}
			verifier := oauth.NewVerifier(s, "i", "a", c.now)
			for _, alg := range oauth.Algs() {
				text, kid := by(t, s, c, alg)
				k := set.Key(kid)[0]
				sum, err := k.Thumbprint(crypto.SHA256)
				if err != nil || base64.RawURLEncoding.EncodeToString(sum) != kid || k.Algorithm != alg || !k.IsPublic() {
					t.Errorf("%s: %s is published as %s %s (%v)", name, alg, kid, k.Algorithm, err)
				}
				sig, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := sig.Verify(k); err != nil {
					t.Errorf("%s: %s: %v", name, alg, err)
				}
				if _, err := verifier.Verify(text); err != nil {
					t.Errorf("%s: we refuse our own %s: %v", name, alg, err)
				}
				broken := []byte(text)
				broken[len(broken)-8] ^= 1
				if _, err := verifier.Verify(string(broken)); err == nil {
					t.Errorf("%s: a broken signature with %s is accepted", name, alg)
				}
			}
		}
	})
}

// A chosen algorithm has keys as the usual one has: with successors that are
// published a day before they sign, rotated and revoked by themselves.
func TestEachAlgorithmHasItsOwnKeys(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s := started(t, db, c)
		if _, err := s.Rotate(t.Context(), oauth.AlgEdDSA, true, "nobody uses it"); err == nil {
			t.Error("rotated keys that there are none of")
		}
		if err := s.Prepare(t.Context(), oauth.AlgEdDSA); err != nil {
			t.Fatal(err)
		}
		seen, signers := map[string]time.Time{}, map[string]bool{}
		begin := c.now()
		for c.now().Sub(begin) < 100*24*time.Hour {
			for _, k := range published(t, s).Keys {
				if _, ok := seen[k.KeyID]; !ok {
					seen[k.KeyID] = c.now()
				}
			}
			_, kid := by(t, s, c, oauth.AlgEdDSA)
			if !signers[kid] && c.now() != begin && c.now().Sub(seen[kid]) < 24*time.Hour {
				t.Fatalf("key %s signs %s after it was published", kid, c.now().Sub(seen[kid]))
			}
			signers[kid] = true
			c.advance(2 * time.Hour)
			if err := s.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if len(signers) != 2 {
			t.Errorf("%d keys have signed in 100 days, want 2", len(signers))
		}
		_, usual := by(t, s, c, oauth.AlgES256)
		_, old := by(t, s, c, oauth.AlgEdDSA)
		next, err := s.Rotate(t.Context(), oauth.AlgEdDSA, true, "a test of rotation")
		if _, kid := by(t, s, c, oauth.AlgEdDSA); err != nil || kid != next.KID || kid == old || next.Alg != oauth.AlgEdDSA {
			t.Errorf("key %s signs after a rotation to %+v (%v)", kid, next, err)
		}
		if err := s.Revoke(t.Context(), next.KID, "a test of revocation"); err != nil {
			t.Fatal(err)
		}
		if _, kid := by(t, s, c, oauth.AlgEdDSA); kid == next.KID {
			t.Error("a revoked key signs")
		}
		if _, kid := by(t, s, c, oauth.AlgES256); kid != usual {
			t.Error("rotating one algorithm has changed the key of another")
		}
	})
}
