package mfa_test

import (
	"encoding/base32"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/mfa"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

// A person sets an authenticator up, renews the codes and removes it; a sign-in
// of long ago, and an API key, change nothing.
func TestFactorsOverHTTP(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		log := slog.New(slog.DiscardHandler)
		accounts := account.New(account.Needs{
			DB: db, Bus: bus.New(db, log, w.now), Log: log, Now: w.now, Passwords: seal.NewPasswordsOf(64), Box: w.Box,
			Mail: mail.NewFolder(t.TempDir(), log, w.now), IDPURL: "https://id.test",
		})
		u, err := accounts.CreateAdmin(t.Context(), "root@example.com", "a long passphrase")
		if err != nil {
			t.Fatal(err)
		}
		actor := access.Actor{UserID: u.ID, Scopes: []string{access.ScopeAccountManage}, AuthTime: w.now()}
		m := web.NewMux(web.Config{Use: []web.Middleware{func(next web.Handler) web.Handler {
			return func(rw http.ResponseWriter, r *http.Request) error {
				return next(rw, r.WithContext(access.With(r.Context(), actor, nil)))
			}
		}}})
		mfa.API{Factors: w.Service, Accounts: accounts}.Mount(m)
		ask := func(method, path, body string, want int) map[string]any {
			t.Helper()
			r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			rec := httptest.NewRecorder()
			m.ServeHTTP(rec, r)
			if rec.Code != want {
				t.Fatalf("%s %s: %d %s, want %d", method, path, rec.Code, rec.Body, want)
			}
			v := map[string]any{}
			if rec.Body.Len() > 0 {
				if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
					t.Fatal(err)
				}
			}
			return v
		}
		code := func(v map[string]any) int { return len(v["error"].(map[string]any)["code"].(string)) }
		if got := ask("GET", "/auth/mfa/status", "", 200); got["required"] != true || len(got["methods"].([]any)) != 0 {
			t.Errorf("at first: %v", got)
		}
		setup := ask("POST", "/auth/mfa/setup", "", 200)
		if !strings.HasPrefix(setup["qrCode"].(string), "data:image/png;base64,") || !strings.HasPrefix(setup["otpauthUrl"].(string), "otpauth://totp/Rephlo:root@example.com?") {
			t.Errorf("the set-up is %v", setup)
		}
		secret, _ := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(setup["secret"].(string))
		if code(ask("POST", "/auth/mfa/verify-setup", `{"setupId":"`+setup["setupId"].(string)+`","code":"000000"}`, 401)) != len("code_invalid") {
			t.Error("a wrong code has another error")
		}
		codes := ask("POST", "/auth/mfa/verify-setup", `{"setupId":"`+setup["setupId"].(string)+`","code":"`+w.code(secret)+`"}`, 200)["recoveryCodes"].([]any)
		w.pass(time.Minute)
		if len(codes) != 10 {
			t.Errorf("%d recovery codes", len(codes))
		}
		ask("POST", "/auth/mfa/recovery-codes", `{"code":"`+w.code(secret)+`"}`, 200)
		ask("POST", "/auth/mfa/disable", `{"recoveryCode":"`+codes[0].(string)+`"}`, 403) // a role requires it
		w.pass(10 * time.Minute)
		ask("POST", "/auth/mfa/setup", "", 401)
		actor.AuthTime, actor.KeyID = w.now(), "key_1"
		ask("POST", "/auth/mfa/setup", "", 403)
	})
}
