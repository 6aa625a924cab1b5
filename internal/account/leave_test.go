package account_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

func TestLeavingNeedsARecentSignInAndCanBeUndone(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		u, err := w.CreateAdmin(t.Context(), "ada@example.com", good)
		if err != nil {
			t.Fatal(err)
		}
		ago := 6 * time.Minute
		m := web.NewMux(web.Config{Use: []web.Middleware{func(next web.Handler) web.Handler {
			return func(rw http.ResponseWriter, r *http.Request) error {
				a := access.Actor{UserID: u.ID, Scopes: []string{access.ScopeAccountManage}, AuthTime: w.clock().Add(-ago)}
				return next(rw, r.WithContext(access.With(r.Context(), a, nil)))
			}
		}}})
		account.LeaveAPI{Accounts: w.Service, Grace: func() time.Duration { return 14 * 24 * time.Hour }}.Mount(m)
		if rec := send(m, "DELETE", "/v1/users/me", "", "Idempotency-Key", "1"); rec.Code != 401 || !strings.Contains(rec.Body.String(), "reauthentication_required") {
			t.Fatalf("after an old sign-in: %d %s", rec.Code, rec.Body)
		}
		ago = time.Minute
		if rec := send(m, "DELETE", "/v1/users/me", ""); rec.Code != 400 || !strings.Contains(rec.Body.String(), "idempotency_key_required") {
			t.Errorf("without a key: %d %s", rec.Code, rec.Body)
		}
		rec := send(m, "DELETE", "/v1/users/me", "", "Idempotency-Key", "1")
		if rec.Code != 202 || !strings.Contains(rec.Body.String(), `"eraseAt":"2026-05-15T12:00:00Z"`) {
			t.Fatalf("leave: %d %s", rec.Code, rec.Body)
		}
		if rec := send(m, "DELETE", "/v1/users/me", "", "Idempotency-Key", "2"); rec.Code != 409 {
			t.Errorf("leave twice: %d %s", rec.Code, rec.Body)
		}
		mails := w.letters(t, u.Email)
		if last := mails[len(mails)-1]; !strings.Contains(last, "will be deleted") || !strings.Contains(last, "What stays") || !strings.Contains(last, "15 May 2026") {
			t.Errorf("the mail is %s", last)
		}
		if c := w.changes[len(w.changes)-1]; c.Event != account.Leaving || !c.SignOut {
			t.Errorf("sign-ins: %+v", c)
		}
		left, err := w.ByID(t.Context(), u.ID)
		if err != nil || account.Usable(left, w.clock()) == nil || account.MaySignIn(left, w.clock()) != nil {
			t.Errorf("in between: %+v, %v", left, err)
		}
		// A forgotten password is no reason to lose the account.
		if err := w.Forgot(t.Context(), u.Email, "192.0.2.1", ""); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Reset(t.Context(), w.link(t, u.Email), good+" two"); err != nil {
			t.Errorf("reset in between: %v", err)
		}
		if err := w.ComeBack(t.Context(), u.ID); err != nil {
			t.Fatal(err)
		}
		if back, err := w.ByID(t.Context(), u.ID); err != nil || account.Usable(back, w.clock()) != nil {
			t.Errorf("back: %+v, %v", back, err)
		}
		w.pass(30 * 24 * time.Hour)
		if gone, err := w.Leavers(t.Context(), 10); err != nil || len(gone) != 0 {
			t.Errorf("who came back is to be erased: %+v, %v", gone, err)
		}
	})
}
