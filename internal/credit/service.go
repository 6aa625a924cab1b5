package credit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Needs are what the ledger works with.
type Needs struct {
	DB  *sqldb.DB
	Log *slog.Logger
	Now func() time.Time
	// Node names this installation. A process that starts under the name of
	// another takes its work over at once, so the caller makes sure that only
	// one runs, by a lock on the data folder.
	Node    string
	Records Records
	Box     *seal.Box // seals the key that signs roots; nil where none are signed
	// Spool is the file for endings that the database does not take; empty for
	// none.
	Spool string
	// Async lets gate B stand open: a settlement is acknowledged when it is
	// queued, and a crash may resolve the calls of the last commit from their
	// journals.
	Async  bool
	Policy Policy
}

// Policy are numbers that tests change; zero means the default.
type Policy struct {
	Lanes  int           // writers: 1 on SQLite, 2 on PostgreSQL
	Queue  int           // places in the queue of a lane: 8,192
	Batch  int           // operations in one transaction: 1,024
	Beat   time.Duration // between two signs of life without work: 2 s
	Watch  time.Duration // how long another process may be silent before it counts as dead: 2.5 s
	Idle   time.Duration // after which a user's lease is returned: 10 min
	Forget time.Duration // after which an open hold without renewal is resolved: 5 min
	Sweep  time.Duration // between two looks for idle leases and forgotten holds: 15 s
	Spool  int           // bytes set aside for endings that the database does not take: 64 MiB
}

func (p Policy) filled(engine sqldb.Engine) Policy {
	lanes := 2
	if engine == sqldb.SQLite {
		lanes = 1
	}
	return Policy{
		Lanes: or(p.Lanes, lanes), Queue: or(p.Queue, 8192), Batch: or(p.Batch, 1024),
		Beat: or(p.Beat, 2*time.Second), Watch: or(p.Watch, 2500*time.Millisecond), Idle: or(p.Idle, 10*time.Minute),
		Forget: or(p.Forget, 5*time.Minute), Sweep: or(p.Sweep, 15*time.Second), Spool: or(p.Spool, spoolSize),
	}
}

func or[T int | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// Service is the ledger. It is safe for concurrent use.
type Service struct {
	db      *sqldb.DB
	store   store
	log     *slog.Logger
	now     func() time.Time
	node    string
	records Records
	policy  Policy
	purses  *purses
	stats   stats
	box     *seal.Box
	rootDay atomic.Int64 // every day up to this one has a root

	open atomic.Pointer[[]*lane] // nil while nothing is admitted

	async     bool
	spoolPath string
	spool     *spooler           // set by Start; nil without a file
	replay    map[string]spooled // what the spool held at the start; nil afterwards
	failed    chan error         // gets why nothing can be written any more

	mu       sync.Mutex
	state    state   // guarded by mu
	lanes    []*lane // guarded by mu
	stopping chan struct{}
	sweeping sync.WaitGroup
}

// state is where a Service is in its life.
type state uint8

const (
	stateNew state = iota
	stateStarting
	stateServing
	stateFenced
	stateBroken
	stateStopped
)

// New returns a Service that answers ErrUnavailable until Start has returned.
// What reads and grants works at once.
func New(n Needs) *Service {
	return &Service{
		db: n.DB, store: newStore(n.DB), log: n.Log, now: n.Now, node: n.Node, records: n.Records, box: n.Box,
		policy: n.Policy.filled(n.DB.Engine()), purses: newPurses(), stopping: make(chan struct{}),
		async: n.Async, spoolPath: n.Spool, failed: make(chan error, 1),
	}
}

// stats count what somebody should know about.
type stats struct {
	batches, operations, refused, fenced, forgotten, orphans, overruns, spooled, replayed atomic.Int64
}

// Stats are counters since the start, and how much waits.
type Stats struct {
	Batches, Operations int64 // written
	Refused             int64 // operations that would have broken an invariant
	Fenced              int64 // lanes lost to another process
	Forgotten, Orphans  int64 // holds resolved without their caller: in this process, after a dead one
	Overruns            int64 // calls that cost more than was held
	Spooled, Replayed   int64 // endings that the database did not take at once, and that a start found
	Queued, Open        int   // operations that wait, holds without an ending
}

// Stats returns the counters.
func (s *Service) Stats() Stats {
	out := Stats{
		Batches: s.stats.batches.Load(), Operations: s.stats.operations.Load(), Refused: s.stats.refused.Load(),
		Fenced: s.stats.fenced.Load(), Forgotten: s.stats.forgotten.Load(), Orphans: s.stats.orphans.Load(),
		Overruns: s.stats.overruns.Load(), Spooled: s.stats.spooled.Load(), Replayed: s.stats.replayed.Load(),
	}
	for _, l := range s.owned() {
		waiting, open := l.queue.counts()
		out.Queued += waiting
		out.Open += open
	}
	return out
}

func (s *Service) owned() []*lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lanes
}

// admitting returns the lanes that take holds, or nil.
func (s *Service) admitting() []*lane {
	if lanes := s.open.Load(); lanes != nil {
		return *lanes
	}
	return nil
}

