package cli_test

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// finding is one line of doctor --json.
type finding struct{ Check, Severity, Text, Fix string }

// doctor runs the checks on free ports and returns what they found, by check.
func (i installation) doctor(t *testing.T, status int, flags ...string) map[string]finding {
	t.Helper()
	r := i.run(t, "", append([]string{"doctor", "--json", "--api-addr=127.0.0.1:0", "--idp-addr=127.0.0.1:0"}, flags...)...)
	r.want(t, status)
	var all []finding
	if err := json.Unmarshal([]byte(r.out), &all); err != nil {
		t.Fatalf("%v: %s", err, r.out)
	}
	out := map[string]finding{}
	for _, f := range all {
		out[f.Check] = f
		if (f.Severity == "ok") != (f.Fix == "") {
			t.Errorf("%+v: what is not ok has a fix", f)
		}
	}
	return out
}

func (f finding) want(t *testing.T, severity, text, fix string) {
	t.Helper()
	if f.Severity != severity || !strings.Contains(f.Text, text) || !strings.Contains(f.Fix, fix) {
		t.Errorf("got %+v, want %s with %q and the fix %q", f, severity, text, fix)
	}
}

func TestDoctorBeforeTheFirstStart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	found := installation{data: dir, flags: []string{"--data", dir}}.doctor(t, 0)
	found["settings"].want(t, "ok", "well-formed", "")
	found["data folder"].want(t, "hint", "does not exist yet", "rephlo serve")
	found["master key"].want(t, "hint", "none yet", "rephlo serve")
	found["database"].want(t, "hint", "no database", "start it once")
	found["Resource API"].want(t, "hint", "is free", "rephlo serve")
	found["providers"].want(t, "hint", "only the test models", "OPENAI_API_KEY")
	if _, err := os.Stat(dir); err == nil {
		t.Error("doctor made the data folder")
	}
	r := run(t, "", "doctor", "--data", dir)
	r.want(t, 0, "hint   data folder", "fix: rephlo serve makes it", " hints, 0 errors")
}

func TestDoctorOnAGoodInstallation(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, i installation) {
		if err := os.Chmod(i.data, 0o700); err != nil {
			t.Fatal(err)
		}
		i.run(t, "", "migrate", "up").want(t, 0)
		for check, f := range i.doctor(t, 0) {
			if f.Severity != "ok" && check != "Resource API" && check != "Identity Provider" && check != "providers" {
				t.Errorf("%s: %+v", check, f)
			}
		}
	})
}

// For each fault the finding, and after its fix none.
func TestDoctorNamesTheFix(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, i installation) {
		i.run(t, "", "migrate", "up").want(t, 0)
		key := filepath.Join(i.data, "master.key")
		chmod := func(path string, mode os.FileMode) {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
		chmod(key, 0o644)
		i.doctor(t, 1)["master key"].want(t, "error", "mode 644", "chmod 600 "+key)
		chmod(key, 0o600)
		chmod(i.data, 0o755)
		found := i.doctor(t, 0)
		found["master key"].want(t, "ok", "", "")
		found["data folder"].want(t, "hint", "mode 755", "chmod 700 "+i.data)
		chmod(i.data, 0o700)
		i.doctor(t, 0)["data folder"].want(t, "ok", "", "")

		i.exec(t, `DELETE FROM goose_db_version WHERE version_id = (SELECT MAX(version_id) FROM goose_db_version)`)
		i.doctor(t, 0)["schema"].want(t, "hint", "pending steps: 1", "rephlo migrate up")

		i.doctor(t, 1, "--api-url", "http://api.example.com")["TLS"].want(t, "error", "plain http", "https")
		if err := os.WriteFile(key, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		i.doctor(t, 1)["master key"].want(t, "error", "32 bytes", "backup")
	})
}

func TestDoctorSeesAClockThatWasPutBack(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, i installation) {
		i.run(t, "", "migrate", "up").want(t, 0)
		i.doctor(t, 0)["clock"].want(t, "ok", "", "")
		later := time.Now().Add(time.Hour)
		if err := os.Chtimes(filepath.Join(i.data, "master.key"), later, later); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(i.url, "sqlite:") {
			i.doctor(t, 0)["clock"].want(t, "hint", "master.key", "timedatectl")
		} else { // the server's clock is the better witness
			i.doctor(t, 0)["clock"].want(t, "ok", "database server's", "")
		}
	})
}

func TestDoctorOnAFolderThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "data")} {
		found := installation{data: dir, flags: []string{"--data", dir}}.doctor(t, 1)
		found["data folder"].want(t, "error", "is not a folder", "--data")
	}
}

func TestDoctorNamesWhoHasThePort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	dir := t.TempDir()
	r := run(t, "", "doctor", "--data", dir, "--idp-addr", "127.0.0.1:"+port, "--api-addr=127.0.0.1:0")
	r.want(t, 1, port+" is taken by process ", "which is not Rephlo", "choose another with --idp-addr")
}

func TestDoctorWithWrongSettings(t *testing.T) {
	t.Parallel()
	r := run(t, "", "doctor", "--api-addr=x", "--drain-timeout=5")
	r.want(t, 1, "error  settings", "--api-addr", "--drain-timeout", "2 checks: 0 ok, 0 hints, 2 errors")
	if r.err != "" {
		t.Errorf("stderr has %q", r.err)
	}
}

func TestDoctorWithoutItsDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := run(t, "", "doctor", "--data", dir, "--database-url", "postgres://ada:hunter2@127.0.0.1:1/none?connect_timeout=2")
	r.want(t, 1, "error  database", "PostgreSQL does not answer", "--database-url")
	if strings.Contains(r.out+r.err, "hunter2") {
		t.Errorf("the password is printed:\n%s", r.out)
	}
}
