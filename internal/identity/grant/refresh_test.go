package grant_test

import (
	"context"
	"errors"
	"os"
	"strconv"
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

// refreshes is how many refreshes race: 100, or what REPHLO_TEST_REFRESHES says.
func refreshes(t *testing.T) int {
	t.Helper()
	text := os.Getenv("REPHLO_TEST_REFRESHES")
	if text == "" {
		return 100
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 2 {
		t.Fatalf("REPHLO_TEST_REFRESHES is %q", text)
	}
	return n
}

// O10: however many refreshes come at once, on two processes, all get one and
// the same successor, so nobody is signed out and the family does not fork. Of
// a family that went on like this, each used token that comes back after the
// grace is caught, and ends it.
func TestParallelRefreshesShareOneSuccessor(t *testing.T) {
	t.Parallel()
	n := refreshes(t)
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		const generations = 3
		for replayed := range generations {
			c := newClock()
			a, b := newService(t, db, c), newService(t, db, c)
			token, _ := start(t, a, c, false)
			var used []string
			for generation := range generations {
				used = append(used, token)
				at := 10
				if generation == 0 && replayed == 0 {
					at = n
				}
				token = together(t, at, token, a, b)
			}
			c.advance(grant.Grace + time.Second)
			_, err := rotate(t.Context(), b, used[replayed])
			wantGrantError(t, "a used token after the grace", err)
			_, err = rotate(t.Context(), a, token)
			wantGrantError(t, "the newest one of the family", err)
		}
	})
}

// together rotates token n times at once and returns the one successor.
func together(t *testing.T, n int, token string, services ...*grant.Service) string {
	t.Helper()
	var mu sync.Mutex
	got := map[string]int{}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			next, err := rotate(t.Context(), services[i%len(services)], token)
			if err != nil {
				t.Errorf("refresh %d of %d at once: %v", i, n, err)
			}
			mu.Lock()
			defer mu.Unlock()
			got[next]++
		})
	}
	wg.Wait()
	if len(got) != 1 {
		t.Fatalf("%d successors of one token, want 1", len(got))
	}
	for next := range got {
		if next != token && next != "" {
			return next
		}
	}
	t.Fatal("the token is its own successor")
	return ""
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
	token, err := s.IssueRefresh(f.Context(), grant.Authorization{ID: "gnt_1", ClientID: "desktop", AuthTime: c.now()}, grant.RefreshLife)
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
