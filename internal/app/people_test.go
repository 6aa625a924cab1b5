package app

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/apikey"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/trail"
	"github.com/rephlo/rephlo/internal/usage"
)

// get asks as somebody with a role.
func (f *staff) get(role, path string) (int, map[string]any, string) {
	f.Helper()
	r := httptest.NewRequestWithContext(f.Context(), http.MethodGet, path, http.NoBody)
	r.Host = strings.TrimPrefix(f.core.Config.APIURL, "http://")
	r.Header.Set("Authorization", "Bearer "+f.token(f.users[role].ID, "admin", 0))
	rec := httptest.NewRecorder()
	f.mux.ServeHTTP(rec, r)
	body := map[string]any{}
	if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil {
		f.Fatalf("GET %s: %s", path, rec.Body)
	}
	return rec.Code, body, rec.Body.String()
}

// findsByName looks for ada and her key, as people with rights and without.
func findsByName(t *testing.T, f *staff, k apikey.Key) {
	t.Helper()
	ada := f.users[""]
	plan, err := f.domains.Plans.Current(t.Context(), ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	call := usage.Entry{ID: id.New("call", f.core.Now()), RequestID: "req_of_ada", UserID: ada.ID, ModelID: "test-echo", Operation: "chat", Status: usage.Success, Ending: "finished"}
	if err := f.domains.Usage.Add(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ role, q, kind, hit string }{
		{access.RoleSuperAdmin, ada.Email, "users", ada.ID},
		{access.RoleSuperAdmin, strings.ToUpper(ada.Username), "users", ada.ID},
		{access.RoleAnalyst, ada.ID, "users", ada.ID},
		{access.RoleAnalyst, ada.Email, "", ""},
		{access.RoleSupport, k.Prefix, "api_keys", k.ID},
		{access.RoleSupport, k.ID, "api_keys", k.ID},
		{access.RoleAnalyst, k.ID, "", ""},
		{access.RoleAnalyst, "req_of_ada", "requests", call.ID},
		{access.RoleAnalyst, call.ID, "requests", call.ID},
		{access.RoleAuditor, plan.ID, "subscriptions", plan.ID},
		{access.RoleSuperAdmin, "nothing has this name", "", ""},
	} {
		status, _, text := f.get(tt.role, "/admin/search?q="+url.QueryEscape(tt.q))
		if status != http.StatusOK || tt.kind == "" && text != `{"hits":[]}`+"\n" || tt.kind != "" && (!strings.Contains(text, `"kind":"`+tt.kind+`"`) || !strings.Contains(text, tt.hit)) {
			t.Errorf("%s looks for %s: %d %s, want %s %s", tt.role, tt.q, status, text, tt.kind, tt.hit)
		}
		if tt.role == access.RoleAnalyst && strings.Contains(text, ada.Email) {
			t.Errorf("who may not see personal data finds %s", text)
		}
	}
}

// Administrators see what the slices know of a person, each as far as they may.
func peopleAreShown(t *testing.T, f *staff) {
	t.Helper()
	d, ada := f.domains, f.users[""]
	ctx := t.Context()
	if err := d.Plans.StartFree(ctx, ada.ID, f.core.Now()); err != nil {
		t.Fatal(err)
	}
	k, _, err := d.Keys.Create(ctx, apikey.NewKey{UserID: ada.ID, Name: "key of ada", Mode: apikey.ModeLive, Scopes: apikey.Scopes})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Trail.Record(trail.At(ctx, trail.Place{Address: "192.0.2.77", Agent: "a browser"}), ada.ID, trail.SignInFailed, ""); err != nil {
		t.Fatal(err)
	}
	f.post("/admin/credits/grant-bonus", `{"userId":"`+ada.ID+`","amount":7,"reason":"`+why+`"}`)
	person := "/admin/users/" + ada.ID
	for part, has := range map[string]string{
		"subscriptions": `"tier":"free"`, "usage": `"data":[]`, "api-keys": "key of ada", "apps": `"data":[]`,
		"credits": `"source":"bonus"`, "sessions": `"data":[]`, "webhooks": `"data":[]`, "activity": "192.0.2.77", "overview": `"apiKeys":1`,
	} {
		if status, _, text := f.get(access.RoleSuperAdmin, person+"/"+part); status != http.StatusOK || !strings.Contains(text, has) {
			t.Errorf("%s: %d %s, want %s", part, status, text, has)
		}
		if status, _, text := f.get(access.RoleSuperAdmin, "/admin/users/usr_nobody/"+part); status != http.StatusNotFound {
			t.Errorf("%s of nobody: %d %s", part, status, text)
		}
	}
	if _, _, text := f.get(access.RoleAnalyst, person+"/activity"); strings.Contains(text, "192.0.2.77") || !strings.Contains(text, "sign_in_failed") {
		t.Errorf("who may not see personal data sees %s", text)
	}
	_, all, _ := f.get(access.RoleSuperAdmin, person+"/overview")
	credits, _ := all["credits"].(map[string]any)
	if all["tier"] != d.Plans.TierOf(ada.ID) || all["subscription"] == nil || credits["remaining"].(float64) < 7 || all["limits"] != nil || all["email"] != ada.Email {
		t.Errorf("the overview: %v", all)
	}
	if _, all, _ := f.get(access.RoleAnalyst, person+"/overview"); all["credits"] == nil || all["email"] == ada.Email {
		t.Errorf("the overview of an analyst: %v", all)
	}
	for query, shown := range map[string]bool{"tier=free": true, "tier=pro": false, "tier=free&sort=last_login_at": true, "tier=free&role=ops": false} {
		if status, _, text := f.get(access.RoleSuperAdmin, "/admin/users?limit=100&"+query); status != http.StatusOK || strings.Contains(text, ada.ID) != shown {
			t.Errorf("people of %s: %d %s", query, status, text)
		}
	}
	findsByName(t, f, k)
	for query, shown := range map[string]bool{"": true, "user_id=" + ada.ID: true, "user_id=usr_nobody": false, "prefix=" + k.Prefix: true, "status=active": true, "status=revoked": false, "status=paused": false, "status=expired": false} {
		if status, _, text := f.get(access.RoleSupport, "/admin/api-keys?"+query); status != http.StatusOK || strings.Contains(text, k.ID) != shown || shown && !strings.Contains(text, `"userId":"`+ada.ID) {
			t.Errorf("keys of %q: %d %s", query, status, text)
		}
	}
	f.post("/admin/api-keys/"+k.ID+"/revoke", `{"reason":"`+why+`"}`)
	if k, err = d.Keys.ByID(ctx, ada.ID, k.ID); err != nil || k.Status(f.core.Now()) != apikey.StatusRevoked {
		t.Errorf("the key is %+v, %v", k, err)
	}
	es, err := f.core.Audit.List(ctx, audit.Filter{Action: "users.view", Type: "user", ID: ada.ID}, 50)
	if err != nil || len(es) < 11 {
		t.Errorf("%d looks at a person are remembered, %v", len(es), err)
	}
}
