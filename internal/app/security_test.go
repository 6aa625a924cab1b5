package app

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/audit"
)

// Administrators see where others are signed in, without addresses unless they
// may see them, and end it; and they change the keys that sign tokens.
func TestSignInsAndSigningKeysAreAdministered(t *testing.T) {
	t.Parallel()
	f := newStaff(t)
	now := time.Now().UnixMicro()
	ops := f.users[access.RoleOps].ID
	sqlRun(t, f.Server, `INSERT INTO sso_session (id, hash, user_id, auth_time, acr, amr, address, agent, created_at, last_seen_at)
		VALUES ('ses_ops', $1, $2, $3, 'mfa', 'pwd otp mfa', '203.0.113.9', 'curl/8', $3, $3)`, []byte("h"), ops, now)
	send := func(role, method, path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		r.Host = strings.TrimPrefix(f.core.Config.APIURL, "http://")
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+f.token(f.users[role].ID, "admin", 0))
		rec := httptest.NewRecorder()
		f.mux.ServeHTTP(rec, r)
		return rec
	}
	reason := `{"reason":"` + why + `"}`
	for _, path := range []string{"/admin/sessions", "/admin/users/" + ops + "/sessions"} {
		if rec := send(access.RoleAuditor, http.MethodGet, path, ""); rec.Code != 200 || !strings.Contains(rec.Body.String(), "ses_ops") || strings.Contains(rec.Body.String(), "203.0.113.9") {
			t.Errorf("an auditor sees %s: %d %s", path, rec.Code, rec.Body)
		}
		if rec := send(access.RoleSuperAdmin, http.MethodGet, path, ""); !strings.Contains(rec.Body.String(), "203.0.113.9") {
			t.Errorf("a super_admin sees %s", rec.Body)
		}
	}
	for _, want := range []int{204, 404} {
		if rec := send(access.RoleSuperAdmin, http.MethodDelete, "/admin/sessions/ses_ops", reason); rec.Code != want {
			t.Errorf("end it: %d %s, want %d", rec.Code, rec.Body, want)
		}
	}
	if rec := send(access.RoleSuperAdmin, http.MethodGet, "/admin/sessions", ""); strings.Contains(rec.Body.String(), "ses_ops") {
		t.Errorf("it goes on: %s", rec.Body)
	}
	if rec := send(access.RoleSuperAdmin, http.MethodPost, "/admin/signing-keys/rotate", reason); rec.Code != 201 || !strings.Contains(rec.Body.String(), `"state":"pending"`) {
		t.Errorf("rotate: %d %s", rec.Code, rec.Body)
	}
	list, err := f.parts.signing.List(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	if rec := send(access.RoleSuperAdmin, http.MethodPost, "/admin/signing-keys/"+list[1].KID+"/revoke", reason); rec.Code != 204 {
		t.Errorf("revoke: %d %s", rec.Code, rec.Body)
	}
	if rec := send(access.RoleAuditor, http.MethodGet, "/admin/signing-keys", ""); rec.Code != 200 || strings.Contains(rec.Body.String(), list[1].KID) || !strings.Contains(rec.Body.String(), list[0].KID) {
		t.Errorf("the keys are %d %s", rec.Code, rec.Body)
	}
	for _, action := range []string{"sessions.end", "signing_keys.rotate", "signing_keys.revoke"} {
		es, err := f.core.Audit.List(t.Context(), audit.Filter{Action: action}, 2)
		if err != nil || len(es) != 1 || es[0].Actor != f.users[access.RoleSuperAdmin].ID || es[0].Reason != why {
			t.Errorf("%s: %+v, %v", action, es, err)
		}
	}
}

// Two people sign everybody out: all sessions end, and every token that was
// made before counts for nothing.
func TestEverybodyIsSignedOut(t *testing.T) {
	t.Parallel()
	f := newStaff(t)
	other, err := f.domains.Accounts.CreateAdmin(t.Context(), "other@example.com", "correct horse battery staple")
	if err != nil {
		t.Fatal(err)
	}
	sqlRun(t, f.Server, `INSERT INTO sso_session (id, hash, user_id, auth_time, acr, amr, address, agent, created_at, last_seen_at)
		VALUES ('ses_ada', $1, $2, $3, 'pwd', 'pwd', '203.0.113.9', 'curl/8', $3, $3)`, []byte("h"), f.users[""].ID, time.Now().UnixMicro())
	sqlRun(t, f.Server, `INSERT INTO sso_trusted (id, hash, user_id, address, agent, created_at, used_at, expires_at)
		VALUES ('dev_ada', $1, $2, '203.0.113.9', 'curl/8', $3, $3, $4)`, []byte("d"), f.users[""].ID, time.Now().UnixMicro(), time.Now().Add(time.Hour).UnixMicro())
	root, before := f.users[access.RoleSuperAdmin].ID, f.token(f.users[access.RoleAnalyst].ID, "admin", 0)
	status, text := f.send(f.token(root, "admin", 0), http.MethodPost, "/admin/sessions/end-all", `{"reason":"`+why+`"}`)
	var asked struct{ ApprovalID string }
	if err := json.Unmarshal([]byte(text), &asked); err != nil || status != 202 || asked.ApprovalID == "" {
		t.Fatalf("asking: %d %s, %v", status, text, err)
	}
	if status, text := f.send(before, http.MethodGet, "/admin/me", ""); status != 200 {
		t.Errorf("while it waits: %d %s", status, text)
	}
	status, text = f.send(f.token(other.ID, "admin", 0), http.MethodPost, "/admin/approvals/"+asked.ApprovalID+"/approve", `{"note":"`+why+`"}`)
	if status != 200 || !strings.Contains(text, `"sessions":1`) {
		t.Fatalf("agreeing: %d %s", status, text)
	}
	if status, text := f.send(before, http.MethodGet, "/admin/me", ""); status != 401 {
		t.Errorf("a token of before: %d %s", status, text)
	}
	var trusted int
	if err := f.core.DB.Q(t.Context()).QueryRowContext(t.Context(), `SELECT COUNT(*) FROM sso_trusted`).Scan(&trusted); err != nil || trusted != 0 {
		t.Errorf("%d browsers are trusted still, %v", trusted, err)
	}
	es, err := f.core.Audit.List(t.Context(), audit.Filter{Action: "sessions.end_all"}, 5)
	if err != nil || len(es) != 1 || es[0].Reason != why || es[0].Actor != other.ID {
		t.Errorf("remembered: %+v, %v", es, err)
	}
}
