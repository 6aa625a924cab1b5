package impersonate_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/approval"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/impersonate"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/secret"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOnlyWhoAskedTakesTheTokenAndOnlyInTime(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
		clock := func() time.Time { return now }
		box, err := seal.NewBox(make([]byte, seal.KeySize))
		if err != nil {
			t.Fatal(err)
		}
		log := audit.New(audit.Needs{DB: db, Box: box, Log: slog.New(slog.DiscardHandler), Now: clock})
		approvals := approval.New(approval.Needs{DB: db, Box: box, Audit: log, Now: clock, Holding: func(context.Context, ...access.Permission) ([]string, error) {
			return []string{"usr_one", "usr_two"}, nil
		}})
		told, revoked := 0, ""
		s := impersonate.New(impersonate.Needs{
			DB: db, Audit: log, Now: clock,
			May: func(_ context.Context, userID string) error {
				if userID == "usr_boss" {
					return impersonate.ErrStaff
				}
				return nil
			},
			Sign: func(i impersonate.Impersonation) (secret.String, error) {
				return secret.New(i.UserID + " until " + i.EndsAt.Format(time.TimeOnly)), nil
			},
			Revoke:  func(_ context.Context, id string) error { revoked = id; return nil },
			Started: func(context.Context, impersonate.Impersonation) error { told++; return nil },
		})
		m := web.NewMux(web.Config{Use: []web.Middleware{func(next web.Handler) web.Handler {
			return func(w http.ResponseWriter, r *http.Request) error {
				a := access.Actor{UserID: r.Header.Get("By"), AuthTime: clock(), Scopes: []string{access.ScopeAdmin}, Roles: []string{access.RoleSuperAdmin}}
				return next(w, r.WithContext(access.With(r.Context(), a, nil)))
			}
		}}})
		approval.AdminAPI{Approvals: approvals}.Mount(m)
		impersonate.AdminAPI{Impersonations: s, Approvals: approvals, Cursors: list.NewCursors([]byte("k"))}.Mount(m)
		ask := func(want int, by, method, path, body string) string {
			t.Helper()
			r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("By", by)
			rec := httptest.NewRecorder()
			m.ServeHTTP(rec, r)
			if rec.Code != want {
				t.Fatalf("%s %s by %s: %d %s, want %d", method, path, by, rec.Code, rec.Body, want)
			}
			return rec.Body.String()
		}
		word := func(text, name string) string {
			_, rest, _ := strings.Cut(text, `"`+name+`":"`)
			out, _, _ := strings.Cut(rest, `"`)
			return out
		}
		const reason = `{"reason":"a reason that is long enough"}`
		approved := func() string {
			asked := ask(202, "usr_one", "POST", "/admin/users/usr_ada/impersonate", reason)
			done := ask(200, "usr_two", "POST", "/admin/approvals/"+word(asked, "approvalId")+"/approve", `{}`)
			_, result, _ := strings.Cut(done, `"result"`)
			return "/admin/impersonations/" + word(result, "id")
		}
		ask(403, "usr_one", "POST", "/admin/users/usr_boss/impersonate", reason)
		first := approved()
		if strings.Contains(ask(200, "usr_two", "GET", "/admin/impersonations", ""), "until") {
			t.Error("a token is shown")
		}
		ask(404, "usr_two", "POST", first+"/token", "")
		now = now.Add(time.Hour)
		if got := ask(201, "usr_one", "POST", first+"/token", ""); word(got, "accessToken") != "usr_ada until 13:30:00" || told != 1 {
			t.Errorf("the first token: %s; she was told %d times", got, told)
		}
		now = now.Add(10 * time.Minute)
		if got := ask(201, "usr_one", "POST", first+"/token", ""); word(got, "accessToken") != "usr_ada until 13:30:00" || told != 1 {
			t.Errorf("another token: %s; she was told %d times", got, told)
		}
		now = now.Add(20 * time.Minute)
		ask(409, "usr_one", "POST", first+"/token", "")
		late := approved()
		now = now.Add(24 * time.Hour)
		ask(409, "usr_one", "POST", late+"/token", "")
		third := approved()
		ask(201, "usr_one", "POST", third+"/token", "")
		ask(204, "usr_two", "DELETE", third, "") // who manages security ends anybody's
		if revoked == "" || !strings.HasSuffix(third, revoked) {
			t.Errorf("%q is revoked", revoked)
		}
		ask(409, "usr_one", "POST", third+"/token", "")
		page := ask(200, "usr_one", "GET", "/admin/impersonations?limit=2&admin_id=usr_one", "")
		if strings.Count(page, `"status":"over"`) != 2 || word(page, "nextCursor") == "" {
			t.Errorf("the list: %s", page)
		}
	})
}
