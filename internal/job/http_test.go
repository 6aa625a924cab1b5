package job_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/job"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

// An administrator sees what ran, starts a job, and has a failed one tried
// again.
func TestJobsOverHTTP(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s := process(t, db, c, "a", func(s *job.Service) {
			s.Schedule("test.daily", job.Every{Period: 24 * time.Hour}, func(context.Context) error { return nil })
			s.Handle("test.broken", func(context.Context, job.Task) error { return job.Permanent(errors.New("no such user")) }, job.Options{})
		})
		open := web.With(func(next web.Handler) web.Handler { return next })
		m := web.NewMux(web.Config{})
		job.AdminAPI{Jobs: s, Cursors: list.NewCursors([]byte("k")), View: open, Change: open}.Mount(m)
		ask := func(method, path string, want int) map[string]any {
			t.Helper()
			rec := httptest.NewRecorder()
			m.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), method, path, nil))
			if rec.Code != want {
				t.Fatalf("%s %s: %d %s, want %d", method, path, rec.Code, rec.Body, want)
			}
			var v map[string]any
			if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
				t.Fatal(err)
			}
			return v
		}
		until(t, "the first run has ended", func() bool { return newest(t, s, "test.daily").State == job.Done })
		if run := ask(http.MethodPost, "/admin/jobs/test.daily/run", http.StatusAccepted); !strings.HasPrefix(run["id"].(string), "job_") {
			t.Errorf("the run is %v", run)
		}
		until(t, "both runs have ended", func() bool {
			runs, _ := s.Runs(t.Context(), "test.daily", job.Done, "", 10)
			return len(runs) == 2
		})
		page := ask(http.MethodGet, "/admin/jobs/test.daily/runs?limit=1", http.StatusOK)
		next := page["nextCursor"].(string)
		rest := ask(http.MethodGet, "/admin/jobs/test.daily/runs?limit=1&cursor="+next, http.StatusOK)
		if a, b := page["data"].([]any), rest["data"].([]any); len(a) != 1 || len(b) != 1 || rest["nextCursor"] != nil || a[0].(map[string]any)["id"] == b[0].(map[string]any)["id"] {
			t.Errorf("two pages: %v, then %v", page, rest)
		}
		if err := s.Enqueue(t.Context(), job.Order{Kind: "test.broken"}); err != nil {
			t.Fatal(err)
		}
		until(t, "the broken one is dead", func() bool { return newest(t, s, "test.broken").State == job.Dead })
		dead := ask(http.MethodGet, "/admin/jobs/test.broken/runs?status=dead", http.StatusOK)["data"].([]any)[0].(map[string]any)
		if dead["status"] != "dead" || dead["error"] != "no such user" {
			t.Errorf("the dead run is %v", dead)
		}
		ask(http.MethodPost, "/admin/jobs/runs/"+dead["id"].(string)+"/retry", http.StatusAccepted)
		ask(http.MethodGet, "/admin/jobs/test.nothing/runs", http.StatusNotFound)
		var names []string
		for _, v := range ask(http.MethodGet, "/admin/jobs", http.StatusOK)["data"].([]any) {
			names = append(names, v.(map[string]any)["name"].(string))
		}
		if got := strings.Join(names, " "); got != "job.cleanup test.broken test.daily" {
			t.Errorf("the jobs are %q", got)
		}
	})
}
