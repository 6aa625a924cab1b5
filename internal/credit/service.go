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
	Policy  Policy
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
}

func (p Policy) filled(engine sqldb.Engine) Policy {
	lanes := 2
	if engine == sqldb.SQLite {
		lanes = 1
	}
	return Policy{
		Lanes: or(p.Lanes, lanes), Queue: or(p.Queue, 8192), Batch: or(p.Batch, 1024),
		Beat: or(p.Beat, 2*time.Second), Watch: or(p.Watch, 2500*time.Millisecond), Idle: or(p.Idle, 10*time.Minute),
		Forget: or(p.Forget, 5*time.Minute), Sweep: or(p.Sweep, 15*time.Second),
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
	stateStopped
)

// New returns a Service that answers ErrUnavailable until Start has returned.
// What reads and grants works at once.
func New(n Needs) *Service {
	return &Service{
		db: n.DB, store: newStore(n.DB), log: n.Log, now: n.Now, node: n.Node, records: n.Records, box: n.Box,
		policy: n.Policy.filled(n.DB.Engine()), purses: newPurses(), stopping: make(chan struct{}),
	}
}

// stats count what somebody should know about.
type stats struct {
	batches, operations, refused, fenced, forgotten, orphans, overruns atomic.Int64
}

// Stats are counters since the start, and how much waits.
type Stats struct {
	Batches, Operations int64 // written
	Refused             int64 // operations that would have broken an invariant
	Fenced              int64 // lanes lost to another process
	Forgotten, Orphans  int64 // holds resolved without their caller: in this process, after a dead one
	Overruns            int64 // calls that cost more than was held
	Queued, Open        int   // operations that wait, holds without an ending
}

// Stats returns the counters.
func (s *Service) Stats() Stats {
	out := Stats{
		Batches: s.stats.batches.Load(), Operations: s.stats.operations.Load(), Refused: s.stats.refused.Load(),
		Fenced: s.stats.fenced.Load(), Forgotten: s.stats.forgotten.Load(), Orphans: s.stats.orphans.Load(),
		Overruns: s.stats.overruns.Load(),
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

	rows, err := s.claim(ctx)
	if err != nil {
		return fmt.Errorf("start the ledger: %w", err)
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
	if err := s.recover(ctx, lanes); err != nil {
		for _, l := range lanes {
			l.abandon()
			<-l.stopped
		}
		return fmt.Errorf("start the ledger: %w", err)
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
	return &lane{
		store: s.store, records: s.records, log: s.log, now: s.now, beat: s.policy.Beat, stats: &s.stats,
		queue: newQueue(s.policy.Queue, s.policy.Batch), fenced: s.fenced, no: r.lane, epoch: r.epoch, head: r.head,
		kill: make(chan struct{}), stopped: make(chan struct{}),
	}
}

// fenced stops admission for good: another process owns a lane of ours.
func (s *Service) fenced() {
	s.open.Store(nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = stateFenced
}

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
	return errors.Join(errs...)
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

// Health returns "ok" or "down", and why new holds are not taken.
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
	case stateServing:
	}
	for _, l := range lanes {
		if err := l.refusal(s.now().UnixMicro()); errors.Is(err, ErrStorageFull) {
			return "down", "the disk is full"
		} else if err != nil {
			return "down", "the database does not take batches"
		}
	}
	return "ok", ""
}
