package account_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

const better = "staple battery horse"

func (w *world) signsIn(t *testing.T, name, password string) bool {
	t.Helper()
	_, err := w.Authenticate(t.Context(), account.Attempt{Name: name, Password: password})
	if err != nil && !errors.Is(err, account.ErrCredentials) {
		t.Fatal(err)
	}
	return err == nil
}

// A reset link works once and for a quarter of an hour, for that purpose only,
// and signs everybody out.
func TestResetPassword(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, w := t.Context(), newWorld(t, db)
		u := w.join(t, ada())
		w.pass(time.Hour)
		forgot := func() string {
			t.Helper()
			if err := w.Forgot(ctx, "ADA@example.com ", "", "there"); err != nil {
				t.Fatal(err)
			}
			return w.link(t, "ADA@example.com")
		}
		first, second := forgot(), forgot()
		if _, err := w.Verify(ctx, first); !errors.Is(err, account.ErrLinkExpired) {
			t.Errorf("as proof of an address: %v", err)
		}
		for password, want := range map[string]error{"short": account.ErrShort, "password123": account.ErrCommon} {
			if _, err := w.Reset(ctx, first, password); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", password, err, want)
			}
		}
		var won atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				back, err := w.Reset(ctx, first, better)
				switch {
				case err == nil && back == "there":
					won.Add(1)
				case !errors.Is(err, account.ErrLinkUsed) && !errors.Is(err, account.ErrLinkExpired):
					t.Errorf("Reset: %q, %v", back, err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || len(w.changes) != 1 {
			t.Fatalf("%d resets by one link, hooks %v", won.Load(), w.changes)
		}
		if c := w.changes[0]; c.User.ID != u.ID || c.Event != account.PasswordReset || !c.SignOut || c.Keep != "" {
			t.Errorf("hook %+v", c)
		}
		if now, _ := w.ByID(ctx, u.ID); !now.SignedOutAt.Equal(w.clock()) || !now.PasswordAt.Equal(w.clock()) {
			t.Errorf("after the reset: %+v", now)
		}
		if w.signsIn(t, "ada", good) || !w.signsIn(t, "ada", better) {
			t.Error("the old password still works, or the new one does not")
		}
		if _, err := w.Reset(ctx, second, good); !errors.Is(err, account.ErrLinkExpired) {
			t.Errorf("an older link after a reset: %v", err)
		}
		late := forgot()
		w.pass(15 * time.Minute)
		if err := w.CheckReset(ctx, late); !errors.Is(err, account.ErrLinkExpired) {
			t.Errorf("after 15 minutes: %v", err)
		}
		if err := w.Forgot(ctx, "ada@example.com", "", ""); !errors.Is(err, account.ErrTooMany) {
			t.Errorf("the fourth link within an hour: %v", err)
		}
		if err := w.Forgot(ctx, "nobody@example.com", "", ""); err != nil || len(w.letters(t, "nobody@example.com")) != 1 {
			t.Errorf("unknown address: %v", err)
		}
	})
}

