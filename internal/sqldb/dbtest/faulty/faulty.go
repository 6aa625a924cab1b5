// Package faulty makes the connections of a database fail as a test says.
//
//	f := faulty.New()
//	db, err := sqldb.OpenThrough(ctx, url, f.Through)
//	f.Set(faulty.Nth(7, faulty.Fault{Kind: faulty.Lose}))
//
// It sits between database/sql and the real driver, so everything below it is
// real. What PostgreSQL does beside database/sql, listening and probing, does
// not go through it.
package faulty

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Op is what is asked of the database.
type Op string

// The operations. The first four are numbered.
const (
	Begin   Op = "begin"
	Exec    Op = "exec"
	Query   Op = "query"
	Commit  Op = "commit"
	Connect Op = "connect"
	Prepare Op = "prepare"
	Ping    Op = "ping"
)

// Call is one call of the driver.
type Call struct {
	No  int64 // from 1 since the start or the last Set; 0 for what is not numbered
	Op  Op
	SQL string // of exec, query and prepare
}

// Kind is how a call goes wrong.
type Kind uint8

// The kinds. After Fail and Lose the connection is dead, and what was open on
// it is rolled back, as when the network or the server is gone.
const (
	None   Kind = iota
	Fail        // it is not made
	Lose        // it is made, and its answer is lost
	Refuse      // it is not made, and the connection lives on
)

// Fault is what happens to a call. The zero value is nothing.
type Fault struct {
	// Hang waits before anything else: until the call's context ends, which
	// makes it a Fail, or for the time, or, when that is negative, until Heal.
	Hang time.Duration
	Kind Kind
	Err  error // nil: ErrGone
}

// ErrGone is the error of a call that failed or whose answer was lost; to
// sqldb.IsUnavailable it is a server that ended in the middle of its answer.
var ErrGone = fmt.Errorf("injected: the database is gone: %w", io.ErrUnexpectedEOF)

// Script decides about each call. It is called by one goroutine at a time.
type Script func(Call) Fault

// Nth lets the k-th numbered call go wrong.
func Nth(k int64, f Fault) Script {
	return func(c Call) Fault {
		if c.No == k {
			return f
		}
		return Fault{}
	}
}

// All lets every call go wrong: the process is cut off.
func All(f Fault) Script { return func(Call) Fault { return f } }

// Faults decides for all connections that were made through it. It is safe for
// concurrent use.
type Faults struct {
	// Setup are statements that each new connection runs first, past the script,
	// such as PRAGMA synchronous=OFF. Set it before the database is opened.
	Setup []string
	// Busy is how long a call waits for the lock of a SQLite file, on the clock
	// of the test: SQLite itself waits by the machine's, so in a bubble of
	// synctest its busy_timeout has to be 0 (see Setup). Set it likewise.
	Busy time.Duration
	// Watch sees every statement that is run, with its arguments, before the
	// script decides; it is called by many goroutines. Set it likewise.
	Watch func(ctx context.Context, text string, args []driver.NamedValue)

	mu     sync.Mutex
	script Script        // guarded by mu; nil: nothing goes wrong
	no     int64         // guarded by mu
	healed chan struct{} // guarded by mu: closed by Heal and Kill
	killed bool          // guarded by mu
	total  atomic.Int64
	hit    atomic.Int64
}

// New returns Faults that let everything pass.
func New() *Faults { return &Faults{healed: make(chan struct{})} }

// Set makes s decide from now on, and counts calls from 1 again. What hangs
// goes on hanging.
func (f *Faults) Set(s Script) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script, f.no = s, 0
}

// Heal lets everything pass again, also what hangs now.
func (f *Faults) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script = nil
	close(f.healed)
	f.healed = make(chan struct{})
}

// Kill lets nothing pass any more, not even what hangs now: the process is dead.
func (f *Faults) Kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.killed = true
	close(f.healed)
	f.healed = make(chan struct{})
}

func (f *Faults) dead() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.killed
}

// Calls returns how many numbered calls there were since the last Set.
func (f *Faults) Calls() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.no
}

// Total returns how many numbered calls there were, and Hits how many calls
// went wrong.
func (f *Faults) Total() int64 { return f.total.Load() }

// Hits returns how many calls went wrong or were delayed.
func (f *Faults) Hits() int64 { return f.hit.Load() }

// watch shows a statement that is about to run.
func (f *Faults) watch(ctx context.Context, text string, args []driver.NamedValue) {
	if f.Watch != nil {
		f.Watch(ctx, text, args)
	}
}

// decide asks the script.
func (f *Faults) decide(op Op, text string) (Fault, chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := Call{Op: op, SQL: text}
	switch op {
	case Begin, Exec, Query, Commit:
		f.no++
		f.total.Add(1)
		c.No = f.no
	case Connect, Prepare, Ping:
	}
	if f.killed {
		return Fault{Kind: Fail}, f.healed
	}
	if f.script == nil {
		return Fault{}, f.healed
	}
	return f.script(c), f.healed
}

// run makes a call as the script says. undo, when there is one, throws a lost
// answer away.
func run[T any](ctx context.Context, f *Faults, c *conn, op Op, text string, do func() (T, error), undo func(T)) (T, error) {
	var zero T
	if c != nil && c.dead.Load() {
		return zero, driver.ErrBadConn
	}
	fault, healed := f.decide(op, text)
	do = patient(ctx, f.Busy, do)
	if fault == (Fault{}) {
		return do()
	}
	f.hit.Add(1)
	err := fault.Err
	if err == nil {
		err = ErrGone
	}
	if fault.Hang != 0 && !hang(ctx, fault.Hang, healed) {
		fault.Kind, err = Fail, ctx.Err()
	}
	if fault.Hang != 0 && f.dead() {
		fault.Kind = Fail
	}
	switch fault.Kind {
	case None:
		return do()
	case Refuse:
		return zero, err
	case Lose:
		if v, failed := do(); failed == nil && undo != nil {
			undo(v)
		}
	case Fail:
	}
	if c != nil {
		c.dead.Store(true)
	}
	return zero, err
}

// patient makes a call again while another process has the file, for d at most.
func patient[T any](ctx context.Context, d time.Duration, do func() (T, error)) func() (T, error) {
	if d <= 0 {
		return do
	}
	return func() (T, error) {
		const (
			step = 10 * time.Millisecond
			busy = 5 // SQLITE_BUSY; https://sqlite.org/rescode.html
		)
		for waited := time.Duration(0); ; waited += step {
			v, err := do()
			var e interface{ Code() int } // PostgreSQL's has a text
			if !errors.As(err, &e) || e.Code()&0xff != busy || waited >= d || !hang(ctx, step, nil) {
				return v, err
			}
		}
	}
}

// hang reports whether the call goes on.
func hang(ctx context.Context, d time.Duration, healed chan struct{}) bool {
	var end <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		end = t.C
	}
	select {
	case <-end:
		return true
	case <-healed:
		return true
	case <-ctx.Done():
		return false
	}
}
