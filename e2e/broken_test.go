//go:build linux

package e2e_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rephlo/rephlo/e2e"
)

// The file system refuses to write the database: the process says so, ends with
// 74 at once, and its next start finds everything that was acknowledged.
func TestABrokenDiskEndsTheProcess(t *testing.T) {
	s := e2e.New(t, e2e.Options{})
	key := s.Admin("root@example.com")
	s.Up()
	before, begin := s.Balance(key), time.Now().Add(-time.Second)
	wait := begun(t, s, key)
	limit := unix.Rlimit{Cur: 48 << 10, Max: unix.RLIM_INFINITY} // the log of the program is below, that of the database above
	if err := unix.Prlimit(s.PID(), unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		t.Fatal(err)
	}
	if code := s.Wait(15 * time.Second); code != 74 {
		t.Errorf("exit status %d, want 74", code)
	}
	if said := s.Said(); !strings.Contains(said, "the disk or its file system failed") || !strings.Contains(said, "Check the disk") {
		t.Errorf("the server said\n%s", said)
	}
	calls := wait()
	for _, c := range calls {
		if c.err == nil && c.answer.Done {
			t.Errorf("%s was answered to its end, though it cannot have been settled", c.id)
		}
	}
	s.Up()
	s.Verify()
	settle(t, s, key, 0, before, begin, calls, http.StatusServiceUnavailable) // to who came while it ended
}
