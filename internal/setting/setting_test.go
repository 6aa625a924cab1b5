package setting_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/approval"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/setting"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

// office is one process with its settings.
type office struct {
	*testing.T
	s   *setting.Service
	mux *web.Mux

	approvals *approval.Service
}

func newOffice(t *testing.T, db *sqldb.DB, fixed ...setting.Fixed) *office {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	b := bus.New(db, log, time.Now)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	o := &office{T: t, s: setting.New(setting.Needs{DB: db, Bus: b, Box: box, Log: log, Now: time.Now, Fixed: fixed})}
	if err := o.s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.s.Start(t.Context())
	t.Cleanup(func() { o.s.Stop(); b.Stop() })
	o.mux = web.NewMux(web.Config{Use: []web.Middleware{func(next web.Handler) web.Handler {
		return func(rw http.ResponseWriter, r *http.Request) error {
			actor := access.Actor{UserID: "usr_" + r.Header.Get("Role"), Scopes: []string{access.ScopeAdmin}, Roles: []string{r.Header.Get("Role")}, AuthTime: time.Now()}
			if who := r.Header.Get("User"); who != "" {
				actor.UserID = who
			}
			return next(rw, r.WithContext(access.With(r.Context(), actor, nil)))
		}
	}}})
	o.approvals = approval.New(approval.Needs{DB: db, Box: box, Now: time.Now, Holding: func(context.Context, ...access.Permission) ([]string, error) {
		return []string{"usr_super_admin", "usr_other"}, nil
	}})
	setting.AdminAPI{Settings: o.s, Approvals: o.approvals, Cursors: list.Cursors{}}.Mount(o.mux)
	return o
}

type object = map[string]any

const why = "because a test wants it"

func (o *office) do(role, request string, body any, status int) object {
	o.Helper()
	method, path, _ := strings.Cut(request, " ")
	var sent []byte
	if body != nil {
		sent, _ = json.Marshal(body)
	}
	r := httptest.NewRequestWithContext(o.Context(), method, "/admin/settings"+path, bytes.NewReader(sent))
	r.Header.Set("Role", role)
	r.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	o.mux.ServeHTTP(rec, r)
	if rec.Code != status {
		o.Fatalf("%s by %s: %d %s, want %d", request, role, rec.Code, rec.Body, status)
	}
	out := object{}
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
		o.Fatal(err)
	}
	return out
}

func (o *office) put(category string, version int, values object, status int) object {
	o.Helper()
	return o.do("super_admin", "PUT /"+category, object{"version": version, "values": values, "reason": why}, status)
}

// at reads a value at a path of names.
func at(o object, path ...string) any {
	var v any = o
	for _, name := range path {
		inner, _ := v.(object)
		v = inner[name]
	}
	return v
}

func TestAChangeHoldsOnAllServersWithinSeconds(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		here, there := newOffice(t, db), newOffice(t, db)
		if setting.Maintenance.Of(here.s) || setting.CreditValue.Of(here.s) != 10_000 {
			t.Error("the defaults are others")
		}
		here.put("general", 0, object{"maintenance": true}, 200)
		if !setting.Maintenance.Of(here.s) {
			t.Error("it does not hold where it was made")
		}
		for end := time.Now().Add(5 * time.Second); !setting.Maintenance.Of(there.s); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("after five seconds it does not hold elsewhere")
			}
		}
	})
}

