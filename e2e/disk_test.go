//go:build linux

package e2e_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/rephlo/rephlo/e2e"
)

// smallDisk mounts a file system of that size at dir. Without the right to, the
// test is skipped, except in CI.
func smallDisk(t *testing.T, dir, size string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size="+size); err != nil {
		if errors.Is(err, syscall.EPERM) && os.Getenv("CI") == "" {
			t.Skipf("mounting a small disk is not permitted here: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// fill takes every free byte of the disk that path is on.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// The disk is full under running streams: they end and are settled, new calls
// are refused before a provider is asked, what only reads goes on, and all
// heals within two seconds once there is space, without a restart. So it does
// when the process is killed meanwhile.
func TestAFullDiskRefusesCallsAndHeals(t *testing.T) {
	vendor := e2e.NewVendor(t)
	s := e2e.New(t, e2e.Options{Providers: vendor.Providers(), Env: vendor.Env()})
	smallDisk(t, s.Data, "96m")
	key := s.Admin("root@example.com")
	s.Up()
	for _, killed := range []bool{false, true} {
		before, begin := s.Balance(key), time.Now().Add(-time.Millisecond)
		wait := begun(t, s, key)
		ballast := filepath.Join(s.Data, "ballast")
		fill(t, ballast)
		full := func() e2e.Answer {
			a, err := s.Chat(t.Context(), key, `{"model":"unit","max_tokens":1,"stream":true,"messages":[{"role":"user","content":"go"}]}`)
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		// What was written before the log has to grow is still taken.
		for end := time.Now().Add(20 * time.Second); ; {
			a := full()
			if a.Status == http.StatusServiceUnavailable && a.Error != nil && a.Error.Code == "storage_full" {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("calls are still taken: %d %s", a.Status, a.Body)
			}
		}
		hits := vendor.Hits.Load()
		for range 10 {
			if a := full(); a.Status != http.StatusServiceUnavailable || a.Error == nil || a.Error.Code != "storage_full" {
				t.Errorf("on a full disk: %d %s", a.Status, a.Body)
			}
		}
		if now := vendor.Hits.Load(); now != hits {
			t.Errorf("%d refused calls reached the vendor", now-hits)
		}
		calls := wait()
		for _, c := range calls {
			if c.err != nil || !c.answer.Done {
				t.Errorf("%s was cut: %+v, %v", c.id, c.answer, c.err)
			}
		}
		if state := ledgerHealth(t, s); state != "down" {
			t.Errorf("the ledger is %s on a full disk", state)
		}
		s.Balance(key) // reads
		if killed {    // the spool has what was settled meanwhile
			s.Kill()
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if killed {
			s.Up()
		}
		back := time.Now()
		for a := full(); a.Status != http.StatusOK; a = full() {
			if time.Since(back) > 2*time.Second {
				t.Fatalf("2 s after there is space: %d %s", a.Status, a.Body)
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Logf("served again after %s", time.Since(back))
		for end := time.Now().Add(10 * time.Second); s.Balance(key).Held != 0 && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		s.Verify()
		if n := settle(t, s, key, 0, before, begin, calls); n != len(calls) {
			t.Errorf("%d of %d streams were answered", n, len(calls))
		}
	}
}

// ledgerHealth returns what /health/ready says of the ledger.
func ledgerHealth(t *testing.T, s *e2e.Server) string {
	t.Helper()
	_, text := e2e.Get(t, s.API+"/health/ready", "")
	var out struct{ Parts map[string]string }
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return out.Parts["ledger"]
}
