package health_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/internal/health"
	"github.com/rephlo/rephlo/internal/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ask(m *web.Mux, path string) (int, string) {
	rec := httptest.NewRecorder()
	m.ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
	return rec.Code, strings.TrimSpace(rec.Body.String())
}

func TestReadinessFollowsTheParts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		h := health.New(slog.New(slog.NewTextHandler(&log, nil)), time.Now)
		m := web.NewMux(web.Config{})
		health.API{Health: h}.Mount(m)
		state, err := health.OK, error(nil)
		h.Register("ledger", func(context.Context) (health.State, string) { return state, "spool grows" })
		h.Register("database", health.Ping(func(context.Context) error { return err }))

		err = errors.New("it starts too")
		if status, body := ask(m, "/health/startup"); status != 503 || !strings.Contains(body, `"down"`) {
			t.Errorf("/health/startup before: %d %s", status, body)
		}
		err = nil
		time.Sleep(2 * time.Second)
		if status, _ := ask(m, "/health/startup"); status != 200 {
			t.Errorf("/health/startup: %d", status)
		}
		for _, tt := range []struct {
			state  health.State
			err    error
			status int
			want   string
		}{
			{health.OK, nil, 200, `{"status":"ok","parts":{"database":"ok","ledger":"ok"}}`},
			{health.Degraded, nil, 200, `{"status":"degraded","parts":{"database":"ok","ledger":"degraded"}}`},
			{health.Degraded, errors.New("no route to 10.0.0.7"), 503, `{"status":"down","parts":{"database":"down","ledger":"degraded"}}`},
			{health.OK, nil, 200, `{"status":"ok","parts":{"database":"ok","ledger":"ok"}}`},
		} {
			state, err = tt.state, tt.err
			time.Sleep(2 * time.Second)
			if status, body := ask(m, "/health/startup"); status != 200 || body != `{"status":"ok"}` {
				t.Errorf("/health/startup after a start: %d %s", status, body)
			}
			for _, path := range []string{"/health", "/health/ready"} {
				if status, body := ask(m, path); status != tt.status || body != tt.want {
					t.Errorf("%s: %d %s, want %d %s", path, status, body, tt.status, tt.want)
				}
			}
		}
		if got := log.String(); strings.Count(got, "health changed") != 6 || !strings.Contains(got, "no route") || !strings.Contains(got, "spool grows") {
			t.Errorf("the log says\n%s", got)
		}
		h.Drain()
		if status, body := ask(m, "/health/ready"); status != 503 || !strings.Contains(body, `"draining":true`) {
			t.Errorf("draining: %d %s", status, body)
		}
		if status, _ := ask(m, "/health/live"); status != 200 {
			t.Errorf("live while draining: %d", status)
		}
	})
}

func TestAskingOftenChecksOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := health.New(slog.New(slog.DiscardHandler), time.Now)
		var runs atomic.Int64
		h.Register("slow", func(ctx context.Context) (health.State, string) {
			runs.Add(1)
			<-ctx.Done() // a part that never answers
			return health.Down, "timeout"
		})
		started := time.Now()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if h.Report(t.Context()).Ready() {
					t.Error("ready with a part that does not answer")
				}
			})
		}
		wg.Wait()
		if took := time.Since(started); took > 3*time.Second || runs.Load() > 2 {
			t.Errorf("50 questions ran %d checks in %s", runs.Load(), took)
		}
	})
}