func TestCategoriesAreWrittenWholeAndChecked(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		o := newOffice(t, db)
		for _, tt := range []struct {
			category string
			values   object
			field    string
		}{
			{"pricing", object{"valueMicroUsd": 10_000, "incrementMicro": 10_000}, "defaultMarginBp"},
			{"pricing", object{"valueMicroUsd": 0, "incrementMicro": 10_000, "defaultMarginBp": 15_000}, "valueMicroUsd"},
			{"pricing", object{"valueMicroUsd": 1.5, "incrementMicro": 10_000, "defaultMarginBp": 15_000}, "valueMicroUsd"},
			{"pricing", object{"valueMicroUsd": "1", "incrementMicro": 10_000, "defaultMarginBp": 15_000}, "valueMicroUsd"},
			{"pricing", object{"valueMicroUsd": 10_000, "incrementMicro": 10_000, "defaultMarginBp": 9_999}, "defaultMarginBp"},
			{"pricing", object{"valueMicroUsd": 10_000, "incrementMicro": 20_000, "defaultMarginBp": 15_000}, "incrementMicro"},
			{"general", object{"maintenance": nil}, "maintenance"},
			{"general", object{"maintenance": true, "colour": "red"}, "colour"},
			{"security", object{"allowedOrigins": []string{"https://app.example.com/"}}, "allowedOrigins"},
			{"security", object{"allowedOrigins": []string{"*"}}, "allowedOrigins"},
			{"security", object{"allowedOrigins": "https://app.example.com"}, "allowedOrigins"},
			{"email", object{"host": "mail.example.com", "port": 587, "user": "", "tls": "starttls", "from": ""}, "from"},
			{"email", object{"host": "mail.example.com", "port": 587, "user": "", "tls": "perhaps", "from": "a@example.com"}, "tls"},
			{"email", object{"host": "mail.example.com", "port": 25, "user": "u", "tls": "none", "from": "a@example.com"}, "tls"},
			{"email", object{"host": "", "port": 25, "user": "u", "tls": "none", "from": "a@example.com"}, "host"},
			{"email", object{"host": "a\nb", "port": 25, "user": "", "tls": "none", "from": "a@example.com"}, "host"},
		} {
			got := o.put(tt.category, 0, tt.values, 422)
			if at(got, "error", "param") != tt.field {
				t.Errorf("%v: %v, want it to name %s", tt.values, got, tt.field)
			}
		}
		o.put("pictures", 0, object{}, 404)
		o.do("admin", "PUT /general", object{"values": object{"maintenance": true}, "reason": why}, 403)
		o.do("auditor", "GET /general", nil, 200)
		o.do("support", "GET /general", nil, 403)
		if c := o.do("super_admin", "GET /general", nil, 200); at(c, "version") != 0. || at(c, "settings", "maintenance", "origin") != "default" {
			t.Errorf("something was written: %v", c)
		}
		all, _ := o.do("auditor", "GET ", nil, 200)["data"].([]any)
		if len(all) != len(setting.Categories()) {
			t.Errorf("%d categories", len(all))
		}
	})
}

func TestOfTwoWhoChangeAtOnceOneIsRefused(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		o := newOffice(t, db)
		var wg sync.WaitGroup
		codes := make(chan int, 8)
		for range 8 {
			wg.Go(func() {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/admin/settings/credits",
					strings.NewReader(`{"version":0,"values":{"bonusExpiryDays":30},"reason":"`+why+`"}`))
				r.Header.Set("Role", "super_admin")
				r.Header.Set("Content-Type", "application/json")
				rec := httptest.NewRecorder()
				o.mux.ServeHTTP(rec, r)
				codes <- rec.Code
			})
		}
		wg.Wait()
		done := 0
		for range 8 {
			if code := <-codes; code == 200 {
				done++
			} else if code != 412 {
				t.Errorf("answered %d", code)
			}
		}
		if done != 1 {
			t.Errorf("%d changes were made on one version", done)
		}
	})
}

