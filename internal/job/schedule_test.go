package job_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/job"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

func TestEveryFindsTheLastTime(t *testing.T) {
	t.Parallel()
	daily := job.Every{Period: 24 * time.Hour, Offset: 5 * time.Minute}
	for _, tt := range []struct{ now, want string }{
		{"2026-03-20T00:04:59.999999Z", "2026-03-19T00:05:00Z"},
		{"2026-03-20T00:05:00Z", "2026-03-20T00:05:00Z"},
		{"2026-03-20T23:59:59Z", "2026-03-20T00:05:00Z"},
		{"1970-01-01T00:00:00Z", "1969-12-31T00:05:00Z"},
	} {
		now, err := time.Parse(time.RFC3339, tt.now)
		if err != nil {
			t.Fatal(err)
		}
		if got := daily.Last(now).Format(time.RFC3339); got != tt.want {
			t.Errorf("at %s it was last due at %s, want %s", tt.now, got, tt.want)
		}
	}
}

// Three processes have the same schedule: each time that it is due it runs
// once, and what was missed while nothing ran is caught up once.
func TestAScheduleRunsOnceAcrossProcesses(t *testing.T) {
	t.Parallel()
	dbtest.RunURL(t, func(t *testing.T, url string) {
		c := newClock()
		var runs atomic.Int64
		prepare := func(s *job.Service) {
			s.Schedule("test.hourly", job.Every{Period: time.Hour}, func(context.Context) error { runs.Add(1); return nil })
		}
		var services []*job.Service
		for _, name := range []string{"a", "b", "c"} {
			services = append(services, process(t, dbtest.Open(t, url), c, name, prepare))
		}
		finished := func() bool { return newest(t, services[0], "test.hourly").State == job.Done }
		for want := int64(1); want <= 4; want++ {
			until(t, "the run has ended", func() bool { return runs.Load() >= want && finished() })
			c.advance(time.Hour)
			if want == 3 {
				c.advance(70 * time.Hour)
			}
		}
		until(t, "the last run has ended", func() bool { return runs.Load() >= 5 && finished() })
		all, err := services[0].Runs(t.Context(), "test.hourly", "", "", 100)
		if err != nil || len(all) != 5 || runs.Load() != 5 {
			t.Errorf("%d runs of %d tasks (%v), want 5", runs.Load(), len(all), err)
		}
	})
}

// While a run has not ended, neither the clock nor an administrator starts a
// second one.
func TestRunsDoNotOverlap(t *testing.T) {
	t.Parallel()
	dbtest.RunURL(t, func(t *testing.T, url string) {
		c := newClock()
		began, goOn := make(chan struct{}, 8), make(chan struct{})
		s := process(t, dbtest.Open(t, url), c, "a", func(s *job.Service) {
			s.Schedule("test.slow", job.Every{Period: time.Minute}, func(context.Context) error {
				began <- struct{}{}
				<-goOn
				return nil
			})
		})
		<-began
		c.advance(time.Minute)
		if _, err := s.RunNow(t.Context(), "test.slow"); !errors.Is(err, job.ErrRunning) {
			t.Errorf("a second run: %v, want ErrRunning", err)
		}
		if runs, err := s.Runs(t.Context(), "test.slow", "", "", 10); err != nil || len(runs) != 1 || !runs[0].Running && runs[0].State == job.Done {
			t.Errorf("%d runs (%v), want the one that is under way", len(runs), err)
		}
		if _, err := s.RunNow(t.Context(), "test.none"); !errors.Is(err, job.ErrUnknown) {
			t.Errorf("a job that does not exist: %v", err)
		}
		close(goOn)
		until(t, "the run can be started by hand", func() bool {
			_, err := s.RunNow(t.Context(), "test.slow")
			return err == nil
		})
		<-began
	})
}
