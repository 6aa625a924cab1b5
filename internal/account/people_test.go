package account_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/approval"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

// office is a world in which administrators ask over HTTP.
type office struct {
	*world
	t   *testing.T
	mux *web.Mux
}

func newOffice(t *testing.T, db *sqldb.DB) *office {
	t.Helper()
	o := &office{world: newWorld(t, db), t: t}
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	o.Audit = audit.New(audit.Needs{DB: db, Box: box, Log: slog.New(slog.DiscardHandler), Now: o.clock})
	o.mux = web.NewMux(web.Config{Use: []web.Middleware{func(next web.Handler) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			a := access.Actor{UserID: "usr_" + r.Header.Get("Role"), AuthTime: o.clock(), Scopes: []string{access.ScopeAdmin}, Roles: []string{r.Header.Get("Role")}}
			return next(w, r.WithContext(access.With(r.Context(), a, nil)))
		}
	}}})
	approvals := approval.New(approval.Needs{DB: db, Box: box, Audit: o.Audit, Now: o.clock, Holding: func(context.Context, ...access.Permission) ([]string, error) {
		return []string{"usr_admin", "usr_super_admin"}, nil
	}})
	approval.AdminAPI{Approvals: approvals}.Mount(o.mux)
	account.AdminAPI{
		Approvals: approvals,
		Accounts:  o.Service, Cursors: list.NewCursors([]byte("k")),
		Grace:   func() time.Duration { return 14 * 24 * time.Hour },
		Roles:   func(context.Context, string) ([]string, error) { return nil, nil },
		Holders: func(context.Context, string) ([]string, error) { return []string{"usr_nobody"}, nil },
	}.Mount(o.mux)
	return o
}

// people makes n accounts, one a minute.
func (o *office) people(n int) []account.User {
	o.t.Helper()
	var out []account.User
	for i := range n {
		u, err := o.CreateAdmin(o.t.Context(), fmt.Sprintf("person%d@example.com", i), good)
		if err != nil {
			o.t.Fatal(err)
		}
		if err := o.SetStaff(o.t.Context(), u.ID, false); err != nil {
			o.t.Fatal(err)
		}
		out = append(out, u)
		o.pass(time.Minute)
	}
	o.changes = nil
	return out
}

