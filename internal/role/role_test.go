package role_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/role"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

type world struct {
	*testing.T
	roles *role.Service
	log   *audit.Log
	bus   *bus.Bus
	mux   *web.Mux
	now   time.Time
	late  time.Duration   // since the sign-in of who asks
	gone  []string        // who cannot sign in
	staff map[string]bool // who is marked
}

func open(t *testing.T, db *sqldb.DB) *world {
	t.Helper()
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), staff: map[string]bool{}}
	now := func() time.Time { return w.now }
	log := slog.New(slog.DiscardHandler)
	w.log = audit.New(audit.Needs{DB: db, Box: box, Log: log, Now: now})
	w.bus = bus.New(db, log, now)
	w.roles = role.New(role.Needs{
		DB: db, Bus: w.bus, Audit: w.log, Now: now,
		Usable: func(_ context.Context, id string) (bool, error) {
			if !strings.HasPrefix(id, "usr_") {
				return false, fault.ErrNotFound
			}
			return !slices.Contains(w.gone, id), nil
		},
		Staff: func(_ context.Context, id string, has bool) error { w.staff[id] = has; return nil },
	})
	w.mux = web.NewMux(web.Config{Use: []web.Middleware{w.actAs}})
	role.AdminAPI{Roles: w.roles}.Mount(w.mux)
	if err := w.roles.Found(t.Context(), "usr_root"); err != nil {
		t.Fatal(err)
	}
	return w
}

// actAs lets a header say who asks; what they may is looked up.
func (w *world) actAs(next web.Handler) web.Handler {
	return func(rw http.ResponseWriter, r *http.Request) error {
		a := w.actor(r.Header.Get("User"))
		return next(rw, r.WithContext(access.With(r.Context(), a, nil)))
	}
}

func (w *world) actor(id string) access.Actor {
	w.Helper()
	h, err := w.roles.Of(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	return access.Actor{UserID: id, Scopes: []string{access.ScopeAdmin}, Roles: h.Roles, Rights: h.Rights, AuthTime: w.now.Add(-w.late), Factor: true}
}

func (w *world) order(by, user string) role.Order {
	w.Helper()
	return role.Order{By: w.actor(by), UserID: user, Reason: "a reason that is long enough"}
}

func (w *world) ctx(by string) context.Context {
	return access.With(w.Context(), w.actor(by), nil)
}

func (w *world) assign(by, user, roleID string) (role.Assignment, error) {
	w.Helper()
	return w.roles.Assign(w.ctx(by), w.order(by, user), roleID)
}

func (w *world) must(a role.Assignment, err error) role.Assignment {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
	return a
}

func (w *world) ask(user, method, path, body string) (int, string, http.Header) {
	w.Helper()
	r := httptest.NewRequestWithContext(w.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User", user)
	rec := httptest.NewRecorder()
	w.mux.ServeHTTP(rec, r)
	return rec.Code, rec.Body.String(), rec.Header()
}

func TestRightsAreTheUnionOfRolesThenOverrides(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db)
		w.must(w.assign("usr_root", "usr_ada", access.RoleAnalyst))
		if w.actor("usr_ada").May(access.GrantCredits) || !w.actor("usr_ada").May(access.ViewBalance) {
			t.Error("an analyst has other rights")
		}
		o := w.order("usr_root", "usr_ada")
		o.ExpiresAt = w.now.Add(time.Hour)
		w.must(w.roles.Assign(w.ctx("usr_root"), o, access.RoleSupport))
		if !w.actor("usr_ada").May(access.GrantCredits) || !w.actor("usr_ada").May("analytics.export_data") {
			t.Error("two roles do not add up")
		}
		if _, err := w.roles.Override(w.ctx("usr_root"), o, access.GrantCredits, role.Grant); err != nil {
			t.Fatal(err)
		}
		revoke, err := w.roles.Override(w.ctx("usr_root"), w.order("usr_root", "usr_ada"), access.GrantCredits, role.Revoke)
		if err != nil {
			t.Fatal(err)
		}
		if w.actor("usr_ada").May(access.GrantCredits) {
			t.Error("a grant wins over a revoke")
		}
		if err := w.roles.EndOverride(w.ctx("usr_root"), w.order("usr_root", "usr_ada"), revoke.ID); err != nil {
			t.Fatal(err)
		}
		if !w.actor("usr_ada").May(access.GrantCredits) {
			t.Error("an override that ended still counts")
		}
		w.now = w.now.Add(time.Hour) // nothing has to run for it to expire
		if w.actor("usr_ada").May(access.GrantCredits) || !w.actor("usr_ada").May(access.ViewBalance) {
			t.Error("what has expired still counts, or what has not does not")
		}
		if _, err := w.roles.Override(w.ctx("usr_root"), w.order("usr_root", "usr_bob"), access.GrantCredits, role.Grant); err != nil || w.actor("usr_bob").May(access.GrantCredits) {
			t.Errorf("an override alone makes an administrator: %v", err)
		}
	})
}

