package credit

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Timing of the writer.
const (
	stuckAfter   = 3 * time.Second // a batch that takes longer stops admission
	batchTimeout = 10 * time.Second
	firstBackoff = 10 * time.Millisecond
	lastBackoff  = time.Second
)

var (
	// errFenced says that the lane belongs to another process now.
	errFenced = errors.New("another process has taken over")
	// errGuard says that a statement did not change the rows it should.
	errGuard = errors.New("a guard of the ledger refused")
	// errKilled says that the process gave up without a word, as in a crash.
	errKilled = errors.New("the lane was given up")
)

// lane is one writer: a row of credit_lane with its sequence, hash chain and
// fence, and the goroutine that writes it.
type lane struct {
	store   store
	records Records
	log     *slog.Logger
	now     func() time.Time
	beat    time.Duration
	stats   *stats
	meters  *meters
	queue   *queue
	shared  *sharing
	fenced  func(*lane) // called once
	broken  func(error)
	spool   *spooler
	async   bool // gate B stands open

	no, epoch int64
	// Of the last batch; owned by the writer.
	head head
	plan plan
	done []*Hold // that ended in this batch

	wrote   atomic.Int64                  // when the last batch was written, by monotonic
	since   atomic.Int64                  // when the unfinished batch began, Unix microseconds; 0: none
	refuses atomic.Pointer[fault.Error]   // what new holds are told, nil while they are taken
	saved   atomic.Pointer[chan struct{}] // closed and replaced when endings have become durable in the spool

	cancel atomic.Pointer[context.CancelFunc] // of the attempt under way
	again  chan struct{}                      // ends the pause between two attempts

	lost     atomic.Bool   // another process owns it
	kill     chan struct{} // closed: give up at once
	killOnce sync.Once
	stopped  chan struct{} // closed by the writer when it ends
}

// refusal returns why no hold can be taken at now.
func (l *lane) refusal(now int64) error {
	if f := l.refuses.Load(); f != nil {
		return f
	}
	if l.shared.skewed.Load() {
		return ErrUnavailable
	}
	if t := l.since.Load(); t != 0 && now-t > stuckAfter.Microseconds() {
		return ErrUnavailable
	}
	return nil
}

// announce wakes who waits for an ending.
func (l *lane) announce() {
	next := make(chan struct{})
	close(*l.saved.Swap(&next))
}

func (l *lane) abandon() { l.killOnce.Do(func() { close(l.kill) }) }

// run writes batches until the queue is closed and empty.
func (l *lane) run(ctx context.Context) {
	defer close(l.stopped)
	beat := time.NewTimer(l.beat)
	defer beat.Stop()
	for {
		g, more := l.queue.take()
		switch {
		case g != nil:
			l.process(ctx, g)
			beat.Reset(l.beat)
			continue
		case !more:
			return
		}
		select {
		case <-l.queue.wake:
		case <-beat.C:
			l.write(ctx, nil)
			beat.Reset(l.beat)
		case <-l.kill:
			l.queue.close()
		}
	}
}

// process makes a group durable and tells who waits for it.
func (l *lane) process(ctx context.Context, g *group) {
	l.done = l.done[:0]
	places := l.write(ctx, g.ops)
	for i := range g.ops {
		r := g.ops[i].round
		if r == nil || r.purse == nil {
			continue
		}
		if r.cut && r.err == nil {
			l.meters.cuts.Add(1)
		} else if r.cut {
			l.meters.cutsFailed.Add(1)
		}
		r.purse.finish(r)
	}
	l.queue.finish(g, places, l.done)
}

// write commits ops in one transaction, retrying while the database fails. An
// operation that the database refuses is found by halving; it fails alone. It
// returns how many places of the queue became free.
func (l *lane) write(ctx context.Context, ops []op) (places int) {
	if l.given() {
		return l.fail(ops, errKilled)
	}
	l.since.CompareAndSwap(0, l.now().UnixMicro())
	p := &l.plan
	p.build(l, ops)
	for wait := firstBackoff; ; wait = min(2*wait, lastBackoff) {
		began := monotonic()
		err := l.attempt(ctx, p)
		switch {
		case err == nil:
			now := monotonic()
			l.wrote.Store(int64(now))
			l.meters.wroteBatch(p, ops, now-began)
			l.since.Store(0)
			l.refuses.Store(nil)
			return l.committed(ops)
		case errors.Is(err, errFenced):
			l.log.ErrorContext(ctx, "ledger lane was taken over by another process", "lane", l.no, "epoch", l.epoch)
			l.stats.fenced.Add(1)
			l.refuses.Store(ErrUnavailable)
			l.lost.Store(true)
			l.abandon()
			l.fenced(l)
			return l.fail(ops, errFenced)
		case len(ops) > 0 && refused(err):
			if len(ops) == 1 {
				return l.refuse(ctx, ops[0], err)
			}
			half := len(ops) / 2
			return l.write(ctx, ops[:half]) + l.write(ctx, ops[half:])
		}
		if sqldb.IsBroken(err) {
			l.refuses.Store(ErrUnavailable)
			l.abandon()
			l.broken(err)
			return l.fail(ops, errors.Join(errKilled, err))
		}
		l.log.WarnContext(ctx, "ledger batch not written; trying again", "lane", l.no, "operations", len(ops), "err", err)
		if sqldb.IsFull(err) {
			l.refuses.Store(ErrStorageFull)
			l.spool.poke()
		}
		select {
		case <-time.After(wait):
		case <-l.again:
			wait = firstBackoff
		case <-l.kill:
			return l.fail(ops, errKilled)
		}
	}
}

