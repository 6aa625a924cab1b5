package obs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/internal/obs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func noon() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

func closeLog(t *testing.T, l *obs.Log) {
	t.Helper()
	if err := l.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestLinesArriveInOrderAndCloseFlushes(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := obs.New(&out, obs.Options{Format: "auto", Level: "info"}, noon)
	log := l.With("node", "a").WithGroup("g")
	for i := range 1000 {
		log.InfoContext(t.Context(), "hello", "i", i)
	}
	log.DebugContext(t.Context(), "not shown")
	closeLog(t, l)
	closeLog(t, l)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 1000 {
		t.Fatalf("%d lines, want 1000", len(lines))
	}
	for i, line := range lines {
		var got struct {
			Node string
			G    struct{ I int }
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil || got.Node != "a" || got.G.I != i {
			t.Fatalf("line %d is %s, %v", i, line, err)
		}
	}
}

// pipe is an output that stands still until it is opened.
type pipe struct {
	open chan struct{}
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *pipe) Write(b []byte) (int, error) {
	<-p.open
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func TestABlockedPipeDelaysNobodyAndKeepsWarnings(t *testing.T) {
	t.Parallel()
	p := &pipe{open: make(chan struct{})}
	l := obs.New(p, obs.Options{Format: "text"}, noon)
	const n = 20_000
	for range n {
		l.InfoContext(t.Context(), "chatter")
	}
	for range 100 {
		l.WarnContext(t.Context(), "warning")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Close with a blocked pipe: %v", err)
	}
	dropped := l.Dropped()
	close(p.open)
	closeLog(t, l)
	text := p.text.String()
	if got := strings.Count(text, "msg=warning"); got != 100 {
		t.Errorf("%d warnings arrived, want 100", got)
	}
	if got := strings.Count(text, "msg=chatter"); dropped == 0 || int64(got)+dropped != n {
		t.Errorf("%d lines arrived and %d were counted as dropped, want %d together", got, dropped, n)
	}
	if !strings.Contains(text, `msg="log lines dropped" lines=`) {
		t.Error("nothing says that lines were dropped")
	}
}

func TestSecretsDoNotReachTheLog(t *testing.T) {
	t.Parallel()
	const body = "abcdefgh0123456789ABCDEFGH"
	for _, secret := range []string{
		"rph_live_" + body + "_abc123", "rph_rt_" + body, "sk-proj-" + body, "sk-ant-api03-" + body, "AIza" + body,
		"Bearer " + body, "Bearer eyJhbGciOi." + body + "." + body, "eyJhbGciOiJFUzI1NiJ9." + body,
	} {
		for _, format := range []string{"text", "json"} {
			var out bytes.Buffer
			l := obs.New(&out, obs.Options{Format: format}, noon)
			l.InfoContext(t.Context(), "call", "value", secret, "err", errors.New("send: "+secret+": refused"), slog.Group("g", "any", []string{secret}))
			closeLog(t, l)
			if strings.Contains(out.String(), body) || strings.Count(out.String(), "[redacted]") < 3 {
				t.Errorf("%s: %s", format, out.String())
			}
			if format == "json" && !json.Valid(out.Bytes()) {
				t.Errorf("not JSON any more: %s", out.String())
			}
		}
	}
}

func TestOrdinaryTextIsNotRedacted(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := obs.New(&out, obs.Options{Format: "json"}, noon)
	l.InfoContext(t.Context(), "task-scheduler-with-a-long-name", "prefix", "rph_live_abc", "request_id", "req_01jd8f7g6h5j4k3m2n1p0q9r8s", "disk", "/dev/disk-by-label-something")
	closeLog(t, l)
	if strings.Contains(out.String(), "[redacted]") {
		t.Error(out.String())
	}
}

func FuzzRedact(f *testing.F) {
	f.Add(`sk-`, `"`)
	f.Add("Bearer ", " rph_")
	f.Add("eyJeyJ", "-----BEGIN ")
	const secret = "rph_rt_abcdefgh0123456789ABCDEFGH"
	f.Fuzz(func(t *testing.T, before, after string) {
		var out bytes.Buffer
		l := obs.New(&out, obs.Options{Format: "json"}, noon)
		l.InfoContext(t.Context(), "x", "v", before+" "+secret+" "+after)
		closeLog(t, l)
		if len(before)+len(after) < 1000 && !json.Valid(out.Bytes()) {
			t.Errorf("not JSON: %s", out.String())
		}
		if strings.Contains(out.String(), secret[7:]) {
			t.Errorf("told: %s", out.String())
		}
	})
}

func BenchmarkInfo(b *testing.B) {
	l := obs.New(discard{}, obs.Options{Format: "json"}, noon)
	defer l.Close(context.Background())
	b.ReportAllocs()
	for b.Loop() {
		l.LogAttrs(b.Context(), slog.LevelInfo, "request", slog.String("request_id", "req_01jd8f7g6h5j4k3m2n1p0q9r8s"), slog.String("method", "POST"),
			slog.String("route", "/v1/chat/completions"), slog.Int("status", 200), slog.Int64("bytes", 12345), slog.Duration("took", 1234567))
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
