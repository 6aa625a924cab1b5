package account_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

func nothing(context.Context, account.User) error { return nil }

func TestFirstAdministrator(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, w := t.Context(), newWorld(t, db)
		first, err := w.SetupToken(ctx)
		if err != nil || first == "" {
			t.Fatal(first, err)
		}
		token, err := w.SetupToken(ctx) // another start
		if err != nil {
			t.Fatal(err)
		}
		for name, bad := range map[string]string{"older": first, "made up": "x", "empty": ""} {
			if _, err := w.UseSetup(ctx, bad, "ada@example.com", good, nothing); !errors.Is(err, account.ErrSetupToken) {
				t.Errorf("%s token: %v, want ErrSetupToken", name, err)
			}
		}
		if _, err := w.UseSetup(ctx, token, "ada@example.com", "password1", nothing); !errors.Is(err, account.ErrCommon) {
			t.Errorf("weak password: %v", err)
		}
		bad := errors.New("no key")
		if _, err := w.UseSetup(ctx, token, "ada@example.com", good, func(context.Context, account.User) error { return bad }); !errors.Is(err, bad) {
			t.Errorf("failing last step: %v", err)
		}
		if n, err := w.Admins(ctx); err != nil || n != 0 {
			t.Errorf("%d administrators after a failed set-up, %v", n, err)
		}

		// Two browsers press the button at once.
		var won atomic.Int64
		var wg sync.WaitGroup
		for _, email := range []string{"ada@example.com", "eve@example.com"} {
			wg.Go(func() {
				_, err := w.UseSetup(ctx, token, email, good, nothing)
				for errors.Is(err, seal.ErrBusy) { // on a slow machine
					_, err = w.UseSetup(ctx, token, email, good, nothing)
				}
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, account.ErrSetupToken):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d of two became administrator, want one", won.Load())
		}
		if n, err := w.Admins(ctx); err != nil || n != 1 {
			t.Errorf("%d administrators, %v", n, err)
		}
		if again, err := w.SetupToken(ctx); err != nil || again != "" {
			t.Errorf("a token for a set-up instance: %q, %v", again, err)
		}
	})
}

func TestSetupTokenEndsAfterAnHour(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, w := t.Context(), newWorld(t, db)
		token, err := w.SetupToken(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.CheckSetup(ctx, token); err != nil {
			t.Errorf("fresh: %v", err)
		}
		w.pass(time.Hour)
		if _, err := w.CheckSetup(ctx, token); !errors.Is(err, account.ErrSetupToken) {
			t.Errorf("after an hour: %v, want ErrSetupToken", err)
		}
	})
}

func TestAdministratorFromTheCommandLine(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, w := t.Context(), newWorld(t, db)
		setup, err := w.SetupToken(ctx)
		if err != nil {
			t.Fatal(err)
		}
		u := w.join(t, ada())
		token, err := w.AdminToken(ctx, ada().Email)
		if err != nil {
			t.Fatal(err)
		}
		if email, err := w.CheckSetup(ctx, token); err != nil || email != ada().Email {
			t.Errorf("the token is for %q, %v", email, err)
		}
		w.pass(time.Minute)
		admin, err := w.UseSetup(ctx, token, "eve@example.com", "a brand new secret", nothing)
		if err != nil || admin.ID != u.ID || !admin.Staff {
			t.Fatalf("got %+v, %v; the token's own address wins", admin, err)
		}
		if _, err := w.UseSetup(ctx, token, "", good, nothing); !errors.Is(err, account.ErrSetupToken) {
			t.Errorf("second use: %v", err)
		}
		if _, err := w.CheckSetup(ctx, setup); !errors.Is(err, account.ErrSetupToken) {
			t.Errorf("first set-up with an administrator present: %v", err)
		}
		if _, err := w.Authenticate(ctx, account.Attempt{Name: "ada", Password: good}); !errors.Is(err, account.ErrCredentials) {
			t.Errorf("old password: %v", err)
		}
		if got, err := w.Snapshot(ctx, u.ID); err != nil || !got.PasswordAt.Equal(w.clock()) {
			t.Errorf("password set at %s, %v; want now, which ends earlier sign-ins", got.PasswordAt, err)
		}
		if _, err := w.CreateAdmin(ctx, "bo@example.com", good); err != nil || len(w.admins) != 2 {
			t.Errorf("CreateAdmin: %v, hook %v", err, w.admins)
		}
	})
}