func (o *office) ask(role, method, path, body string) (int, string) {
	o.t.Helper()
	o.pass(time.Second)
	r := httptest.NewRequestWithContext(o.t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Role", role)
	rec := httptest.NewRecorder()
	o.mux.ServeHTTP(rec, r)
	return rec.Code, rec.Body.String()
}

const (
	because     = `"reason":"a reason that is long enough"`
	becauseThat = "?reason=a+reason+that+is+long+enough"
)

func TestPeopleAreLockedOutAndLetIn(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		o := newOffice(t, db)
		ada := o.people(1)[0]
		path := "/admin/users/" + ada.ID
		if status, body := o.ask("admin", "POST", path+"/suspend", `{"notify":true,`+because+`}`); status != 200 || !strings.Contains(body, `"status":"suspended"`) {
			t.Fatalf("suspend: %d %s", status, body)
		}
		if len(o.changes) != 1 || !o.changes[0].SignOut || o.changes[0].Keep != "" || o.changes[0].Event != account.Closed {
			t.Errorf("what ends: %+v", o.changes)
		}
		if u, err := o.Snapshot(t.Context(), ada.ID); err != nil || !errors.Is(account.Usable(u, o.clock()), account.ErrSuspended) || u.SignedOutAt.IsZero() {
			t.Errorf("at the gateway: %+v, %v", u, err)
		}
		if letters := o.letters(t, ada.Email); !strings.Contains(letters[len(letters)-1], "suspended") {
			t.Errorf("the mail: %v", letters)
		}
		if status, body := o.ask("admin", "POST", path+"/suspend", `{`+because+`}`); status != 409 || !strings.Contains(body, "invalid_state") {
			t.Errorf("again: %d %s", status, body)
		}
		if status, body := o.ask("support", "POST", path+"/unsuspend", `{`+because+`}`); status != 200 || !strings.Contains(body, `"liftedBy":"usr_support"`) {
			t.Errorf("unsuspend: %d %s", status, body)
		}
		if u, err := o.Snapshot(t.Context(), ada.ID); err != nil || account.Usable(u, o.clock()) != nil {
			t.Errorf("let in: %+v, %v", u, err)
		}
		o.pass(time.Second)
		status, asked := o.ask("super_admin", "POST", path+"/ban", `{`+because+`}`)
		_, rest, _ := strings.Cut(asked, `"approvalId":"`)
		approvalID, _, _ := strings.Cut(rest, `"`)
		approve := "/admin/approvals/" + approvalID
		if u, err := o.ByID(t.Context(), ada.ID); status != 202 || err != nil || u.State != account.StateActive {
			t.Errorf("ask for a ban: %d %s; she is %s, %v", status, asked, u.State, err)
		}
		if status, body := o.ask("super_admin", "POST", approve+"/approve", `{"note":"I do as I like"}`); status != 403 {
			t.Errorf("approve one's own: %d %s", status, body)
		}
		if status, body := o.ask("admin", "POST", approve+"/approve", `{}`); status != 200 || !strings.Contains(body, `"status":"banned"`) {
			t.Errorf("approve: %d %s", status, body)
		}
		if u, err := o.Snapshot(t.Context(), ada.ID); err != nil || !errors.Is(account.Usable(u, o.clock()), account.ErrBanned) {
			t.Errorf("banned: %+v, %v", u, err)
		}
		if status, body := o.ask("admin", "POST", path+"/ban", `{`+because+`}`); status != 409 {
			t.Errorf("ask for it again: %d %s", status, body)
		}
		if status, body := o.ask("support", "POST", path+"/unban", `{`+because+`}`); status != 403 {
			t.Errorf("support unbans: %d %s", status, body)
		}
		if status, body := o.ask("admin", "POST", path+"/unban", `{`+because+`}`); status != 200 {
			t.Errorf("unban: %d %s", status, body)
		}
		h, err := o.History(t.Context(), ada.ID, 10)
		if err != nil || len(h) != 4 || h[3].To != account.StateSuspended || h[3].LiftedBy != "usr_support" || h[1].To != account.StateBanned || h[1].LiftedBy != "usr_admin" {
			t.Errorf("the history: %+v, %v", h, err)
		}
		es, err := o.Audit.List(t.Context(), audit.Filter{Type: "user", ID: ada.ID}, 10)
		if err != nil || len(es) != 4 || es[3].Action != "users.suspend" || string(es[3].After["status"]) != `"suspended"` || es[3].Actor != "usr_admin" {
			t.Errorf("the audit log: %+v, %v", es, err)
		}
	})
}

func TestASuspensionEndsByItself(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		o := newOffice(t, db)
		ada := o.people(1)[0]
		day := o.clock().Add(24 * time.Hour)
		if status, body := o.ask("ops", "POST", "/admin/users/"+ada.ID+"/suspend", `{"until":"`+day.Format(time.RFC3339)+`",`+because+`}`); status != 200 {
			t.Fatalf("suspend: %d %s", status, body)
		}
		if err := o.EndSuspensions(t.Context()); err != nil {
			t.Fatal(err)
		}
		if u, _ := o.ByID(t.Context(), ada.ID); u.State != account.StateSuspended {
			t.Error("it ended too early")
		}
		o.pass(24 * time.Hour)
		if u, _ := o.Snapshot(t.Context(), ada.ID); account.Usable(u, o.clock()) != nil {
			t.Error("it holds until a job runs")
		}
		if err := o.EndSuspensions(t.Context()); err != nil {
			t.Fatal(err)
		}
		h, err := o.History(t.Context(), ada.ID, 10)
		if err != nil || len(h) != 2 || h[1].LiftedBy != audit.System {
			t.Errorf("the history: %+v, %v", h, err)
		}
	})
}

