package app

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/branding"
	"github.com/rephlo/rephlo/internal/config"
	"github.com/rephlo/rephlo/internal/health"
	"github.com/rephlo/rephlo/internal/personal"
	"github.com/rephlo/rephlo/internal/privacy"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// Marks by which a person is found again: their address, their name, where they
// came from, and what only machines may know.
const (
	markEmail  = "Ada.L@example.com"
	markName   = "Lovelace"
	markPlace  = "203.0.113.77"
	markSecret = "HIDDENHIDDENHIDDEN"
)

// onEngines runs a test with the domains and the identity on both engines,
// without the ports.
func onEngines(t *testing.T, test func(t *testing.T, s *Server)) {
	t.Parallel()
	dbtest.RunURL(t, func(t *testing.T, url string) {
		flags := map[string]string{"data": dbtest.Folder(t)}
		if strings.HasPrefix(url, "postgres") {
			flags["database-url"] = url
		}
		cfg, err := config.Load(config.Input{Environ: []string{}, Flags: flags})
		if err != nil {
			t.Fatal(err)
		}
		core, err := NewCore(t.Context(), cfg, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})))
		if err != nil {
			t.Fatal(err)
		}
		s := &Server{core: core, domains: NewDomains(core, "node"), health: health.New(core.Log, core.Now)}
		t.Cleanup(func() {
			for _, f := range slices.Backward(s.stops) {
				_ = f(context.Background())
			}
			if err := core.Close(); err != nil {
				t.Error(err)
			}
		})
		s.branding = branding.New(branding.Needs{DB: core.DB, Box: core.Box, Log: core.Log, Now: core.Now, Mail: core.Mail, Address: s.domains.addressOf})
		p, err := s.identity(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.newPrivacy(p)
		test(t, s)
	})
}

