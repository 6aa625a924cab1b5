package credit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/spool"
)

// spoolSize is what is set aside for endings.
const spoolSize = 64 << 20

// spoolTick is how often the spool looks whether a lane is stuck, or done.
const spoolTick = 250 * time.Millisecond

// spooled is an ending as the spool keeps it. A name, once written, is never
// used for something else.
type spooled struct {
	Ref    string          `json:"ref"`
	User   string          `json:"user"`
	Price  int64           `json:"price"`
	Ending Ending          `json:"ending"`
	Record json.RawMessage `json:"record,omitempty"`
}

// encodeSpooled returns h's ending as a record of the spool.
func encodeSpooled(h *Hold, e *ending) ([]byte, error) {
	s := spooled{Ref: h.ref, User: h.purse.user, Price: e.price, Ending: e.cause}
	if e.record != nil {
		journal, err := e.record.Journal()
		if err != nil {
			return nil, fmt.Errorf("spool %s: %w", h.ref, err)
		}
		s.Record = journal
	}
	return json.Marshal(s)
}

// decodeSpooled reads what encodeSpooled wrote.
func decodeSpooled(b []byte) (spooled, error) {
	var s spooled
	if err := json.Unmarshal(b, &s); err != nil {
		return spooled{}, fmt.Errorf("not an ending: %w", err)
	}
	if s.Ref == "" || len(s.Ref) > maxRef || s.User == "" || s.Price < 0 || s.Ending == "" {
		return spooled{}, errors.New("not an ending: a field is missing or out of its range")
	}
	return s, nil
}

// spooler keeps the endings of lanes whose database takes none in a file,
// until it has taken them. A nil one keeps nothing.
type spooler struct {
	file *spool.File
	// durable: gate B opens on the file. Nobody but this installation's next
	// start can resolve the holds of a SQLite database.
	durable bool
	service *Service

	mu      sync.Mutex
	pending []pending    // guarded by mu: in the file, and not known to be in the database
	full    bool         // guarded by mu: the file has had no room
	closed  bool         // guarded by mu
	waiting atomic.Int64 // len(pending)

	wake, stop, stopped chan struct{}
	stopOnce            sync.Once
}

// pending is an ending in a lane's queue.
type pending struct {
	hold  *Hold
	end   *ending
	group *group
}

// settled reports whether the database has taken p, or has refused it for good,
// or another node has resolved it.
func (p pending) settled() bool {
	select {
	case <-p.group.done:
		return !errors.Is(p.end.err, errKilled)
	default:
		return false
	}
}

func newSpooler(s *Service, f *spool.File, durable bool) *spooler {
	return &spooler{
		file: f, durable: durable, service: s,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
}

// run looks at the lanes until end.
func (s *spooler) run() {
	defer close(s.stopped)
	tick := time.NewTicker(spoolTick)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.wake:
		case <-tick.C:
		}
		s.pass(false)
	}
}

// poke makes s look now.
func (s *spooler) poke() {
	if s == nil {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// pass forgets what the database has taken and keeps what it does not take:
// the endings of lanes that are stuck, or of all.
func (s *spooler) pass(all bool) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.forget()
	now := s.service.now().UnixMicro()
	for _, l := range s.service.owned() {
		if all || l.refusal(now) != nil {
			s.keep(l)
		}
	}
	s.waiting.Store(int64(len(s.pending)))
}

// forget empties the file when the database has taken all that is in it. s.mu
// is held.
func (s *spooler) forget() {
	if len(s.pending) == 0 {
		return
	}
	s.pending = slices.DeleteFunc(s.pending, pending.settled)
	if len(s.pending) > 0 {
		return
	}
	s.pending, s.full = nil, false
	if err := s.file.Reset(); err != nil {
		s.fail(err)
		return
	}
	s.service.log.Info("the database has taken every ending of the spool")
}

// keep puts the endings that wait in l into the file. s.mu is held.
func (s *spooler) keep(l *lane) {
	var records [][]byte
	var ends []pending
	for _, p := range l.queue.endings() {
		if p.end.spooled || !p.hold.Committed() {
			continue // what has no hold in the database was not promised to anybody
		}
		b, err := encodeSpooled(p.hold, p.end)
		if err != nil {
			s.service.log.Error("an ending is kept in memory only", "call", p.hold.ref, "err", err)
			continue
		}
		records, ends = append(records, b), append(ends, p)
	}
	if len(records) == 0 {
		return
	}
	n, err := s.file.Append(records)
	for _, p := range ends[:n] {
		p.end.spooled = true
		p.end.saved.Store(s.durable)
	}
	if len(s.pending) == 0 && n > 0 {
		s.service.log.Warn("the database does not take endings; they go to the spool", "lane", l.no)
	}
	s.pending = append(s.pending, ends[:n]...)
	s.service.stats.spooled.Add(int64(n))
	if s.durable {
		l.announce()
	}
	switch {
	case errors.Is(err, spool.ErrFull):
		if !s.full {
			s.service.log.Error("the spool is full; endings wait in memory", "endings", len(ends)-n)
		}
		s.full = true
	case err != nil:
		s.fail(err)
	}
}

// fail gives the file up. s.mu is held.
func (s *spooler) fail(err error) {
	s.closed = true
	if s.durable {
		s.service.breakDown(err)
		return
	}
	s.service.log.Error("the spool cannot be written; endings wait in memory", "err", err)
}

// end closes the file. What is in it stays, unless the database has taken all.
func (s *spooler) end(ctx context.Context) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	if !s.closed {
		s.forget()
	}
	if len(s.pending) > 0 {
		s.service.log.WarnContext(ctx, "endings stay in the spool for the next start", "endings", len(s.pending))
	}
	s.mu.Unlock()
	return s.leave()
}

// leave closes the file as it is.
func (s *spooler) leave() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stopOnce.Do(func() { close(s.stop) })
	<-s.stopped
	return s.file.Close()
}

// usage returns how many endings are in the file, and of how many bytes.
func (s *spooler) usage() (endings, bytes int64) {
	if s == nil {
		return 0, 0
	}
	return s.waiting.Load(), s.file.Used()
}

// outcome turns r back into what a caller settled.
func (s *Service) outcome(r spooled) (Outcome, error) {
	o := Outcome{Price: money.Credits(r.Price), Ending: r.Ending}
	if len(r.Record) == 0 {
		return o, nil
	}
	record, err := s.records.Restore(r.Record)
	if err != nil {
		return Outcome{}, fmt.Errorf("restore the usage record of %s: %w", r.Ref, err)
	}
	o.Record = record
	return o, nil
}
