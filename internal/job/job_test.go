package job_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/internal/job"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that tests move.
type clock struct{ us atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.us.Store(time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC).UnixMicro())
	return c
}

func (c *clock) now() time.Time           { return time.UnixMicro(c.us.Load()).UTC() }
func (c *clock) advance(by time.Duration) { c.us.Add(by.Microseconds()) }

// process returns a Service as one of several processes would have it. It
// stops with the test.
func process(t *testing.T, db *sqldb.DB, c *clock, name string, prepare func(*job.Service)) *job.Service {
	t.Helper()
	s := job.New(job.Needs{
		DB: db, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: c.now, Node: name,
		Policy: job.Policy{Poll: 5 * time.Millisecond, Claim: 60 * time.Millisecond},
	})
	prepare(s)
	s.Start(t.Context())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s.Stop(ctx)
	})
	return s
}

// until waits for what must come true.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 2000 {
		if is() {
			return
		}
		time.Sleep(5 * time.Millisecond) // between two looks
	}
	t.Fatalf("it never came that %s", what)
}

// newest returns the newest run of a kind.
func newest(t *testing.T, s *job.Service, kind string) job.Run {
	t.Helper()
	runs, err := s.Runs(t.Context(), kind, "", "", 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(runs) == 0 {
		return job.Run{}
	}
	return runs[0]
}

// Four processes and two hundred tasks: each is done once, and only those whose
// transaction committed.
func TestEachTaskIsDoneOnce(t *testing.T) {
	t.Parallel()
	dbtest.RunURL(t, func(t *testing.T, url string) {
		c := newClock()
		var mu sync.Mutex
		done := map[int]int{}
		handle := func(s *job.Service) {
			s.Handle("test.count", job.Typed(func(_ context.Context, n int) error {
				mu.Lock()
				defer mu.Unlock()
				done[n]++
				return nil
			}), job.Options{})
		}
		db := dbtest.Open(t, url)
		first := process(t, db, c, "a", handle)
		for _, name := range []string{"b", "c", "d"} {
			process(t, dbtest.Open(t, url), c, name, handle)
		}
		bad := errors.New("bad")
		for n := range 200 {
			err := db.InTx(t.Context(), func(ctx context.Context) error {
				err := first.Enqueue(ctx, job.Order{Kind: "test.count", Argument: n, Key: fmt.Sprintf("count:%d", n)})
				if n%10 == 9 {
					return errors.Join(err, bad)
				}
				return err
			})
			if err != nil && !errors.Is(err, bad) {
				t.Fatal(err)
			}
			if n%10 == 3 { // the same effect again
				if err := first.Enqueue(t.Context(), job.Order{Kind: "test.count", Argument: n, Key: fmt.Sprintf("count:%d", n)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		until(t, "180 tasks are done", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(done) == 180
		})
		runs, err := first.Runs(t.Context(), "test.count", job.Waiting, "", 100)
		if err != nil || len(runs) > 8*4 {
			t.Errorf("%d tasks still wait (%v)", len(runs), err)
		}
		mu.Lock()
		defer mu.Unlock()
		for n, times := range done {
			if times != 1 || n%10 == 9 {
				t.Errorf("task %d was done %d times", n, times)
			}
		}
	})
}

// A handler that fails is tried again after a growing pause, and at last the
// task is dead until somebody has it tried again.
func TestAFailureIsTriedAgainAndAtLastDead(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		var tries atomic.Int64
		var mend atomic.Bool
		s := process(t, db, c, "a", func(s *job.Service) {
			s.Handle("test.fail", func(_ context.Context, task job.Task) error {
				tries.Add(1)
				switch {
				case mend.Load():
					return nil
				case task.Attempt == 2:
					panic("a panic is a failure too")
				}
				return errors.New("the other side is down")
			}, job.Options{Attempts: 3, Pause: func(n int) time.Duration { return time.Duration(n) * time.Minute }})
		})
		if err := s.Enqueue(t.Context(), job.Order{Kind: "test.fail"}); err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= 3; n++ {
			until(t, fmt.Sprintf("attempt %d has ended", n), func() bool {
				r := newest(t, s, "test.fail")
				return r.Attempt == n && !r.Running && r.Error != ""
			})
			if r := newest(t, s, "test.fail"); n < 3 {
				low, high := time.Duration(n)*48*time.Second, time.Duration(n)*72*time.Second
				if pause := r.DueAt.Sub(c.now()); r.State != job.Waiting || pause < low || pause > high {
					t.Errorf("after attempt %d: %s, again in %s", n, r.State, pause)
				}
			}
			c.advance(3 * time.Minute)
		}
		r := newest(t, s, "test.fail")
		if r.State != job.Dead || r.Error != "the other side is down" || tries.Load() != 3 {
			t.Fatalf("after 3 attempts: %+v, %d tries", r, tries.Load())
		}
		if _, err := s.Retry(t.Context(), "job_00000000000000000000000000"); !errors.Is(err, job.ErrUnknown) {
			t.Errorf("retry of no task: %v", err)
		}
		mend.Store(true)
		if _, err := s.Retry(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
		until(t, "the task is done", func() bool { return newest(t, s, "test.fail").State == job.Done })
		if _, err := s.Retry(t.Context(), r.ID); !errors.Is(err, job.ErrNotDead) {
			t.Errorf("retry of a done task: %v", err)
		}
	})
}

func TestAPermanentErrorIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := process(t, db, newClock(), "a", func(s *job.Service) {
			s.Handle("test.read", job.Typed(func(context.Context, int) error { return nil }), job.Options{})
		})
		if err := s.Enqueue(t.Context(), job.Order{Kind: "test.read", Argument: json.RawMessage(`"no number"`)}); err != nil {
			t.Fatal(err)
		}
		until(t, "the task is dead", func() bool { return newest(t, s, "test.read").State == job.Dead })
		if r := newest(t, s, "test.read"); r.Attempt != 1 {
			t.Errorf("it took %d attempts", r.Attempt)
		}
	})
}

