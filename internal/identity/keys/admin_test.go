package keys_test

import (
	"errors"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/identity/keys"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

const because = "a reason that is long enough"

// states are the kids of the published keys by state.
func states(t *testing.T, s *keys.Service) map[keys.State][]string {
	t.Helper()
	list, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[keys.State][]string{}
	for _, l := range list {
		out[l.State] = append(out[l.State], l.KID)
	}
	return out
}

func TestARotationPublishesFirstAndSignsADayLater(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s, other := started(t, db, c), started(t, db, c)
		_, old := token(t, s, c)
		next, err := s.Rotate(t.Context(), "", false, because)
		if err != nil || next.State != keys.Pending {
			t.Fatalf("%+v, %v", next, err)
		}
		if _, err := s.Rotate(t.Context(), "", false, because); !errors.Is(err, keys.ErrPending) {
			t.Errorf("again: %v, want ErrPending", err)
		}
		if _, kid := token(t, s, c); kid != old || len(published(t, s).Keys) != 2 {
			t.Errorf("it signs with %s already, of %d keys", kid, len(published(t, s).Keys))
		}
		c.advance(24 * time.Hour)
		for _, node := range []*keys.Service{s, other} {
			if err := node.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, kid := token(t, node, c); kid != next.KID {
				t.Errorf("a day later it signs with %s, want %s", kid, next.KID)
			}
			if _, _, ok := node.Public(old); !ok {
				t.Error("what the old key signed is refused")
			}
		}
		if got := states(t, s); len(got[keys.Active]) != 1 || len(got[keys.Retired]) != 1 {
			t.Errorf("the states are %v", got)
		}
		c.advance(25 * time.Hour)
		if err := s.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := states(t, s); len(got[keys.Active]) != 1 || len(got[keys.Retired]) != 0 {
			t.Errorf("in the end the states are %v", got)
		}
	})
}

func TestAKeyCanSignAtOnceAndBeRevokedAtOnce(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s := started(t, db, c)
		_, first := token(t, s, c)
		c.advance(time.Minute)
		pending, err := s.Rotate(t.Context(), "", false, because)
		if err != nil {
			t.Fatal(err)
		}
		c.advance(time.Minute)
		if now, err := s.Rotate(t.Context(), "", true, because); err != nil || now.KID != pending.KID || now.State != keys.Active {
			t.Fatalf("the pending key does not sign at once: %+v, %v", now, err)
		}
		_, kid := token(t, s, c)
		if kid != pending.KID {
			t.Fatalf("it signs with %s", kid)
		}
		if err := s.Revoke(t.Context(), kid, because); err != nil {
			t.Fatal(err)
		}
		if _, _, ok := s.Public(kid); ok {
			t.Error("what a revoked key signed is taken")
		}
		_, third := token(t, s, c)
		if third == kid || third == first {
			t.Errorf("it signs with %s", third)
		}
		if err := s.Revoke(t.Context(), kid, because); !errors.Is(err, keys.ErrUnknown) {
			t.Errorf("again: %v, want ErrUnknown", err)
		}
		if err := s.Revoke(t.Context(), first, because); err != nil { // retired: nothing has to replace it
			t.Fatal(err)
		}
		if got := states(t, s); len(got[keys.Active]) != 1 || got[keys.Active][0] != third || len(got[keys.Retired])+len(got[keys.Pending]) != 0 {
			t.Errorf("in the end: %v", got)
		}
	})
}
