package keys_test

import (
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/identity/keys"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// clock is a time that tests move.
type clock struct{ micro atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.micro.Store(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC).UnixMicro())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMicro(c.micro.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.micro.Add(d.Microseconds()) }

func newService(t testing.TB, db *sqldb.DB, c *clock, master byte) *keys.Service {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	secret := make([]byte, seal.KeySize)
	secret[0] = master
	box, err := seal.NewBox(secret)
	if err != nil {
		t.Fatal(err)
	}
	return keys.New(keys.Needs{DB: db, Bus: bus.New(db, log, c.now), Box: box, Log: log, Now: c.now})
}

func started(t testing.TB, db *sqldb.DB, c *clock) *keys.Service {
	t.Helper()
	s := newService(t, db, c, 0)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func published(t *testing.T, s *keys.Service) jose.JSONWebKeySet {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(s.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	return set
}

// token is an access token signed now.
func token(t *testing.T, s *keys.Service, c *clock) (text, kid string) {
	t.Helper()
	text, err := s.Sign(oauth.TypeAccess, oauth.AccessToken{
		Issuer: "i", Subject: "s", Audience: "a", ClientID: "c", IssuedAt: c.now().Unix(), Expiry: c.now().Add(24 * time.Hour).Unix(), JTI: "j",
	})
	if err != nil {
		t.Fatal(err)
	}
	sig, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	return text, sig.Signatures[0].Protected.KeyID
}

// A foreign library verifies what we sign with what we publish, and names the
// key as we do.
func TestForeignLibraryVerifies(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s := started(t, db, c)
		text, kid := token(t, s, c)
		set := published(t, s)
		if len(set.Keys) != 1 || set.Keys[0].KeyID != kid || !set.Keys[0].IsPublic() || set.Keys[0].Algorithm != "ES256" || set.Keys[0].Use != "sig" {
			t.Fatalf("published %+v, want the public key %s", set.Keys, kid)
		}
		sig, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sig.Verify(set.Keys[0]); err != nil {
			t.Error(err)
		}
		again := started(t, db, c) // another process, or a restart
		if _, got := token(t, again, c); got != kid {
			t.Errorf("after a restart key %s signs, want %s", got, kid)
		}
	})
}

// Through 200 days of maintenance, a token can always be verified until
// it expires, and each key was published a day before it signed.
func TestSec_O31(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s := started(t, db, c)
		seen := map[string]time.Time{}
		signers := map[string]bool{}
		type live struct {
			text string
			end  time.Time
		}
		var tokens []live
		verifier := oauth.NewVerifier(s, "i", "a", c.now)
		begin := c.now()
		for c.now().Sub(begin) < 200*24*time.Hour {
			for _, k := range published(t, s).Keys {
				if _, ok := seen[k.KeyID]; !ok {
					seen[k.KeyID] = c.now()
				}
			}
			text, kid := token(t, s, c)
			if !signers[kid] && c.now() != begin && c.now().Sub(seen[kid]) < 24*time.Hour {
				t.Fatalf("key %s signs %s after it was published", kid, c.now().Sub(seen[kid]))
			}
			signers[kid] = true
			tokens = append(tokens, live{text, c.now().Add(24 * time.Hour)})
			for len(tokens) > 0 && tokens[0].end.Before(c.now()) {
				tokens = tokens[1:]
			}
			if _, err := verifier.Verify(tokens[0].text); err != nil {
				t.Fatalf("day %.1f: %v", c.now().Sub(begin).Hours()/24, err)
			}
			c.advance(2 * time.Hour) // every second run is missed
			if err := s.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if len(signers) != 3 || len(published(t, s).Keys) != 1 {
			t.Errorf("%d keys signed and %d are published after 200 days, want 3 and 1", len(signers), len(published(t, s).Keys))
		}
	})
}

// Several processes that start at once on an empty database agree on one key.
func TestFirstKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		kids := make([]string, 8)
		var wg sync.WaitGroup
		for i := range kids {
			wg.Go(func() {
				s := newService(t, db, c, 0)
				if err := s.Start(t.Context()); err != nil {
					t.Error(err)
					return
				}
				_, kids[i] = token(t, s, c)
			})
		}
		wg.Wait()
		for _, kid := range kids {
			if kid != kids[0] {
				t.Fatalf("keys %v sign, want one", kids)
			}
		}
	})
}

// A kid that another process made is found, but strangers cannot cause reads
// at will.
func TestUnknownKidReadsAgain(t *testing.T) {
	t.Parallel()
	dbtest.RunURL(t, func(t *testing.T, url string) {
		c := newClock()
		db := dbtest.Open(t, url)
		a, b := started(t, db, c), started(t, dbtest.Open(t, url), c)
		c.advance(89 * 24 * time.Hour)
		if err := a.Maintain(t.Context()); err != nil { // makes the next key
			t.Fatal(err)
		}
		set := published(t, a).Keys
		if len(set) != 2 {
			t.Fatalf("%d keys, want 2", len(set))
		}
		next := set[1].KeyID
		if _, _, ok := b.Public(next); !ok {
			t.Error("the other process does not find the new key")
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if _, _, ok := a.Public("junk"); ok {
			t.Error("junk is a key")
		}
	})
}

// After months of standing still the program signs at once with a new key.
func TestLongPause(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		_, old := token(t, started(t, db, c), c)
		for _, pause := range []time.Duration{90*24*time.Hour + time.Hour, 300 * 24 * time.Hour} {
			c.advance(pause)
			if _, kid := token(t, started(t, db, c), c); kid == old {
				t.Errorf("after %s the old key signs", pause)
			}
		}
	})
}

// A private key without its master key is not a key.
func TestPrivatePartsAreSealed(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		started(t, db, c)
		if err := newService(t, db, c, 1).Start(t.Context()); err == nil {
			t.Error("started with another master key")
		}
	})
}

func BenchmarkSign(b *testing.B) {
	c := newClock()
	s := started(b, dbtest.Open(b, dbtest.SQLite(b)), c)
	for b.Loop() {
		if _, err := s.Sign(oauth.TypeAccess, oauth.AccessToken{Issuer: "https://id.test", Subject: "usr_1"}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	c := newClock()
	s := started(b, dbtest.Open(b, dbtest.SQLite(b)), c)
	text, err := s.Sign(oauth.TypeAccess, oauth.AccessToken{
		Issuer: "i", Subject: "s", Audience: "a", ClientID: "c", IssuedAt: c.now().Unix(), Expiry: c.now().Add(time.Hour).Unix(), JTI: "j",
	})
	if err != nil {
		b.Fatal(err)
	}
	v := oauth.NewVerifier(s, "i", "a", c.now)
	for b.Loop() {
		if _, err := v.Verify(text); err != nil {
			b.Fatal(err)
		}
	}
}
