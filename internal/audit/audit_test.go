package audit_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

type world struct {
	*testing.T
	db  *sqldb.DB
	log *audit.Log
	mux *web.Mux
	now time.Time
}

func open(t *testing.T, db *sqldb.DB) *world {
	t.Helper()
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, db: db, now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	w.log = audit.New(audit.Needs{DB: db, Box: box, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return w.now }})
	w.mux = web.NewMux(web.Config{Use: []web.Middleware{actAs, w.log.Middleware(func(r *http.Request) string { return r.Header.Get("From") })}})
	audit.AdminAPI{Log: w.log, Cursors: list.NewCursors([]byte("k"))}.Mount(w.mux)
	return w
}

// actAs lets headers say who asks.
func actAs(next web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if u := r.Header.Get("User"); u != "" {
			a := access.Actor{UserID: u, Scopes: []string{access.ScopeAdmin}, Roles: strings.Fields(r.Header.Get("Roles"))}
			r = r.WithContext(access.With(r.Context(), a, nil))
		}
		return next(w, r)
	}
}

func (w *world) write(c audit.Change) {
	w.Helper()
	ctx := access.With(w.Context(), access.Actor{UserID: "usr_root", Roles: []string{"super_admin"}}, nil)
	if err := w.log.Write(ctx, c); err != nil {
		w.Fatal(err)
	}
	w.now = w.now.Add(time.Minute)
}

func (w *world) ask(user, roles, method, path, body string) (int, string) {
	w.Helper()
	r := httptest.NewRequestWithContext(w.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("From", "192.0.2.7")
	r.Header.Set("User-Agent", "browser")
	r.Header.Set("User", user)
	r.Header.Set("Roles", roles)
	rec := httptest.NewRecorder()
	w.mux.ServeHTTP(rec, r)
	return rec.Code, rec.Body.String()
}

func (w *world) exec(query string) {
	w.Helper()
	if _, err := w.db.Q(w.Context()).ExecContext(w.Context(), query); err != nil {
		w.Fatal(err)
	}
}

// unguard takes the triggers away, as somebody who owns the database can.
func (w *world) unguard() {
	w.Helper()
	on := ""
	if w.db.Engine() == sqldb.Postgres {
		on = " ON audit_log"
	}
	for _, name := range []string{"audit_log_no_update", "audit_log_no_delete"} {
		w.exec("DROP TRIGGER " + name + on)
	}
}

func TestChangesAreChainedAndReadable(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db)
		w.write(audit.Change{
			Action: "users.edit_profile", Type: "user", ID: "usr_ada", Reason: "asked by telephone", Person: "usr_ada", Personal: []string{"email"},
			Before: map[string]any{"email": "old@x.test", "locale": "en", "same": 1}, After: map[string]any{"email": "new@x.test", "locale": "de", "same": 1},
		})
		es, err := w.log.List(t.Context(), audit.Filter{}, 10)
		if err != nil || len(es) != 1 {
			t.Fatalf("%v, %v", es, err)
		}
		e := es[0]
		if e.Seq != 1 || e.Actor != "usr_root" || strings.Join(e.Roles, " ") != "super_admin" || e.Outcome != audit.Done || e.Reason != "asked by telephone" {
			t.Errorf("the entry is %+v", e)
		}
		if got := fmt.Sprint(string(e.Before["email"]), string(e.After["email"]), string(e.After["locale"]), len(e.After)); got != `"old@x.test""new@x.test""de"2` {
			t.Errorf("what changed is %s", got)
		}
		if strings.Contains(e.Record, "x.test") {
			t.Errorf("the record shows an address: %s", e.Record)
		}
		if err := w.log.Forget(t.Context(), "usr_ada"); err != nil {
			t.Fatal(err)
		}
		if e, err = w.log.One(t.Context(), 1); err != nil || len(e.After) != 1 {
			t.Errorf("after the person was erased: %v, %v", e.After, err)
		}
		if v, err := w.log.Verify(t.Context(), time.Time{}, time.Time{}); err != nil || v.FirstBad != 0 || v.Rows != 1 {
			t.Errorf("the chain: %+v, %v", v, err)
		}
	})
}

