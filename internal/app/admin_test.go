package app

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/apikey"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/identity/oauth"
	"github.com/rephlo/rephlo/internal/role"
	"github.com/rephlo/rephlo/internal/subscription"
	"github.com/rephlo/rephlo/internal/web"
)

var update = flag.Bool("update", false, "rewrite testdata/admin-matrix.txt")

// staff is a server with people of every role.
type staff struct {
	*testing.T
	*Server
	mux   *web.Mux
	users map[string]account.User // by role; "" has none
	asked int
	acr   string // of the sign-ins
}

const why = "a reason that is long enough"

func newStaff(t *testing.T) *staff {
	t.Helper()
	return staffOn(t, start(t))
}

func staffOn(t *testing.T, s *Server) *staff {
	t.Helper()
	f := &staff{T: t, Server: s, users: map[string]account.User{}, acr: "mfa"}
	var err error
	if f.mux, err = f.newAPI(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(access.SystemRoles(), "") {
		u, err := f.domains.Accounts.CreateAdmin(t.Context(), "u"+name+"@example.com", "correct horse battery staple")
		if err != nil {
			t.Fatal(err)
		}
		if f.users[name] = u; name == access.RoleSuperAdmin {
			continue
		}
		root := access.Actor{UserID: f.users[access.RoleSuperAdmin].ID, Roles: []string{access.RoleSuperAdmin}}
		o := role.Order{By: root, UserID: u.ID, Reason: why}
		ctx := access.With(t.Context(), root, nil)
		has, err := f.domains.Roles.Assignments(ctx, u.ID, false)
		if err != nil {
			t.Fatal(err)
		}
		if name != "" {
			if _, err := f.domains.Roles.Assign(ctx, o, name); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.domains.Roles.Remove(ctx, o, has[0].ID); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// token signs an access token of somebody, as the Identity Provider does.
func (f *staff) token(userID, scope string, ago time.Duration) string {
	f.Helper()
	now := f.core.Now().Add(-ago)
	text, err := f.parts.signing.Sign(oauth.TypeAccess, oauth.AccessToken{
		Issuer: f.core.Config.IDPURL, Subject: userID, Audience: f.core.Config.APIURL, ClientID: "test", Scope: scope,
		IssuedAt: now.Unix(), Expiry: now.Add(10 * time.Minute).Unix(), AuthTime: now.Unix(), ACR: f.acr, JTI: id.New("at", now),
	})
	if err != nil {
		f.Fatal(err)
	}
	return text
}

// ask sends an empty request and returns the status.
func (f *staff) ask(pattern, credential string) (int, string) {
	f.Helper()
	method, path, _ := strings.Cut(pattern, " ")
	r := httptest.NewRequestWithContext(f.Context(), method, strings.NewReplacer("{", "", "}", "").Replace(path), strings.NewReader("{}"))
	r.Host = strings.TrimPrefix(f.core.Config.APIURL, "http://")
	r.Header.Set("Content-Type", "application/json")
	f.asked++ // from everywhere, so that nobody is suspected of guessing
	r.RemoteAddr = fmt.Sprintf("%d.%d.7.7:99", 11+f.asked/200, f.asked%200)
	if credential != "" {
		r.Header.Set("Authorization", "Bearer "+credential)
	}
	rec := httptest.NewRecorder()
	f.mux.ServeHTTP(rec, r)
	return rec.Code, rec.Body.String()
}

// post sends a change by a super_admin, which has to succeed.
func (f *staff) post(path, body string) {
	f.Helper()
	r := httptest.NewRequestWithContext(f.Context(), http.MethodPost, path, strings.NewReader(body))
	r.Host = strings.TrimPrefix(f.core.Config.APIURL, "http://")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+f.token(f.users[access.RoleSuperAdmin].ID, "admin", 0))
	r.Header.Set("Idempotency-Key", path)
	rec := httptest.NewRecorder()
	f.mux.ServeHTTP(rec, r)
	if rec.Code >= http.StatusMultipleChoices {
		f.Fatalf("POST %s: %d %s", path, rec.Code, rec.Body)
	}
}

// adminRoutes are the patterns of administration with their permissions.
func (f *staff) adminRoutes() (patterns []string, permissions map[string]string) {
	permissions = f.mux.Permissions()
	for pattern := range permissions {
		if strings.Contains(pattern, " /admin/") {
			patterns = append(patterns, pattern)
		}
	}
	slices.SortFunc(patterns, func(a, b string) int {
		return strings.Compare(a[strings.IndexByte(a, '/'):]+a, b[strings.IndexByte(b, '/'):]+b)
	})
	return patterns, permissions
}

func TestAdministration(t *testing.T) {
	t.Parallel()
	f := newStaff(t)
	// In this order: what is remembered gives somebody another role.
	t.Run("who may do what", func(t *testing.T) { whoMayDoWhat(t, f) })
	t.Run("what is remembered", func(t *testing.T) { isRemembered(t, f) })
	t.Run("what is shown of people", func(t *testing.T) { peopleAreShown(t, f) })
	t.Run("what people hold", func(t *testing.T) { holdingsFollow(t, f) })
	t.Run("nobody else", func(t *testing.T) { nobodyElse(t, f) }) // it locks people out, so it is the last
}

// Every route of administration names a permission there is, and lets in whose
// role holds it and nobody else. The table of testdata is for reviewers: it is
// what the server did.
func whoMayDoWhat(t *testing.T, f *staff) {
	t.Helper()
	patterns, permissions := f.adminRoutes()
	if len(patterns) < 60 {
		t.Errorf("only %d routes", len(patterns))
	}
	roles := access.SystemRoles()
	tokens := map[string]string{}
	for _, name := range roles {
		tokens[name] = f.token(f.users[name].ID, "admin", 0)
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%-6s %-48s %-28s %s\n", "", "route", "permission", strings.Join(roles, " "))
	for _, pattern := range patterns {
		p := access.Permission(permissions[pattern])
		if p != access.AnyRole && !slices.Contains(access.Permissions(), p) {
			t.Errorf("%s names the permission %q, which there is not", pattern, p)
		}
		method, path, _ := strings.Cut(pattern, " ")
		fmt.Fprintf(&table, "%-6s %-48s %-28s", method, path, p)
		for _, name := range roles {
			status, body := f.ask(pattern, tokens[name])
			refused := status == http.StatusForbidden && strings.Contains(body, `"permission"`)
			in := status != http.StatusUnauthorized && !refused
			if may := access.NewRights([]string{name}, nil, nil).Has(p) || p == access.AnyRole; in != may {
				t.Errorf("%s answers %s %d %s, want in: %t", pattern, name, status, body, may)
			}
			if status >= 500 {
				t.Errorf("%s answers %s %d %s", pattern, name, status, body)
			}
			mark := "-"
			if in {
				mark = "yes"
			}
			fmt.Fprintf(&table, " %-*s", len(name), mark)
		}
		table.WriteString("\n")
	}
	got := strings.ReplaceAll(table.String(), " \n", "\n")
	for strings.Contains(got, " \n") {
		got = strings.ReplaceAll(got, " \n", "\n")
	}
	file := filepath.Join("testdata", "admin-matrix.txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != got {
		t.Errorf("%s is stale (%v); look at what changed and run the test with -update:\n%s", file, err, got)
	}
}

// What somebody holds follows the state of their account.
func holdingsFollow(t *testing.T, f *staff) {
	t.Helper()
	d, ada := f.domains, f.users[""]
	turn := account.Turn{By: access.Actor{UserID: f.users[access.RoleSuperAdmin].ID, Roles: []string{access.RoleSuperAdmin}}, Reason: why}
	ctx := access.With(t.Context(), turn.By, nil)
	if err := d.Plans.StartFree(ctx, ada.ID, f.core.Now()); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name         string
		do           func(context.Context, string, account.Turn) (account.User, error)
		live, paused bool
	}{
		{"suspended", d.Accounts.Suspend, true, true},
		{"unsuspended", d.Accounts.Unsuspend, true, false},
		{"suspended again", d.Accounts.Suspend, true, true},
		{"banned", d.Accounts.Ban, false, false},
		{"unbanned", d.Accounts.Unban, true, false},
	} {
		if _, err := step.do(ctx, ada.ID, turn); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		list, err := d.Plans.List(ctx, subscription.Filter{User: ada.ID, State: "active"}, 2)
		if err != nil || (len(list) == 1) != step.live || step.live && list[0].PausedAt.IsZero() == step.paused {
			t.Errorf("%s: %+v, %v", step.name, list, err)
		}
	}
}

// Whoever is no administrator at all gets into none of the routes, and is told
// nothing.
func nobodyElse(t *testing.T, f *staff) {
	t.Helper()
	root := access.Actor{UserID: f.users[access.RoleSuperAdmin].ID, Roles: []string{access.RoleSuperAdmin}}
	ctx := access.With(t.Context(), root, nil)
	if _, err := f.domains.Accounts.Suspend(ctx, f.users[access.RoleOps].ID, account.Turn{By: root, Reason: why}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.domains.Accounts.Ban(ctx, f.users[access.RoleSupport].ID, account.Turn{By: root, Reason: why}); err != nil {
		t.Fatal(err)
	}
	_, key, err := f.domains.Keys.Create(ctx, apikey.NewKey{UserID: root.UserID, Name: "key", Mode: apikey.ModeLive, Scopes: apikey.Scopes})
	if err != nil {
		t.Fatal(err)
	}
	id, err := f.parts.signing.Sign(oauth.TypeID, oauth.IDToken{
		Issuer: f.core.Config.IDPURL, Subject: root.UserID, Audience: f.core.Config.APIURL, IssuedAt: f.core.Now().Unix(), Expiry: f.core.Now().Add(time.Minute).Unix(),
	})
	if err != nil {
		t.Fatal(err)
	}
	f.acr = "single"
	bare := f.token(root.UserID, "admin", 0)
	f.acr = "mfa"
	patterns, _ := f.adminRoutes()
	for _, tt := range []struct {
		who, credential string
		status          int
		code            string
	}{
		{"a stranger", "", 401, "unauthorized"},
		{"a user without a role", f.token(f.users[""].ID, "admin", 0), 403, "insufficient_scope"},
		{"a user with another scope", f.token(f.users[""].ID, "credits.read user.info", 0), 403, "insufficient_scope"},
		{"a super_admin with other scopes", f.token(root.UserID, "account.manage billing.manage keys.manage", 0), 403, "insufficient_scope"},
		{"a super_admin without a second factor", bare, 401, "insufficient_user_authentication"},
		{"a super_admin's old token", f.token(root.UserID, "admin", time.Hour), 401, "token_expired"},
		{"a super_admin's API key", key.Reveal(), 403, "forbidden"},
		{"a super_admin's ID token", id, 401, "invalid_token"},
		{"somebody who does not exist", f.token("usr_nobody", "admin", 0), 401, "invalid_token"},
		{"a suspended ops", f.token(f.users[access.RoleOps].ID, "admin", 0), 0, "account_suspended"},
		{"a banned support", f.token(f.users[access.RoleSupport].ID, "admin", 0), 0, "account_banned"},
	} {
		for _, pattern := range patterns {
			status, body := f.ask(pattern, tt.credential)
			// A token of before the suspension is void beside.
			void := tt.status == 0 && (status == 401 && strings.Contains(body, `"invalid_token"`) || status == 403 && strings.Contains(body, tt.code))
			if !void && (status != tt.status || !strings.Contains(body, `"code":"`+tt.code+`"`)) {
				t.Errorf("%s answers %s %d %s, want %d %s", pattern, tt.who, status, body, tt.status, tt.code)
				break
			}
		}
	}
}

// What administrators change is in the audit log with who they are and where
// they were.
func isRemembered(t *testing.T, f *staff) {
	t.Helper()
	token := f.token(f.users[access.RoleAdmin].ID, "admin", 0)
	user := f.users[access.RoleAuditor].ID
	for _, tt := range []struct{ method, path, body, action string }{
		{"POST", "/admin/credits/grant-bonus", `{"userId":"` + user + `","amount":5,"reason":"` + why + `"}`, "credits.grant"},
		{"POST", "/admin/credits/deduct", `{"userId":"` + user + `","amount":2,"reason":"` + why + `"}`, "approvals.request"},
		{"POST", "/admin/jobs/account.sweep/run", ``, "jobs.run"},
		{"POST", "/admin/providers", `{"id":"mine","vendor":"compat","name":"Mine","baseUrl":"https://models.example.com/v1","reason":"` + why + `"}`, "catalog.provider.create"},
		{"POST", "/admin/subscriptions", `{"userId":"` + user + `","tier":"pro","billingCycle":"monthly","billingMode":"manual","reason":"` + why + `"}`, "subscription.started"},
		{"POST", "/admin/users/" + user + "/roles", `{"roleId":"analyst","reason":"` + why + `"}`, "roles.assign"},
		{"POST", "/admin/users/" + user + "/suspend", `{"reason":"` + why + `"}`, "users.suspend"},
		{"POST", "/admin/users/" + user + "/unsuspend", `{"reason":"` + why + `"}`, "users.unsuspend"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), tt.method, tt.path, strings.NewReader(tt.body))
		r.Host = strings.TrimPrefix(f.core.Config.APIURL, "http://")
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Idempotency-Key", tt.path)
		r.Header.Set("User-Agent", "a browser")
		rec := httptest.NewRecorder()
		f.mux.ServeHTTP(rec, r)
		if rec.Code >= 300 {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, rec.Code, rec.Body)
			continue
		}
		found, err := f.core.Audit.List(t.Context(), audit.Filter{Action: tt.action, Actor: f.users[access.RoleAdmin].ID}, 1)
		if err != nil || len(found) != 1 {
			t.Errorf("%s %s left %v, %v in the audit log, want %s", tt.method, tt.path, found, err, tt.action)
			continue
		}
		if e := found[0]; e.IP != "192.0.2.1" || e.Client != "a browser" || e.RequestID == "" || strings.Join(e.Roles, " ") != "admin" || tt.body != "" && e.Reason != why {
			t.Errorf("%s: %+v", tt.action, e)
		}
	}
	if v, err := f.core.Audit.Verify(context.Background(), time.Time{}, time.Time{}); err != nil || v.FirstBad != 0 || v.Rows < 7 {
		t.Errorf("the chain: %+v, %v", v, err)
	}
}