// Start claims lanes, resolves what a dead process left, then admits.
// ErrLocked: another process serves this database. ErrDamaged: a lane's head
// does not match its last batch; nothing was changed.
func (s *Service) Start(ctx context.Context) error {
	s.mu.Lock()
	if s.state != stateNew {
		s.mu.Unlock()
		return errors.New("start the ledger: it was started before")
	}
	s.state = stateStarting
	s.mu.Unlock()

	if err := s.openSpool(); err != nil {
		return fmt.Errorf("start the ledger: %w", err)
	}
	rows, err := s.claim(ctx)
	if err != nil {
		return errors.Join(fmt.Errorf("start the ledger: %w", err), s.spool.leave())
	}
	lanes := make([]*lane, 0, len(rows))
	for _, r := range rows {
		l := s.newLane(r)
		lanes = append(lanes, l)
		go l.run(context.WithoutCancel(ctx))
	}
	s.mu.Lock()
	s.lanes = lanes
	s.mu.Unlock()
	err = s.recover(ctx, lanes)
	if err == nil {
		err = s.settleReplayed(ctx, lanes[0])
	}
	if err != nil {
		for _, l := range lanes {
			l.abandon()
			<-l.stopped
		}
		return errors.Join(fmt.Errorf("start the ledger: %w", err), s.spool.leave())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != stateStarting {
		return fmt.Errorf("start the ledger: %w", errFenced)
	}
	s.state = stateServing
	s.open.Store(&lanes)
	s.sweeping.Go(s.sweep)
	return nil
}

func (s *Service) newLane(r laneRow) *lane {
	l := &lane{
		store: s.store, records: s.records, log: s.log, now: s.now, beat: s.policy.Beat, stats: &s.stats,
		queue: newQueue(s.policy.Queue, s.policy.Batch), fenced: s.fenced, no: r.lane, epoch: r.epoch, head: r.head,
		broken: s.breakDown, spool: s.spool, async: s.async, kill: make(chan struct{}), stopped: make(chan struct{}),
	}
	saved := make(chan struct{})
	l.saved.Store(&saved)
	return l
}

// fenced stops admission for good: another process owns a lane of ours.
func (s *Service) fenced() {
	s.open.Store(nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = stateFenced
}

// breakDown stops everything that writes: after a failed flush nothing in
// memory proves anything.
func (s *Service) breakDown(err error) {
	s.open.Store(nil)
	s.mu.Lock()
	if s.state != stateStopped {
		s.state = stateBroken
	}
	lanes := s.lanes
	s.mu.Unlock()
	for _, l := range lanes {
		l.abandon()
	}
	s.log.Error("the ledger cannot be written; this process must end", "err", err)
	select {
	case s.failed <- fmt.Errorf("%w: %w", ErrBroken, err):
	default: // it was said before
	}
}

// Failed gives ErrBroken, once, when nothing can be written any more: the
// process has to end, and its next start recovers.
func (s *Service) Failed() <-chan error { return s.failed }

// flushTimeout bounds how long Stop tries to write what is queued when its
// context has ended already.
const flushTimeout = 5 * time.Second

// Stop refuses new holds, waits for open ones until ctx ends, writes what is
// queued, gives leases and lanes back. A hold that is still open then is
// resolved by the next start. It may be called twice.
func (s *Service) Stop(ctx context.Context) error {
	s.open.Store(nil)
	s.mu.Lock()
	old, lanes := s.state, s.lanes
	s.state = stateStopped
	s.mu.Unlock()
	if old == stateStopped || old == stateNew || old == stateStarting {
		return nil
	}
	close(s.stopping)
	s.sweeping.Wait()
	if old == stateServing {
		s.drain(ctx, lanes)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	var errs []error
	for _, l := range lanes {
		errs = append(errs, s.close(ctx, l))
	}
	return errors.Join(append(errs, s.spool.end(ctx))...)
}

// drain waits until every hold has ended or ctx has.
func (s *Service) drain(ctx context.Context, lanes []*lane) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for _, l := range lanes {
		for _, open := l.queue.counts(); open > 0; _, open = l.queue.counts() {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}
}

// close writes what l has queued, returns its leases and gives it back.
func (s *Service) close(ctx context.Context, l *lane) error {
	l.queue.put(op{kind: opFold, round: &round{}})
	l.queue.close()
	select {
	case <-l.stopped:
	case <-ctx.Done():
		s.spool.pass(true)
		l.abandon()
		<-l.stopped
	}
	if l.given() {
		return fmt.Errorf("stop lane %d: %w", l.no, ErrUnavailable)
	}
	if _, open := l.queue.counts(); open > 0 {
		s.log.WarnContext(ctx, "stopped with open holds; the next start resolves them", "lane", l.no, "holds", open)
		return nil
	}
	return s.store.leaveLane(ctx, l.no, l.epoch)
}

// Health returns "ok", "degraded" while endings are in the spool, or "down"
// while new holds are not taken, and why.
func (s *Service) Health() (string, string) {
	s.mu.Lock()
	st, lanes := s.state, s.lanes
	s.mu.Unlock()
	switch st {
	case stateNew, stateStarting:
		return "down", "the ledger has not started"
	case stateStopped:
		return "down", "the ledger has stopped"
	case stateFenced:
		return "down", "another process has taken over this database"
	case stateBroken:
		return "down", "the disk or the database cannot be written any more"
	case stateServing:
	}
	for _, l := range lanes {
		if err := l.refusal(s.now().UnixMicro()); errors.Is(err, ErrStorageFull) {
			return "down", "the disk is full"
		} else if err != nil {
			return "down", "the database does not take batches"
		}
	}
	if n, _ := s.spool.usage(); n > 0 {
		return "degraded", fmt.Sprintf("%d endings are in the spool and not yet in the database", n)
	}
	return "ok", ""
}
