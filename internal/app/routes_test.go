package app

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/config"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// start runs both services on free ports with an empty data folder.
func start(t *testing.T) *Server {
	t.Helper()
	cfg, err := config.Load(config.Input{Environ: []string{}, Flags: map[string]string{
		"data": dbtest.Folder(t), "api-addr": "127.0.0.1:0", "idp-addr": "127.0.0.1:0", "drain-timeout": "1s",
	}})
	if err != nil {
		t.Fatal(err)
	}
	core, err := NewCore(t.Context(), cfg, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		t.Fatal(err)
	}
	return run(t, core)
}

// run starts a server until the test ends.
func run(t *testing.T, core *Core) *Server {
	t.Helper()
	s, err := NewServer(t.Context(), core)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// Every endpoint that the metadata names is mounted.
func TestMetadataNamesMountedEndpoints(t *testing.T) {
	t.Parallel()
	s := start(t)
	mux, err := s.newIdentity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/.well-known/openid-configuration", nil)
	r.Host = strings.TrimPrefix(s.core.Config.IDPURL, "http://")
	mux.ServeHTTP(rec, r)
	var metadata map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &metadata); err != nil {
		t.Fatal(err)
	}
	named := 0
	for name, value := range metadata {
		text, ok := value.(string)
		if !ok || !strings.HasSuffix(name, "_endpoint") && name != "jwks_uri" {
			continue
		}
		named++
		u, err := url.Parse(text)
		if err != nil || !strings.HasPrefix(text, s.core.Config.IDPURL) {
			t.Errorf("%s is %q, not an address of the issuer", name, text)
			continue
		}
		if !slices.ContainsFunc(mux.Routes(), func(p string) bool { return strings.HasSuffix(p, " "+u.Path) }) {
			t.Errorf("%s names %s, which is not mounted", name, u.Path)
		}
	}
	if named < 5 {
		t.Errorf("only %d endpoints are named: %s", named, rec.Body)
	}
}

// No route of the Resource API answers a stranger, but those on this list.
func TestStrangersAreRefused(t *testing.T) {
	t.Parallel()
	public := []string{
		"GET /{$}", "GET /setup", "POST /setup", "GET /health", "GET /health/live", "GET /health/ready", "GET /health/startup", "GET /assets/{version}/{name}",
		"GET /.well-known/oauth-protected-resource", "GET /.well-known/oauth-protected-resource/{path...}",
		"GET /docs", "GET /docs/operations/{operation}", "GET /openapi.json", "GET /llms.txt", "GET /docs/errors", "GET /docs/errors/{code}", "GET /v1/subscription-plans", "GET /v1/credit-packs", "GET /v1/webhooks/event-types",
		"POST /api/track-download", "GET /api/version", "GET /api/versions", "POST /api/feedback", "POST /api/diagnostics",
		"POST /auth/register", "POST /auth/verify-email", "POST /auth/resend-verification",
		"GET /exports/{id}", "GET /exports/{id}/file", // they ask for the key of the mailed link
		"POST /auth/forgot-password", "POST /auth/reset-password", "POST /v1/users/me/change-email/confirm",
	}
	s := start(t)
	mux, err := s.newAPI(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range mux.Routes() {
		if slices.Contains(public, pattern) {
			continue
		}
		method, path, _ := strings.Cut(pattern, " ")
		r := httptest.NewRequest(method, strings.NewReplacer("{", "", "}", "").Replace(path), strings.NewReader("{}"))
		r.Host = strings.TrimPrefix(s.core.Config.APIURL, "http://")
		r.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, r)
		if rec.Code != http.StatusUnauthorized || !strings.Contains(rec.Header().Get("WWW-Authenticate"), "resource_metadata=") {
			t.Errorf("%s answers a stranger %d with the challenge %q, want 401", pattern, rec.Code, rec.Header().Get("WWW-Authenticate"))
		}
		if rec.Header().Get("X-Request-Id") == "" {
			t.Errorf("%s answers without a request id", pattern)
		}
	}
}

// Metrics are shown to operators and to nobody else.
func TestMetricsAreOnAListenerOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := start(t)
	get := func(base, path, host string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Close, r.Host = true, host
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	ops := "http://" + s.OpsAddr()
	status, body := get(ops, "/metrics", "")
	for _, want := range []string{
		"rephlo_ledger_admit_seconds_bucket", `rephlo_ledger_gate_seconds_count{gate="b"}`, "rephlo_ledger_commit_seconds_sum", "rephlo_ledger_batch_operations_count",
		`rephlo_ledger_queue_operations{lane="1"} 0`, "rephlo_ledger_cuts_total", "rephlo_ledger_recalls_total 0", "rephlo_ledger_direct_users 0",
		`rephlo_ledger_endings_total{ending="finished"} 0`, "rephlo_ledger_orphans_total 0", "rephlo_ledger_forgotten_holds_total 0",
		`rephlo_ledger_uncollected_credits_total{cause="late"} 0`, `rephlo_ledger_epoch{lane="1"} 2`, "rephlo_ledger_fenced_total 0", "rephlo_ledger_beat_age_seconds",
		`rephlo_credits_total{kind="charge"} 0`, "rephlo_reservations_open 0", "rephlo_ledger_refused_total 0", "rephlo_spool_bytes 0", "rephlo_build_info", "go_goroutines",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not shown", want)
		}
	}
	if status != http.StatusOK {
		t.Errorf("metrics: %d %s", status, body)
	}
	if status, _ := get(ops, "/debug/pprof/goroutine?debug=1", ""); status != http.StatusOK {
		t.Errorf("a profile: %d", status)
	}
	if status, _ := get(ops, "/debug/pprof/cmdline", ""); status != http.StatusNotFound {
		t.Errorf("the command line: %d", status)
	}
	if status, _ := get(ops, "/metrics", "attacker.example"); status != http.StatusMisdirectedRequest {
		t.Errorf("by a foreign name: %d", status)
	}
	for _, public := range []string{s.core.Config.APIURL, s.core.Config.IDPURL} {
		for _, path := range []string{"/metrics", "/debug/pprof/"} {
			if status, _ := get(public, path, ""); status == http.StatusOK {
				t.Errorf("%s%s is public", public, path)
			}
		}
	}
}

// A second server on one machine goes without metrics, unless it was told where
// they go.
func TestThePortForMetricsMayBeTaken(t *testing.T) {
	t.Parallel()
	first := start(t)
	for _, tt := range []struct {
		given bool
		works bool
	}{{false, true}, {true, false}} {
		flags := map[string]string{"data": dbtest.Folder(t), "api-addr": "127.0.0.1:0", "idp-addr": "127.0.0.1:0"}
		if tt.given {
			flags["ops-addr"] = first.OpsAddr()
		}
		cfg, err := config.Load(config.Input{Environ: []string{}, Flags: flags})
		if err != nil {
			t.Fatal(err)
		}
		cfg.OpsAddr = first.OpsAddr()
		core, err := NewCore(t.Context(), cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		s, err := NewServer(t.Context(), core)
		if (err == nil) != tt.works {
			t.Errorf("given %v: %v", tt.given, err)
		}
		if err != nil {
			if err := core.Close(); err != nil {
				t.Error(err)
			}
			continue
		}
		if s.OpsAddr() != "" {
			t.Errorf("it listens at %s", s.OpsAddr())
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
