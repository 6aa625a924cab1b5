package manual_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/app"
	"github.com/rephlo/rephlo/internal/config"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// serve runs both services and returns where.
func serve(t *testing.T) (api, idp string) {
	t.Helper()
	cfg, err := config.Load(config.Input{Environ: []string{}, Flags: map[string]string{
		"data": dbtest.Folder(t), "api-addr": "127.0.0.1:0", "idp-addr": "127.0.0.1:0", "drain-timeout": "1s",
	}})
	if err != nil {
		t.Fatal(err)
	}
	core, err := app.NewCore(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s, err := app.NewServer(t.Context(), core)
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
	return core.Config.APIURL, core.Config.IDPURL
}

// The files in api are what the services answer.
func TestContractsAreCurrent(t *testing.T) { // before those that read the files
	api, idp := serve(t)
	for name, at := range map[string]string{"resource": api, "identity": idp} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+"/openapi.json", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Close = true
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		served, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %v", at, res.StatusCode, err)
		}
		path := "../../api/" + name + ".json"
		if *update {
			if err := os.WriteFile(path, served, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, served) {
			t.Errorf("%s is stale (%v); run go test ./internal/manual -update", path, err)
		}
	}
}
