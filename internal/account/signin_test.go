package account_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

func TestSignIn(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, w := t.Context(), newWorld(t, db)
		u := w.join(t, ada())
		for _, name := range []string{"ada@example.com", " ADA@EXAMPLE.COM ", "ada", "aDa"} {
			got, err := w.Authenticate(ctx, account.Attempt{Name: name, Password: good})
			if err != nil || got.ID != u.ID || !got.LastLoginAt.Equal(w.clock()) {
				t.Errorf("%q: %+v, %v", name, got, err)
			}
		}
		for _, a := range []account.Attempt{
			{Name: "ada", Password: "wrong password"}, {Name: "nobody@example.com", Password: good}, {Name: "", Password: ""},
		} {
			_, err := w.Authenticate(ctx, a)
			if f := fault.From(err); !errors.Is(err, account.ErrCredentials) || f.Details["triesLeft"] != 9 {
				t.Errorf("%q: %v, %v; want nine tries left, known or not", a.Name, err, f.Details)
			}
		}
	})
}

// Why somebody may not come in is told to nobody who lacks the password.
func TestReasonsNeedThePassword(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, w := t.Context(), newWorld(t, db)
		u := w.join(t, ada())
		const q = `UPDATE account_user SET state = $1, state_reason = 'abuse', state_until = $2 WHERE id = $3`
		for state, want := range map[string]*fault.Error{
			account.StateSuspended: account.ErrSuspended, account.StateBanned: account.ErrBanned,
		} {
			if _, err := db.Q(ctx).ExecContext(ctx, q, state, w.clock().Add(time.Hour).UnixMicro(), u.ID); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Authenticate(ctx, account.Attempt{Name: "ada", Password: good}); !errors.Is(err, want) {
				t.Errorf("%s, right password: %v, want %s", state, err, want.Code)
			}
			if _, err := w.Authenticate(ctx, account.Attempt{Name: "ada", Password: "wrong"}); !errors.Is(err, account.ErrCredentials) {
				t.Errorf("%s, wrong password: %v, want ErrCredentials", state, err)
			}
		}
	})
}

func TestGuessingIsSlowedDown(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, w := t.Context(), newWorld(t, db)
		u := w.join(t, ada())
		for _, name := range []string{"ada", "nobody"} {
			for i := range 10 {
				_, err := w.Authenticate(ctx, account.Attempt{Name: name, Password: "wrong"})
				if f := fault.From(err); !errors.Is(err, account.ErrCredentials) || f.Details["triesLeft"] != 9-i {
					t.Fatalf("%s, try %d: %v %v", name, i, err, f.Details)
				}
			}
			waits := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60}
			if name == "ada" {
				waits = waits[:2] // the same for a name that exists
			}
			for _, wait := range waits {
				wait *= time.Second
				_, err := w.Authenticate(ctx, account.Attempt{Name: name, Password: good})
				if f := fault.From(err); !errors.Is(err, account.ErrTooMany) || f.RetryAfter != wait {
					t.Fatalf("%s: %v after %s, want a pause of %s", name, err, f.RetryAfter, wait)
				}
				w.pass(wait)
				if _, err := w.Authenticate(ctx, account.Attempt{Name: name, Password: "wrong"}); !errors.Is(err, account.ErrCredentials) {
					t.Fatalf("%s after the pause: %v", name, err)
				}
			}
		}
		// The user's own browser is not slowed by it.
		if _, err := w.Authenticate(ctx, account.Attempt{Name: "ada", Password: "wrong"}); !errors.Is(err, account.ErrCredentials) {
			t.Fatal(err)
		}
		if _, err := w.Authenticate(ctx, account.Attempt{Name: "ada", Password: good, Known: []string{u.ID}}); err != nil {
			t.Errorf("known device: %v", err)
		}
		if _, err := w.Authenticate(ctx, account.Attempt{Name: "ada", Password: good, Known: []string{"usr_other"}}); !errors.Is(err, account.ErrTooMany) {
			t.Errorf("somebody else's device: %v, want ErrTooMany", err)
		}
		w.pass(15 * time.Minute)
		if _, err := w.Authenticate(ctx, account.Attempt{Name: "ada", Password: good}); err != nil {
			t.Errorf("after the window: %v", err)
		}
	})
}

// Guesses that arrive together are counted before they are looked at.
func TestParallelGuessesAreCounted(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		var looked atomic.Int64
		var wg sync.WaitGroup
		for range 15 {
			wg.Go(func() {
				if _, err := w.Authenticate(t.Context(), account.Attempt{Name: "ada", Password: "wrong"}); errors.Is(err, account.ErrCredentials) {
					looked.Add(1)
				}
			})
		}
		wg.Wait()
		if got := looked.Load(); got > 10 {
			t.Errorf("%d guesses were looked at, want at most 10", got)
		}
	})
}

func TestSignUpsAreLimited(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, w := t.Context(), newWorld(t, db)
		for i := range 6 {
			err := w.Resend(ctx, "ada@example.com", "", "")
			if errors.Is(err, account.ErrTooMany) != (i == 5) {
				t.Errorf("mail %d: %v; want five an hour", i, err)
			}
		}
		for i := range 21 {
			err := w.Resend(ctx, fmt.Sprintf("u%d@example.com", i), "2001:db8::"+fmt.Sprint(i), "")
			if errors.Is(err, account.ErrTooMany) != (i == 20) {
				t.Errorf("mail %d from one network: %v; want twenty an hour", i, err)
			}
		}
	})
}
