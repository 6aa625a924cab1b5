package usage_test

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/usage"
	"github.com/rephlo/rephlo/internal/web"
)

// A month has what was used in it and of which credits, whether the summaries
// are built or not.
func TestAMonthIsSummedUp(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		now := time.Date(2026, 2, 20, 0, 0, 0, 0, time.UTC)
		clock := func() time.Time { return now }
		s := usage.New(usage.Needs{DB: db, Now: clock, Cursors: list.NewCursors(make([]byte, 32))})
		credits := credit.New(credit.Needs{DB: db, Log: slog.New(slog.DiscardHandler), Now: clock, Node: "node", Records: s})
		give := func(source credit.Source, whole int64, days int) credit.GrantID {
			t.Helper()
			g, err := credits.Grant(t.Context(), credit.NewGrant{
				User: "usr_ada", Source: source, Ref: id.New("adm", now), Amount: money.Credits(whole) * money.Credit, ExpiresAt: now.AddDate(0, 0, days),
			})
			if err != nil {
				t.Fatal(err)
			}
			return g
		}
		spend := func(model string, whole int64) {
			t.Helper()
			h, err := credits.Reserve(t.Context(), credit.Call{User: "usr_ada", Ref: id.New("call", now), Need: money.Credits(whole) * money.Credit})
			if err != nil {
				t.Fatal(err)
			}
			e := entry(func(e *usage.Entry) {
				e.ID, e.At, e.ModelID, e.Charged = h.Ref(), now, model, money.Credits(whole)*money.Credit
			})
			if _, err := h.Settle(t.Context(), credit.Outcome{Price: e.Charged, Ending: credit.Finished, Record: e}); err != nil {
				t.Fatal(err)
			}
		}
		if err := credits.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := credits.Stop(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		}()
		free := give(credit.Plan, 200, 20)
		give(credit.Pack, 500, 365)
		spend("m1", 50) // in February, of the free plan
		now = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
		give(credit.Bonus, 30, 5)
		spend("m2", 100) // 30 of the bonus, 70 of the free plan
		spend("m1", 90)  // 80 of the free plan, 10 of the pack
		spend("m2", 1)
		now = now.AddDate(0, 0, 10)
		m := web.NewMux(web.Config{Use: []web.Middleware{as}})
		api := usage.API{
			Usage: s, Grants: credits, Allowed: func(string) usage.Allowance { return usage.Allowance{HistoryDays: 300} },
			Free: func(context.Context, string, time.Time) (map[credit.GrantID]bool, error) {
				return map[credit.GrantID]bool{free: true}, nil
			},
		}
		api.Mount(m)
		for _, built := range []bool{false, true} {
			if built {
				if err := s.Summarise(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for path, want := range map[string]string{
				"": `"period":"2026-03","periodStart":"2026-03-01T00:00:00Z","periodEnd":"2026-04-01T00:00:00Z"`,
				"?period=current_month": `"creditBreakdown":{"free":{"used":150,"limit":150},"subscription":{"used":0,"limit":0},"rollover":{"used":0,"limit":0},` +
					`"bonus":{"used":30,"limit":30},"purchased":{"used":11,"limit":500}}`,
				"?period=2026-03":                           `"apiRequests":3,`,
				"?period=2026-03&timezone=UTC":              `"mostUsedModel":"m2","mostUsedModelPercentage":66}`,
				"?period=2026-02":                           `"creditBreakdown":{"free":{"used":50,"limit":200},"subscription":{"used":0,"limit":0},"rollover":{"used":0,"limit":0},"bonus":{"used":0,"limit":0},"purchased":{"used":0,"limit":500}}`,
				"?period=2026-01":                           `"mostUsedModel":null,"mostUsedModelPercentage":0},`,
				"?period=2026-03&timezone=Pacific/Auckland": `"periodStart":"2026-02-28T11:00:00Z"`,
			} {
				a := get(m, "/api/user/usage/summary"+path, "usr_ada", access.ScopeCredits)
				if a.Code != http.StatusOK || !strings.Contains(a.Body.String(), want) {
					t.Errorf("summaries built: %t: %s: %d %s, want %s", built, path, a.Code, a.Body, want)
				}
			}
		}
		for _, wrong := range []string{"?period=2026-04", "?period=2026-13", "?period=march", "?timezone=Local", "?timezone=Mars"} {
			if a := get(m, "/api/user/usage/summary"+wrong, "usr_ada", access.ScopeCredits); a.Code != http.StatusBadRequest {
				t.Errorf("%s: %d %s", wrong, a.Code, a.Body)
			}
		}
	})
}