func TestNobodyGivesThemselvesOrBeyondThemselves(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db)
		admin := w.must(w.assign("usr_root", "usr_adm", access.RoleAdmin))
		custom, err := w.roles.Define(w.ctx("usr_root"), w.actor("usr_root"), "for the treasurer", role.Definition{Name: "Treasurer", Permissions: []access.Permission{"settings.edit"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			by, user, role string
			want           error
		}{
			{"usr_adm", "usr_adm", access.RoleOps, role.ErrOwn},
			{"usr_root", "usr_root", access.RoleOps, role.ErrOwn},
			{"usr_adm", "usr_bob", access.RoleSuperAdmin, role.ErrSuper},
			{"usr_adm", "usr_bob", custom.ID, role.ErrBeyond},
			{"usr_adm", "usr_root", access.RoleOps, role.ErrSuper},
			{"usr_root", "usr_bob", "role_unknown", role.ErrUnknown},
			{"usr_root", "nobody", access.RoleOps, fault.ErrNotFound},
			{"usr_adm", "usr_bob", access.RoleAuditor, nil},
			{"usr_adm", "usr_bob", access.RoleAuditor, role.ErrHas},
			{"usr_root", "usr_bob", custom.ID, nil},
		} {
			_, err := w.assign(tt.by, tt.user, tt.role)
			if !errors.Is(err, tt.want) || errors.Is(err, role.ErrOwn) && !strings.HasPrefix(fault.From(err).Message, fault.From(tt.want).Message[:20]) {
				t.Errorf("%s gives %s %s: %v, want %v", tt.by, tt.user, tt.role, err, tt.want)
			}
		}
		if err := w.roles.Remove(w.ctx("usr_adm"), w.order("usr_adm", "usr_adm"), admin.ID); !errors.Is(err, role.ErrOwn) {
			t.Errorf("an admin leaves: %v", err)
		}
		if _, err := w.roles.Override(w.ctx("usr_adm"), w.order("usr_adm", "usr_root"), access.AssignRoles, role.Revoke); fault.From(err).Message != role.ErrSuper.Message {
			t.Errorf("an admin takes from a super_admin: %v", err)
		}
		if _, err := w.roles.Override(w.ctx("usr_adm"), w.order("usr_adm", "usr_bob"), access.ViewAudit, role.Grant); fault.From(err).Message != role.ErrBeyond.Message {
			t.Errorf("an admin, who sees their own acts, lets somebody see all: %v", err)
		}
	})
}

func TestThereIsAlwaysASuperAdmin(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db)
		o := w.order("usr_root", "usr_two")
		o.ExpiresAt = w.now.Add(time.Hour)
		w.must(w.roles.Assign(w.ctx("usr_root"), o, access.RoleSuperAdmin))
		root, err := w.roles.Assignments(t.Context(), "usr_root", false)
		if err != nil || len(root) != 1 {
			t.Fatal(root, err)
		}
		last := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, role.ErrLast) {
				t.Errorf("%s: %v, want last_super_admin", what, err)
			}
		}
		last("the other one's expires", w.roles.Remove(w.ctx("usr_two"), w.order("usr_two", "usr_root"), root[0].ID))
		_, err = w.roles.Override(w.ctx("usr_two"), w.order("usr_two", "usr_root"), access.AssignRoles, role.Revoke)
		last("a right is revoked", err)
		w.gone = []string{"usr_root"}
		last("the last is suspended", w.roles.KeepOne(t.Context()))
		w.gone = []string{"usr_three"}
		w.must(w.assign("usr_root", "usr_three", access.RoleSuperAdmin))
		last("the other one cannot sign in", w.roles.Remove(w.ctx("usr_two"), w.order("usr_two", "usr_root"), root[0].ID))
		w.gone = nil
		if err := w.roles.Remove(w.ctx("usr_two"), w.order("usr_two", "usr_root"), root[0].ID); err != nil {
			t.Errorf("with another one: %v", err)
		}
		if w.actor("usr_root").May(access.ViewUsers) || w.staff["usr_root"] {
			t.Error("the removed one still has rights, or the mark of them")
		}
		if err := w.roles.Found(t.Context(), "usr_root"); err != nil || !w.actor("usr_root").May(access.ManageSecurity) || !w.staff["usr_root"] {
			t.Errorf("recovered: %v", err)
		}
	})
}

