package grant_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/identity/grant"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// O10: 100 refreshes at once get one and the same successor.
func TestParallelRefreshesShareOneSuccessor(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		a, b := newService(t, db, c), newService(t, db, c) // two processes
		token, _ := start(t, a, c, false)
		var mu sync.Mutex
		got := map[string]int{}
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				s := a
				if i%2 == 0 {
					s = b
				}
				next, err := rotate(t.Context(), s, token)
				if err != nil {
					t.Errorf("Rotate: %v", err)
				}
				mu.Lock()
				defer mu.Unlock()
				got[next]++
			})
		}
		wg.Wait()
		if len(got) != 1 {
			t.Fatalf("%d successors, want 1", len(got))
		}
		for next := range got {
			if third, err := rotate(t.Context(), a, next); err != nil || third == next {
				t.Errorf("the successor gave %v", err)
			}
		}
	})
}

// O9: after the grace a used token ends the family and the authorization.
func TestReuseEndsTheFamily(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s := newService(t, db, c)
		first, a := start(t, s, c, false)
		other, _ := start(t, s, c, false)
		second, err := rotate(t.Context(), s, first)
		if err != nil {
			t.Fatal(err)
		}
		access := accessOf(c, a)
		c.advance(grant.Grace)
		if again, err := rotate(t.Context(), s, first); err != nil || again != second {
			t.Fatalf("at the end of the grace: %t, %v; want the same successor", again == second, err)
		}
		if s.Revoked(access) {
			t.Fatal("a retry within the grace revoked something")
		}
		c.advance(time.Second)
		_, err = rotate(t.Context(), s, first)
		wantGrantError(t, "after the grace", err)
		_, err = rotate(t.Context(), s, second)
		wantGrantError(t, "the successor", err)
		if !s.Revoked(access) {
			t.Error("the access token survived")
		}
		if _, err := rotate(t.Context(), s, other); err != nil {
			t.Errorf("another family of the same user: %v", err)
		}
	})
}

// An old token is recognised although its memory was swept away.
func TestReuseIsNoticedAfterTheSweep(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s := newService(t, db, c)
		first, _ := start(t, s, c, false)
		second, err := rotate(t.Context(), s, first)
		if err != nil {
			t.Fatal(err)
		}
		c.advance(48 * time.Hour)
		if err := s.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err = rotate(t.Context(), s, first)
		wantGrantError(t, "two days later", err)
		_, err = rotate(t.Context(), s, second)
		wantGrantError(t, "the successor", err)
	})
}

// O11: what is not the client's own, or not ours, changes nothing.
func TestForeignAndForgedTokensChangeNothing(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s := newService(t, db, c)
		first, _ := start(t, s, c, false)
		second, err := rotate(t.Context(), s, first)
		if err != nil {
			t.Fatal(err)
		}
		c.advance(time.Minute)
		flipped := []byte(first) // used, but for a random bit
		flipped[45] = 'A' + (flipped[45]+1)%26
		for _, junk := range []string{"", "rph_rt_", string(flipped), second + "A", second[:len(second)-1], strings.ToLower(second), oauth.NewSecret("rph_rt_")} {
			_, err := rotate(t.Context(), s, junk)
			wantGrantError(t, "junk", err)
		}
		for _, token := range []string{first, second} {
			_, err := s.Rotate(t.Context(), token, "other", "", func(context.Context, grant.Authorization) error { return nil })
			wantGrantError(t, "another client", err)
			if err := s.RevokeRefresh(t.Context(), token, "other"); err != nil {
				t.Error(err)
			}
		}
		third, err := rotate(t.Context(), s, second)
		if err != nil {
			t.Fatalf("after what changes nothing: %v", err)
		}
		for range 2 {
			if err := s.RevokeRefresh(t.Context(), third, "desktop"); err != nil {
				t.Fatal(err)
			}
		}
		_, err = rotate(t.Context(), s, third)
		wantGrantError(t, "revoked", err)
	})
}

// When nothing could be issued, the token stays as it was.
func TestFailedIssueConsumesNoRefreshToken(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s := newService(t, db, c)
		first, _ := start(t, s, c, false)
		for _, want := range []error{fault.ErrUnavailable, oauth.ErrInvalidScope} {
			_, err := s.Rotate(t.Context(), first, "desktop", "", func(context.Context, grant.Authorization) error { return want })
			if !errors.Is(err, want) {
				t.Fatalf("got %v, want %v", err, want)
			}
		}
		c.advance(time.Hour)
		if _, err := rotate(t.Context(), s, first); err != nil {
			t.Errorf("after failures: %v", err)
		}
	})
}

// However often it is refreshed, a family ends 60 days after it began.
func TestFamilyEndsAbsolutely(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s := newService(t, db, c)
		token, _ := start(t, s, c, false)
		for day := range 59 {
			c.advance(24 * time.Hour)
			var err error
			if token, err = rotate(t.Context(), s, token); err != nil {
				t.Fatalf("day %d: %v", day+1, err)
			}
		}
		c.advance(24 * time.Hour)
		_, err := rotate(t.Context(), s, token)
		wantGrantError(t, "after 60 days", err)
		if err := s.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzRefreshToken(f *testing.F) {
	c := newClock()
	s := newService(f, dbtest.Open(f, dbtest.SQLite(f)), c)
	token, err := s.IssueRefresh(f.Context(), grant.Authorization{ID: "gnt_1", ClientID: "desktop", AuthTime: c.now()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token[:len(token)-1] + "_")
	f.Add("rph_rt_")
	f.Add("rph_rt_" + strings.Repeat("A", 59))
	f.Fuzz(func(t *testing.T, value string) {
		if value == token {
			return
		}
		_, err := s.Rotate(t.Context(), value, "desktop", "", func(context.Context, grant.Authorization) error { return nil })
		if !errors.Is(err, oauth.ErrInvalidGrant) {
			t.Errorf("%q: %v", value, err)
		}
	})
}
