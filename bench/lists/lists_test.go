package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// may are statements that read a large table, or an index of it, from one end,
// and why that is no harm.
var may = []struct{ table, has, why string }{
	{"account_user", "WHERE staff AND", "the index has only people with a role"},
	{"account_user", "SELECT id FROM account_user WHERE email_key || ", "a text may stand anywhere in a name or address; SQLite reads an index that has nothing else"},
	{"apikey_key", "k WHERE k.revoked_at IS NOT NULL", "the index has only keys that are revoked"},
	{"apikey_key", "k WHERE k.expires_at IS NOT NULL", "the index has only keys that expire"},
	{"apikey_key", "k WHERE k.paused_at IS NOT NULL", "the index has only keys that were paused"},
	{"apikey_key", "k WHERE k.paused_at IS NULL", "nearly every key is in use; others have an index"},
	{"branding_diagnostic", "WHERE expires_at >", "what has expired is deleted within the hour: the page is full after as many rows as it has"},
	{"job_task", "FROM job_task WHERE state = 'waiting' GROUP BY kind", "the index has only what waits"},
	{"subscription_event", "WHERE from_state = 'trial'", "the index has only the ends of trials"},
	{"subscription_plan", "GROUP BY state, tier, cycle, mode", "the figures are of all plans; docs/benchmarks/lists.md says what that takes"},
	{"subscription_proration", "GROUP BY from_tier, to_tier", "the figures are of all changes; docs/benchmarks/lists.md says what that takes"},
	{"subscription_plan", "WHERE cycle =", "nearly every plan is monthly; annual ones have an index"},
	{"subscription_plan", "WHERE mode = ? ORDER", "nearly every plan is free; others have an index"},
	{"webhook_delivery", "WHERE state = ? ORDER", "nearly every delivery succeeds; others have an index"},
	{"audit_log", "WHERE outcome = ? ORDER", "nearly everything is done; the rest has an index"},
}

// No list reads a large table from end to end, on either engine.
func TestNoListReadsALargeTableWhole(t *testing.T) {
	t.Parallel()
	dbtest.RunURL(t, func(t *testing.T, address string) {
		name := ""
		if !strings.HasPrefix(address, "sqlite:") {
			name = address
		}
		x, err := serve(t.Context(), t.TempDir(), name, size{Users: 300, Usage: 2000})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := x.stop(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		asked, answered := 0, 0
		for _, v := range x.variants(x.mux.OpenAPI()) {
			rec, _, err := x.ask(t.Context(), v.url)
			if err != nil {
				t.Fatal(err)
			}
			asked++
			switch rec.Code {
			case http.StatusOK:
				answered++
			case http.StatusNotFound:
			default:
				t.Errorf("%s: %d %s", v.url, rec.Code, rec.Body)
			}
		}
		if asked < 500 || answered < asked*9/10 {
			t.Errorf("%d of %d requests were answered", answered, asked)
		}
		db, err := x.database()
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		p := planner{db: db, engine: x.core.DB.Engine(), forced: true}
		seen := x.statements()
		if len(seen) < 100 {
			t.Errorf("only %d statements were seen", len(seen))
		}
		for text, args := range seen {
			found, _, err := p.scans(t.Context(), text, args)
			if err != nil {
				t.Error(err)
			}
			for _, f := range found {
				if !slices.ContainsFunc(may, func(m struct{ table, has, why string }) bool {
					return m.table == f.table && strings.Contains(f.text, m.has)
				}) {
					t.Errorf("%s is read whole:\n%s\n%s", f.table, f.text, f.plan)
				}
			}
		}
	})
}
