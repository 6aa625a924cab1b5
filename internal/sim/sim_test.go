package sim

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// clockError is how far apart two clocks are at most.
const clockError = 15 * time.Second

// sim is one run.
type sim struct {
	t     *testing.T
	seed  uint64
	url   string
	ctx   context.Context //nolint:containedctx // of the whole run
	nodes []*node
	post  post
	lanes int
	wg    sync.WaitGroup // every goroutine of the run
	began time.Time
	// jumpy runs have clocks that jump; jumped says that one did.
	jumpy  bool
	jumped atomic.Bool
	// returning is how many nodes will start again.
	returning atomic.Int64

	mu       sync.Mutex
	calls    map[string]*call // guarded by mu
	grants   []*grant         // guarded by mu
	taken    map[string]money.Credits
	refusals int
	log      []string
	failures []string
}

// grant is credits that somebody gave, or tries to.
type grant struct {
	user, ref string
	amount    money.Credits
	at        time.Time // when it was acknowledged
	expires   time.Time
	acked     bool
	frozen    bool // it was frozen at some time
	id        credit.GrantID
}

var users = []string{"ada", "bob"}

func (w *sim) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *sim) add(c *call) { w.change(func() { w.calls[c.ref] = c }) }

func (w *sim) note(format string, args ...any) {
	w.change(func() {
		w.log = append(w.log, fmt.Sprintf("%9s ", time.Since(w.began).Round(time.Microsecond))+fmt.Sprintf(format, args...))
	})
}

// fail is errorf with w.mu held.
func (w *sim) fail(format string, args ...any) {
	w.failures = append(w.failures, fmt.Sprintf(format, args...))
}

func (w *sim) errorf(format string, args ...any) { w.change(func() { w.fail(format, args...) }) }

func (w *sim) deliver(n *node, payload string) {
	if p := n.now.Load(); p != nil && !p.dead.Load() {
		_ = p.db.Notify(w.ctx, channel, payload)
	}
}

// trace is a digest of everything that clients saw and when.
func (w *sim) trace() uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, strings.Join(w.log, "\n"))
	return h.Sum64()
}

// run is one seed, in a bubble. image is a database with the schema.
func run(t *testing.T, dir string, image []byte, seed uint64) *sim {
	t.Helper()
	path := filepath.Join(dir, fmt.Sprintf("%d.db", seed))
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			_ = os.Remove(path + suffix)
		}
	}()
	r := rand.New(rand.NewPCG(seed, 1))
	w := &sim{
		t: t, seed: seed, url: "sqlite:" + path, ctx: context.Background(), lanes: 1 + r.IntN(2), jumpy: r.IntN(4) == 0, began: time.Now(),
		calls: map[string]*call{}, taken: map[string]money.Credits{},
	}
	w.post = post{w: w, rand: rand.New(rand.NewPCG(seed, 2)), from: map[string]*process{}}
	if r.IntN(3) > 0 {
		w.post.lost, w.post.doubled, w.post.late = r.IntN(101), r.IntN(50), time.Duration(r.IntN(1000))*time.Millisecond
	}
	for i := range 3 {
		w.nodes = append(w.nodes, &node{w: w, index: i, name: fmt.Sprint("node", i)})
	}
	for _, n := range w.nodes {
		if err := n.start(); err != nil {
			t.Fatal(err)
		}
	}
	w.play(r)
	w.settleDown()
	w.audit()
	return w
}

// play lets things happen for about twenty seconds.
func (w *sim) play(r *rand.Rand) {
	for i, u := range users {
		w.give(w.nodes[0], &grant{user: u, ref: fmt.Sprint("first:", i), amount: money.Credits(20 + r.IntN(60))})
	}
	for i := range 40 {
		time.Sleep(time.Duration(1+r.IntN(800)) * time.Millisecond)
		n := w.nodes[r.IntN(len(w.nodes))]
		own := rand.New(rand.NewPCG(w.seed, uint64(100+i)))
		if r.IntN(10) < 6 {
			c := &call{ref: fmt.Sprint("call_", i), user: users[r.IntN(2)], need: money.Credits(1 + r.IntN(20))}
			w.wg.Go(func() { w.client(n, c, own) })
			continue
		}
		if r.IntN(2) == 0 {
			w.wg.Go(func() { w.manage(n, i, own) })
			continue
		}
		w.wg.Go(func() { w.trouble(n, own) })
	}
	time.Sleep(4 * time.Second)
}

// settleDown ends all trouble and every process, as an operator would: who is
// dead is started again, who has stopped too, so that what they left is resolved.
func (w *sim) settleDown() {
	for _, n := range w.nodes {
		if p := n.now.Load(); p != nil {
			p.faults.Heal()
		}
		n.skew.Store(0)
	}
	time.Sleep(8 * time.Second) // the dead are taken over, calls end
	if w.jumped.Load() {
		time.Sleep(time.Minute) // clocks are measured
	}
	for w.returning.Load() > 0 {
		time.Sleep(time.Second)
	}
	time.Sleep(2 * time.Second)
	w.serveAgain()
	for _, n := range w.nodes {
		if p := n.now.Load(); p != nil {
			p.stop(20 * time.Second)
		}
	}
	w.wg.Wait()
	for _, n := range w.nodes { // resolves what it left open
		if err := n.start(); err != nil {
			w.errorf("start after everything: %v", err)
			continue
		}
		n.now.Load().stop(20 * time.Second)
	}
	w.wg.Wait()
}

// serveAgain checks that each process serves again when nothing is wrong any
// more.
func (w *sim) serveAgain() {
	for i, n := range w.nodes {
		p := n.now.Load()
		if p == nil {
			w.errorf("%s is not there when all is well again", n.name)
			continue
		}
		ref := fmt.Sprint("probe:", i)
		_, err := p.credit.Grant(w.ctx, credit.NewGrant{User: ref, Source: credit.Bonus, Ref: ref, Amount: 5})
		if err != nil {
			w.errorf("grant when all is well again: %v", err)
			continue
		}
		c := &call{ref: "call_" + ref, user: ref, need: 5}
		w.add(c)
		w.grants = append(w.grants, &grant{user: ref, ref: ref, amount: 5, acked: true, at: time.Now()})
		h, err := p.credit.Reserve(w.ctx, credit.Call{User: ref, Ref: c.ref, Need: 5, Journal: []byte("{}")})
		if err != nil {
			health, why := p.credit.Health()
			w.errorf("%s does not serve when all is well again: %v (%s, %s)", n.name, err, health, why)
			continue
		}
		c.durable = true
		w.finish(p, c, h, 5, false)
		if c.receipt == nil {
			w.errorf("%s does not settle when all is well again", n.name)
		}
	}
}

// open opens the database as it is, without faults.
func (w *sim) open() (*sqldb.DB, error) { return sqldb.Open(w.ctx, w.url) }

// sorted returns the calls by their names.
func (w *sim) sorted() []*call {
	out := make([]*call, 0, len(w.calls))
	for _, c := range w.calls {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b *call) int { return strings.Compare(a.ref, b.ref) })
	return out
}