// person makes an account and fills every table that knows people with what
// would give them away.
func person(t *testing.T, s *Server) account.User {
	t.Helper()
	ctx := t.Context()
	u, err := s.domains.Accounts.CreateAdmin(ctx, markEmail, "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	first, last := "Ada", markName
	if u, err = s.domains.Accounts.Update(ctx, u.ID, account.Profile{FirstName: &first, LastName: &last}); err != nil {
		t.Fatal(err)
	}
	if err := s.domains.Accounts.MoveEmail(ctx, u.ID, "new."+markEmail, markPlace, "the person asked for it"); err != nil {
		t.Fatal(err)
	}
	for _, table := range tables(t, s.core.DB) {
		if slices.Contains(table.columns, "user_id") || table.name == "passkey_ceremony" || table.name == "branding_feedback" {
			table.fill(t, s.core.DB, u.ID)
		}
	}
	return u
}

// table is one of the database, with the kinds of its columns.
type table struct {
	name           string
	columns, kinds []string
}

// full are tables that services fill, or that know people by their id only and
// whose rows must make sense.
var full = []string{
	"account_user", "account_state", "account_preference", "audit_person", "credit_grant", "credit_transfer", "credit_uncollected", "credit_hold", "credit_recall",
	"subscription_allocation", "privacy_export",
}

// proper are values of columns that take no others, and of those that hold only
// ids by design.
var proper = map[string]any{
	"apikey_key.mode": "live", "grant_device.state": "approved", "webhook_delivery.state": "succeeded", "webhook_delivery.event_id": "1",
	"branding_feedback.status": "new", "role_override.effect": "grant", "role_override.permission": "users.view", "role_assignment.role_id": "ops",
	"subscription_plan.cycle": "monthly", "subscription_plan.mode": "free", "subscription_plan.state": "cancelled",
	"usage_record.status": "success", "usage_record.source": "reported", "usage_record.pricing": "{}", "apikey_key.limits": "{}",
	"webhook_event.body": `{"who":"` + markEmail + `"}`, "account_token.purpose": "reset",
}

// closed are columns that hold a word of ours or an id, never what a person
// typed or sent.
var closed = []string{
	"user_id", "id", "kind", "state", "status", "type", "tier", "cycle", "mode", "cause", "actor", "created_by", "ended_by", "lifted_by", "ref",
	"from_state", "to_state", "from_tier", "from_cycle", "to_tier", "to_cycle", "next_tier", "next_cycle", "subscription_id", "key_id", "client_id", "model_id",
	"vendor_model", "provider", "operation", "ending", "request_id", "payment", "reverses", "role_id", "permission", "effect", "event_id", "endpoint_id", "delivery_id",
}

func (tb table) fill(t *testing.T, db *sqldb.DB, userID string) {
	t.Helper()
	if slices.Contains(full, tb.name) {
		return
	}
	var names, places []string
	var args []any
	for i, c := range tb.columns {
		var v any = fmt.Sprintf("%s %s %s", markName, markEmail, markPlace)
		switch given, ok := proper[tb.name+"."+c]; {
		case ok:
			v = given
		case c == "user_id" || c == "holder":
			v = userID
		case c == "hash" || c == "secret" || c == "password" || c == "record" || c == "credential" || c == "old_secret" || c == "current_hash":
			v = markSecret
			if tb.kinds[i] == "blob" {
				v = []byte(markSecret)
			}
		case c == "email" || c == "hint":
			v = markEmail
		case tb.kinds[i] == "int":
			v = 1
		case tb.kinds[i] == "bool":
			v = false
		case tb.kinds[i] == "blob":
			v = []byte(markSecret)
		case slices.Contains(closed, c):
			v = "1"
		}
		names, places, args = append(names, c), append(places, fmt.Sprintf("$%d", i+1)), append(args, v)
	}
	q := "INSERT INTO " + tb.name + " (" + strings.Join(names, ", ") + ") VALUES (" + strings.Join(places, ", ") + ")"
	if _, err := db.Q(t.Context()).ExecContext(t.Context(), q, args...); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
}

// tables lists those of the database.
func tables(t *testing.T, db *sqldb.DB) (out []table) {
	t.Helper()
	q := `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name`
	if db.Engine() == sqldb.Postgres {
		q = `SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename`
	}
	names, err := sqldb.All(t.Context(), db, "list tables", func(r sqldb.Row) (name string, err error) { return name, r.Scan(&name) }, q)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		rows, err := db.Q(t.Context()).QueryContext(t.Context(), "SELECT * FROM "+name+" WHERE 1 = 0")
		if err != nil {
			t.Fatal(err)
		}
		kinds, err := rows.ColumnTypes()
		if err != nil {
			t.Fatal(err)
		}
		tb := table{name: name}
		for _, k := range kinds {
			kind := "text"
			switch word := strings.ToUpper(k.DatabaseTypeName()); {
			case strings.Contains(word, "INT"):
				kind = "int"
			case strings.Contains(word, "BOOL"):
				kind = "bool"
			case strings.Contains(word, "BYTEA") || strings.Contains(word, "BLOB"):
				kind = "blob"
			}
			tb.columns, tb.kinds = append(tb.columns, k.Name()), append(tb.kinds, kind)
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
		out = append(out, tb)
	}
	return out
}

// sheets are the names and rows of an export.
type sheets struct {
	names []string
	rows  map[string]int
}

func (c *sheets) Begin(name string, _ []string) error {
	c.names = append(c.names, name)
	return nil
}

func (c *sheets) Row([]any) error {
	c.rows[c.names[len(c.names)-1]]++
	return nil
}

// Of a person who is in every table something is in every sheet, and nothing
// that would let somebody act as them.
func TestAnExportHasSomethingOfEverySlice(t *testing.T) {
	onEngines(t, func(t *testing.T, s *Server) {
		u := person(t, s)
		c := &sheets{rows: map[string]int{}}
		for _, part := range s.privacy.Parts {
			if err := part.Export(t.Context(), personal.Person{ID: u.ID, Email: u.Email}, c); err != nil {
				t.Fatal(err)
			}
		}
		empty := []string{"uncollected", "account-states", "preferences", "done-by-you"} // nothing of that kind happened
		for _, name := range c.names {
			if c.rows[name] == 0 && !slices.Contains(empty, name) {
				t.Errorf("the sheet %s is empty", name)
			}
		}
		if len(c.names) < 30 {
			t.Errorf("only %d sheets: %v", len(c.names), c.names)
		}
		files := exported(t, s, u)
		all := strings.Join(files, "")
		for _, mark := range []string{markEmail, markName, markPlace} {
			if !strings.Contains(all, mark) {
				t.Errorf("%s is not in the export", mark)
			}
		}
		for _, secret := range []string{markSecret, "argon2id", "whsec_"} {
			if strings.Contains(all, secret) {
				t.Errorf("%s is in the export", secret)
			}
		}
	})
}

// eventually waits until ok.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("it does not happen")
		}
	}
}

// exported returns the texts of the files of an export.
func exported(t *testing.T, s *Server, u account.User) (texts []string) {
	t.Helper()
	ctx := t.Context()
	e, err := s.privacy.Order(ctx, u.ID)
	if err != nil {
		t.Fatal(err)
	}
	s.core.Jobs.Start(ctx)
	defer s.core.Jobs.Stop(context.WithoutCancel(ctx))
	eventually(t, func() bool {
		e, err = s.privacy.One(ctx, u.ID, e.ID)
		if err != nil {
			t.Fatal(err)
		}
		return e.State == privacy.Ready
	})
	var b bytes.Buffer
	if err := s.privacy.Copy(ctx, &b, e); err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	if mails, _ := filepath.Glob(filepath.Join(s.core.Config.Data, "mail", "*.eml")); len(mails) == 0 {
		t.Error("nobody was told")
	}
	return texts
}
