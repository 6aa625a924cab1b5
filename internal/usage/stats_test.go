package usage_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/usage"
	"github.com/rephlo/rephlo/internal/web"
)

// history writes n calls of two users over the days before noon.
func history(t *testing.T, db *sqldb.DB, s *usage.Service, n, days int) []usage.Entry {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	var out []usage.Entry
	for i := range n {
		e := entry(func(e *usage.Entry) {
			e.At = noon.Add(-time.Duration(r.Int64N(int64(days)*86_400)) * time.Second)
			e.ID, e.RequestID = id.New("call", e.At), fmt.Sprintf("req-%04d", i)
			e.UserID = []string{"usr_ada", "usr_bob"}[r.IntN(2)]
			e.ModelID = []string{"m1", "m2", "m3"}[r.IntN(3)]
			e.KeyID = []string{"", "key_1"}[r.IntN(2)]
			e.Charged = money.Credits(r.Int64N(5_000_000))
		})
		out = append(out, e)
	}
	err := db.InTx(t.Context(), func(ctx context.Context) error {
		for _, e := range out {
			if err := s.Add(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Whether the summaries are built or not, and in the middle of it, a sum is
// that of the records, for every group and for days of any zone.
func TestStatisticsAreTheSumOfTheRecords(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		now := noon
		used := map[string]money.Credits{} // what people are told to have used
		s := usage.New(usage.Needs{
			DB: db, Now: func() time.Time { return now }, Cursors: list.NewCursors(make([]byte, 32)),
			Used: func(_ context.Context, more map[string]money.Credits) error {
				for user, v := range more {
					used[user] += v
				}
				return nil
			},
		})
		all := history(t, db, s, 200, 5)
		from, until := noon.AddDate(0, 0, -4), noon
		check := func(when string) {
			t.Helper()
			for _, zone := range []string{"UTC", "Asia/Kathmandu", "America/New_York"} {
				loc, err := time.LoadLocation(zone)
				if err != nil {
					t.Fatal(err)
				}
				for _, by := range []usage.Group{usage.ByDay, usage.ByHour, usage.ByModel, usage.ByOperation, usage.ByKey, usage.ByApp} {
					if zone != "UTC" && by != usage.ByDay {
						continue
					}
					want := map[string]usage.Sum{}
					for _, e := range all {
						if e.UserID != "usr_ada" || e.At.Before(from) || !e.At.Before(until) {
							continue
						}
						y, m, d := e.At.In(loc).Date()
						name := map[usage.Group]string{
							usage.ByDay: time.Date(y, m, d, 0, 0, 0, 0, loc).UTC().Format(time.RFC3339), usage.ByHour: e.At.Truncate(time.Hour).Format(time.RFC3339),
							usage.ByModel: e.ModelID, usage.ByOperation: e.Operation, usage.ByKey: e.KeyID, usage.ByApp: e.ClientID,
						}[by]
						v := want[name]
						v.Requests++
						v.Charged += e.Charged
						v.Input += e.Counts.TotalInput()
						v.Cached += e.Counts.CacheRead
						v.Output += e.Counts.TotalOutput()
						v.Reasoning += e.Counts.Reasoning
						v.DurationMS += e.DurationMS
						want[name] = v
					}
					stats, err := s.Stats(t.Context(), "usr_ada", from, until, by, loc)
					if err != nil {
						t.Fatal(err)
					}
					got := map[string]usage.Sum{}
					for _, r := range stats.Rows {
						got[r.Name] = r.Sum
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Fatalf("%s, by %s in %s: %s", when, by, zone, diff)
					}
				}
			}
		}
		check("without summaries")
		now = noon.AddDate(0, 0, -2)
		for range 2 {
			if err := s.Summarise(t.Context()); err != nil {
				t.Fatal(err)
			}
			check("with summaries of a part")
		}
		now = noon
		if err := s.Summarise(t.Context()); err != nil {
			t.Fatal(err)
		}
		check("with all summaries")

		late := entry(func(e *usage.Entry) {
			e.At = noon.Add(-90 * time.Minute)
			e.ID, e.RequestID = id.New("call", e.At), "late"
		})
		older := entry(func(e *usage.Entry) {
			e.At = noon.AddDate(0, 0, -2)
			e.ID, e.RequestID = id.New("call", e.At), "older"
		})
		add(t, s, late, older)
		all = append(all, late)
		if err := s.Summarise(t.Context()); err != nil {
			t.Fatal(err)
		}
		check("after a record came late")
		all = append(all, older)
		if err := s.Rebuild(t.Context()); err != nil {
			t.Fatal(err)
		}
		check("after one came very late")
		want := map[string]money.Credits{}
		for _, e := range all {
			if e.At.Before(now.Add(-5 * time.Minute).Truncate(15 * time.Minute)) {
				want[e.UserID] += e.Charged
			}
		}
		if diff := cmp.Diff(want, used); diff != "" {
			t.Errorf("what people used: %s", diff)
		}
	})
}

// limited serves a plan with 30 days of history and nothing more.
func limited(s *usage.Service, allowed usage.Allowance) *web.Mux {
	m := web.NewMux(web.Config{Use: []web.Middleware{as}})
	usage.API{Usage: s, Allowed: func(string) usage.Allowance { return allowed }}.Mount(m)
	return m
}

func TestThePlanLimitsHistoryAndStatistics(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newService(db)
		old := entry(func(e *usage.Entry) {
			e.At, e.RequestID = noon.AddDate(0, 0, -31), "old-request"
			e.ID = id.New("call", e.At)
		})
		add(t, s, entry(func(e *usage.Entry) { e.At = noon.Add(-time.Hour) }), old)
		small, large := limited(s, usage.Allowance{HistoryDays: 30}), limited(s, usage.Allowance{HistoryDays: 365, Advanced: true})
		for _, tt := range []struct {
			h      http.Handler
			path   string
			status int
			want   string
		}{
			{small, "/v1/usage/old-request", 404, `"code":"not_found"`},
			{large, "/v1/usage", 200, `"requestId":"old-request"`},
			{small, "/v1/usage/stats?start_date=2026-01-01", 200, `"total":{"requests":1,`},
			{small, "/v1/usage/stats?start_date=2026-01-01", 200, `"historyFrom":"2026-02-18T00:00:00Z"`},
			{large, "/v1/usage/stats?start_date=2026-01-01&group_by=model", 200, `{"data":[{"key":"gpt-5-mini","requests":2,`},
			{small, "/v1/usage/stats?group_by=key", 403, `"code":"feature_not_in_plan"`},
			{large, "/v1/usage/stats?group_by=key", 200, `"key":"key_1"`},
			{small, "/v1/usage/export", 403, `"code":"feature_not_in_plan"`},
			{small, "/v1/usage/stats?timezone=Mars", 400, `"param":"timezone"`},
			{large, "/v1/usage/stats?start_date=2020-01-01", 200, `"requests":2`},
			{small, "/v1/usage/stats?end_date=2026-01-01", 200, `{"data":[],`},
		} {
			rec := get(tt.h, tt.path, "usr_ada", "credits.read")
			if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.want) {
				t.Errorf("%s: %d %s, want %d %s", tt.path, rec.Code, rec.Body, tt.status, tt.want)
			}
		}
		if body := get(small, "/v1/usage", "usr_ada", "credits.read").Body.String(); strings.Contains(body, "old-request") {
			t.Errorf("a small plan sees %s", body)
		}
	})
}