// A process that was paused for so long that another has its task neither ends
// it nor holds it; and one that died does not keep it.
func TestAProcessThatWasTakenOverChangesNothing(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		began, cut := make(chan struct{}, 2), make(chan error, 1)
		s := process(t, db, c, "a", func(s *job.Service) {
			s.Handle("test.slow", func(ctx context.Context, task job.Task) error {
				began <- struct{}{}
				if task.Attempt == 1 {
					<-ctx.Done()
					cut <- context.Cause(ctx)
				}
				return nil // it thinks that it has done its work
			}, job.Options{})
		})
		if err := s.Enqueue(t.Context(), job.Order{Kind: "test.slow"}); err != nil {
			t.Fatal(err)
		}
		<-began
		const takeOver = `UPDATE job_task SET claimed_by = 'b', attempt = 2, claimed_until = $1`
		if _, err := db.Q(t.Context()).ExecContext(t.Context(), takeOver, c.now().Add(time.Minute).UnixMicro()); err != nil {
			t.Fatal(err)
		}
		if err := <-cut; err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("the first handler was ended by %v, want the loss of its task", err)
		}
		if r := newest(t, s, "test.slow"); r.State != job.Waiting || !r.Running || r.Attempt != 2 {
			t.Errorf("after the first handler: %+v, want the second attempt still running", r)
		}
		c.advance(2 * time.Minute) // the other died
		<-began
		until(t, "the third attempt has ended", func() bool { return newest(t, s, "test.slow").State == job.Done })
		if r := newest(t, s, "test.slow"); r.Attempt != 3 {
			t.Errorf("it was attempt %d that ended", r.Attempt)
		}
	})
}

// A task whose process died at every attempt is not tried for ever.
func TestATaskThatKillsItsProcessIsGivenUp(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		causes := job.New(job.Needs{DB: db, Log: slog.New(slog.DiscardHandler), Now: c.now, Node: "cause"})
		if err := causes.Enqueue(t.Context(), job.Order{Kind: "test.kill"}); err != nil {
			t.Fatal(err)
		}
		const died = `UPDATE job_task SET attempt = 2, claimed_by = 'gone', claimed_until = $1 WHERE kind = 'test.kill'`
		if _, err := db.Q(t.Context()).ExecContext(t.Context(), died, c.now().Add(time.Minute).UnixMicro()); err != nil {
			t.Fatal(err)
		}
		ran := false
		s := process(t, db, c, "a", func(s *job.Service) {
			s.Handle("test.kill", func(context.Context, job.Task) error { ran = true; return nil }, job.Options{Attempts: 2})
		})
		c.advance(2 * time.Minute)
		until(t, "the task is dead", func() bool { return newest(t, s, "test.kill").State == job.Dead })
		if ran {
			t.Error("it was tried once more")
		}
	})
}

// At a stop a task under way is cut off when the patience ends, and the attempt
// does not count.
func TestAStopGivesTasksBack(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		began := make(chan struct{})
		s := process(t, db, newClock(), "a", func(s *job.Service) {
			s.Handle("test.long", func(ctx context.Context, _ job.Task) error {
				close(began)
				<-ctx.Done()
				return ctx.Err()
			}, job.Options{})
		})
		if err := s.Enqueue(t.Context(), job.Order{Kind: "test.long"}); err != nil {
			t.Fatal(err)
		}
		<-began
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s.Stop(ctx)
		if r := newest(t, s, "test.long"); r.State != job.Waiting || r.Running || r.Attempt != 0 || r.Error != "" {
			t.Errorf("after the stop: %+v", r)
		}
	})
}
