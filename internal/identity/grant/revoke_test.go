package grant_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// Each kind ends exactly the tokens of its subject that exist, not those that
// are made later.
func TestEpochsEndTheirSubject(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s := newService(t, db, c)
		for _, tt := range []struct {
			kind    grant.Kind
			subject func(oauth.Claims) string
			family  bool // refresh tokens end too
			bound   bool
		}{
			{grant.KindUser, func(c oauth.Claims) string { return c.Subject }, true, false},
			{grant.KindClient, func(c oauth.Claims) string { return c.ClientID }, true, false},
			{grant.KindConsent, func(c oauth.Claims) string { return grant.ConsentSubject(c.Subject, c.ClientID) }, true, false},
			{grant.KindSession, func(c oauth.Claims) string { return c.SessionID }, true, true},
			{grant.KindSession, func(oauth.Claims) string { return "ses_1" }, false, false}, // standalone ones stay
			{grant.KindAuthorization, func(c oauth.Claims) string { return c.GrantID }, true, false},
			{grant.KindToken, func(c oauth.Claims) string { return c.JTI }, false, false},
			{grant.KindInstance, func(oauth.Claims) string { return "" }, true, false},
		} {
			c.advance(time.Second)
			refresh, a := start(t, s, c, tt.bound)
			access := accessOf(c, a)
			if s.Revoked(access) {
				t.Fatalf("%s: revoked before", tt.kind)
			}
			if err := s.Revoke(t.Context(), tt.kind, "somebody else"); err != nil {
				t.Fatal(err)
			}
			if s.Revoked(access) {
				t.Errorf("%s of somebody else ended a token", tt.kind)
			}
			if err := s.Revoke(t.Context(), tt.kind, tt.subject(access)); err != nil {
				t.Fatal(err)
			}
			if want := tt.family || tt.kind == grant.KindToken; s.Revoked(access) != want {
				t.Errorf("%s (bound %t): access token revoked %t, want %t", tt.kind, tt.bound, !want, want)
			}
			if _, err := rotate(t.Context(), s, refresh); errors.Is(err, oauth.ErrInvalidGrant) != tt.family {
				t.Errorf("%s (bound %t): refresh gave %v", tt.kind, tt.bound, err)
			}
			c.advance(time.Second)
			later := accessOf(c, a)
			if s.Revoked(later) && tt.kind != grant.KindToken {
				t.Errorf("%s: a token made later is revoked", tt.kind)
			}
		}
	})
}

// A revocation holds exactly when its cause does, and a process that starts
// later knows it.
func TestRevocationJoinsItsCause(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s := newService(t, db, c)
		_, a := start(t, s, c, false)
		access, undone := accessOf(c, a), errors.New("undone")
		err := db.InTx(t.Context(), func(ctx context.Context) error {
			return errors.Join(s.Revoke(ctx, grant.KindUser, a.UserID), undone)
		})
		if !errors.Is(err, undone) || s.Revoked(access) {
			t.Errorf("rolled back: %v, revoked %t", err, s.Revoked(access))
		}
		if err := s.Revoke(t.Context(), grant.KindUser, a.UserID); err != nil {
			t.Fatal(err)
		}
		later := newService(t, db, c)
		if !later.Revoked(access) || later.Age() != 0 {
			t.Errorf("a process that starts later: revoked %t, age %s", later.Revoked(access), later.Age())
		}
		c.advance(26 * time.Hour)
		if err := s.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s.Revoked(access) {
			t.Error("a revocation is remembered longer than any token lives")
		}
	})
}

// Another process hears of it over the bus.
func TestRevocationReachesOtherProcesses(t *testing.T) {
	t.Parallel()
	dbtest.RunURL(t, func(t *testing.T, url string) {
		c := newClock()
		s, other := newService(t, dbtest.Open(t, url), c), newService(t, dbtest.Open(t, url), c)
		_, a := start(t, s, c, false)
		access := accessOf(c, a)
		if err := s.Revoke(t.Context(), grant.KindAuthorization, a.ID); err != nil {
			t.Fatal(err)
		}
		// Its bus does not poll here, so this is the fall-back.
		for deadline := time.Now().Add(10 * time.Second); !other.Revoked(access); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the other process never knew")
			}
		}
	})
}

func BenchmarkRevoked(b *testing.B) {
	c := newClock()
	s := newService(b, dbtest.Open(b, dbtest.SQLite(b)), c)
	for _, user := range []string{"usr_1", "usr_2"} {
		if err := s.Revoke(b.Context(), grant.KindUser, user); err != nil {
			b.Fatal(err)
		}
	}
	c.advance(time.Second)
	access := accessOf(c, grant.Authorization{ID: "gnt_1", UserID: "usr_3", ClientID: "desktop", SessionID: "ses_1", Bound: true})
	for b.Loop() {
		if s.Revoked(access) {
			b.Fatal("revoked")
		}
	}
}
