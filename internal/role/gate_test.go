package role_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/role"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

func TestTheShortestIdleTimeOfTheRolesCounts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		roles []string
		want  time.Duration
	}{
		{[]string{"super_admin"}, 15 * time.Minute},
		{[]string{"admin"}, 30 * time.Minute},
		{[]string{"ops"}, 60 * time.Minute},
		{[]string{"support"}, 120 * time.Minute},
		{[]string{"analyst"}, 240 * time.Minute},
		{[]string{"auditor"}, 480 * time.Minute},
		{[]string{"auditor", "ops", "analyst"}, 60 * time.Minute},
		{[]string{"role_own"}, 30 * time.Minute},
	} {
		if got := role.IdleLimit(tt.roles); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.roles, got, tt.want)
		}
	}
}

func TestAdministrationNeedsASignInThatIsUsed(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		here, there := open(t, db), open(t, db)
		start := here.now
		ops := access.Actor{UserID: "usr_ops", Roles: []string{"ops"}, AuthTime: start, Factor: true}
		at := func(d time.Duration) {
			here.now, there.now = start.Add(d), start.Add(d)
		}
		if bare := (access.Actor{UserID: "usr_ops", Roles: []string{"ops"}, AuthTime: start}); !errors.Is(here.roles.Admit(t.Context(), bare), role.ErrFactor) {
			t.Error("one factor is enough")
		}
		for _, tt := range []struct {
			who  *world
			at   time.Duration
			want error
		}{
			{here, time.Hour, nil},                                   // since the sign-in
			{here, 2 * time.Hour, nil},                               // since the request before
			{there, 3 * time.Hour, nil},                              // that was elsewhere
			{here, 4 * time.Hour, nil},                               // and here again
			{here, 4*time.Hour + 10*time.Second, nil},                // not written down
			{there, 5*time.Hour + 20*time.Second, nil},               // and yet not idle
			{here, 6*time.Hour + 51*time.Second, role.ErrIdle},       // an hour and more
			{there, 6*time.Hour + 52*time.Second, role.ErrIdle},      // everywhere
			{here, 6*time.Hour + 53*time.Second, role.ErrIdle},       // asking again is no use
			{here, 12*time.Hour + 10*time.Minute, role.ErrIdle},      // nor is waiting
			{there, 12*time.Hour + 10*time.Minute + 1, role.ErrIdle}, // anywhere
		} {
			at(tt.at)
			if err := tt.who.roles.Admit(t.Context(), ops); !errors.Is(err, tt.want) {
				t.Errorf("after %v: %v, want %v", tt.at, err, tt.want)
			}
		}
		ops.AuthTime = here.now
		start = here.now
		for d := time.Duration(0); d <= 12*time.Hour; d += 30 * time.Minute {
			at(d)
			if err := here.roles.Admit(t.Context(), ops); err != nil {
				t.Errorf("after a new sign-in and %v: %v", d, err)
			}
		}
		at(12*time.Hour + time.Second)
		if err := here.roles.Admit(t.Context(), ops); !errors.Is(err, role.ErrIdle) {
			t.Errorf("it never ends: %v", err)
		}
	})
}

func TestTheGateStandsBeforeAdministrationOnly(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db)
		var actor access.Actor
		m := web.NewMux(web.Config{Use: []web.Middleware{func(next web.Handler) web.Handler {
			return func(rw http.ResponseWriter, r *http.Request) error {
				return next(rw, r.WithContext(access.With(r.Context(), actor, nil)))
			}
		}, w.roles.Gate(func(r *http.Request) string { return r.Header.Get("From") })}, Challenge: access.Challenge("https://api.test/meta")})
		ok := func(rw http.ResponseWriter, _ *http.Request) error { rw.WriteHeader(204); return nil }
		m.Handle("GET /admin/users", ok, access.Allows(access.ViewUsers))
		m.Handle("GET /v1/users/me", ok)
		ask := func(path string) (int, string) {
			rec := httptest.NewRecorder()
			m.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
			return rec.Code, rec.Header().Get("WWW-Authenticate")
		}
		actor = access.Actor{UserID: "usr_root", Scopes: []string{"admin"}, Roles: []string{"super_admin"}, AuthTime: w.now}
		const want = `Bearer resource_metadata="https://api.test/meta", error="insufficient_user_authentication", acr_values="mfa"`
		if status, challenge := ask("/admin/users"); status != 401 || challenge != want {
			t.Errorf("one factor: %d %s", status, challenge)
		}
		if status, _ := ask("/v1/users/me"); status != 204 {
			t.Errorf("their own account: %d", status)
		}
		actor.Factor = true
		if status, _ := ask("/admin/users"); status != 204 {
			t.Errorf("two factors: %d", status)
		}
		actor.Scopes = []string{"user.info"}
		actor.Factor = false
		if status, challenge := ask("/admin/users"); status != 403 {
			t.Errorf("another scope: %d %s", status, challenge)
		}
	})
}

func TestRightsAreChangedSoonAfterTheSignIn(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db)
		w.late = 5*time.Minute + time.Second
		const body = `{"roleId":"ops","reason":"a reason that is long enough"}`
		if status, text, _ := w.ask("usr_root", "POST", "/admin/users/usr_ada/roles", body); status != 401 {
			t.Errorf("later: %d %s", status, text)
		}
		w.late = 5 * time.Minute
		if status, text, _ := w.ask("usr_root", "POST", "/admin/users/usr_ada/roles", body); status != 201 {
			t.Errorf("in time: %d %s", status, text)
		}
	})
}
