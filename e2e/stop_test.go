package e2e_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rephlo/rephlo/e2e"
)

// begun starts streams that take about two seconds and waits until they run.
func begun(t *testing.T, s *e2e.Server, key string) (wait func() []call) {
	t.Helper()
	calls := make([]call, 8)
	var running sync.WaitGroup
	for i := range calls {
		running.Go(func() {
			calls[i].id = fmt.Sprintf("stop-%d-%d", os.Getpid(), i)
			calls[i].answer, calls[i].err = s.Chat(context.Background(), key,
				`{"model":"test-echo","stream":true,"stream_options":{"include_usage":true},"max_tokens":200,"messages":[{"role":"user","content":"#test interval=50ms tokens=40"}]}`, "X-Request-Id", calls[i].id)
		})
	}
	for range 400 {
		if s.Balance(key).Held > 0 {
			return func() []call { running.Wait(); return calls }
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the streams do not begin")
	return nil
}

// A server that is asked to stop finishes what it began, settles it and exits
// with 0.
func TestStopDrainsStreams(t *testing.T) {
	e2e.Engines(t, func(t *testing.T, database string) {
		s := e2e.New(t, e2e.Options{Database: database})
		key := s.Admin("root@example.com")
		s.Up()
		before, begin := s.Balance(key), time.Now().Add(-time.Second)
		wait := begun(t, s, key)
		s.Signal(syscall.SIGTERM)
		calls := wait()
		if code := s.Wait(40 * time.Second); code != 0 {
			t.Errorf("exit status %d, want 0\n%s", code, s.Said())
		}
		for _, c := range calls {
			if c.err != nil || !c.answer.Done {
				t.Errorf("%s was cut: %+v, %v", c.id, c.answer, c.err)
			}
		}
		s.Up()
		s.Verify()
		if n := settle(t, s, key, 0, before, begin, calls); n != len(calls) {
			t.Errorf("%d of %d streams were answered", n, len(calls))
		}
	})
}

// Whoever is in a hurry sends the signal again.
func TestSecondSignalExitsAtOnce(t *testing.T) {
	e2e.Engines(t, func(t *testing.T, database string) {
		s := e2e.New(t, e2e.Options{Database: database})
		key := s.Admin("root@example.com")
		s.Up()
		before, begin := s.Balance(key), time.Now().Add(-time.Second)
		wait := begun(t, s, key)
		s.Signal(syscall.SIGTERM)
		for begin := time.Now(); s.Ready() && time.Since(begin) < 5*time.Second; {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(100 * time.Millisecond) // at once, it would be the same wish
		again := time.Now()
		s.Signal(syscall.SIGTERM)
		if code := s.Wait(10 * time.Second); code == 0 {
			t.Error("exit status 0 after streams were cut")
		}
		if took := time.Since(again); took > time.Second {
			t.Errorf("the second signal took %s", took)
		}
		calls := wait()
		s.Up()
		s.Verify()
		settle(t, s, key, 0, before, begin, calls)
	})
}

// A start that fails says what, why and the fix.
func TestFailedStartsExplainThemselves(t *testing.T) {
	e2e.Require(t)
	running := e2e.Start(t, e2e.Options{})
	taken, err := url.Parse(running.API)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		want []string
	}{
		{"port in use", []string{"serve", "--api-addr", taken.Host, "--idp-addr", e2e.FreeAddr(t)}, []string{"in use", "--api-addr"}},
		{"second server on the same data", []string{"serve", "--data", running.Data, "--api-addr", e2e.FreeAddr(t), "--idp-addr", e2e.FreeAddr(t)}, []string{running.Data}},
		{"folder that is a file", []string{"serve", "--data", file, "--api-addr", e2e.FreeAddr(t), "--idp-addr", e2e.FreeAddr(t)}, []string{file}},
		{"unknown database", []string{"serve", "--database-url", "mysql://localhost/x", "--api-addr", e2e.FreeAddr(t), "--idp-addr", e2e.FreeAddr(t)}, []string{"postgres://"}},
		{"address without a port", []string{"serve", "--api-addr", "nowhere", "--idp-addr", e2e.FreeAddr(t)}, []string{"nowhere"}},
		{"unknown flag", []string{"serve", "--prot", "1"}, []string{"--prot"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, said := e2e.New(t, e2e.Options{}).Fails(tt.args...)
			if code == 0 {
				t.Errorf("exit status 0; it said %s", said)
			}
			for _, want := range tt.want {
				if !strings.Contains(said, want) {
					t.Errorf("it said %q, want it to name %q", said, want)
				}
			}
			if strings.Contains(said, "goroutine ") {
				t.Errorf("it printed a stack:\n%s", said)
			}
		})
	}
	if c, err := net.Dial("tcp", taken.Host); err != nil {
		t.Errorf("the running server was harmed: %v", err)
	} else {
		_ = c.Close()
	}
}
