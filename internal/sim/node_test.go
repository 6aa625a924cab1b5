package sim

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest/faulty"
)

// node is one installation: a name, and one process after another.
type node struct {
	w     *sim
	index int
	name  string
	// skew is how far its clock is ahead, in nanoseconds.
	skew atomic.Int64
	now  atomic.Pointer[process] // nil while none runs
}

// process is one life of a node.
type process struct {
	node   *node
	db     *sqldb.DB
	faults *faulty.Faults
	credit *credit.Service
	ear    *sqldb.Listener
	ctx    context.Context //nolint:containedctx // the life of the process
	die    context.CancelFunc
	dead   atomic.Bool
	paused atomic.Bool
	gone   chan struct{} // closed when nothing of it runs any more
}

// policy is the ledger's, with shorter times: a run lasts seconds.
func (n *node) policy() credit.Policy {
	return credit.Policy{
		Shared: true, Lanes: n.w.lanes, Beat: time.Second, Poll: 400 * time.Millisecond, Sweep: 2 * time.Second,
		Idle: 5 * time.Second, TakeOver: 4 * time.Second, Unseen: 2500 * time.Millisecond, Forget: 40 * time.Second,
	}
}

// offset is what a node measures of the database's clock.
func (n *node) offset(context.Context) (time.Duration, error) {
	return -time.Duration(n.skew.Load()), nil
}

// start begins a process, and says whether it serves.
func (n *node) start() error {
	p := &process{node: n, faults: faulty.New(), gone: make(chan struct{})}
	p.faults.Setup = []string{"PRAGMA synchronous=OFF", "PRAGMA busy_timeout=0"} // nothing here survives the machine
	p.faults.Busy = 5 * time.Second
	var err error
	if p.db, err = sqldb.OpenThrough(n.w.ctx, n.w.url, p.faults.Through); err != nil {
		return err
	}
	p.ctx, p.die = context.WithCancel(n.w.ctx)
	p.credit = credit.New(credit.Needs{
		DB: p.db, Log: slog.New(slog.DiscardHandler), Node: n.name, Policy: n.policy(),
		Now:    func() time.Time { return time.Now().Add(time.Duration(n.skew.Load())) },
		Offset: n.offset, Records: records{p.db},
	})
	p.ear = p.db.Listen(channel, func(payload string) { n.w.post.send(p, payload) })
	ctx, cancel := context.WithTimeout(n.w.ctx, 20*time.Second)
	defer cancel()
	if err := p.credit.Start(ctx); err != nil {
		p.faults.Kill()
		p.end()
		return fmt.Errorf("start %s: %w", n.name, err)
	}
	n.now.Store(p)
	return nil
}

// crash ends the process without a word: nothing of what it does from here on
// reaches the database. It says whether p ran until now.
func (p *process) crash() bool {
	if !p.node.now.CompareAndSwap(p, nil) {
		return false
	}
	p.dead.Store(true)
	p.faults.Kill()
	p.die()
	p.node.w.wg.Go(p.end)
	return true
}

// stop ends the process in order, with at most d for its calls. What has not
// ended long after that is killed, as an operator would.
func (p *process) stop(d time.Duration) bool {
	if !p.node.now.CompareAndSwap(p, nil) {
		return false
	}
	p.node.w.wg.Go(func() {
		ctx, cancel := context.WithTimeout(p.ctx, d)
		defer cancel()
		kill := time.AfterFunc(d+20*time.Second, p.faults.Kill)
		_ = p.credit.Stop(ctx) // a cut database makes it fail
		kill.Stop()
		p.dead.Store(true)
		p.faults.Kill()
		p.die()
		p.end()
	})
	return true
}

func (p *process) end() {
	defer close(p.gone)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.credit.Stop(ctx)
	p.ear.Close()
	_ = p.db.Close()
	p.die()
}

// idleTx is how long PostgreSQL leaves a transaction open whose process is
// silent.
const idleTx = 5 * time.Second

// pause is a process that does nothing for d, as when its machine sleeps. What
// it had begun with the database is rolled back by then.
func (p *process) pause(d time.Duration) {
	until := time.Now().Add(d)
	p.paused.Store(true)
	p.faults.Set(func(c faulty.Call) faulty.Fault {
		left := time.Until(until)
		switch {
		case left <= 0:
			return faulty.Fault{}
		case c.Op == faulty.Exec || c.Op == faulty.Query || c.Op == faulty.Commit:
			return faulty.Fault{Hang: min(left, idleTx), Kind: faulty.Fail}
		}
		return faulty.Fault{Hang: left}
	})
	p.later(d, func() { p.paused.Store(false) })
}

// cut takes the database away from the process for d. With hang it hears
// nothing at all, else it is told at once.
func (p *process) cut(d time.Duration, hang bool) {
	until := time.Now().Add(d)
	p.faults.Set(func(faulty.Call) faulty.Fault {
		left := time.Until(until)
		switch {
		case left <= 0:
			return faulty.Fault{}
		case hang:
			return faulty.Fault{Hang: min(left, idleTx), Kind: faulty.Fail}
		}
		return faulty.Fault{Kind: faulty.Fail}
	})
}

// kth lets the k-th call from now go wrong; without from, only commits count.
func (p *process) kth(k int64, commits bool, f faulty.Fault) {
	seen := int64(0)
	p.faults.Set(func(c faulty.Call) faulty.Fault {
		if c.No == 0 || commits && c.Op != faulty.Commit {
			return faulty.Fault{}
		}
		if seen++; seen == k {
			return f
		}
		return faulty.Fault{}
	})
}

func (p *process) later(d time.Duration, do func()) {
	p.node.w.wg.Go(func() {
		select {
		case <-time.After(d):
			do()
		case <-p.ctx.Done():
		}
	})
}
