package job

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Policy are numbers that tests change; zero means the default.
type Policy struct {
	Claim  time.Duration // how long a process that is silent keeps a task: 30 s
	Poll   time.Duration // between two looks for work of other processes: 1 s
	AtOnce int           // tasks under way in this process: 8
}

// What is kept of tasks that have ended.
const (
	keepDone = 7 * 24 * time.Hour
	keepDead = 90 * 24 * time.Hour
)

// Needs is what New takes.
type Needs struct {
	DB     *sqldb.DB
	Log    *slog.Logger
	Now    func() time.Time
	Node   string // names this process among others
	Policy Policy
}

// Service keeps tasks and does those of the kinds that this process handles.
// Enqueue works without Start, for processes that only cause work. All its
// methods are safe for concurrent use.
type Service struct {
	store  store
	db     *sqldb.DB
	log    *slog.Logger
	now    func() time.Time
	node   string
	policy Policy

	wake   chan struct{}
	cancel context.CancelFunc // ends the loop
	abort  context.CancelFunc // ends the handlers
	loop   sync.WaitGroup
	tasks  sync.WaitGroup

	mu      sync.Mutex
	kinds   map[string]*kind // guarded by mu, and so are their counters
	running int              // guarded by mu
	tally   map[string]Tally // guarded by mu: at the last look
	failed  map[string]int64 // guarded by mu: attempts that failed, by kind
}

// New returns a Service that does nothing yet.
func New(n Needs) *Service {
	p := n.Policy
	if p.Claim == 0 {
		p.Claim = 30 * time.Second
	}
	if p.Poll == 0 {
		p.Poll = time.Second
	}
	if p.AtOnce == 0 {
		p.AtOnce = 8
	}
	s := &Service{
		store: store{n.DB}, db: n.DB, log: n.Log, now: n.Now, node: n.Node + "/" + id.New("run", n.Now()), policy: p,
		wake: make(chan struct{}, 1), kinds: map[string]*kind{}, tally: map[string]Tally{}, failed: map[string]int64{},
	}
	s.Schedule("job.cleanup", Every{Period: time.Hour, Offset: 17 * time.Minute}, s.sweep)
	return s
}

// Handle says how tasks of a kind, "slice.verb", are done in this process.
func (s *Service) Handle(name string, do Handler, o Options) {
	s.add(&kind{name: name, do: do, options: o.filled()})
}

// Schedule has do run in one process whenever e is due. A run that fails is
// tried twice more, within the period.
func (s *Service) Schedule(name string, e Every, do func(ctx context.Context) error) {
	pause := min(e.Period/8, 5*time.Minute)
	s.add(&kind{
		name: name, schedule: e, do: func(ctx context.Context, _ Task) error { return do(ctx) },
		options: Options{Attempts: 3, Pause: func(int) time.Duration { return pause }, AtOnce: 1},
	})
}

func (s *Service) add(k *kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kinds[k.name] = k
}

// kind returns what this process knows of a kind; nil is nothing.
func (s *Service) kind(name string) *kind {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kinds[name]
}

// known lists the kinds by name.
func (s *Service) known() []*kind {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*kind
	for _, name := range slices.Sorted(maps.Keys(s.kinds)) {
		out = append(out, s.kinds[name])
	}
	return out
}

// Order asks for work. The zero values of Key and At mean a task of its own,
// now.
type Order struct {
	Kind     string
	Argument any       // becomes JSON
	Key      string    // of the effect: a second order with it does nothing
	At       time.Time // not before
}

// Enqueue writes a task in the transaction that ctx carries, if there is one.
// It works for kinds that only other processes handle.
func (s *Service) Enqueue(ctx context.Context, o Order) error {
	argument, err := json.Marshal(o.Argument)
	if err != nil {
		return fmt.Errorf("enqueue %s: %w", o.Kind, err)
	}
	t := s.task(o.Kind, o.Key, o.At)
	t.Argument = argument
	added, err := s.store.add(ctx, t, s.now())
	if err != nil || !added {
		return err
	}
	s.db.AfterCommit(ctx, s.nudge)
	return nil
}

