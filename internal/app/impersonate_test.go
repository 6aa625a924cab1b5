package app

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/impersonate"
	"github.com/rephlo/rephlo/internal/role"
	"github.com/rephlo/rephlo/internal/trail"
)

// send sends a request with a token and returns the answer.
func (f *staff) send(token, method, path, body string) (int, string) {
	f.Helper()
	r := httptest.NewRequestWithContext(f.Context(), method, path, strings.NewReader(body))
	r.Host = strings.TrimPrefix(f.core.Config.APIURL, "http://")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	rec := httptest.NewRecorder()
	f.mux.ServeHTTP(rec, r)
	return rec.Code, rec.Body.String()
}

// look lets the super_admin look as somebody, when another agrees, and returns
// the token and the id.
func (f *staff) look(userID, agrees string) (token, impersonationID string) {
	f.Helper()
	root := f.users[access.RoleSuperAdmin].ID
	must := func(want int, by, method, path, body string) map[string]any {
		f.Helper()
		status, text := f.send(f.token(by, "admin", 0), method, path, body)
		out := map[string]any{}
		if err := json.Unmarshal([]byte(text), &out); err != nil || status != want {
			f.Fatalf("%s %s: %d %s", method, path, status, text)
		}
		return out
	}
	asked := must(202, root, "POST", "/admin/users/"+userID+"/impersonate", `{"reason":"`+why+`"}`)
	done := must(200, agrees, "POST", "/admin/approvals/"+asked["approvalId"].(string)+"/approve", `{"note":"`+why+`"}`)
	impersonationID = done["result"].(map[string]any)["id"].(string)
	taken := must(201, root, "POST", "/admin/impersonations/"+impersonationID+"/token", "")
	return taken["accessToken"].(string), impersonationID
}

func TestImpersonationOnlyReads(t *testing.T) {
	t.Parallel()
	f := newStaff(t)
	ada, root := f.users[""], f.users[access.RoleSuperAdmin]
	for _, name := range access.SystemRoles() {
		if name == access.RoleSuperAdmin {
			continue
		}
		if status, text := f.send(f.token(f.users[name].ID, "admin", 0), "POST", "/admin/users/"+ada.ID+"/impersonate", `{"reason":"`+why+`"}`); status != 403 {
			t.Errorf("%s impersonates: %d %s", name, status, text)
		}
	}
	if status, text := f.send(f.token(root.ID, "admin", 0), "POST", "/admin/users/"+f.users[access.RoleSupport].ID+"/impersonate", `{"reason":"`+why+`"}`); status != 403 || !strings.Contains(text, "with a role") {
		t.Errorf("somebody with a role is impersonated: %d %s", status, text)
	}
	token, impersonationID := f.look(ada.ID, root.ID) // there is nobody else
	if status, text := f.send(token, "GET", "/v1/users/me", ""); status != 200 || !strings.Contains(text, ada.ID) {
		t.Fatalf("look: %d %s", status, text)
	}

	// Whatever changes something or calls a model refuses it, whatever its scope.
	read := 0
	for _, pattern := range f.mux.Routes() {
		method, path, _ := strings.Cut(pattern, " ")
		path = strings.NewReplacer("{", "", "}", "", "$", "").Replace(path)
		status, text := f.send(token, method, path, "{}")
		switch {
		case method != http.MethodGet && method != http.MethodHead:
			refused := strings.Contains(text, impersonate.ErrReadOnly.Code) || strings.Contains(text, impersonate.ErrReadOnly.Message) ||
				strings.Contains(text, access.ScopeInference) // which the token does not have
			if status != 403 || !refused {
				t.Errorf("%s: %d %s", pattern, status, text)
			}
		case strings.HasPrefix(path, "/admin/"):
			if status != 403 {
				t.Errorf("%s: %d %s", pattern, status, text)
			}
		case status == 200:
			read++
		}
	}
	if read < 10 {
		t.Errorf("only %d routes can be read", read)
	}

	// Both are in the log, and the person sees it.
	for action, most := range map[string]int{"users.impersonate": 1, "users.impersonation_started": 1, "users.impersonated_read": 50} {
		es, err := f.core.Audit.List(t.Context(), audit.Filter{Action: action, Type: "user", ID: ada.ID}, most)
		if err != nil || len(es) == 0 || es[0].Actor != root.ID {
			t.Errorf("%s: %+v, %v", action, es, err)
		}
	}
	events, err := f.domains.Trail.List(t.Context(), ada.ID, "", 10)
	if err != nil || len(events) == 0 || events[0].Kind != trail.Impersonated || events[0].Detail != impersonationID {
		t.Errorf("what she sees: %+v, %v", events, err)
	}
	if status, text := f.send(f.token(root.ID, "admin", 0), "DELETE", "/admin/impersonations/"+impersonationID, ""); status != 204 {
		t.Errorf("end: %d %s", status, text)
	}
	if status, _ := f.send(token, "GET", "/v1/users/me", ""); status != 401 {
		t.Errorf("after the end: %d", status)
	}
	if status, text := f.send(f.token(root.ID, "admin", 0), "POST", "/admin/impersonations/"+impersonationID+"/token", ""); status != 409 {
		t.Errorf("begin again: %d %s", status, text)
	}
	if _, text := f.send(f.token(root.ID, "admin", 0), "GET", "/admin/impersonations", ""); !strings.Contains(text, `"status":"over"`) || !strings.Contains(text, ada.ID) {
		t.Errorf("the list: %s", text)
	}
}

// An impersonation ends with what allowed it.
func TestImpersonationEndsWithItsRight(t *testing.T) {
	t.Parallel()
	f := newStaff(t)
	ada, root := f.users[""], f.users[access.RoleSuperAdmin]
	other, err := f.domains.Accounts.CreateAdmin(t.Context(), "second@example.com", "correct horse battery staple")
	if err != nil {
		t.Fatal(err)
	}
	by := access.Actor{UserID: other.ID, Roles: []string{access.RoleSuperAdmin}}
	ctx := access.With(t.Context(), by, nil)
	status := func(token string) int {
		s, _ := f.send(token, "GET", "/v1/users/me", "")
		return s
	}
	token, _ := f.look(ada.ID, other.ID)
	if got := status(token); got != 200 {
		t.Fatalf("look: %d", got)
	}
	if _, err := f.domains.Accounts.Suspend(ctx, root.ID, account.Turn{By: by, Reason: why}); err != nil {
		t.Fatal(err)
	}
	if got := status(token); got != 401 {
		t.Errorf("a suspended administrator looks: %d", got)
	}
	if _, err := f.domains.Accounts.Unsuspend(ctx, root.ID, account.Turn{By: by, Reason: why}); err != nil {
		t.Fatal(err)
	}
	token, _ = f.look(ada.ID, other.ID)
	if _, err := f.domains.Roles.Assign(ctx, role.Order{By: by, UserID: ada.ID, Reason: why}, access.RoleSupport); err != nil {
		t.Fatal(err)
	}
	if got := status(token); got != 401 {
		t.Errorf("somebody who got a role is looked at: %d", got)
	}
	has, err := f.domains.Roles.Assignments(ctx, ada.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.domains.Roles.Remove(ctx, role.Order{By: by, UserID: ada.ID, Reason: why}, has[0].ID); err != nil {
		t.Fatal(err)
	}
	token, _ = f.look(ada.ID, other.ID)
	if err := f.domains.Accounts.SignOut(ctx, ada.ID, why); err != nil {
		t.Fatal(err)
	}
	if got := status(token); got != 401 {
		t.Errorf("after everybody was signed out: %d", got)
	}
}