func TestSecretsAreNotKept(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db)
		w.write(audit.Change{Action: "a", Before: map[string]any{"apiKey": "s3cr3t-1", "name": "a"}, After: map[string]any{
			"apiKey": "s3cr3t-2", "name": "a", "smtp": map[string]any{"userPassword": "s3cr3t-3", "list": []any{map[string]any{"token": "s3cr3t-4"}}, "hasSecret": true},
		}})
		e, err := w.log.One(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(e.Record, "s3cr3t") || string(e.Before["apiKey"]) != `"[secret]"` || string(e.After["apiKey"]) != `"[secret]"` {
			t.Errorf("the record is %s", e.Record)
		}
		if !strings.Contains(e.Record, `"hasSecret":true`) {
			t.Errorf("whether there is a secret is no secret: %s", e.Record)
		}
	})
}

func TestNothingHappensWithoutItsEntry(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db)
		bad := errors.New("bad")
		err := db.InTx(t.Context(), func(ctx context.Context) error {
			return errors.Join(w.log.Write(ctx, audit.Change{Action: "a"}), bad)
		})
		if !errors.Is(err, bad) {
			t.Fatal(err)
		}
		w.write(audit.Change{Action: "b"})
		e, err := w.log.One(t.Context(), 1)
		if err != nil || e.Action != "b" {
			t.Errorf("the first entry is %+v, %v; want b: numbers have no gaps", e, err)
		}
		w.exec(`CREATE TABLE t (a BIGINT)`)
		w.exec(`UPDATE audit_head SET seq = 7`) // the next row has a number that verification will miss, and then none
		w.exec(`INSERT INTO audit_log (seq, at, actor, roles, action, resource_type, resource_id, outcome, reason, request_id, ip_tag, origin, changed, person, personal, hash)
			VALUES (8, 0, '', '', '', '', '', '', '', '', '', '', '{}', '', '', '')`)
		err = db.InTx(t.Context(), func(ctx context.Context) error {
			if err := w.log.Write(ctx, audit.Change{Action: "c"}); err != nil {
				return err
			}
			_, err := db.Q(ctx).ExecContext(ctx, `INSERT INTO t (a) VALUES (1)`)
			return err
		})
		n := 0
		if scan := db.Q(t.Context()).QueryRowContext(t.Context(), `SELECT COUNT(*) FROM t`).Scan(&n); scan != nil || err == nil || n != 0 {
			t.Errorf("a change whose entry failed: %v, %d rows, %v", err, n, scan)
		}
	})
}

func TestTamperingIsFoundAndNamed(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db)
		for i := range 6 {
			w.write(audit.Change{Action: "credits.grant", Type: "user", ID: fmt.Sprint("usr_", i), After: map[string]any{"amount": i}})
		}
		if _, err := db.Q(t.Context()).ExecContext(t.Context(), `UPDATE audit_log SET action = 'x'`); err == nil {
			t.Error("a row was changed")
		}
		if _, err := db.Q(t.Context()).ExecContext(t.Context(), `DELETE FROM audit_log`); err == nil {
			t.Error("rows were deleted")
		}
		if _, err := db.Q(t.Context()).ExecContext(t.Context(), `UPDATE audit_head SET seq = 3`); err == nil {
			t.Error("the head went back")
		}
		w.unguard()
		all := func() audit.Verified {
			t.Helper()
			v, err := w.log.Verify(t.Context(), time.Time{}, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		if v := all(); v.FirstBad != 0 || v.Rows != 6 || v.Seq != 6 {
			t.Errorf("untouched: %+v", v)
		}
		for _, column := range []string{"actor", "roles", "action", "resource_type", "resource_id", "outcome", "reason", "request_id", "ip_tag", "origin", "person", "personal"} {
			w.exec(`UPDATE audit_log SET ` + column + ` = ` + column + ` || 'x' WHERE seq = 4`)
			if v := all(); v.FirstBad != 4 {
				t.Errorf("with another %s: %+v", column, v)
			}
			w.exec(`UPDATE audit_log SET ` + column + ` = SUBSTR(` + column + `, 1, LENGTH(` + column + `) - 1) WHERE seq = 4`)
		}
		if v := all(); v.FirstBad != 0 {
			t.Errorf("put back: %+v", v)
		}
		w.exec(`UPDATE audit_log SET changed = '{' WHERE seq = 2`)
		if v := all(); v.FirstBad != 2 || v.Problem != "it is not readable" {
			t.Errorf("unreadable: %+v", v)
		}
		w.exec(`UPDATE audit_log SET changed = '{"after":{"amount":1}}' WHERE seq = 2`)
		from := time.Date(2026, 5, 1, 12, 3, 0, 0, time.UTC)
		w.exec(`UPDATE audit_log SET reason = 'x' WHERE seq = 6`)
		if v, err := w.log.Verify(t.Context(), from, time.Time{}); err != nil || v.FirstBad != 6 || v.Rows != 3 {
			t.Errorf("of a part: %+v, %v", v, err)
		}
		w.exec(`DELETE FROM audit_log WHERE seq = 6`)
		if v := all(); v.FirstBad != 6 || v.Problem != "it is missing" {
			t.Errorf("without the last: %+v", v)
		}
		w.exec(`DELETE FROM audit_log WHERE seq = 3`)
		if v := all(); v.FirstBad != 3 || v.Problem != "it is missing" {
			t.Errorf("without the third: %+v", v)
		}
		if status, body := w.ask("usr_root", "super_admin", "POST", "/admin/audit-logs/verify", `{}`); status != 200 || !strings.Contains(body, `"ok":false`) || !strings.Contains(body, `"firstBadSeq":3`) {
			t.Errorf("over HTTP: %d %s", status, body)
		}
	})
}

