package credit

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// channel carries the hints between the processes that share a database: kind,
// sender and user, separated by bars.
const channel = "rephlo_credit"

// Kinds of hints.
const (
	hintRecall   = "recall"   // somebody lacks credits of this user
	hintGrant    = "grant"    // the user's grants have changed
	hintReturned = "returned" // a lease of the user went home
)

const (
	maxSkew    = 2 * time.Second // between our clock and the database's
	clockEvery = time.Minute
	// recallKept is how long a recall stays for those that do not hear.
	recallKept = 10 * time.Second
)

// sharing is what a process knows of the others on its database.
type sharing struct {
	self   string       // names this process to the others
	live   atomic.Int64 // processes that serve, with this one
	offset atomic.Int64 // nanoseconds that the database's clock is ahead
	skewed atomic.Bool  // by too much: nothing is admitted
	clock  func(ctx context.Context) (time.Duration, error)
	wanted chan struct{} // a lane was lost

	listener *sqldb.Listener // set before anything is admitted

	mu    sync.Mutex
	lates map[string]late // guarded by mu, by call
}

func (s *sharing) init(clock func(ctx context.Context) (time.Duration, error)) {
	s.self, s.clock, s.wanted, s.lates = rand.Text(), clock, make(chan struct{}, 1), map[string]late{}
	s.live.Store(1)
}

func (s *sharing) wantLane() {
	select {
	case s.wanted <- struct{}{}:
	default:
	}
}

// share listens to the other processes, looks after their beats and claims
// lanes anew, until Stop.
func (s *Service) share() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer s.shared.listener.Close()
	go func() {
		<-s.stopping
		cancel()
	}()
	tick := time.NewTicker(s.policy.Poll)
	defer tick.Stop()
	var (
		seen    = recalls{}
		watch   = watch{lanes: map[int64]sighting{}}
		clock   = monotonic()
		observe = monotonic()
	)
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.shared.wanted:
		case <-tick.C:
		}
		s.reclaim(ctx)
		soon(ctx, func(ctx context.Context) {
			s.readRecalls(ctx, seen)
			s.settleLates(ctx)
		})
		if now := monotonic(); now-observe >= min(time.Second, s.policy.TakeOver/4) {
			observe = now
			s.observe(ctx, &watch)
		}
		if now := monotonic(); now-clock >= clockEvery {
			clock = now
			soon(ctx, s.measureClock)
		}
	}
}

// started is the zero of monotonic.
var started = time.Now() //nolint:forbidigo // how long something lasts, whatever the clocks say

// monotonic is the time of this process alone; no change of a clock moves it.
func monotonic() time.Duration { return time.Since(started) }

// reclaim opens lanes in the place of those that were lost.
func (s *Service) reclaim(ctx context.Context) {
	s.mu.Lock()
	missing := s.policy.Lanes - len(s.lanes)
	s.mu.Unlock()
	if missing <= 0 {
		return
	}
	lanes, err := s.openLanes(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.log.WarnContext(ctx, "no new lane of the ledger; trying again with the next look", "err", err)
		}
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != stateServing {
		return
	}
	all := lanes
	if open := s.open.Load(); open != nil {
		all = append(without(*open, nil), lanes...)
	}
	s.open.Store(&all)
}

// measureClock notes how far our clock is from the database's. A process that
// is too far off admits nothing: what it wrote would bear a wrong time.
func (s *Service) measureClock(ctx context.Context) {
	if s.shared.clock == nil {
		return
	}
	d, err := s.shared.clock(ctx)
	if err != nil {
		return // the lanes notice when the database is away
	}
	skewed := d.Abs() > maxSkew
	if was := s.shared.skewed.Swap(skewed); was != skewed {
		s.log.WarnContext(ctx, "this machine's clock and the database's differ", "offset", d, "admitting", !skewed)
	}
	if !skewed {
		s.shared.offset.Store(int64(d))
	}
}

// hint tells the other processes something about a user, with the transaction
// in ctx.
func (s store) hint(ctx context.Context, kind, self, user string) error {
	return s.db.Notify(ctx, channel, kind+"|"+self+"|"+user)
}

// hear is told what another process, or this one, has notified.
func (s *Service) hear(payload string) {
	kind, rest, _ := strings.Cut(payload, "|")
	from, user, ok := strings.Cut(rest, "|")
	if !ok || from == s.shared.self {
		return
	}
	if p := s.purses.find(user); p != nil {
		p.heard(kind)
	}
}

// heard reacts to a hint: what is free goes home when somebody asks for it or
// when the grants have changed, and who waits looks again.
func (p *purse) heard(kind string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wake()
	if kind == hintReturned {
		return
	}
	p.direct = p.direct || kind == hintRecall
	p.cut = false
	if p.round != nil {
		p.round.recalled = true
		return
	}
	p.bring()
}

// bring returns what is free. p.mu is held.
func (p *purse) bring() {
	if p.round != nil || !p.lent {
		return
	}
	for i := range p.leases {
		if p.leases[i].free > 0 {
			p.startReturn()
			return
		}
	}
	for _, a := range p.caps {
		if a.idle() > 0 {
			p.startReturn()
			return
		}
	}
}

// sendHome returns what no hold keeps, and what open holds return as soon as
// they do: this process will not spend it any more, and others may need it.
func (s *Service) sendHome() {
	if !s.policy.Shared {
		return
	}
	s.purses.each(func(p *purse) bool {
		p.heard(hintRecall)
		return false
	})
}

// wake lets the calls look again that wait for other processes. p.mu is held.
func (p *purse) wake() {
	if p.news != nil {
		close(p.news)
		p.news = nil
	}
}

// leave puts p away when its lane is l. It returns whether it did.
func (p *purse) leave(l *lane) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lane != l {
		return false
	}
	p.gone = true
	p.wake()
	return true
}