func (l *lane) given() bool {
	select {
	case <-l.kill:
		return true
	default:
		return false
	}
}

// attempt writes p in one transaction. When an earlier attempt's answer was
// lost it finds out what became of it: its first statement changes a row only
// if that one did not commit.
func (l *lane) attempt(ctx context.Context, p *plan) error {
	l.store.prepare(ctx, p)
	if l.store.cancellable() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, batchTimeout)
		defer cancel()
		l.cancel.Store(&cancel)
		defer l.cancel.Store(nil)
	}
	err := l.store.inTx(ctx, func(ctx context.Context) error { return l.apply(ctx, p) })
	if !errors.Is(err, errStale) {
		return err
	}
	epoch, h, err := l.store.readHead(ctx, l.no)
	if err != nil {
		return err
	}
	if epoch == l.epoch && h.batch == p.head.batch && h.hash == p.head.hash {
		return nil
	}
	return errFenced
}

// refused reports whether err blames what was written rather than the
// database, so that trying the same again changes nothing.
func refused(err error) bool {
	if errors.Is(err, errGuard) || sqldb.IsConstraint(err) {
		return true
	}
	if sqldb.IsUnavailable(err) || errors.Is(err, context.Canceled) {
		return false
	}
	if e, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok {
		state := e.SQLState()
		return len(state) == 5 && state[:2] == "22" // data exception
	}
	_, ok := errors.AsType[*recordsError](err)
	return ok
}

// recordsError is a failure of the usage records.
type recordsError struct{ error }

func (e *recordsError) Unwrap() error { return e.error }

// committed notes that ops are in the database.
func (l *lane) committed(ops []op) (places int) {
	p := &l.plan
	l.head = p.head
	for i := range ops {
		o := &ops[i]
		switch o.kind {
		case opHold:
			o.hold.written = o.hold.planned != p.no
			places++
		case opEnd:
			o.end.err = o.hold.refused // nil as a rule
			o.hold.written = false
			l.done = append(l.done, o.hold)
			places++
		case opLate, opProgress, opCut, opReturn, opFold:
		}
	}
	l.stats.batches.Add(1)
	l.stats.operations.Add(int64(len(ops)))
	return places
}

// refuse fails the one operation that the database does not take.
func (l *lane) refuse(ctx context.Context, o op, cause error) (places int) {
	l.since.Store(0)
	l.stats.refused.Add(1)
	err := error(ErrRefused.Because(cause))
	if o.kind == opHold && sqldb.IsUnique(cause) {
		err = ErrConflict.Because(cause)
	}
	var ref string
	if o.hold != nil {
		ref = o.hold.ref
	}
	l.log.ErrorContext(ctx, "the ledger refused an operation", "lane", l.no, "kind", int(o.kind), "call", ref, "err", cause)
	return l.fail([]op{o}, err)
}

// fail gives every operation of ops the error err.
func (l *lane) fail(ops []op, err error) (places int) {
	shown := err
	if f, ok := errors.AsType[*fault.Error](err); !ok || f == nil {
		shown = ErrUnavailable.Because(err)
	}
	for _, o := range ops {
		switch o.kind {
		case opHold:
			places += l.failHold(o.hold, shown)
		case opEnd:
			places += l.failEnd(o.hold, o.end, shown)
		case opLate:
			o.end.err = shown
		case opProgress:
			o.hold.mu.Lock()
			o.hold.dirty = false
			o.hold.mu.Unlock()
		case opCut, opReturn, opFold:
			o.round.err = shown
		}
	}
	return places
}

// failHold gives the credits of a hold that was not committed back.
func (l *lane) failHold(h *Hold, err error) (places int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.purse.mu.Lock()
	defer h.purse.mu.Unlock()
	h.refused = err
	if h.ending == nil {
		h.dropped = err
		h.split(0, 0) // nothing was charged and nothing expires: it never was
		h.purse.refund(h)
		l.done = append(l.done, h)
		return 2
	}
	for _, t := range h.parts { // the ending, which follows, took the charge
		back := t.charged
		if t.expired {
			back = t.amount
		}
		h.purse.lease(t.grant, t.expires).free += back
	}
	h.moveCaps(0, -h.charged())
	return 1
}

// failEnd undoes an ending in memory. The hold stays open in the database, and
// is resolved from its journal later.
func (l *lane) failEnd(h *Hold, e *ending, err error) (places int) {
	if h.refused != nil {
		e.err = h.refused
		l.done = append(l.done, h)
		return 1
	}
	e.err = err
	h.mu.Lock()
	defer h.mu.Unlock()
	h.purse.mu.Lock()
	defer h.purse.mu.Unlock()
	h.purse.unrefund(h)
	h.ending, h.late = nil, nil
	if l.lost.Load() {
		l.shared.addLate(h.ref, h.purse.user, e.price)
	}
	return 0
}
