package app

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/apikey"
	"github.com/rephlo/rephlo/internal/config"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// A server that is told of a receiver sends it the spans of calls, the last of
// them when it stops.
func TestTracesGoWhereTheSettingsSay(t *testing.T) {
	t.Parallel()
	got := make(chan string, 10)
	at := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- r.URL.Path + " " + r.Header.Get("Authorization") + " " + string(body)
	}))
	defer at.Close()
	cfg, err := config.Load(config.Input{Environ: []string{"REPHLO_OTLP_TOKEN=secret"}, Flags: map[string]string{
		"data": dbtest.Folder(t), "api-addr": "127.0.0.1:0", "idp-addr": "127.0.0.1:0", "drain-timeout": "1s", "otlp-endpoint": at.URL, "trace-one-in": "1",
	}})
	if err != nil {
		t.Fatal(err)
	}
	core, err := NewCore(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewServer(t.Context(), core)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	u, err := s.domains.Accounts.CreateAdmin(t.Context(), "ada@example.com", "correct horse battery staple")
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := s.domains.Keys.Create(t.Context(), apikey.NewKey{UserID: u.ID, Name: "k", Mode: apikey.ModeLive, Scopes: apikey.Scopes})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, core.Config.APIURL+"/v1/chat/completions",
		strings.NewReader(`{"model":"test-echo","messages":[{"role":"user","content":"a question to keep"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	r.Header.Set("Authorization", "Bearer "+key.Reveal())
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	close(got)
	text := ""
	for body := range got {
		text += body
	}
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(text, "/v1/traces Bearer secret {") || !strings.Contains(text, `"name":"chat test-echo"`) || strings.Contains(text, "to keep") {
		t.Errorf("%d, the receiver got %s", res.StatusCode, text)
	}
}
