package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rephlo/rephlo/internal/config"
)

var update = flag.Bool("update", false, "rewrite docs/configuration.md")

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, in config.Input) config.Config {
	t.Helper()
	if in.Environ == nil {
		in.Environ = []string{}
	}
	c, err := config.Load(in)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestZeroConfigurationWorks(t *testing.T) {
	t.Parallel()
	c := load(t, config.Input{Environ: []string{"PATH=/bin", "REPHLO_TEST_POSTGRES=x", "REPHLO_DRAIN_TIMEOUT="}})
	got := []any{c.APIAddr, c.IDPAddr, c.APIURL, c.IDPURL, c.Database(), c.MasterKeyFile, c.ShutdownDelay, c.DrainTimeout, c.FreeCredits, c.OpenAIAPIKey.Empty(), c.LedgerHold, c.LedgerAck, c.Signup}
	want := []any{"127.0.0.1:7150", "127.0.0.1:7151", "http://localhost:7150", "http://localhost:7151", "sqlite:data/rephlo.db", "data/master.key", time.Duration(0), time.Minute, int64(200), true, "overlap", "durable", "open"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := c.Listening("127.0.0.1:4000", "[::1]:4001"); got.APIURL != "http://localhost:4000" || got.IDPURL != "http://localhost:4001" {
		t.Errorf("with real ports %s and %s", got.APIURL, got.IDPURL)
	}
}

func TestTheStrongestSourceWins(t *testing.T) {
	t.Parallel()
	file := write(t, "# comment\nREPHLO_API_ADDR=:1\nREPHLO_IDP_ADDR=\":2\"\r\n REPHLO_LOG_LEVEL= 'warn' \nREPHLO_SHUTDOWN_DELAY=1s\nOPENAI_API_KEY=sk-file\n")
	in := config.Input{
		Flags:   map[string]string{"api-addr": ":3"},
		Environ: []string{"REPHLO_API_ADDR=:4", "REPHLO_IDP_ADDR=:5", "REPHLO_CONFIG=" + file},
	}
	c := load(t, in)
	got := []string{
		c.APIAddr, c.Origin("api_addr").String(), c.IDPAddr, c.Origin("idp_addr").String(), c.LogLevel, c.Origin("log_level").String(),
		c.ShutdownDelay.String(), c.Origin("dev").String(), c.OpenAIAPIKey.Reveal(), c.Origin("openai_api_key").String(), c.APIURL,
	}
	want := []string{
		":3", "flag --api-addr", ":5", "environment REPHLO_IDP_ADDR", "warn", "file " + file + ":4",
		"1s", "default", "sk-file", "file " + file + ":6 (alias OPENAI_API_KEY)", "http://localhost:3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if c := load(t, config.Input{Flags: map[string]string{"api-addr": "0.0.0.0:7150"}}); c.ShutdownDelay != 5*time.Second {
		t.Errorf("reachable from outside the delay is %s, want 5s", c.ShutdownDelay)
	}
}

func TestAllMistakesInOneRun(t *testing.T) {
	t.Parallel()
	file := write(t, "REPHLO_DRAIN_TIMEOUT=60\nREPHLO_API_ADR=:1\nexport REPHLO_DEV=true\nREPHLO_DEV=maybe\nREPHLO_LOG_LEVEL=\"info\nREPHLO_SIGNUP=open\nREPHLO_SIGNUP=off\nnonsense\n")
	_, err := config.Load(config.Input{
		File:    file,
		Flags:   map[string]string{"free-credits": "-1", "ledger-ack": "sometimes"},
		Environ: []string{"REPHLO_LOGFORMAT=json", "REPHLO_API_URL=https://x.test/path", "REPHLO_OPENAI_API_KEY=sk-not for eyes", "REPHLO_ALLOWED_ORIGINS=*", "DATABASE_URL=mysql://root:hunter2@db/x"},
	})
	mistakes, ok := errors.AsType[config.Mistakes](err)
	if !ok {
		t.Fatalf("got %v, want Mistakes", err)
	}
	want := []string{
		file + `:1:22: REPHLO_DRAIN_TIMEOUT: "60" has no unit; write 60s or 60m`,
		file + `:2:1: there is no setting REPHLO_API_ADR; did you mean REPHLO_API_ADDR?`,
		file + `:3:1: remove "export": systemd and Docker do not read it`,
		file + `:4:12: REPHLO_DEV: "maybe" is not possible; write true or false`,
		file + `:5:18: the quoted value must end with the same quote at the end of the line`,
		file + `:7:1: REPHLO_SIGNUP is set in line 6 already; remove one of the two lines`,
		file + `:8:1: write NAME=value`,
		`--free-credits: "-1" is not a whole number from 0 to 1000000`,
		`--ledger-ack: "sometimes" is not possible; write durable or async`,
		`REPHLO_LOGFORMAT in the environment: there is no setting of that name; did you mean REPHLO_LOG_FORMAT?`,
		`REPHLO_API_URL in the environment: "https://x.test/path" is not an address like https://api.example.com, without a path`,
		`REPHLO_OPENAI_API_KEY in the environment: the value has blanks or line ends in it; check how it was copied`,
		`REPHLO_ALLOWED_ORIGINS in the environment: * would let every site read answers; list the sites`,
		`DATABASE_URL in the environment: the database must be written as postgres://user:password@host/name; leave it out for SQLite`,
	}
	text := err.Error()
	for _, w := range want {
		if !strings.Contains(text+"\n", w+"\n") {
			t.Errorf("missing: %s", w)
		}
	}
	if len(mistakes) != len(want) {
		t.Errorf("%d mistakes, want %d:\n%s", len(mistakes), len(want), text)
	}
	for _, secret := range []string{"sk-not", "hunter2"} {
		if strings.Contains(text, secret) {
			t.Errorf("the error tells a secret:\n%s", text)
		}
	}
}

func TestSettingsThatDisagree(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		environ []string
		want    string
	}{
		{"same address", []string{"REPHLO_API_URL=https://x.test", "REPHLO_IDP_URL=https://x.test/"}, "both https://x.test"},
		{"same port", []string{"REPHLO_API_ADDR=:7000", "REPHLO_IDP_ADDR=:7000"}, "both"},
		{"value and file", []string{"REPHLO_OPENAI_API_KEY=sk-a", "REPHLO_OPENAI_API_KEY_FILE=/x"}, "remove one of the two"},
		{"missing secret file", []string{"REPHLO_OPENAI_API_KEY_FILE=/does/not/exist"}, "does not exist"},
		{"missing settings file", []string{"REPHLO_CONFIG=/does/not/exist"}, "does not exist"},
	} {
		if _, err := config.Load(config.Input{Environ: tt.environ}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestPrintMasksSecrets(t *testing.T) {
	t.Parallel()
	key := write(t, "sk-topsecret\n")
	c := load(t, config.Input{
		Flags:   map[string]string{"openai-api-key-file": key},
		Environ: []string{"REPHLO_DATABASE_URL=postgres://ada:hunter2@db/x?password=hunter3"},
	})
	if got := c.OpenAIAPIKey.Reveal(); got != "sk-topsecret" {
		t.Errorf("the key is %q", got)
	}
	var text, js bytes.Buffer
	if err := errors.Join(c.Print(&text, true), c.PrintJSON(&js, true)); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{text.String(), js.String()} {
		for _, secret := range []string{"topsecret", "hunter"} {
			if strings.Contains(out, secret) {
				t.Errorf("a secret is printed:\n%s", out)
			}
		}
		for _, want := range []string{"ada:xxxxx@db/x", "[redacted]", key} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is missing:\n%s", want, out)
			}
		}
	}
	var parsed struct{ Settings []struct{ Name string } }
	if err := json.Unmarshal(js.Bytes(), &parsed); err != nil || len(parsed.Settings) != len(config.Settings()) {
		t.Errorf("%d settings in JSON, %v", len(parsed.Settings), err)
	}
}

func TestReferenceIsCurrent(t *testing.T) {
	t.Parallel()
	const path = "../../docs/configuration.md"
	want := config.Reference()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s is stale (%v); run go test ./internal/config -update", path, err)
	}
}

func TestTheMasterKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	c := load(t, config.Input{Flags: map[string]string{"data": dir}})
	keys := make([]string, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			key, _, err := c.MasterKey()
			if err != nil {
				t.Error(err)
			}
			keys[i] = string(key)
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] || len(k) != 32 {
			t.Fatal("processes that start together got different keys")
		}
	}
	info, err := os.Stat(c.MasterKeyFile)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 1 {
		t.Errorf("%v is left in the folder", entries)
	}
}

