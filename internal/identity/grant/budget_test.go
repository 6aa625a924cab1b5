package grant_test

import (
	"errors"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// The later limit wins, wherever it is read, and removing an app takes its limit
// with it.
func TestTheLimitOfAnAppIsKnownEverywhere(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		here, there := newService(t, db, c), newService(t, db, c)
		if err := here.Limit(t.Context(), "usr_a", "shop", new(money.Credit)); !errors.Is(err, grant.ErrNoApp) {
			t.Errorf("an app that nobody has let in: %v, want ErrNoApp", err)
		}
		allow := func() {
			t.Helper()
			if err := here.SaveConsent(t.Context(), grant.Consent{UserID: "usr_a", ClientID: "shop", Scopes: []string{"llm.inference"}}); err != nil {
				t.Fatal(err)
			}
		}
		want := func(limit money.Credits, services ...*grant.Service) {
			t.Helper()
			for i, s := range services {
				if got := s.SpendsUpTo("usr_a", "shop"); got != limit {
					t.Errorf("server %d: the limit is %s, want %s", i, got, limit)
				}
				if got := s.SpendsUpTo("usr_b", "shop"); got != 0 {
					t.Errorf("server %d: somebody else's limit is %s", i, got)
				}
			}
		}
		set := func(limit *money.Credits) {
			t.Helper()
			c.advance(time.Second)
			if err := here.Limit(t.Context(), "usr_a", "shop", limit); err != nil {
				t.Fatal(err)
			}
		}
		allow()
		set(new(3 * money.Credit))
		set(new(2 * money.Credit))
		want(2*money.Credit, here)
		if err := there.Maintain(t.Context()); err != nil { // no message has come
			t.Fatal(err)
		}
		want(2*money.Credit, here, there)
		allow() // again, for more: the limit stays
		set(nil)
		want(0, here)
		set(new(money.Credit))
		c.advance(time.Second)
		if err := here.RemoveConsent(t.Context(), "usr_a", "shop"); err != nil {
			t.Fatal(err)
		}
		want(0, here)
		for _, bad := range []string{"0", "-1", "x", "0.0000001", "1e400"} {
			if _, err := grant.ParseLimit(bad); !errors.Is(err, grant.ErrBudget) {
				t.Errorf("%q: %v, want ErrBudget", bad, err)
			}
		}
		if none, err := grant.ParseLimit(" "); none != nil || err != nil {
			t.Errorf("nothing: %v, %v", none, err)
		}
	})
}