func (s *Service) task(kind, key string, at time.Time) Task {
	now := s.now()
	t := Task{ID: id.New("job", now), Kind: kind, Key: key, Argument: json.RawMessage("null"), DueAt: at}
	if key == "" {
		t.Key = t.ID
	}
	if at.IsZero() {
		t.DueAt = now
	}
	return t
}

// nudge has the loop look for work at once.
func (s *Service) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Start looks for work until Stop.
func (s *Service) Start(ctx context.Context) {
	base := context.WithoutCancel(ctx)
	loop, cancel := context.WithCancel(base)
	tasks, abort := context.WithCancel(base)
	s.cancel, s.abort = cancel, abort
	s.loop.Go(func() { s.run(loop, tasks) })
}

// Stop claims no more tasks and waits for those under way; when ctx ends they
// are cut off and given back. It may be called twice, and without Start.
func (s *Service) Stop(ctx context.Context) {
	if s.cancel == nil {
		return
	}
	s.cancel()
	s.loop.Wait()
	defer context.AfterFunc(ctx, s.abort)()
	s.tasks.Wait()
	s.abort()
}

// Status is what administrators see of one kind.
type Status struct {
	Name     string
	Schedule Every     // zero: on demand
	NextAt   time.Time // zero: on demand
	Last     *Run      // the newest, if any
	Tally
}

// Tally counts tasks of one kind.
type Tally struct {
	Waiting, Dead int
	Lag           time.Duration // how long the oldest due task has waited
}

// Statuses lists the kinds that this process handles, by name.
func (s *Service) Statuses(ctx context.Context) ([]Status, error) {
	now := s.now()
	tally, err := s.store.tally(ctx, now)
	if err != nil {
		return nil, err
	}
	var out []Status
	for _, k := range s.known() {
		st := Status{Name: k.name, Schedule: k.schedule, Tally: tally[k.name]}
		if e := st.Schedule; e.Period > 0 {
			st.NextAt = e.Last(now).Add(e.Period)
		}
		last, err := s.store.runs(ctx, k.name, "", "", 1, now)
		if err != nil {
			return nil, err
		}
		if len(last) > 0 {
			st.Last = &last[0]
		}
		out = append(out, st)
	}
	return out, nil
}

// Runs lists the tasks of a kind, newest first: up to limit, in the given state
// if any, before the id if any. ErrUnknown when nobody here handles the kind.
func (s *Service) Runs(ctx context.Context, kind string, state State, before string, limit int) ([]Run, error) {
	if s.kind(kind) == nil {
		return nil, ErrUnknown
	}
	return s.store.runs(ctx, kind, state, before, limit, s.now())
}

// RunNow enqueues a run of a schedule. ErrUnknown when it is none; ErrRunning
// while a run has not ended.
func (s *Service) RunNow(ctx context.Context, name string) (Run, error) {
	k := s.kind(name)
	if k == nil || k.schedule.Period == 0 {
		return Run{}, ErrUnknown
	}
	t := s.task(name, "", time.Time{})
	added, err := s.store.addRun(ctx, t, s.now())
	if err != nil {
		return Run{}, err
	}
	if !added {
		return Run{}, ErrRunning
	}
	s.db.AfterCommit(ctx, s.nudge)
	return s.store.byID(ctx, t.ID, s.now())
}

// Retry has a dead task tried again, as if it were new. ErrNotDead when it is
// not dead, ErrUnknown when there is none.
func (s *Service) Retry(ctx context.Context, taskID string) (Run, error) {
	revived, err := s.store.revive(ctx, taskID, s.now())
	if err != nil {
		return Run{}, err
	}
	r, err := s.store.byID(ctx, taskID, s.now())
	if err != nil {
		return Run{}, err
	}
	if !revived {
		return Run{}, ErrNotDead
	}
	s.db.AfterCommit(ctx, s.nudge)
	return r, nil
}

func (s *Service) sweep(ctx context.Context) error {
	now := s.now()
	if err := s.store.sweep(ctx, Done, now.Add(-keepDone)); err != nil {
		return err
	}
	return s.store.sweep(ctx, Dead, now.Add(-keepDead))
}
