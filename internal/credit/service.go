package credit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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
	Node string
	// Offset measures by how much the database's clock is ahead of Now; nil
	// when there is one clock.
	Offset  func(ctx context.Context) (time.Duration, error)
	Records Records
	Box     *seal.Box // seals the key that signs roots; nil where none are signed
	// Spool is the file for endings that the database does not take; empty for
	// none.
	Spool  string
	Policy Policy
}

// Policy are numbers that tests change; zero means the default.
type Policy struct {
	Lanes  int           // writers: 1 on SQLite, 2 on PostgreSQL
	Queue  int           // places in the queue of a lane: 8,192
	Batch  int           // operations in one transaction: 1,024
	Beat   time.Duration // between two signs of life without work: 2 s
	Idle   time.Duration // after which a user's lease is returned: 10 min, or 10 s when shared
	Forget time.Duration // after which an open hold without renewal is resolved: 5 min
	Sweep  time.Duration // between two looks for idle leases and forgotten holds: 15 s, or 2 s when shared

	// Shared says that other processes may serve the same database, as always
	// on PostgreSQL: leases are portions, and come back when another asks.
	Shared   bool
	Poll     time.Duration // between two looks for what others ask: 250 ms
	Answer   time.Duration // how long others have to return their leases: 300 ms
	Deaf     time.Duration // the same where notifications do not arrive: 600 ms
	TakeOver time.Duration // how long another process's beat stands still before it counts as dead: 30 s
	Unseen   time.Duration // a gap between looks at the beats after which the watch begins again: 5 s
	Spool    int           // bytes set aside for endings that the database does not take: 64 MiB
}

func (p Policy) filled(engine sqldb.Engine) Policy {
	lanes, idle, sweep := 1, 10*time.Minute, 15*time.Second
	shared := p.Shared || engine == sqldb.Postgres
	if shared {
		lanes, idle, sweep = 2, 10*time.Second, 2*time.Second
	}
	return Policy{
		Lanes: or(p.Lanes, lanes), Queue: or(p.Queue, 8192), Batch: or(p.Batch, 1024),
		Beat: or(p.Beat, 2*time.Second), Idle: or(p.Idle, idle), Forget: or(p.Forget, 5*time.Minute), Sweep: or(p.Sweep, sweep),
		Shared: shared, Poll: or(p.Poll, 250*time.Millisecond), Answer: or(p.Answer, 300*time.Millisecond),
		Deaf: or(p.Deaf, 600*time.Millisecond), TakeOver: or(p.TakeOver, 30*time.Second), Unseen: or(p.Unseen, 5*time.Second), Spool: or(p.Spool, spoolSize),
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
	shared  sharing
	box     *seal.Box
	rootDay atomic.Int64 // every day up to this one has a root

	open atomic.Pointer[[]*lane] // nil while nothing is admitted

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
		policy: n.Policy.filled(n.DB.Engine()), purses: newPurses(), stopping: make(chan struct{}),
		spoolPath: n.Spool, failed: make(chan error, 1),
	}
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
// changed.
func (s *Service) Start(ctx context.Context) error {
	s.mu.Lock()
	if s.state != stateNew {
		s.mu.Unlock()
		return errors.New("start the ledger: it was started before")
	}
	s.state = stateStarting
	s.mu.Unlock()

	s.measureClock(ctx)
	if err := s.openSpool(); err != nil {
		return fmt.Errorf("start the ledger: %w", err)
	}
	lanes, err := s.openLanes(ctx)
	if err == nil {
		err = s.settleReplayed(ctx, lanes[0])
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
	}
	s.open.Store(&lanes)
	s.sweeping.Go(s.sweep)
	return nil
}

// openLanes claims lanes, starts their writers and resolves what was left in
// them.
func (s *Service) openLanes(ctx context.Context) ([]*lane, error) {
	rows, err := s.claim(ctx)
	if err != nil {
		return nil, err
	}
	lanes := make([]*lane, 0, len(rows))
	for _, r := range rows {
		lanes = append(lanes, s.runLane(ctx, r))
	}
	s.mu.Lock()
	s.lanes = append(s.lanes, lanes...)
	s.mu.Unlock()
	if err := s.recover(ctx, lanes); err != nil {
		giveUp(lanes)
		s.mu.Lock()
		s.lanes = slices.DeleteFunc(slices.Clone(s.lanes), func(l *lane) bool { return slices.Contains(lanes, l) })
		s.mu.Unlock()
		return nil, err
	}
	return lanes, nil
}

// giveUp ends lanes as a crash would.
func giveUp(lanes []*lane) {
	for _, l := range lanes {
		l.abandon()
		<-l.stopped
	}
}

// runLane starts the writer of a lane that is ours.
func (s *Service) runLane(ctx context.Context, r laneRow) *lane {
	l := &lane{
		store: s.store, records: s.records, log: s.log, now: s.now, beat: s.policy.Beat, stats: &s.stats, shared: &s.shared,
		queue: newQueue(s.policy.Queue, s.policy.Batch), fenced: s.fenced, no: r.lane, epoch: r.epoch, head: r.head,
		broken: s.breakDown, spool: s.spool, kill: make(chan struct{}), stopped: make(chan struct{}),
	}
	saved := make(chan struct{})
	l.saved.Store(&saved)
	go l.run(context.WithoutCancel(ctx))
	return l
}

// fenced ends the use of a lane that another process owns now. A process that
// shares the database claims another; else it stops admitting for good.
func (s *Service) fenced(l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.policy.Shared {
		s.open.Store(nil)
		s.state = stateFenced
		return
	}
	s.lanes = without(s.lanes, l)
	if open := s.open.Load(); open != nil {
		left := without(*open, l)
		s.open.Store(&left)
	}
	s.purses.each(func(p *purse) bool { return p.leave(l) })
	s.shared.wantLane()
}

func without(lanes []*lane, l *lane) []*lane {
	return slices.DeleteFunc(slices.Clone(lanes), func(x *lane) bool { return x == l })
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
	return "ok", ""
}