func TestTheExportHasEveryRecordOnce(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newService(db)
		want := 0
		for _, e := range history(t, db, s, 1300, 5) {
			if e.UserID == "usr_ada" {
				want++
			}
		}
		add(t, s, entry(func(e *usage.Entry) { e.RequestID = "=cmd()" }))
		rec := get(limited(s, usage.Allowance{Advanced: true}), "/v1/usage/export", "usr_ada", "credits.read")
		lines := strings.Split(strings.TrimSpace(rec.Body.String()), "\n")
		if rec.Code != 200 || len(lines) != want+2 || !strings.HasPrefix(rec.Header().Get("Content-Type"), "text/csv") {
			t.Errorf("%d, %d lines, want %d", rec.Code, len(lines), want+2)
		}
		if !strings.Contains(rec.Body.String(), ",'=cmd(),") {
			t.Error("what a caller chose is a formula")
		}
	})
}

// The plans of both engines: statistics and the building of summaries find
// their rows by an index, whatever else there is.
func TestStatisticsReadOnlyTheRowsTheyNeed(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newService(db)
		history(t, db, s, 2000, 4)
		if err := s.Summarise(t.Context()); err != nil {
			t.Fatal(err)
		}
		explain := "EXPLAIN QUERY PLAN "
		if db.Engine() == sqldb.Postgres {
			explain = "EXPLAIN (FORMAT JSON) "
			if _, err := db.Q(t.Context()).ExecContext(t.Context(), "ANALYZE"); err != nil {
				t.Fatal(err)
			}
		}
		a, b := noon.Add(-time.Hour).UnixMicro(), noon.UnixMicro()
		for name, q := range usage.Queries(a, b) {
			rows, err := db.Q(t.Context()).QueryContext(t.Context(), explain+q.Text, q.Args...)
			if err != nil {
				t.Fatal(name, err)
			}
			var plan strings.Builder
			for rows.Next() {
				var n1, n2, n3 int
				var line string
				into := []any{&n1, &n2, &n3, &line}
				if db.Engine() == sqldb.Postgres {
					into = into[3:]
				}
				if err := rows.Scan(into...); err != nil {
					t.Fatal(err)
				}
				plan.WriteString(line)
			}
			if err := rows.Close(); err != nil {
				t.Fatal(err)
			}
			if text := plan.String(); strings.Contains(text, "Seq Scan") || strings.Contains(text, "SCAN usage_") {
				t.Errorf("%s reads everything: %s", name, text)
			}
		}
	})
}
