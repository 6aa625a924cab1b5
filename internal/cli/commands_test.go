package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/config"
	"github.com/rephlo/rephlo/internal/sqldb"
)

const (
	good  = "correct horse battery"
	email = "ada@example.com"
)

func TestAdministratorWithAPassword(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, i installation) {
		create := []string{"admin", "create", email, "--password-stdin"}
		for password, want := range map[string]string{"short\n": "fewer than 8 characters", "": "fewer than 8 characters", "password1\n": "common passwords"} {
			r := i.run(t, password, create...)
			r.want(t, 1, want)
			if r.out != "" || password != "" && strings.Contains(r.err, strings.TrimSpace(password)) {
				t.Errorf("%q: stdout %q, stderr %q", password, r.out, r.err)
			}
		}
		i.run(t, good, "admin", "create", "nonsense", "--password-stdin").want(t, 1, "not an e-mail address")
		r := i.run(t, good+"\r\n", create...)
		r.want(t, 0, "rephlo apikey create --user "+email)
		if !regexp.MustCompile(`^usr_\w+\n$`).MatchString(r.out) {
			t.Errorf("stdout is %q, want the id alone", r.out)
		}
		if again := i.run(t, good+"\n", create...); again != r {
			t.Errorf("a second time: %+v, want the same as at first: %+v", again, r)
		}
	})
}

func TestANewPasswordFromTheCommandLineEndsTheTokensOfApps(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, i installation) {
		create := []string{"admin", "create", email, "--password-stdin"}
		r := i.run(t, good, create...)
		r.want(t, 0)
		user := strings.TrimSpace(r.out)
		for family, owner := range map[string]string{"a1": user, "b2": "usr_somebody_else"} {
			i.exec(t, `INSERT INTO grant_family (id, authorization_id, client_id, user_id, session_id, bound, scopes, resources, auth_time, acr, amr,
				generation, current_hash, issued_at, used_at, expires_at, jkt, claims)
				VALUES ('`+family+`', 'gnt_`+family+`', 'desktop', '`+owner+`', '', FALSE, '', '', 1, '', '', 1, '`+family+`', 1, 1, 9000000000000000, '', '')`)
		}
		i.run(t, good+" staple", create...).want(t, 0)
		if got := i.read(t, `SELECT id FROM grant_family WHERE revoked_at IS NOT NULL`); !slices.Equal(got, []string{"a1"}) {
			t.Errorf("ended are %v, want the administrator's family alone", got)
		}
		if got := i.read(t, `SELECT subject FROM grant_revocation WHERE kind = 'user'`); !slices.Equal(got, []string{user}) {
			t.Errorf("access tokens are refused of %v, want of the administrator alone", got)
		}
	})
}

func TestAdministratorWithALink(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, i installation) {
		r := i.run(t, "not read", "admin", "create", email, "--api-url", "https://api.example.com")
		r.want(t, 0, "works once")
		if !regexp.MustCompile(`^https://api\.example\.com/setup\?token=[\w-]{20,}\n$`).MatchString(r.out) {
			t.Errorf("stdout is %q, want the link alone", r.out)
		}
		if next := i.run(t, "", "admin", "create", email); next.out == r.out || next.status != 0 {
			t.Errorf("the next link: %+v", next)
		}
	})
}

func TestKeyOnTheCommandLine(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, i installation) {
		r := i.run(t, "", "apikey", "create", "--user", email)
		r.want(t, 1, "nobody has the address "+email, "rephlo admin create "+email)
		i.run(t, good, "admin", "create", email, "--password-stdin").want(t, 0)
		i.run(t, "", "apikey", "create", "--user", email, "--scopes", "nonsense").want(t, 1, "llm.inference")
		for mode, flags := range map[string][]string{"live": nil, "test": {"--mode", "test", "--expires", "0", "--name", "CI"}} {
			r := i.run(t, "", append([]string{"apikey", "create", "--user", email}, flags...)...)
			r.want(t, 0)
			key := strings.TrimSuffix(r.out, "\n")
			if !regexp.MustCompile(`^rph_`+mode+`_[0-9a-z]{26}_\w{6}$`).MatchString(key) || r.err != "" {
				t.Errorf("%s: stdout %q, stderr %q, want the key alone", mode, r.out, r.err)
			}
		}
	})
}

func TestLedgerVerifyFindsAChangedRow(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, i installation) {
		i.run(t, good, "admin", "create", email, "--password-stdin").want(t, 0)
		i.run(t, "", "ledger", "verify").want(t, 0, "ledger verify: ", "0 findings")
		var clean struct {
			Transfers int
			Head      string
			Findings  []struct{ Check, User, Text string }
		}
		r := i.run(t, "", "ledger", "verify", "--json")
		r.want(t, 0)
		if err := json.Unmarshal([]byte(r.out), &clean); err != nil || clean.Transfers == 0 || clean.Head == "" || clean.Findings == nil || len(clean.Findings) != 0 {
			t.Errorf("a clean ledger as JSON: %s, %v", r.out, err)
		}

		i.unguard(t)
		i.exec(t, `UPDATE credit_transfer SET amount = amount + 1 WHERE kind = 'grant'`)
		r = i.run(t, "", "ledger", "verify")
		r.want(t, 1, "FAIL V1 ", "the ledger has ")
		if strings.Contains(r.out, "\n0 findings") {
			t.Errorf("the closing line is wrong:\n%s", r.out)
		}
		r = i.run(t, "", "ledger", "verify", "--json")
		if err := json.Unmarshal([]byte(r.out), &clean); err != nil || r.status != 1 || len(clean.Findings) == 0 {
			t.Errorf("a damaged ledger as JSON: %+v, %v", r, err)
		}
		i.run(t, "", "ledger", "verify", "--account", "usr_somebody").want(t, 1, "FAIL V1 ", "3 findings in ")
	})
}