func TestChangesOfRightsAreFewAndRemembered(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db)
		for i := range 10 {
			w.must(w.assign("usr_root", fmt.Sprint("usr_", i), access.RoleOps))
		}
		if _, err := w.assign("usr_root", "usr_more", access.RoleOps); !errors.Is(err, role.ErrTooOften) || fault.From(err).RetryAfter != time.Hour {
			t.Errorf("the eleventh in an hour: %v", err)
		}
		w.now = w.now.Add(time.Hour)
		w.must(w.assign("usr_root", "usr_more", access.RoleOps))
		for i := range 5 {
			if _, err := w.roles.Override(w.ctx("usr_root"), w.order("usr_root", fmt.Sprint("usr_", i)), access.RunJobs, role.Revoke); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.roles.Override(w.ctx("usr_root"), w.order("usr_root", "usr_9"), access.RunJobs, role.Revoke); !errors.Is(err, role.ErrTooOften) {
			t.Errorf("the sixth override in an hour: %v", err)
		}
		found, err := w.log.List(t.Context(), audit.Filter{Type: "rights", ID: "usr_0"}, 10)
		if err != nil || len(found) != 2 || found[0].Action != "roles.override" || found[1].Action != "roles.assign" || found[1].Actor != "usr_root" || string(found[1].After["roleId"]) != `"ops"` {
			t.Errorf("remembered: %+v, %v", found, err)
		}
		if v, err := w.log.Verify(t.Context(), time.Time{}, time.Time{}); err != nil || v.FirstBad != 0 || v.Rows != 17 {
			t.Errorf("%+v, %v", v, err)
		}
	})
}

func TestAnotherProcessHearsOfAChange(t *testing.T) {
	t.Parallel()
	dbtest.RunURL(t, func(t *testing.T, url string) {
		here, there := open(t, dbtest.Open(t, url)), open(t, dbtest.Open(t, url))
		if there.actor("usr_ada").May(access.ViewUsers) {
			t.Fatal("already")
		}
		if err := there.bus.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer there.bus.Stop()
		here.must(here.assign("usr_root", "usr_ada", access.RoleSupport))
		for until := time.Now().Add(20 * time.Second); !there.actor("usr_ada").May(access.ViewUsers); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(until) {
				t.Fatal("it never hears of it")
			}
		}
	})
}

