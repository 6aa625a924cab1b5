package role_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/role"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

func TestRolesAdministerFromAllowedNetworks(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db)
		w.mux = web.NewMux(web.Config{Use: []web.Middleware{w.actAs, w.roles.Gate(func(r *http.Request) string { return r.Header.Get("From") })}})
		role.AdminAPI{Roles: w.roles}.Mount(w.mux)
		w.must(w.assign("usr_root", "usr_ops", "ops"))
		ask := func(user, from, method, path, body string) (int, string) {
			t.Helper()
			r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("User", user)
			r.Header.Set("From", from)
			rec := httptest.NewRecorder()
			w.mux.ServeHTTP(rec, r)
			return rec.Code, rec.Body.String()
		}
		const list, why = "/admin/ip-allow-list", `"reason":"a reason that is long enough"}`
		allow := func(from, name, cidr string) (int, string) {
			t.Helper()
			return ask("usr_root", from, "POST", list, `{"roleId":"`+name+`","cidr":"`+cidr+`",`+why)
		}
		for _, cidr := range []string{"192.0.2.77/24", "2001:db8::/32", "198.51.100.9"} {
			if status, body := allow("203.0.113.1", "ops", cidr); status != 201 {
				t.Fatalf("%s: %d %s", cidr, status, body)
			}
		}
		for from, want := range map[string]int{
			"192.0.2.1": 200, "::ffff:192.0.2.1": 200, "2001:db8:1::1": 200, "198.51.100.9": 200, "198.51.100.8": 403, "2001:db9::1": 403, "": 403, "nonsense": 403,
		} {
			status, body := ask("usr_ops", from, "GET", "/admin/me", "")
			if status != want || want == 403 && !strings.Contains(body, `"ip_not_allowed"`) {
				t.Errorf("ops from %q: %d %s, want %d", from, status, body, want)
			}
			if status, _ := ask("usr_root", from, "GET", "/admin/me", ""); status != 200 {
				t.Errorf("a role without entries from %q: %d", from, status)
			}
		}
		if status, body := allow("203.0.113.1", "super_admin", "192.0.2.0/24"); status != 422 || !strings.Contains(body, "not be allowed any more") {
			t.Errorf("they lock themselves out: %d %s", status, body)
		}
		if status, _ := ask("usr_root", "203.0.113.1", "GET", "/admin/me", ""); status != 200 {
			t.Errorf("and are: %d", status)
		}
		status, body := allow("203.0.113.1", "super_admin", "203.0.113.0/24")
		if status != 201 {
			t.Fatalf("their own network: %d %s", status, body)
		}
		id := body[strings.Index(body, "ran_") : strings.Index(body, "ran_")+30]
		if status, _ := ask("usr_root", "192.0.2.1", "GET", "/admin/me", ""); status != 403 {
			t.Errorf("from elsewhere: %d", status)
		}
		for _, tt := range []struct {
			name, method, path, body string
			status                   int
		}{
			{"away from themselves", "PATCH", list + "/" + id, `{"cidr":"192.0.2.0/24",` + why, 422},
			{"another note", "PATCH", list + "/" + id, `{"note":"the office",` + why, 200},
			{"no network", "POST", list, `{"roleId":"ops","cidr":"10.0.0.0/33",` + why, 422},
			{"no role", "POST", list, `{"roleId":"role_x","cidr":"10.0.0.0/8",` + why, 404},
			{"twice", "POST", list, `{"roleId":"ops","cidr":"192.0.2.0/24",` + why, 409},
			{"unknown", "DELETE", list + "/ran_1?reason=a+reason+that+is+long+enough", "", 404},
			{"the list", "GET", list, "", 200},
			{"the last of a role", "DELETE", list + "/" + id + "?reason=a+reason+that+is+long+enough", "", 204},
		} {
			if status, body := ask("usr_root", "203.0.113.1", tt.method, tt.path, tt.body); status != tt.status {
				t.Errorf("%s: %d %s, want %d", tt.name, status, body, tt.status)
			}
		}
		if err := w.roles.AdmitFrom(t.Context(), []string{"super_admin", "ops"}, "203.0.113.1"); !errors.Is(err, role.ErrAddress) {
			t.Errorf("one of two roles is not allowed here: %v", err)
		}
	})
}

// A network that is taken is one that holds its own address and reads the same
// when it is written.
func FuzzNetworks(f *testing.F) {
	for _, text := range []string{"192.0.2.0/24", "192.0.2.77/24", "2001:db8::1", "::ffff:192.0.2.1", "::ffff:192.0.2.0/120", "fe80::1%eth0", "10.0.0.0/33", " 0.0.0.0/0 ", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := role.ParsePrefix(text)
		if err != nil {
			return
		}
		if !p.IsValid() || !p.Contains(p.Addr()) || p.Addr().Is4In6() || p.Addr().Zone() != "" || p != p.Masked() {
			t.Errorf("%q is %v", text, p)
		}
		if again, err := role.ParsePrefix(p.String()); err != nil || again != p {
			t.Errorf("%q is %v, then %v, %v", text, p, again, err)
		}
	})
}