func TestWhoMayLockOut(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		o := newOffice(t, db)
		ada := o.people(1)[0]
		path := "/admin/users/" + ada.ID + "/suspend"
		last := fault.New(fault.Conflict, "last_super_admin", "No.")
		for _, tt := range []struct {
			name, role, path, until string
			closing                 error
			status                  int
		}{
			{"ops for good", "ops", path, "", nil, 403},
			{"ops for 31 days", "ops", path, o.clock().Add(31 * 24 * time.Hour).Format(time.RFC3339), nil, 403},
			{"support", "support", path, "", nil, 403},
			{"themselves", "admin", "/admin/users/usr_admin/suspend", "", nil, 403},
			{"somebody unknown", "admin", "/admin/users/usr_x/suspend", "", nil, 404},
			{"until yesterday", "admin", path, "2026-01-01T00:00:00Z", nil, 422},
			{"the last super_admin", "admin", path, "", last, 409},
		} {
			body := `{` + because + `}`
			if tt.until != "" {
				body = `{"until":"` + tt.until + `",` + because + `}`
			}
			o.Closing = func(context.Context, string) error { return tt.closing }
			if status, got := o.ask(tt.role, "POST", tt.path, body); status != tt.status {
				t.Errorf("%s: %d %s, want %d", tt.name, status, got, tt.status)
			}
		}
		if u, err := o.ByID(t.Context(), ada.ID); err != nil || u.State != account.StateActive {
			t.Errorf("she is %s, %v", u.State, err)
		}
		if h, err := o.History(t.Context(), ada.ID, 10); err != nil || len(h) != 0 {
			t.Errorf("the history: %v, %v", h, err)
		}
	})
}

func TestPeopleAreFoundInPages(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		o := newOffice(t, db)
		people := o.people(5)
		name := func(body string) string {
			var out string
			for _, part := range strings.Split(body, `"email":"person`)[1:] {
				out += part[:1]
			}
			return out
		}
		all, cursor := "", ""
		for {
			status, body := o.ask("admin", "GET", "/admin/users?limit=2&cursor="+cursor, "")
			if status != 200 {
				t.Fatalf("%d %s", status, body)
			}
			all += name(body) + " "
			_, rest, _ := strings.Cut(body, `"nextCursor":"`)
			if cursor, _, _ = strings.Cut(rest, `"`); cursor == "" {
				break
			}
		}
		if all != "43 21 0 " {
			t.Errorf("in pages: %q", all)
		}
		if _, err := o.Authenticate(t.Context(), account.Attempt{Name: people[2].Email, Password: good}); err != nil {
			t.Fatal(err)
		}
		if status, body := o.ask("admin", "GET", "/admin/users?sort=last_login_at&limit=1", ""); status != 200 || name(body) != "2" {
			t.Errorf("by sign-in: %d %s", status, body)
		}
		if err := o.AddUsed(t.Context(), map[string]money.Credits{people[1].ID: 5 * money.Credit, people[3].ID: 7 * money.Credit, "usr_gone": money.Credit}); err != nil {
			t.Fatal(err)
		}
		if err := o.AddUsed(t.Context(), map[string]money.Credits{people[3].ID: -4 * money.Credit}); err != nil {
			t.Fatal(err)
		}
		status, first := o.ask("analyst", "GET", "/admin/users?sort=credits_used&limit=1", "")
		_, rest, _ := strings.Cut(first, `"nextCursor":"`)
		cursor, _, _ = strings.Cut(rest, `"`)
		_, second := o.ask("analyst", "GET", "/admin/users?sort=credits_used&limit=1&cursor="+cursor, "")
		if status != 200 || !strings.Contains(first, people[1].ID) || !strings.Contains(first, `"creditsUsed":5`) || !strings.Contains(second, people[3].ID) || !strings.Contains(second, `"creditsUsed":3`) {
			t.Errorf("by use: %d %s %s", status, first, second)
		}
		if status, _ := o.ask("auditor", "GET", "/admin/users?sort=credits_used", ""); status != 403 {
			t.Errorf("who may not see credits sorts by them: %d", status)
		}
		if _, body := o.ask("auditor", "GET", "/admin/users?limit=1", ""); !strings.Contains(body, `"creditsUsed":null`) {
			t.Errorf("who may not see credits: %s", body)
		}
		for query, want := range map[string]string{
			"?search=PERSON3": "3", "?search=" + people[1].ID: "1", "?search=%25": "", "?search=n_": "", "?status=banned": "", "?role=ops": "",
			"?created_before=2026-05-01T12:02:00Z": "10", "?created_after=2026-05-01T12:04:00Z": "4",
		} {
			if status, body := o.ask("admin", "GET", "/admin/users"+query, ""); status != 200 || name(body) != want {
				t.Errorf("%s: %d %s, want %s", query, status, body, want)
			}
		}
		if status, body := o.ask("admin", "GET", "/admin/users?sort=credits", ""); status != 422 {
			t.Errorf("an unknown order: %d %s", status, body)
		}
		status, body := o.ask("analyst", "GET", "/admin/users/"+people[0].ID, "")
		if status != 200 || !strings.Contains(body, `"email":"p***@example.com"`) || strings.Contains(body, "person0") {
			t.Errorf("without the right to personal data: %d %s", status, body)
		}
		if status, _ := o.ask("analyst", "GET", "/admin/users?search=person0", ""); status != 403 {
			t.Errorf("they can be found out by searching: %d", status)
		}
	})
}