func TestALostMasterKeyIsNotReplaced(t *testing.T) {
	t.Parallel()
	c := load(t, config.Input{Flags: map[string]string{"data": t.TempDir()}})
	if err := os.WriteFile(c.SQLitePath(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.MasterKey(); !errors.Is(err, config.ErrMasterKey) || !strings.Contains(err.Error(), "backup") {
		t.Errorf("got %v", err)
	}
	c = load(t, config.Input{Flags: map[string]string{"master-key-file": filepath.Join(t.TempDir(), "x")}})
	if _, _, err := c.MasterKey(); !errors.Is(err, config.ErrMasterKey) {
		t.Errorf("a named file that is missing: %v", err)
	}
	c = load(t, config.Input{Flags: map[string]string{"master-key-file": write(t, "c2hvcnQ=")}})
	if _, _, err := c.MasterKey(); !errors.Is(err, config.ErrMasterKey) {
		t.Errorf("a short key: %v", err)
	}
}

func TestProvidersFile(t *testing.T) {
	t.Parallel()
	const model = `{"id":"m","input_usd_per_million":"0.15","output_usd_per_million":"2"}`
	for _, tt := range []struct{ name, text, want string }{
		{"good", `[{"id":"a","base_url":"http://127.0.0.1:1/v1/","models":[` + model + `]}]`, ""},
		{"unknown name", `[{"id":"a","bse_url":"http://x"}]`, "/0/bse_url: there is no field of that name"},
		{"doubled name", `[{"id":"a","id":"b"}]`, "doubled name"},
		{"wrong kind", `[{"id":7}]`, "/0/id: the value has the wrong form (a JSON number"},
		{"price as number", `[{"id":"a","models":[{"input_usd_per_million":0.1}]}]`, "/0/models/0/input_usd_per_million"},
		{"bad price", `[{"id":"a","models":[{"input_usd_per_million":"1,5"}]}]`, "/0/models/0/input_usd_per_million: write US dollars"},
		{"truncated", `[{"id":"a"`, "not valid JSON at byte 10"},
		{"no price", `[{"id":"a","base_url":"http://x/v1","models":[{"id":"m"}]}]`, "/0/models/0: write input_usd_per_million"},
		{"bad address", `[{"id":"a","base_url":"x","models":[` + model + `]}]`, "/0/base_url"},
		{"taken id", `[{"id":"openai","base_url":"http://x/v1","models":[` + model + `]}]`, "is taken"},
		{"same model twice", `[{"id":"a","base_url":"http://x/v1","models":[` + model + `,` + model + `]}]`, "listed twice"},
		{"two keys", `[{"id":"a","base_url":"http://x/v1","api_key":"sk-hush","api_key_env":"X","models":[` + model + `]}]`, "name one of"},
		{"another vendor", `[{"id":"a","vendor":"azur","base_url":"http://x/v1","models":[` + model + `]}]`, "write azure, anthropic or google"},
		{"key in a header", `[{"id":"a","base_url":"http://x/v1","headers":{"authorization":"sk-hush"},"models":[` + model + `]}]`, "not into a header"},
	} {
		c, err := config.Load(config.Input{Environ: []string{"REPHLO_PROVIDERS_FILE=" + write(t, tt.text)}})
		if tt.want == "" {
			if err != nil || c.Providers[0].BaseURL != "http://127.0.0.1:1/v1" || *c.Providers[0].Models[0].Input != 150_000 || *c.Providers[0].Models[0].Output != 2_000_000 {
				t.Errorf("%s: %+v, %v", tt.name, c.Providers, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}
