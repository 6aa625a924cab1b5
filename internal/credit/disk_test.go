package credit_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// until waits for a condition that something else brings about.
func until(t *testing.T, what string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("waited 20 s in vain: %s", what)
		}
		<-tick.C
	}
	return time.Since(began)
}

// smallDisk is a file system with little space, and a file that fills it.
type smallDisk struct {
	t       *testing.T
	dir     string
	ballast string
}

// newSmallDisk mounts a tmpfs of so many mebibytes. Where that is not permitted
// the test is skipped, except in CI.
func newSmallDisk(t *testing.T, size string) *smallDisk {
	t.Helper()
	dir := t.TempDir()
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
	return &smallDisk{t, dir, filepath.Join(dir, "ballast")}
}

// fill takes every free byte.
func (d *smallDisk) fill() {
	d.t.Helper()
	f, err := os.OpenFile(d.ballast, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		d.t.Fatal(err)
	}
}

// free makes room again.
func (d *smallDisk) free() {
	d.t.Helper()
	if err := os.Remove(d.ballast); err != nil {
		d.t.Fatal(err)
	}
}

// sqlite puts a migrated database on the disk.
func (d *smallDisk) sqlite() (url string) {
	d.t.Helper()
	from := strings.TrimPrefix(dbtest.SQLite(d.t), "sqlite:")
	image, err := os.ReadFile(from)
	if err != nil {
		d.t.Fatal(err)
	}
	to := filepath.Join(d.dir, "test.db")
	if err := os.WriteFile(to, image, 0o600); err != nil {
		d.t.Fatal(err)
	}
	return "sqlite:" + to
}