// A failing hook keeps the old password and the link.
func TestResetIsOneTransaction(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, w := t.Context(), newWorld(t, db)
		w.join(t, ada())
		if err := w.Forgot(ctx, "Ada@Example.com", "", ""); err != nil {
			t.Fatal(err)
		}
		link := w.link(t, "Ada@Example.com")
		w.hookErr = errors.New("no")
		if _, err := w.Reset(ctx, link, better); err == nil {
			t.Error("a reset whose sign-ins did not end")
		}
		w.hookErr = nil
		if w.signsIn(t, "ada", better) {
			t.Error("the password was set")
		}
		if _, err := w.Reset(ctx, link, better); err != nil {
			t.Errorf("the same link again: %v", err)
		}
	})
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, w := t.Context(), newWorld(t, db)
		u := w.join(t, ada())
		w.pass(time.Hour)
		if err := w.ChangePassword(ctx, u.ID, "wrong", better, true, "ses_1"); !errors.Is(err, account.ErrPassword) {
			t.Errorf("by a wrong password: %v", err)
		}
		if err := w.ChangePassword(ctx, u.ID, good, "ada@example.com", true, "ses_1"); !errors.Is(err, account.ErrCommon) {
			t.Errorf("to the own address: %v", err)
		}
		if err := w.ChangePassword(ctx, u.ID, good, better, true, "ses_1"); err != nil {
			t.Fatal(err)
		}
		if len(w.changes) != 1 || w.changes[0].Keep != "ses_1" || !w.changes[0].SignOut || w.changes[0].Event != account.PasswordChanged {
			t.Errorf("hooks %+v", w.changes)
		}
		if now, _ := w.ByID(ctx, u.ID); !now.SignedOutAt.Before(w.clock()) {
			t.Error("the session that was kept is void")
		}
		if w.signsIn(t, "ada", good) || !w.signsIn(t, "ada", better) {
			t.Error("the old password still works, or the new one does not")
		}
		for range 9 {
			_ = w.ChangePassword(ctx, u.ID, "wrong", better, true, "")
		}
		if err := w.ChangePassword(ctx, u.ID, "wrong", better, true, ""); !errors.Is(err, account.ErrPassword) {
			t.Errorf("the tenth guess: %v", err)
		}
		if err := w.ChangePassword(ctx, u.ID, better, good, true, ""); !errors.Is(err, account.ErrTooMany) {
			t.Errorf("after ten guesses: %v", err)
		}
	})
}

// A new address counts once it is proven; the old one is told, and can call it
// off.
func TestChangeEmail(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, w := t.Context(), newWorld(t, db)
		u := w.join(t, ada())
		w.join(t, account.Registration{Email: "bo@example.com", Password: good, Terms: true})
		if err := w.Register(ctx, account.Registration{Email: "squat@example.com", Password: good, Terms: true}); err != nil {
			t.Fatal(err)
		}
		ask := func(email string) (link, undo string) {
			t.Helper()
			if err := w.ChangeEmail(ctx, u.ID, email, ""); err != nil {
				t.Fatal(err)
			}
			if email != "bo@example.com" {
				link = w.link(t, email)
			}
			return link, w.link(t, "Ada@Example.com")
		}
		link, undo := ask("ada@new.example")
		if now, _ := w.ByID(ctx, u.ID); now.Email != u.Email {
			t.Error("the address changed before it was proven")
		}
		if err := w.KeepEmail(ctx, undo); err != nil {
			t.Fatal(err)
		}
		if err := w.ConfirmEmail(ctx, link); !errors.Is(err, account.ErrLinkExpired) {
			t.Errorf("a change that was called off: %v", err)
		}
		_, _ = ask("bo@example.com")
		if got := w.letters(t, "bo@example.com"); len(got) != 2 || tokenInMail.MatchString(got[1]) {
			t.Errorf("the owner of the other account got %q", got)
		}
		link, undo = ask("squat@example.com")
		if err := w.ConfirmEmail(ctx, link); err != nil {
			t.Fatalf("the address of an unproven account: %v", err)
		}
		if now, _ := w.Snapshot(ctx, u.ID); now.Email != "squat@example.com" || !now.Verified {
			t.Errorf("after the change: %+v", now)
		}
		if err := w.KeepEmail(ctx, undo); !errors.Is(err, account.ErrLinkExpired) {
			t.Errorf("calling it off afterwards: %v", err)
		}
		if err := w.ConfirmEmail(ctx, link); !errors.Is(err, account.ErrLinkUsed) {
			t.Errorf("twice: %v", err)
		}
		if old := w.letters(t, "Ada@Example.com"); !w.signsIn(t, "squat@example.com", good) || len(old) == 0 {
			t.Error("the new address does not sign in, or the old one was not told")
		}
	})
}
