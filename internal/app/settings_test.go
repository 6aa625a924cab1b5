package app

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/setting"
)

// Every setting that is listed does something, from the moment it is changed.
func TestSettingsHaveAnEffect(t *testing.T) {
	t.Parallel()
	s := start(t)
	core := s.core
	mux, err := s.newAPI(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	put := func(category string, values map[string]any) {
		t.Helper()
		raw := map[string]json.RawMessage{}
		for name, v := range values {
			raw[name], _ = json.Marshal(v)
		}
		c, err := core.Settings.Category(category)
		if err == nil {
			_, err = core.Settings.Put(t.Context(), category, c.Version, raw, setting.Who{Actor: "root", Reason: "a test of it"})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ask := func(method, path, origin string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader("{}"))
		r.Host = strings.TrimPrefix(core.Config.APIURL, "http://")
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", origin)
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, r)
		return rec
	}

	const site = "https://app.example.com"
	if got := ask("GET", "/v1/subscription-plans", site); got.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Error("a foreign site may read at first")
	}
	put("security", map[string]any{"allowedOrigins": []string{site}, "trustedProxies": []string{"192.0.2.0/24", "2001:db8::1"}, "proxyHeader": "forwarded"})
	proxied := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody) // from 192.0.2.1
	proxied.Header.Set("Forwarded", "for=198.51.100.9")
	if a, ok := core.proxies().Address(proxied); !ok || a.String() != "198.51.100.9" || len(core.proxies().Networks) != 2 {
		t.Errorf("behind a trusted proxy requests come from %v", a)
	}
	if got := ask("GET", "/v1/subscription-plans", site); got.Header().Get("Access-Control-Allow-Origin") != site {
		t.Errorf("an allowed site may not read: %v", got.Header())
	}

	put("general", map[string]any{"maintenance": true})
	for path, status := range map[string]int{
		"/v1/subscription-plans": 503, "/v1/chat/completions": 503, "/v1/messages": 503, "/admin/jobs": 401, "/health/live": 200, "/": 200,
	} {
		method := http.MethodGet
		if strings.HasSuffix(path, "s") && status == 503 && !strings.HasSuffix(path, "plans") {
			method = http.MethodPost
		}
		if got := ask(method, path, ""); got.Code != status || status == 503 && (!strings.Contains(got.Body.String(), "maintenance") || got.Header().Get("Retry-After") == "") {
			t.Errorf("%s during maintenance: %d %s, want %d", path, got.Code, got.Body, status)
		}
	}
	put("general", map[string]any{"maintenance": false})

	put("signup", map[string]any{"open": false})
	join := account.Registration{Email: "ada@example.com", Password: "correct horse battery", Terms: true}
	if err := s.domains.Accounts.Register(t.Context(), join); !errors.Is(err, account.ErrClosed) {
		t.Errorf("somebody signs up nevertheless: %v", err)
	}
	put("signup", map[string]any{"open": true})
	if err := s.domains.Accounts.Register(t.Context(), join); err != nil {
		t.Error(err)
	}

	put("pricing", map[string]any{"valueMicroUsd": 20_000, "incrementMicro": 100_000, "defaultMarginBp": 13_000})
	if got := core.terms(); got.CreditValue != 20_000 || got.Increment != 100_000 || got.Multiplier != 13_000 {
		t.Errorf("new charges are by %v", got)
	}
	for key, name := range map[setting.Key[int64]]string{setting.BonusDays: "credits bonusExpiryDays", setting.WebhookLogDays: "webhooks logDays", setting.DiagnosticsDays: "retention diagnosticsDays", setting.GraceDays: "privacy deletionGraceDays"} {
		category, name, _ := strings.Cut(name, " ")
		values := map[string]any{name: 7}
		if category == "retention" { // which is written as a whole
			values["captureDays"], values["auditYears"] = 7, 7
		}
		put(category, values)
		if got := days(core.Settings, key)().Hours(); got != 7*24 {
			t.Errorf("%s: %v hours", name, got)
		}
	}

	put("packs", map[string]any{"expiryMonths": 3})
	if got := ask("GET", "/v1/credit-packs", ""); got.Code != http.StatusOK || !strings.Contains(got.Body.String(), `"id":"pack_2000","credits":2000,"price":2000,"currency":"USD","expiryMonths":3}`) {
		t.Errorf("the packs: %d %s", got.Code, got.Body)
	}

	caps := map[string]any{"supportDay": 20, "supportMonth": 30, "opsGrant": 5, "opsDay": 50, "opsMonth": 60, "adminGrant": 7, "adminDay": 8, "adminMonth": 9}
	caps["supportGrant"] = 10
	put("grant_caps", caps)
	for roles, want := range map[string]credit.Allowance{
		"support":     {Grant: 10 * money.Credit, Day: 20 * money.Credit, Month: 30 * money.Credit},
		"support ops": {Grant: 10 * money.Credit, Day: 50 * money.Credit, Month: 60 * money.Credit},
		"custom":      {Grant: 10 * money.Credit, Day: 20 * money.Credit, Month: 30 * money.Credit},
	} {
		if got, bounded := core.allowance(access.Actor{Roles: strings.Fields(roles)}); got != want || !bounded {
			t.Errorf("%s may give away %+v, %t", roles, got, bounded)
		}
	}
	if _, bounded := core.allowance(access.Actor{Roles: []string{access.RoleSuperAdmin}}); bounded {
		t.Error("a super_admin has bounds")
	}

	// A mail goes to the folder, and to the server when there is one.
	mails := func() int {
		files, err := os.ReadDir(filepath.Join(core.Config.Data, "mail"))
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	before := mails()
	if err := core.Mail.Send(t.Context(), mail.Message{To: "ada@example.com", Subject: "Hi", Text: "Hi"}); err != nil || mails() != before+1 {
		t.Errorf("not in the folder: %v", err)
	}
	put("email", map[string]any{"host": "127.0.0.1", "port": 1, "user": "", "tls": "none", "from": "Rephlo <no-reply@example.com>"})
	if err := core.Mail.Send(t.Context(), mail.Message{To: "ada@example.com", Subject: "Hi", Text: "Hi"}); err != nil || mails() != before+1 {
		t.Errorf("not queued: %v", err)
	}
	if err := core.testMail(t.Context(), "ada@example.com"); err == nil {
		t.Error("a test through a server that is not there succeeds")
	}

	var changes, remembered int64
	for _, category := range setting.Categories() {
		c, err := core.Settings.Category(category)
		if err != nil {
			t.Fatal(err)
		}
		changes += c.Version
	}
	row := core.DB.Q(t.Context()).QueryRowContext(t.Context(), `SELECT COUNT(*) FROM audit_log WHERE action = 'settings.edit' AND resource_type = 'settings'`)
	if err := row.Scan(&remembered); err != nil || remembered != changes || changes < 8 {
		t.Errorf("of %d changes %d are in the audit log, %v", changes, remembered, err)
	}
}
