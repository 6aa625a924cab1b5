package catalog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/tier"
	"github.com/rephlo/rephlo/internal/web"
)

const planted = "sk-planted-9e1c77d2f0"

// office is the administrators' endpoints on a real router and database.
type office struct {
	t      *testing.T
	db     *sqldb.DB
	clock  *clock
	models *catalog.Service
	mux    *web.Mux
	log    bytes.Buffer
}

func newOffice(t *testing.T, db *sqldb.DB, c *clock, providers ...catalog.ProviderConfig) *office {
	t.Helper()
	o := &office{t: t, db: db, clock: c}
	log := slog.New(slog.NewTextHandler(&o.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	b := bus.New(db, log, time.Now)
	o.models = catalog.New(catalog.Needs{DB: db, Bus: b, Box: box, Log: log, Now: c.now, Terms: pricing.DefaultTerms, Tiers: tier.Seeds(), Providers: providers})
	if err := o.models.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.models.Stop)
	o.mux = web.NewMux(web.Config{Log: log, Use: []web.Middleware{func(next web.Handler) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			a := access.Actor{UserID: "usr_admin", Scopes: []string{access.ScopeAdmin}, Roles: []string{r.Header.Get("Role")}}
			return next(w, r.WithContext(access.With(r.Context(), a, nil)))
		}
	}}})
	catalog.AdminAPI{Models: o.models, Cursors: list.NewCursors(make([]byte, 32)), Health: func() []catalog.DeploymentHealth { return nil }}.Mount(o.mux)
	return o
}

// answer is what an endpoint said.
type answer struct {
	code   int
	header http.Header
	text   string
	body   map[string]any
}

// at follows names into the body.
func (a answer) at(path ...string) any {
	var v any = a.body
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

func (o *office) do(method, path string, body any, header ...string) answer {
	o.t.Helper()
	var in io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			o.t.Fatal(err)
		}
		in = bytes.NewReader(text)
	}
	r := httptest.NewRequest(method, path, in)
	r.Header.Set("Role", "super_admin")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	o.mux.ServeHTTP(rec, r)
	out := answer{code: rec.Code, header: rec.Header(), text: rec.Body.String()}
	_ = json.Unmarshal(rec.Body.Bytes(), &out.body) // some answers have none
	return out
}

// must is do for what has to succeed with the status.
func (o *office) must(status int, method, path string, body any, header ...string) answer {
	o.t.Helper()
	a := o.do(method, path, body, header...)
	if a.code != status {
		o.t.Fatalf("%s %s: %d %s, want %d", method, path, a.code, a.text, status)
	}
	return a
}

// refused is do for what has to fail with the code.
func (o *office) refused(status int, code, method, path string, body any, header ...string) {
	o.t.Helper()
	if a := o.do(method, path, body, header...); a.code != status || a.at("error", "code") != code {
		o.t.Errorf("%s %s: %d %s, want %d %s", method, path, a.code, a.text, status, code)
	}
}

type fields map[string]any

const why = "because a test wants it"