func TestTheLogIsSearchedInPages(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db)
		for i := range 7 {
			w.write(audit.Change{Action: []string{"a", "b"}[i%2], Type: "user", ID: fmt.Sprint("usr_", i%3)})
		}
		if status, _ := w.ask("usr_eve", "support", "GET", "/admin/audit-logs", ""); status != 403 {
			t.Fatalf("support reads it: %d", status)
		}
		page := func(user, roles, query string) (seqs, next string) {
			t.Helper()
			status, body := w.ask(user, roles, "GET", "/admin/audit-logs"+query, "")
			var b struct {
				Data       []struct{ Seq int }
				NextCursor *string
			}
			if err := json.Unmarshal([]byte(body), &b); err != nil || status != 200 {
				t.Fatalf("%s: %d %s", query, status, body)
			}
			for _, e := range b.Data {
				seqs += fmt.Sprint(e.Seq)
			}
			if b.NextCursor != nil {
				next = *b.NextCursor
			}
			return seqs, next
		}
		got, next := "", ""
		for {
			seqs, cursor := page("usr_root", "auditor", "?limit=3&cursor="+next)
			got += seqs + " "
			if next = cursor; next == "" {
				break
			}
		}
		if got != "876 543 21 " {
			t.Errorf("in pages: %s", got)
		}
		for _, tt := range []struct{ who, query, want string }{
			{"auditor", "?action=b", "642"},
			{"auditor", "?resource_type=user&resource_id=usr_1", "52"},
			{"auditor", "?resource_id=usr_1&action=b", "2"},
			{"auditor", "?actor_id=usr_root", "7654321"},
			{"auditor", "?outcome=refused", "8"},
			{"auditor", "?ip=192.0.2.7", "8"},
			{"auditor", "?ip=192.0.2.8", ""},
			{"auditor", "?created_after=2026-05-01T12:02:00Z&created_before=2026-05-01T12:04:00Z", "43"},
			{"admin", "", ""}, // what they did themselves
			{"admin", "?actor_id=usr_root", ""},
			{"super_admin", "?limit=2", "87"},
		} {
			if got, _ := page("usr_bob", tt.who, tt.query); got != tt.want {
				t.Errorf("%s %s: %q, want %q", tt.who, tt.query, got, tt.want)
			}
		}
		if status, body := w.ask("usr_bob", "auditor", "GET", "/admin/audit-logs/8", ""); status != 200 || !strings.Contains(body, `"ip":"192.0.2.7"`) || !strings.Contains(body, `"permission":"roles.view_audit_log"`) {
			t.Errorf("the refusal: %d %s", status, body)
		}
		if status, _ := w.ask("usr_bob", "admin", "GET", "/admin/audit-logs/8", ""); status != 404 {
			t.Errorf("somebody else's entry: %d", status)
		}
		if status, _ := w.ask("usr_bob", "auditor", "GET", "/admin/audit-logs/export", ""); status != 403 {
			t.Errorf("an auditor takes a copy: %d", status)
		}
		status, body := w.ask("usr_root", "super_admin", "GET", "/admin/audit-logs/export", "")
		lines, prev := 0, ""
		for s := bufio.NewScanner(strings.NewReader(body)); s.Scan(); lines++ {
			var e struct {
				Seq              int
				PrevHash, Record string
				Hash             string
			}
			if err := json.Unmarshal(s.Bytes(), &e); err != nil || e.Seq != lines+1 || e.PrevHash != prev || e.Record == "" {
				t.Fatalf("line %d: %s, %v", lines, s.Text(), err)
			}
			prev = e.Hash
		}
		if status != 200 || lines != 10 { // the refused export and this one are in it
			t.Errorf("the export: %d, %d lines", status, lines)
		}
	})
}