// A copy of the file is verified without a server and without being changed.
func TestLedgerVerifyOfAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	i := installation{dir, "sqlite:" + filepath.Join(dir, config.SQLiteFile), []string{"--data", dir}}
	i.run(t, good, "admin", "create", email, "--password-stdin").want(t, 0)
	away := filepath.Join(t.TempDir(), "away")
	if err := os.Mkdir(away, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(away, "copy.db")
	image, err := os.ReadFile(filepath.Join(dir, config.SQLiteFile))
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, b []byte) string {
		t.Helper()
		path := filepath.Join(away, name)
		if err := os.WriteFile(path, b, 0o400); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("copy.db", image)
	elsewhere := filepath.Join(t.TempDir(), "none")
	verify := func(file string) result { return run(t, "", "ledger", "verify", "--db", file, "--data", elsewhere) }
	verify(file).want(t, 0, "ledger verify: 1 transfer, 1 lane, 1 grant, 0 open holds, head 20", "0 findings in ")
	if _, err := os.Stat(elsewhere); err == nil {
		t.Error("verifying a file made the data folder")
	}
	if again, err := os.ReadFile(file); err != nil || !bytes.Equal(again, image) {
		t.Errorf("verifying changed the file: %v", err)
	}
	i.exec(t, `DROP TRIGGER credit_batch_no_update`, `UPDATE credit_batch SET at = 'soon'`)
	i.run(t, "", "ledger", "verify").want(t, 65, "the ledger cannot be read", "read batches")
	verify(filepath.Join(away, "none.db")).want(t, 69, "there is no database at "+away, "--db")
	verify(write("text.db", []byte(strings.Repeat("this is no database. ", 100)))).want(t, 65, "not a database")
	verify(write("empty.db", nil)).want(t, 65, "older schema", "rephlo migrate up")
	cut := slices.Clone(image)
	for at := 4096; at+200 < len(cut); at += 4096 {
		copy(cut[at:], make([]byte, 200)) // the heads of all pages but the first
	}
	verify(write("cut.db", cut)).want(t, 65, "malformed")
	verify(away).want(t, 74)
}

func TestNoDatabaseToVerify(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	for _, command := range [][]string{{"ledger", "verify"}, {"migrate", "status"}} {
		run(t, "", append(command, "--data", dir)...).want(t, 69, "there is no database at "+dir)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a command that only reads made the data folder")
	}
}

func TestPostgreSQLThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"serve", "migrate up", "migrate status", "ledger verify", "admin create " + email} {
		r := run(t, "", append(strings.Fields(command), "--data", t.TempDir(), "--database-url", "postgres://ada:hunter2@127.0.0.1:1/none?connect_timeout=2")...)
		r.want(t, 69, "the database does not answer; check that it runs", "--database-url")
		if strings.Count(r.err, "\n") != 1 || strings.Count(r.err, "refused") != 1 {
			t.Errorf("rephlo %s says %q, want one line that says it once", command, r.err)
		}
		if strings.Contains(r.out+r.err, "hunter2") {
			t.Errorf("rephlo %s prints the password: %s", command, r.err)
		}
	}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, i installation) {
		for range 2 {
			i.run(t, "", "migrate", "up").want(t, 0, "the schema is at version ")
		}
		r := i.run(t, "", "migrate", "status")
		r.want(t, 0, "00001  applied  ")
		if strings.Contains(r.out, "pending") || int64(strings.Count(r.out, "\n")) != sqldb.SchemaVersion() {
			t.Errorf("after all steps:\n%s", r.out)
		}
	})
}

func TestADatabaseOfANewerProgramIsLeftAlone(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, i installation) {
		i.run(t, "", "migrate", "up").want(t, 0)
		i.exec(t, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, TRUE)`)
		for _, command := range []string{"serve", "migrate up", "migrate status", "ledger verify", "admin create " + email} {
			i.run(t, "", append(strings.Fields(command), "--api-addr=127.0.0.1:0", "--idp-addr=127.0.0.1:0")...).want(t, 65, "newer schema", "start the newer program")
		}
		i.run(t, "", "doctor").want(t, 1, "error  schema")
	})
}

func TestADataFolderThatCannotBeMade(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"serve", "migrate up", "admin create " + email} {
		r := run(t, "", append(strings.Fields(command), "--data", filepath.Join(file, "data"))...)
		r.want(t, 73, "the data folder cannot be used", "--data")
	}
}

func TestAMasterKeyThatIsGone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, "", "migrate", "up", "--data", dir).want(t, 0)
	if err := os.Remove(filepath.Join(dir, "master.key")); err != nil {
		t.Fatal(err)
	}
	run(t, "", "serve", "--data", dir).want(t, 78, "master key", "backup")
	if err := os.WriteFile(filepath.Join(dir, "master.key"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "", "serve", "--data", dir).want(t, 78, "master key", "backup")
}