// seen waits until the snapshot has what f looks for.
func (o *office) seen(what string, f func() bool) {
	o.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !f() {
		if time.Now().After(deadline) {
			o.t.Fatalf("not in the snapshot: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// withModel makes a provider with a key and a model that can be called.
func (o *office) withModel(provider, model string) {
	o.t.Helper()
	o.must(201, "POST", "/admin/providers", fields{"id": provider, "vendor": "compat", "baseUrl": "https://" + provider + ".test/v1", "reason": why})
	o.must(201, "POST", "/admin/providers/"+provider+"/keys", fields{"label": "first", "value": planted, "reason": why})
	o.must(201, "POST", "/admin/models", fields{
		"id": model, "contextLength": 1000, "maxOutputTokens": 100, "reason": why,
		"routes": []fields{{"providerId": provider, "vendorModelId": "vm"}},
	})
	o.must(201, "POST", "/admin/pricing/vendor-prices", fields{"providerId": provider, "vendorModelId": "vm", "reason": why, "prices": fields{"input": 5, "output": 7}}, "Idempotency-Key", "first "+provider)
	o.must(200, "POST", "/admin/models/"+model+"/publish", fields{"reason": why})
	o.seen(model, func() bool { _, err := o.models.Model(model); return err == nil })
}

func onOffice(t *testing.T, test func(o *office)) {
	t.Helper()
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) { test(newOffice(t, db, newClock())) })
}

func TestAProviderWithTwoKeysGivesTwoDeployments(t *testing.T) {
	onOffice(t, func(o *office) {
		o.withModel("acme", "m")
		added := o.must(201, "POST", "/admin/providers/acme/keys", fields{"label": "second", "value": "another-key-0042", "weight": 3, "reason": why})
		routes := func() []catalog.Route {
			m, err := o.models.Model("m")
			if err != nil {
				o.t.Fatal(err)
			}
			return m.Routes
		}
		o.seen("the second key", func() bool { return len(routes()) == 2 })
		if r := routes(); r[0].Provider.Key.Reveal() != "another-key-0042" || r[0].Weight != 3 || r[1].Provider.Key.Reveal() != planted || r[1].Weight != 1 {
			o.t.Errorf("routes %+v", r)
		}
		id, _ := added.at("id").(string)
		o.must(200, "PATCH", "/admin/providers/acme/keys/"+id, fields{"state": "draining", "reason": why})
		o.seen("the drained key", func() bool { return len(routes()) == 1 })
		if err := o.models.DisableKey(o.t.Context(), "acme", routes()[0].Provider.KeyID, "The vendor refused it three times."); err != nil {
			o.t.Fatal(err)
		}
		o.seen("the disabled key", func() bool { return len(routes()) == 0 })
		o.must(200, "PATCH", "/admin/providers/acme/keys/"+id, fields{"state": "active", "reason": why})
		o.seen("the key that is back", func() bool { return len(routes()) == 1 })
		o.must(204, "POST", "/admin/providers/acme/drain", fields{"reason": why})
		o.seen("the drained provider", func() bool { return len(routes()) == 0 })
		o.must(204, "POST", "/admin/providers/acme/resume", fields{"reason": why})
		o.seen("the resumed provider", func() bool { return len(routes()) == 1 })
		o.must(204, "DELETE", "/admin/providers/acme/keys/"+id+"?reason=not+used+any+more", nil)
		if keys := o.must(200, "GET", "/admin/providers/acme/keys", nil); !strings.Contains(keys.text, `"state":"disabled","reason":"The vendor refused it three times."`) || strings.Contains(keys.text, id) {
			o.t.Errorf("keys %s", keys.text)
		}
	})
}

// The planted key is searched in answers, in the log and in the whole database.
func TestAProvidersKeyIsWrittenAndNeverRead(t *testing.T) {
	onOffice(t, func(o *office) {
		o.withModel("acme", "m")
		for _, path := range []string{"/admin/providers", "/admin/providers/acme", "/admin/providers/acme/keys", "/admin/models", "/admin/models/m", "/admin/models/m/history", "/admin/providers/health"} {
			if a := o.must(200, "GET", path, nil); strings.Contains(a.text, planted) {
				o.t.Errorf("%s shows the key", path)
			}
		}
		if a := o.must(200, "GET", "/admin/providers/acme/keys", nil); !strings.Contains(a.text, `"hint":"d2f0"`) {
			o.t.Errorf("keys %s", a.text)
		}
		o.refused(422, "validation_error", "POST", "/admin/providers/acme/keys", fields{"label": "x", "value": planted + " \n", "reason": why})
		o.refused(422, "unknown_field", "POST", "/admin/providers/acme/keys", fields{"label": "x", "values": planted, "reason": why})
		if strings.Contains(o.log.String(), planted) {
			o.t.Error("the log has the key")
		}
		for _, table := range []string{"catalog_provider", "catalog_key", "catalog_history", "catalog_model", "bus_message"} {
			if strings.Contains(dump(o.t, o.db, table), planted) {
				o.t.Errorf("the table %s has the key", table)
			}
		}
		if short := o.must(201, "POST", "/admin/providers/acme/keys", fields{"label": "short", "value": "abcd", "reason": why}); strings.Contains(short.text, "abcd") {
			o.t.Errorf("of a short key all is shown: %s", short.text)
		}
	})
}

// dump is all that a table has, as text.
func dump(t *testing.T, db *sqldb.DB, table string) string {
	t.Helper()
	rows, err := db.Q(t.Context()).QueryContext(t.Context(), "SELECT * FROM "+table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for rows.Next() {
		values := make([]any, len(names))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			if b, ok := (*v.(*any)).([]byte); ok {
				out.Write(b)
				continue
			}
			fmt.Fprintln(&out, *v.(*any))
		}
	}
	if out.Len() == 0 {
		t.Fatalf("the table %s is empty: nothing was searched", table)
	}
	return out.String()
}

func TestEveryRouteOfAdministratorsNeedsItsPermission(t *testing.T) {
	onOffice(t, func(o *office) {
		for _, route := range o.mux.Routes() {
			method, path, _ := strings.Cut(route, " ")
			reads := method == "GET"
			for role, may := range map[string]bool{"": false, "auditor": false, "analyst": reads, "support": reads} {
				a := o.do(method, strings.NewReplacer("{", "", "}", "").Replace(path), fields{}, "Role", role)
				if forbidden := a.code == 403 && a.at("error", "code") == "forbidden"; forbidden == may {
					o.t.Errorf("%s as %q: %d %s", route, role, a.code, a.text)
				}
			}
			if a := o.do(method, path, fields{}, "Role", "ops"); strings.Contains(path, "/pricing/") && !reads && a.code != 403 {
				o.t.Errorf("%s as ops: %d", route, a.code)
			}
		}
	})
}

func TestTheSecondOfTwoEditorsIsTold(t *testing.T) {
	onOffice(t, func(o *office) {
		o.withModel("acme", "m")
		tag := o.must(200, "GET", "/admin/models/m", nil).header.Get("ETag")
		o.must(200, "PATCH", "/admin/models/m", fields{"name": "First", "reason": why}, "If-Match", tag)
		o.refused(412, "edited_elsewhere", "PATCH", "/admin/models/m", fields{"name": "Second", "reason": why}, "If-Match", tag)
		if a := o.must(200, "GET", "/admin/models/m", nil); a.at("name") != "First" || a.header.Get("ETag") == tag {
			o.t.Errorf("%s with %s", a.text, a.header.Get("ETag"))
		}
		tag = o.must(200, "GET", "/admin/providers/acme", nil).header.Get("ETag")
		o.must(200, "PATCH", "/admin/providers/acme", fields{"name": "ACME", "reason": why}, "If-Match", tag)
		o.refused(412, "edited_elsewhere", "DELETE", "/admin/providers/acme?reason=not+used+any+more", nil, "If-Match", tag)
	})
}

func TestModelsOfAdministratorsAreChecked(t *testing.T) {
	onOffice(t, func(o *office) {
		o.withModel("acme", "m")
		good := func() fields { return fields{"id": "n", "maxOutputTokens": 100, "reason": why} }
		for name, change := range map[string]func(f fields){
			"id":              func(f fields) { f["id"] = "UPPER" },
			"reserved id":     func(f fields) { f["id"] = "tiers" },
			"test id":         func(f fields) { f["id"] = "test-new" },
			"no output":       func(f fields) { delete(f, "maxOutputTokens") },
			"alias is an id":  func(f fields) { f["aliases"] = []string{"m"} },
			"alias is itself": func(f fields) { f["aliases"] = []string{"n"} },
			"alias twice":     func(f fields) { f["aliases"] = []string{"a", "a"} },
			"no provider":     func(f fields) { f["routes"] = []fields{{"providerId": "nobody", "vendorModelId": "v"}} },
			"route twice": func(f fields) {
				r := fields{"providerId": "acme", "vendorModelId": "v"}
				f["routes"] = []fields{r, r}
			},
			"negative limit": func(f fields) {
				f["routes"] = []fields{{"providerId": "acme", "vendorModelId": "v", "limits": fields{"requestsPerMinute": -1}}}
			},
			"fallback to nothing": func(f fields) { f["fallbacks"] = []fields{{"model": "nowhere"}} },
			"tier":                func(f fields) { f["access"] = fields{"tierRestrictionMode": "minimum", "requiredTier": "gold"} },
			"short reason":        func(f fields) { f["reason"] = "no" },
		} {
			f := good()
			change(f)
			if a := o.do("POST", "/admin/models", f); a.code != 422 {
				o.t.Errorf("%s: %d %s", name, a.code, a.text)
			}
		}
		o.must(201, "POST", "/admin/models", good())
		o.refused(409, "conflict", "POST", "/admin/models", good())
		o.refused(409, "in_use", "DELETE", "/admin/providers/acme?reason=not+used+any+more", nil)
		o.must(200, "PUT", "/admin/models/m", fields{"maxOutputTokens": 5, "reason": why})
		o.must(204, "DELETE", "/admin/providers/acme?reason=not+used+any+more", nil)
		o.refused(404, "not_found", "GET", "/admin/providers/acme", nil)
		o.refused(409, "conflict", "POST", "/admin/providers", fields{"id": "acme", "vendor": "compat", "baseUrl": "https://acme.test/v1", "reason": why})
		if n := count(o.t, o.db, `SELECT COUNT(*) FROM catalog_key WHERE provider = 'acme'`); n != 0 {
			o.t.Errorf("%d keys of a provider that is gone", n)
		}
		o.refused(404, "not_found", "GET", "/admin/models/nowhere", nil)
	})
}

func TestAProviderOfAzureHasADatedVersionOrNone(t *testing.T) {
	onOffice(t, func(o *office) {
		provider := func(id, vendor, version string) fields {
			return fields{"id": id, "vendor": vendor, "baseUrl": "https://" + id + ".openai.azure.com/openai", "options": fields{"apiVersion": version}, "reason": why}
		}
		o.must(201, "POST", "/admin/providers", provider("one", "azure", ""))
		o.must(201, "POST", "/admin/providers", provider("two", "azure", "2025-04-01-preview"))
		o.refused(422, "validation_error", "POST", "/admin/providers", provider("three", "azure", "2024-10-21&x=1"))
		o.refused(422, "validation_error", "POST", "/admin/providers", provider("three", "compat", "2024-10-21"))
		o.refused(422, "validation_error", "POST", "/admin/providers", provider("three", "asure", ""))
	})
}

func TestAModelIsFoundByItsAliases(t *testing.T) {
	onOffice(t, func(o *office) {
		o.withModel("acme", "m")
		o.must(200, "PATCH", "/admin/models/m", fields{"aliases": []string{"m-latest", "m-2026"}, "reason": why})
		o.seen("the alias", func() bool { m, err := o.models.Model("m-latest"); return err == nil && m.ID == "m" })
		o.refused(422, "validation_error", "POST", "/admin/models", fields{"id": "m-latest", "maxOutputTokens": 1, "reason": why})
		o.must(200, "PATCH", "/admin/models/m", fields{"aliases": []string{"m-2026"}, "reason": why})
		o.seen("its end", func() bool { _, err := o.models.Model("m-latest"); return errors.Is(err, catalog.ErrNotFound) })
		if got := o.models.Models(); len(got) != 5 { // an alias is not listed
			o.t.Errorf("%d models are listed", len(got))
		}
	})
}

func TestAModelGoesThroughItsStates(t *testing.T) {
	onOffice(t, func(o *office) {
		o.withModel("acme", "m")
		o.refused(409, "invalid_state", "POST", "/admin/models/m/publish", fields{"reason": why})
		sunset := o.clock.now().Add(time.Hour)
		o.refused(422, "validation_error", "POST", "/admin/models/m/mark-legacy", fields{"reason": why, "replacementModelId": "nowhere"})
		o.refused(422, "validation_error", "POST", "/admin/models/m/mark-legacy", fields{"reason": why, "sunsetAt": sunset.Add(-2 * time.Hour)})
		o.must(200, "POST", "/admin/models/m/mark-legacy", fields{"reason": why, "replacementModelId": "test-echo", "sunsetAt": sunset})
		o.seen("legacy", func() bool {
			m, err := o.models.Model("m")
			return err == nil && m.State == catalog.StateLegacy && m.SunsetAt.Equal(sunset) && m.Replacement == "test-echo"
		})
		if err := o.models.Sunset(o.t.Context()); err != nil {
			o.t.Fatal(err)
		}
		if a := o.must(200, "GET", "/admin/models/m", nil); a.at("state") != "legacy" {
			o.t.Errorf("before its sunset it is %v", a.at("state"))
		}
		o.clock.advance(time.Hour)
		if err := o.models.Sunset(o.t.Context()); err != nil {
			o.t.Fatal(err)
		}
		o.seen("archived", func() bool { _, err := o.models.Model("m"); return errors.Is(err, catalog.ErrRetired) })
		o.must(200, "POST", "/admin/models/m/unarchive", fields{"reason": why})
		o.seen("active", func() bool { m, err := o.models.Model("m"); return err == nil && m.SunsetAt.IsZero() })
		var actions []string
		data, _ := o.must(200, "GET", "/admin/models/m/history", nil).at("data").([]any)
		for _, e := range data {
			actions = append(actions, e.(map[string]any)["action"].(string))
		}
		if want := []string{"unarchive", "archive", "mark-legacy", "publish", "create"}; !slices.Equal(actions, want) {
			o.t.Errorf("history %v, want %v", actions, want)
		}
	})
}

// What one process changes another one has without a restart; a call that has
// begun keeps the model it found.
func TestAnotherProcessSeesTheChange(t *testing.T) {
	t.Parallel()
	dbtest.RunURL(t, func(t *testing.T, url string) {
		here := newOffice(t, dbtest.Open(t, url), newClock())
		db := dbtest.Open(t, url)
		log := slog.New(slog.DiscardHandler)
		b := bus.New(db, log, time.Now)
		box, err := seal.NewBox(make([]byte, seal.KeySize))
		if err != nil {
			t.Fatal(err)
		}
		there := catalog.New(catalog.Needs{DB: db, Bus: b, Box: box, Log: log, Now: here.clock.now, Terms: pricing.DefaultTerms, Tiers: tier.Seeds()})
		for _, start := range []func(context.Context) error{there.Start, b.Start} {
			if err := start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(there.Stop)
		t.Cleanup(b.Stop)
		here.withModel("acme", "m")
		here.seen("the model in the other process", func() bool { _, err := there.Model("m"); return err == nil })
		before, err := there.Model("m")
		if err != nil {
			t.Fatal(err)
		}
		here.must(204, "POST", "/admin/providers/acme/drain", fields{"reason": why})
		here.seen("the drain in the other process", func() bool { m, err := there.Model("m"); return err == nil && len(m.Routes) == 0 })
		if len(before.Routes) != 1 || before.Routes[0].Provider.Key.Reveal() != planted {
			t.Errorf("the model of a running call changed: %+v", before.Routes)
		}
	})
}
