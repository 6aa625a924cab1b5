package credit_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest/pgserver"
)

// link is the network between a process and its PostgreSQL server.
type link struct {
	listener net.Listener
	network  string
	to       string
	running  sync.WaitGroup

	mu    sync.Mutex
	state linkState         // guarded by mu
	conns map[net.Conn]bool // guarded by mu
	next  chan struct{}     // guarded by mu; closed when the state changes
}

type linkState uint8

const (
	linkUp   linkState = iota
	linkHung           // nothing arrives, in either direction; what was connected stays dead for ever
	linkCut            // connections are reset, and no new ones taken
)

// newLink puts a link before the server of u and returns it, with the URL that
// leads through it.
func newLink(t *testing.T, database string) (*link, string) {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	l := &link{network: "tcp", to: u.Host, conns: map[net.Conn]bool{}, next: make(chan struct{})}
	q := u.Query()
	if dir := q.Get("host"); dir != "" {
		l.network, l.to = "unix", filepath.Join(dir, ".s.PGSQL.5432")
		q.Del("host")
	}
	if l.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	u.Host = l.listener.Addr().String()
	q.Set("sslmode", "disable")
	u.RawQuery = q.Encode()
	l.running.Go(l.accept)
	t.Cleanup(func() {
		_ = l.listener.Close()
		l.set(linkCut)
		l.running.Wait()
	})
	return l, u.String()
}

// set changes what happens to everything that is sent.
func (l *link) set(s linkState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = s
	close(l.next)
	l.next = make(chan struct{})
	if s == linkCut {
		for c := range l.conns {
			_ = c.Close()
		}
		clear(l.conns)
	}
}

func (l *link) accept() {
	for {
		c, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.running.Go(func() { l.carry(c) })
	}
}

// keep notes c, unless the link is cut.
func (l *link) keep(c net.Conn) (linkState, chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == linkCut {
		_ = c.Close()
	} else {
		l.conns[c] = true
	}
	return l.state, l.next
}

func (l *link) carry(client net.Conn) {
	defer client.Close()
	for { // a connection that is made while nothing arrives is made when it does
		state, next := l.keep(client)
		if state == linkUp {
			break
		}
		if state == linkCut {
			return
		}
		<-next
	}
	server, err := net.Dial(l.network, l.to)
	if err != nil {
		return
	}
	defer server.Close()
	l.keep(server)
	var both sync.WaitGroup
	both.Go(func() { l.copy(server, client); _ = server.Close() })
	l.copy(client, server)
	_ = client.Close()
	both.Wait()
}

// copy forwards until something was lost on the way: then the connection is
// dead, though neither end is told.
func (l *link) copy(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	dead := false
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		l.mu.Lock()
		dead = dead || l.state != linkUp
		l.mu.Unlock()
		if dead {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// outage is what happens to holds and settlements while the database is away,
// and that everything is right and fast once it is back.
func outage(t *testing.T, db *sqldb.DB, down, up func()) {
	t.Helper()
	w := openSpooling(t, db, credit.Policy{Sweep: time.Hour, Spool: 1 << 20, Beat: 500 * time.Millisecond})
	w.useRealTime()
	ctx := t.Context()
	w.grant("ada", "pay:1", 1000*money.Credit, time.Time{})
	holds := w.holds(60, "call_")
	down()

	// In the first seconds nothing is refused, and gates wait.
	var early *credit.Hold
	if h, err := w.Reserve(ctx, credit.Call{User: "ada", Ref: "call_early", Need: money.Credit, Journal: []byte("{}")}); err != nil {
		t.Errorf("reserve at the beginning: %v", err)
	} else {
		early = h
	}
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	for _, err := range w.settleAll(short, holds[:20]) {
		if !errors.Is(err, credit.ErrNotDurable) {
			t.Fatalf("settle at the beginning: %v, want ErrNotDurable", err)
		}
	}
	until(t, "the ledger refuses holds", func() bool { state, _ := w.Health(); return state == "down" })
	began := time.Now()
	if _, err := w.Reserve(ctx, credit.Call{User: "ada", Ref: "call_refused", Need: 1}); !errors.Is(err, credit.ErrUnavailable) {
		t.Errorf("reserve in a long outage: %v, want ErrUnavailable", err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("the refusal took %s", took)
	}
	// Streams go on, and end; their endings are kept.
	short, cancel = context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	for _, err := range w.settleAll(short, holds[20:40]) {
		if !errors.Is(err, credit.ErrNotDurable) {
			t.Fatalf("settle in the outage: %v, want ErrNotDurable", err)
		}
	}
	until(t, "the spool has the endings", func() bool { return w.Stats().Spooled >= 40 })

	up()
	n := 0
	serving := until(t, "a hold is durable again", func() bool {
		n++
		h, err := w.Reserve(ctx, credit.Call{User: "ada", Ref: fmt.Sprint("call_again", n), Need: 1, Journal: []byte("{}")})
		if err != nil {
			return false
		}
		w.settle(h, 0)
		return true
	})
	empty := until(t, "the spool is empty", func() bool { state, _ := w.Health(); return state == "ok" })
	t.Logf("serving after %s, spool empty after %s", serving, serving+empty)
	if serving > 2*time.Second || serving+empty > 10*time.Second {
		t.Errorf("serving after %s and the spool empty after %s, want 2 s and 10 s", serving, serving+empty)
	}
	for i, err := range w.settleAll(ctx, holds) {
		if err != nil {
			t.Fatalf("settle of call %d after the outage: %v", i, err)
		}
	}
	if early != nil {
		w.settle(early, 0)
	}
	w.expect(970*money.Credit, 0)
}

func TestPostgresThatCannotBeReached(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]linkState{"hangs": linkHung, "is cut off": linkCut} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, through := newLink(t, dbtest.Postgres(t))
			outage(t, dbtest.Open(t, through), func() { l.set(state) }, func() { l.set(linkUp) })
		})
	}
}

// The server itself ends, in the middle of everything, and recovers.
func TestPostgresThatIsRestarted(t *testing.T) {
	t.Parallel()
	server, err := pgserver.New()
	if errors.Is(err, pgserver.ErrMissing) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Remove(); err != nil {
			t.Error(err)
		}
	})
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	db, err := sqldb.Open(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	must := func(f func() error) func() {
		return func() {
			t.Helper()
			if err := f(); err != nil {
				t.Fatal(err)
			}
		}
	}
	outage(t, db, must(server.Abort), must(server.Start))
}
