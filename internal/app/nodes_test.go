package app

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/apikey"
	"github.com/rephlo/rephlo/internal/config"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// startOn starts a server on a database that others use too, with their master
// key. There is no Redis.
func startOn(t *testing.T, database, masterKey string) *Server {
	t.Helper()
	cfg, err := config.Load(config.Input{
		Environ: []string{"REPHLO_DATABASE_URL=" + database, "REPHLO_MASTER_KEY_FILE=" + masterKey},
		Flags: map[string]string{
			"data": t.TempDir(), "api-addr": "127.0.0.1:0", "idp-addr": "127.0.0.1:0", "drain-timeout": "1s",
			"api-url": "http://api.test", "idp-url": "http://idp.test",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	core, err := NewCore(t.Context(), cfg, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		t.Fatal(err)
	}
	return run(t, core)
}

// patience is how soon the specification wants a change to act everywhere
// (product.md 2: 5 seconds).
const patience = 5 * time.Second

func TestWhatIsTakenAwayOnOneServerIsGoneOnAllWithinSeconds(t *testing.T) {
	t.Parallel()
	database, key := dbtest.Postgres(t), filepath.Join(t.TempDir(), "master.key")
	if err := os.WriteFile(key, []byte(base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600); err != nil {
		t.Fatal(err)
	}
	f := staffOn(t, startOn(t, database, key))
	other := startOn(t, database, key)
	there, err := other.newAPI(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	root := access.Actor{UserID: f.users[access.RoleSuperAdmin].ID, Roles: []string{access.RoleSuperAdmin}}
	ctx := access.With(t.Context(), root, nil)
	ada := f.users[""]
	k, text, err := f.domains.Keys.Create(ctx, apikey.NewKey{UserID: ada.ID, Name: "key", Mode: apikey.ModeLive, Scopes: apikey.Scopes})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(path, credential string) string {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
		r.Host = strings.TrimPrefix(f.core.Config.APIURL, "http://")
		r.Header.Set("Authorization", "Bearer "+credential)
		rec := httptest.NewRecorder()
		there.ServeHTTP(rec, r)
		if rec.Code == http.StatusOK {
			return "ok"
		}
		_, code, _ := strings.Cut(rec.Body.String(), `"code":"`)
		code, _, _ = strings.Cut(code, `"`)
		return code
	}
	const own, administration = "/v1/credits/me", "/admin/jobs"
	reason := account.Turn{By: root, Reason: why}
	token := f.token(ada.ID, "credits.read", 0)
	ops := f.token(f.users[access.RoleOps].ID, "admin", 0)
	for _, step := range []struct {
		name, path, credential, before, after string
		do                                    func(context.Context) error
	}{
		{"a suspension, for a key", own, text.Reveal(), "ok", "account_suspended", func(ctx context.Context) error {
			_, err := f.domains.Accounts.Suspend(ctx, ada.ID, reason)
			return err
		}},
		{"the end of it, for a key", own, text.Reveal(), "account_suspended", "ok", func(ctx context.Context) error {
			_, err := f.domains.Accounts.Unsuspend(ctx, ada.ID, reason)
			return err
		}},
		{"the end of a key", own, text.Reveal(), "ok", "api_key_revoked", func(ctx context.Context) error {
			return f.domains.Keys.Revoke(ctx, ada.ID, k.ID)
		}},
		{"a permission that is revoked", administration, ops, "ok", "forbidden", func(context.Context) error {
			f.post("/admin/users/"+f.users[access.RoleOps].ID+"/overrides", `{"permission":"jobs.view","effect":"revoke","reason":"`+why+`"}`)
			return nil
		}},
		{"a ban, for an administrator's token", "/admin/me", ops, "ok", "invalid_token", func(ctx context.Context) error {
			_, err := f.domains.Accounts.Ban(ctx, f.users[access.RoleOps].ID, reason)
			return err
		}},
	} {
		if got := ask(step.path, step.credential); got != step.before { // it is in memory there
			t.Fatalf("before %s: %s", step.name, got)
		}
		if err := step.do(ctx); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		begin := time.Now()
		got := ask(step.path, step.credential)
		for got != step.after && time.Since(begin) < patience {
			time.Sleep(20 * time.Millisecond)
			got = ask(step.path, step.credential)
		}
		if got != step.after {
			t.Errorf("%v after %s another server answers %s, want %s", time.Since(begin), step.name, got, step.after)
		}
	}
	// What ended with the suspension stays ended after it.
	if got := ask(own, token); got != "invalid_token" {
		t.Errorf("a token of before the suspension: %s", got)
	}
}
