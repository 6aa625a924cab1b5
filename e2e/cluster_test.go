package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rephlo/rephlo/e2e"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest/pgserver"
)

// beside starts another server on the database of s.
func beside(t *testing.T, s *e2e.Server, o e2e.Options) *e2e.Server {
	t.Helper()
	o.Env = append(o.Env, "REPHLO_MASTER_KEY_FILE="+filepath.Join(s.Data, "master.key"))
	return e2e.Start(t, o)
}

// Two servers on one PostgreSQL spend one person's last credits, again and
// again: as many calls are served as the balance pays for.
func TestTwoServersSpendTheLastCredits(t *testing.T) {
	database := e2e.Postgres(t)
	vendor := e2e.NewVendor(t)
	o := e2e.Options{Database: database, Providers: vendor.Providers(), Env: vendor.Env()}
	a := e2e.Start(t, o)
	b := beside(t, a, o)
	const rounds, calls = 20, 64
	for round := range rounds {
		paid := int64(3 + 2*round)
		key := a.Admin(fmt.Sprintf("root%d@example.com", round))
		spendDownTo(t, a, key, e2e.Micro(paid)*e2e.UnitPrice)
		left := a.Balance(key).Remaining
		var served, refused atomic.Int64
		var running sync.WaitGroup
		for i := range calls {
			running.Go(func() {
				s := []*e2e.Server{a, b}[i%2]
				for {
					ans, err := s.Chat(t.Context(), key, unit(1))
					switch {
					case err != nil:
						t.Errorf("chat: %v", err)
					case ans.Status == http.StatusOK:
						served.Add(1)
					case ans.Status == http.StatusTooManyRequests:
						time.Sleep(20 * time.Millisecond)
						continue
					case ans.Status == http.StatusPaymentRequired:
						refused.Add(1)
					default:
						t.Errorf("%d %s", ans.Status, ans.Body)
					}
					return
				}
			})
		}
		running.Wait()
		if served.Load() != paid || refused.Load() != calls-paid {
			t.Errorf("round %d: %d served and %d refused, want %d and %d", round, served.Load(), refused.Load(), paid, calls-paid)
		}
		if now := b.Balance(key); now.Held != 0 || now.Remaining != left-e2e.Micro(paid)*e2e.UnitPrice {
			t.Errorf("round %d: the balance is %+v", round, now)
		}
	}
	a.Verify()
}

// One server of three is killed and one stopped in the middle of streams. The
// third resolves what they left, and when the stopped one goes on, it charges
// nothing twice.
func TestServersAreTakenOver(t *testing.T) {
	database := e2e.Postgres(t)
	o := e2e.Options{Database: database}
	a := e2e.New(t, o)
	key := a.Admin("root@example.com")
	a.Up()
	killed, stopped := beside(t, a, o), beside(t, a, o)
	before, begin := a.Balance(key), time.Now().Add(-time.Millisecond)
	var calls []call
	var mu sync.Mutex
	var running sync.WaitGroup
	for i, s := range []*e2e.Server{a, killed, stopped} {
		for n := range 8 {
			running.Go(func() {
				c := call{id: fmt.Sprintf("over-%d-%d", i, n)}
				body := fmt.Sprintf(`{"model":"test-echo","stream":true,"stream_options":{"include_usage":true},"max_tokens":900,"messages":[{"role":"user","content":"#test interval=10ms tokens=%d"}]}`, 5+n*100)
				c.answer, c.err = s.Chat(t.Context(), key, body, "X-Request-Id", c.id)
				mu.Lock()
				defer mu.Unlock()
				calls = append(calls, c)
			})
		}
	}
	time.Sleep(2500 * time.Millisecond) // some have ended, and those that go on have journalled
	killed.Kill()
	stopped.Signal(syscall.SIGSTOP)
	held := a.Balance(key).Held
	if held == 0 {
		t.Fatal("nothing was held by those that are gone, so nothing is tested")
	}
	end := time.Now().Add(90 * time.Second)
	for a.Balance(key).Held != 0 {
		if time.Now().After(end) {
			t.Fatal("what the others held is still held after 90 s")
		}
		time.Sleep(200 * time.Millisecond)
	}
	after := a.Balance(key)
	a.Verify()
	stopped.Signal(syscall.SIGCONT)
	running.Wait()
	// What the stopped server delivered after it was taken over is not charged.
	calls = slices.DeleteFunc(calls, func(c call) bool { return strings.HasPrefix(c.id, "over-2-") })
	settle(t, a, key, 0, before, begin, calls)
	if now := a.Balance(key); now != after {
		t.Errorf("the balance went from %+v to %+v when the stopped server went on", after, now)
	}
	// It claims lanes of its own and serves again.
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		ans, err := stopped.Chat(t.Context(), key, `{"model":"test-echo","messages":[{"role":"user","content":"back"}]}`)
		if err == nil && ans.Status == http.StatusOK {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the server that was stopped does not serve again: %d %s, %v", ans.Status, ans.Body, err)
		}
	}
	a.Verify()
}

// The database is stopped without a word under load and started again: calls
// are refused meanwhile, nothing that was answered is lost, and the server
// heals by itself.
func TestTheDatabaseStopsUnderLoad(t *testing.T) {
	e2e.Require(t)
	pg, err := pgserver.New()
	if errors.Is(err, pgserver.ErrMissing) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pg.Remove(); err != nil {
			t.Error(err)
		}
	})
	if err := pg.Start(); err != nil {
		t.Fatal(err)
	}
	s := e2e.New(t, e2e.Options{Database: pg.URL()})
	key := s.Admin("root@example.com")
	s.Up()
	for round := range 3 {
		before, begin := s.Balance(key), time.Now().Add(-time.Millisecond)
		calls := load(s, key, fmt.Sprintf("db-%d", round), func() {
			time.Sleep(300 * time.Millisecond)
			if err := pg.Abort(); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Duration(1+2*round) * time.Second)
			if err := pg.Start(); err != nil {
				t.Error(err)
			}
			back := time.Now()
			for !s.Ready() && time.Since(back) < 30*time.Second {
				time.Sleep(10 * time.Millisecond)
			}
			t.Logf("round %d: ready %s after the database", round, time.Since(back))
		})
		for end := time.Now().Add(30 * time.Second); s.Balance(key).Held != 0 && time.Now().Before(end); {
			time.Sleep(50 * time.Millisecond)
		}
		s.Verify()
		settle(t, s, key, round, before, begin, calls, http.StatusServiceUnavailable)
	}
}