func TestProfilesAreEditedForPeople(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		o := newOffice(t, db)
		people := o.people(2)
		path := "/admin/users/" + people[0].ID
		if status, body := o.ask("ops", "PATCH", path, `{"firstName":"Grace","email":"grace@example.com",`+because+`}`); status != 200 || !strings.Contains(body, `"firstName":"Grace"`) || !strings.Contains(body, `"email":"person0@example.com"`) {
			t.Errorf("edit: %d %s", status, body)
		}
		if err := o.ConfirmEmail(t.Context(), o.link(t, "grace@example.com")); err != nil {
			t.Errorf("the new address: %v", err)
		}
		es, err := o.Audit.List(t.Context(), audit.Filter{ID: people[0].ID}, 10)
		if err != nil || len(es) != 2 || string(es[1].After["firstName"]) != `"Grace"` || strings.Contains(es[0].Record+es[1].Record, "race") {
			t.Errorf("the audit log: %+v, %v", es, err)
		}
		if status, body := o.ask("ops", "PATCH", path, `{"username":"`+people[1].Username+`",`+because+`}`); status != 409 || !strings.Contains(body, "username_taken") {
			t.Errorf("a taken name: %d %s", status, body)
		}
		o.changes = nil
		if status, body := o.ask("ops", "DELETE", path+"/sessions"+becauseThat, ""); status != 204 || len(o.changes) != 1 || !o.changes[0].SignOut {
			t.Errorf("sign out: %d %s %+v", status, body, o.changes)
		}
	})
}

func TestSignInsAreRemembered(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		o := newOffice(t, db)
		ada := o.people(1)[0]
		for _, a := range []account.Attempt{{Name: ada.Email, Password: good}, {Name: ada.Email, Password: "wrong horse"}, {Name: "nobody@example.com", Password: good}} {
			_, _ = o.Authenticate(t.Context(), a)
		}
		if _, err := o.Suspend(t.Context(), ada.ID, account.Turn{Reason: "spam by the thousand"}); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Authenticate(t.Context(), account.Attempt{Name: ada.Email, Password: good}); !errors.Is(err, account.ErrSuspended) {
			t.Error(err)
		}
		if err := o.SignedIn(t.Context(), ada); err != nil { // as she was before
			t.Error(err)
		}
		es, err := o.Audit.List(t.Context(), audit.Filter{Action: "sign_in"}, 10)
		got := ""
		for _, e := range es {
			got += fmt.Sprint(e.Outcome, " ", e.ID == ada.ID, " ", string(e.After["way"]), string(e.After["fault"]), "; ")
			if strings.Contains(e.Record, "example.com") {
				t.Errorf("it holds what was typed: %s", e.Record)
			}
		}
		const want = `done true "passkey"; refused true "password""account_suspended"; failed false "password""unauthorized"; failed true "password""unauthorized"; done true "password"; `
		if err != nil || got != want {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
	})
}