func TestVersionsAreKeptAndRestored(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		o := newOffice(t, db)
		for i, days := range []int{30, 40, 50} {
			o.put("credits", i, object{"bonusExpiryDays": days}, 200)
		}
		o.put("credits", 1, object{"bonusExpiryDays": 1}, 412)
		page := o.do("auditor", "GET /credits/history?limit=2", nil, 200)
		next, _ := page["nextCursor"].(string)
		rest := o.do("auditor", "GET /credits/history?limit=2&cursor="+next, nil, 200)
		newest, _ := page["data"].([]any)
		oldest, _ := rest["data"].([]any)
		if len(newest) != 2 || len(oldest) != 1 || rest["nextCursor"] != nil {
			t.Fatalf("history %v, then %v", page, rest)
		}
		first, _ := oldest[0].(object)
		if first["version"] != 1. || at(first, "values", "bonusExpiryDays") != 30. || first["changedBy"] != "usr_super_admin" || first["reason"] != why {
			t.Errorf("the first version is %v", first)
		}
		o.do("super_admin", "POST /credits/restore", object{"version": 9, "reason": why}, 404)
		c := o.do("super_admin", "POST /credits/restore", object{"version": 1, "reason": why}, 200)
		if c["version"] != 4. || setting.BonusDays.Of(o.s) != 30 || at(c, "settings", "bonusExpiryDays", "origin") != "database" {
			t.Errorf("restored %v", c)
		}
	})
}

func TestSecretsAreSealedAndNeverShown(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		o := newOffice(t, db)
		values := object{"host": "mail.example.com", "port": 587, "user": "u", "tls": "starttls", "from": "Rephlo <a@example.com>", "password": "correct-horse-battery"}
		c := o.put("email", 0, values, 200)
		if at(c, "settings", "password", "value", "set") != true || at(c, "settings", "password", "value", "hint") != "tery" {
			t.Errorf("shown %v", at(c, "settings", "password"))
		}
		delete(values, "password")
		o.put("email", 1, values, 200)
		if got := setting.MailPassword.Of(o.s).Reveal(); got != "correct-horse-battery" {
			t.Errorf("a change of something else makes it %q", got)
		}
		if err := newOffice(t, db).s.Load(t.Context()); err != nil {
			t.Error(err)
		}
		values["password"] = nil
		c = o.put("email", 2, values, 200)
		if at(c, "settings", "password", "value", "set") != false || !setting.MailPassword.Of(o.s).Empty() {
			t.Errorf("cleared: %v", at(c, "settings", "password"))
		}
		values["password"] = "short"
		c = o.put("email", 3, values, 200)
		if at(c, "settings", "password", "value", "hint") != "" {
			t.Errorf("of a short one is shown %v", c)
		}
		history, _ := json.Marshal(o.do("auditor", "GET /email/history", nil, 200))
		rows, err := db.Q(t.Context()).QueryContext(t.Context(), `SELECT settings FROM setting_version`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		stored := string(history)
		for rows.Next() {
			var v string
			if err := rows.Scan(&v); err != nil {
				t.Fatal(err)
			}
			stored += v
		}
		if rows.Err() != nil || strings.Contains(stored, "correct-horse") || strings.Contains(stored, `"short"`) {
			t.Errorf("a secret is open: %s", stored)
		}
		o.do("super_admin", "POST /email/restore", object{"version": 1, "reason": why}, 200)
		if got := setting.MailPassword.Of(o.s).Reveal(); got != "correct-horse-battery" {
			t.Errorf("restored as %q", got)
		}
	})
}

func TestWhatTheEnvironmentFixesIsReadOnly(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		free := newOffice(t, db)
		free.put("signup", 0, object{"open": true}, 200)
		o := newOffice(t, db, setting.Fixed{Category: "signup", Name: "open", Value: false})
		c := o.do("super_admin", "GET /signup", nil, 200)
		if at(c, "settings", "open", "readOnly") != true || at(c, "settings", "open", "origin") != "environment" || setting.SignupOpen.Of(o.s) {
			t.Errorf("shown %v", c)
		}
		o.put("signup", 1, object{"open": true}, 422)
		o.put("signup", 1, object{"open": false}, 200) // as it was read
		if !setting.SignupOpen.Of(free.s) {
			t.Error("what the environment of one server fixes was stored for all")
		}
	})
}
