package credit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rephlo/rephlo/internal/obs"
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
	Node string
	// Offset measures by how much the database's clock is ahead of Now; nil
	// when there is one clock.
	Offset  func(ctx context.Context) (time.Duration, error)
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
	// Granted is told of credits that were given, in the transaction that gives
	// them; nil: nobody is.
	Granted func(ctx context.Context, g Given) error
	// Metrics show what the ledger measures; nil shows nothing.
	Metrics *obs.Metrics
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
	tell    func(ctx context.Context, g Given) error // nil: nobody is told of grants
	purses  *purses
	stats   stats
	meters  *meters
	shared  sharing
	box     *seal.Box
	rootDay atomic.Int64 // every day up to this one has a root
	used    usedSums
	looks   int // at how many transfers a page of a filtered history looks

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
	s := &Service{
		db: n.DB, store: newStore(n.DB), log: n.Log, node: n.Node, records: n.Records, box: n.Box,
		tell: n.Granted, policy: n.Policy.filled(n.DB.Engine()), purses: newPurses(), stopping: make(chan struct{}),
		async: n.Async, spoolPath: n.Spool, failed: make(chan error, 1), looks: historyLooks,
	}
	s.meters = newMeters(n.Metrics, s)
	s.shared.init(n.Offset)
	s.now = func() time.Time { return n.Now().Add(time.Duration(s.shared.offset.Load())) }
	return s
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
	if lanes := s.open.Load(); lanes != nil && len(*lanes) > 0 {
		return *lanes
	}
	return nil
}

// Start claims lanes, resolves what a dead process of this node left, then
// admits. ErrDamaged: a lane's head does not match its last batch; nothing was
// changed. sqldb.ErrNotDurable: the database forgets in a crash.
func (s *Service) Start(ctx context.Context) error {
	s.mu.Lock()
	if s.state != stateNew {
		s.mu.Unlock()
		return errors.New("start the ledger: it was started before")
	}
	s.state = stateStarting
	s.mu.Unlock()

	s.measureClock(ctx)
	if err := s.db.Durable(ctx); err != nil {
		return fmt.Errorf("start the ledger: %w", err)
	}
	if err := s.openSpool(); err != nil {
		return fmt.Errorf("start the ledger: %w", err)
	}
	lanes, err := s.openLanes(ctx)
	if err == nil {
		err = s.settleReplayed(ctx)
	}
	if err != nil {
		giveUp(lanes)
		return errors.Join(fmt.Errorf("start the ledger: %w", err), s.spool.leave())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != stateStarting {
		return fmt.Errorf("start the ledger: %w", errFenced)
	}
	s.state = stateServing
	if s.policy.Shared {
		s.shared.listener = s.db.Listen(channel, s.hear)
		s.sweeping.Go(s.share)
		s.sweeping.Go(s.heal)
	}
	s.open.Store(&lanes)
	s.sweeping.Go(s.sweep)
	return nil
}

// flushTimeout bounds how long Stop tries to write what is queued when its
// context has ended already.
const flushTimeout = 5 * time.Second

// Stop refuses new holds, waits for open ones until ctx ends, writes what is
// queued, gives leases and lanes back. A hold that is still open then is
// resolved by the next start. It returns a few seconds after ctx has ended at the
// latest, with an error where the disk hangs. It may be called twice.
func (s *Service) Stop(ctx context.Context) error {
	s.open.Store(nil)
	s.mu.Lock()
	old := s.state
	s.state = stateStopped
	s.mu.Unlock()
	if old == stateStopped || old == stateNew || old == stateStarting {
		return nil
	}
	close(s.stopping)
	ended, flushing := make(chan error, 1), make(chan struct{})
	go func() { ended <- s.finish(ctx, old, flushing) }()
	select {
	case err := <-ended:
		return err
	case <-flushing:
	case <-ctx.Done():
	}
	// What writes to a disk that hangs cannot be cancelled, and would keep the
	// process for ever. What it had to write is resolved by the next start.
	hung := time.NewTimer(flushTimeout + time.Second)
	defer hung.Stop()
	select {
	case err := <-ended:
		return err
	case <-hung.C:
		s.log.ErrorContext(ctx, "the ledger could not be closed: the disk does not answer; the next start resolves what is open")
		return fmt.Errorf("stop the ledger: %w", ErrUnavailable)
	}
}

// finish does what Stop does after new holds are refused. It closes flushing
// when it waits for callers no longer.
func (s *Service) finish(ctx context.Context, old state, flushing chan struct{}) error {
	s.sweeping.Wait()
	lanes := s.owned()
	if old == stateServing {
		s.sendHome()
		s.drain(ctx, lanes)
	}
	close(flushing)
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
	if l.lost.Load() {
		return nil // whoever took it over has resolved what was open
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

// manyDirect is how many users with short credits are news.
const manyDirect = 10

// Health returns "ok", "degraded" while endings are in the spool, the database
// is slow or the credits of many users are short, or "down" while new holds are
// not taken, and why.
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
	if s.shared.skewed.Load() {
		return "down", "the clock differs from the database's by more than two seconds"
	}
	if len(lanes) == 0 {
		return "down", "another process has taken over; claiming new lanes"
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
	if age := beatAge(lanes); len(lanes) > 0 && age > 2*s.policy.Beat+time.Second {
		return "degraded", fmt.Sprintf("a lane has written nothing for %s", age.Round(time.Millisecond))
	}
	if direct, all := s.purses.direct(); direct >= manyDirect && direct > all/10 {
		return "degraded", fmt.Sprintf("the credits of %d users are so short that each call leases its own", direct)
	}
	return "ok", ""
}