func TestRolesOverHTTP(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db)
		const why = `"reason":"a reason that is long enough"`
		const reason = "?reason=a+reason+that+is+long+enough"
		field := func(body, name string) string {
			t.Helper()
			var m map[string]any
			if err := json.Unmarshal([]byte(body), &m); err != nil {
				t.Fatal(err)
			}
			s, _ := m[name].(string)
			return s
		}
		status, body, head := w.ask("usr_root", "POST", "/admin/roles", `{"name":"Bookkeeper","permissions":["billing.view","billing.view"],`+why+`}`)
		id := field(body, "id")
		if status != 201 || head.Get("Location") != "/admin/roles/"+id || head.Get("ETag") != `"1"` {
			t.Fatalf("define: %d %s %v", status, body, head)
		}
		if status, body, _ := w.ask("usr_root", "POST", "/admin/users/usr_ada/roles", `{"roleId":"`+id+`",`+why+`}`); status != 201 {
			t.Fatalf("assign: %d %s", status, body)
		}
		status, body, _ = w.ask("usr_ada", "GET", "/admin/me", "")
		if status != 200 || !strings.Contains(body, `"permissions":["billing.view"]`) || !strings.Contains(body, id) {
			t.Errorf("me: %d %s", status, body)
		}
		if status, body, _ := w.ask("usr_root", "PATCH", "/admin/roles/"+id, `{"permissions":["billing.view","users.view","roles.view"],`+why+`}`); status != 200 {
			t.Errorf("redefine: %d %s", status, body)
		}
		status, body, _ = w.ask("usr_ada", "GET", "/admin/users/usr_ada/roles", "")
		assignment := body[strings.Index(body, "ras_") : strings.Index(body, "ras_")+30]
		if status != 200 || strings.Count(body, `"roleId"`) != 1 {
			t.Errorf("the new permission of a role counts at once: %d %s", status, body)
		}
		for _, tt := range []struct {
			name, user, method, path, body string
			status                         int
			code                           string
		}{
			{"while somebody has it", "usr_root", "DELETE", "/admin/roles/" + id + reason, "", 409, "in_use"},
			{"a system role", "usr_root", "PATCH", "/admin/roles/ops", `{"name":"Other",` + why + `}`, 409, "invalid_state"},
			{"a taken name", "usr_root", "POST", "/admin/roles", `{"name":"bookkeeper","permissions":[],` + why + `}`, 409, "conflict"},
			{"an unknown permission", "usr_root", "POST", "/admin/roles", `{"name":"Other","permissions":["all"],` + why + `}`, 422, "validation_error"},
			{"without a reason", "usr_root", "POST", "/admin/users/usr_ada/roles", `{"roleId":"ops"}`, 422, "validation_error"},
			{"in the past", "usr_root", "POST", "/admin/users/usr_ada/roles", `{"roleId":"ops","expiresAt":"2026-01-01T00:00:00Z",` + why + `}`, 422, "validation_error"},
			{"without the right", "usr_ada", "POST", "/admin/users/usr_bob/roles", `{"roleId":"ops",` + why + `}`, 403, "forbidden"},
			{"no administrator", "usr_bob", "GET", "/admin/me", "", 403, "forbidden"},
			{"nobody", "usr_root", "GET", "/admin/users/nobody/roles", "", 404, "not_found"},
			{"an unknown override", "usr_root", "DELETE", "/admin/users/usr_ada/overrides/rov_1" + reason, "", 404, "not_found"},
		} {
			status, body, _ := w.ask(tt.user, tt.method, tt.path, tt.body)
			if status != tt.status || !strings.Contains(body, `"code":"`+tt.code+`"`) {
				t.Errorf("%s: %d %s, want %d %s", tt.name, status, body, tt.status, tt.code)
			}
		}
		if status, body, _ := w.ask("usr_root", "DELETE", "/admin/users/usr_ada/roles/"+assignment+reason, ""); status != 204 {
			t.Errorf("remove: %d %s", status, body)
		}
		if status, body, _ := w.ask("usr_root", "DELETE", "/admin/roles/"+id+reason, ""); status != 204 {
			t.Errorf("delete: %d %s", status, body)
		}
		if status, body, _ := w.ask("usr_root", "GET", "/admin/users/usr_ada/roles?history=true", ""); status != 200 || !strings.Contains(body, `"endedBy":"usr_root"`) {
			t.Errorf("the history: %d %s", status, body)
		}
	})
}

func TestWhatExpiredIsEnded(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db)
		o := w.order("usr_root", "usr_ada")
		o.ExpiresAt = w.now.Add(time.Minute)
		w.must(w.roles.Assign(w.ctx("usr_root"), o, access.RoleOps))
		w.now = w.now.Add(time.Minute)
		if err := w.roles.Expire(t.Context()); err != nil || w.staff["usr_ada"] {
			t.Errorf("the mark stays: %v", err)
		}
		if list, err := w.roles.Assignments(t.Context(), "usr_ada", true); err != nil || len(list) != 1 || !list[0].EndedAt.Equal(w.now) {
			t.Errorf("%+v, %v", list, err)
		}
		w.must(w.assign("usr_root", "usr_ada", access.RoleOps)) // again
	})
}
