package app

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/audit"
)

// admin sends a request of somebody with the role, who signed in so long ago.
func (f *staff) admin(role, method, path, body string, ago time.Duration) *httptest.ResponseRecorder {
	f.Helper()
	r := httptest.NewRequestWithContext(f.Context(), method, path, strings.NewReader(body))
	r.Host = strings.TrimPrefix(f.core.Config.APIURL, "http://")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+f.token(f.users[role].ID, "admin", ago))
	rec := httptest.NewRecorder()
	f.mux.ServeHTTP(rec, r)
	return rec
}

func TestClientsAreAdministered(t *testing.T) {
	t.Parallel()
	f := newStaff(t)
	const root = access.RoleSuperAdmin
	body := `{"id":"shop","name":"Shop","redirectUris":["https://shop.test/cb"],"scopes":["openid","credits.read"],"reason":"` + why + `"}`
	if rec := f.admin(root, http.MethodPost, "/admin/clients", body, 6*time.Minute); rec.Code != 403 && rec.Code != 401 {
		t.Errorf("a sign-in of six minutes ago makes a client: %d %s", rec.Code, rec.Body)
	}
	var made struct{ ID, Secret, Source string }
	rec := f.admin(root, http.MethodPost, "/admin/clients", body, 0)
	if err := json.Unmarshal(rec.Body.Bytes(), &made); err != nil || rec.Code != 201 || rec.Header().Get("Location") != "/admin/clients/shop" || made.Secret == "" || made.Source != "administrator" {
		t.Fatalf("make: %d %s", rec.Code, rec.Body)
	}
	if rec := f.admin(root, http.MethodPost, "/admin/clients", body, 0); rec.Code != 409 {
		t.Errorf("again: %d %s", rec.Code, rec.Body)
	}
	if rec := f.admin(root, http.MethodPatch, "/admin/clients/shop", `{"pkce":"perhaps","reason":"`+why+`"}`, 0); rec.Code != 422 && rec.Code != 400 {
		t.Errorf("nonsense: %d %s", rec.Code, rec.Body)
	}
	if rec := f.admin(root, http.MethodPatch, "/admin/clients/shop", `{"status":"disabled","reason":"`+why+`"}`, 0); rec.Code != 200 || !strings.Contains(rec.Body.String(), `"disabled"`) {
		t.Errorf("disable: %d %s", rec.Code, rec.Body)
	}
	if rec := f.admin(access.RoleAuditor, http.MethodGet, "/admin/clients?status=disabled", "", 0); rec.Code != 200 || !strings.Contains(rec.Body.String(), `"shop"`) || strings.Contains(rec.Body.String(), "rephlo-cli") {
		t.Errorf("an auditor sees %d %s", rec.Code, rec.Body)
	}
	rec = f.admin(root, http.MethodPost, "/admin/clients/shop/rotate-secret", `{"reason":"`+why+`"}`, 0)
	if rec.Code != 200 || !strings.Contains(rec.Body.String(), `"liveSecrets":2`) || !strings.Contains(rec.Body.String(), `"secret":"rph_cs_`) {
		t.Errorf("rotate: %d %s", rec.Code, rec.Body)
	}
	if rec := f.admin(root, http.MethodPost, "/admin/clients/shop/verify", `{"reason":"`+why+`"}`, 0); !strings.Contains(rec.Body.String(), `"verified":true`) {
		t.Errorf("verify: %d %s", rec.Code, rec.Body)
	}
	if rec := f.admin(access.RoleAuditor, http.MethodGet, "/admin/clients/shop", "", 0); rec.Code != 200 || strings.Contains(rec.Body.String(), made.Secret) {
		t.Errorf("show: %d %s", rec.Code, rec.Body)
	}
	path := "/admin/clients/shop?reason=" + url.QueryEscape(why)
	for _, want := range []int{204, 404} {
		if rec := f.admin(root, http.MethodDelete, path, "", 0); rec.Code != want {
			t.Errorf("delete: %d %s, want %d", rec.Code, rec.Body, want)
		}
	}
	es, err := f.core.Audit.List(t.Context(), audit.Filter{Type: "client", ID: "shop"}, 9)
	if err != nil || len(es) != 5 || es[0].Reason != why || es[0].Actor != f.users[root].ID {
		t.Errorf("remembered is %+v, %v", es, err)
	}
}

func TestResourcesAreAdministered(t *testing.T) {
	t.Parallel()
	f := newStaff(t)
	const root = access.RoleSuperAdmin
	path := "/admin/resources/" + url.PathEscape("https://notes.test/api")
	body := `{"id":"https://notes.test/api","name":"Notes","scopes":[{"name":"notes.read","text":"Read notes"}],"reason":"` + why + `"}`
	rec := f.admin(root, http.MethodPost, "/admin/resources", body, 0)
	if rec.Code != 201 || rec.Header().Get("Location") != path || !strings.Contains(rec.Body.String(), `"openTo":"approved"`) {
		t.Fatalf("make: %d %s %s", rec.Code, rec.Header().Get("Location"), rec.Body)
	}
	if rec := f.admin(root, http.MethodPost, "/admin/resources", body, 0); rec.Code != 409 {
		t.Errorf("again: %d %s", rec.Code, rec.Body)
	}
	if rec := f.admin(root, http.MethodPatch, path, `{"status":"disabled","reason":"`+why+`"}`, 0); rec.Code != 200 || !strings.Contains(rec.Body.String(), `"disabled"`) {
		t.Errorf("disable: %d %s", rec.Code, rec.Body)
	}
	for _, p := range []string{path, "/admin/resources"} {
		if rec := f.admin(access.RoleAuditor, http.MethodGet, p, "", 0); rec.Code != 200 || !strings.Contains(rec.Body.String(), "notes.read") {
			t.Errorf("%s: %d %s", p, rec.Code, rec.Body)
		}
	}
	for _, want := range []int{204, 404} {
		if rec := f.admin(root, http.MethodDelete, path+"?reason="+url.QueryEscape(why), "", 0); rec.Code != want {
			t.Errorf("delete: %d %s, want %d", rec.Code, rec.Body, want)
		}
	}
	es, err := f.core.Audit.List(t.Context(), audit.Filter{Type: "resource", ID: "https://notes.test/api"}, 9)
	if err != nil || len(es) != 3 || es[0].Reason != why {
		t.Errorf("remembered is %+v, %v", es, err)
	}
}
