package capture

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/obs"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
)

const (
	maxText    = 256 << 10 // of a request, and of an answer
	maxWaiting = 32 << 20  // bytes in the queue
	maxCalls   = 4096      // in the queue
	batch      = 32        // rows of a transaction
	patience   = 5 * time.Second
	swept      = 1000 // rows of a transaction
)

// Call is what a call has that ended. Its bytes belong to the queue.
type Call struct {
	ID, RequestID, UserID, KeyID, ModelID, Operation string
	At                                               time.Time
	RequestType                                      string // media type
	Request                                          []byte
	AnswerType                                       string
	Answer                                           []byte
	AnswerSize                                       int64  // of all of it, when Answer is only the beginning
	Error                                            string // code of a call that failed
}

// size is what c takes in the queue.
func (c *Call) size() int64 { return int64(len(c.Request) + len(c.Answer)) }

// Needs is what a Service works with.
type Needs struct {
	DB    *sqldb.DB
	Box   *seal.Box
	Audit *audit.Log
	Log   *slog.Logger
	Now   func() time.Time
	// On says whether the operator allows it now; from memory.
	On func() bool
	// Keep says for how long rows are kept.
	Keep func() time.Duration
}

// Service keeps payloads. It is safe for concurrent use.
type Service struct {
	needs   Needs
	store   store
	queue   chan Call
	waiting atomic.Int64 // bytes in the queue

	kept, dropped, failed atomic.Int64
}

// New returns a Service whose queue is emptied by Run.
func New(n Needs) *Service {
	return &Service{needs: n, store: store{n.DB}, queue: make(chan Call, maxCalls)}
}

// Observe counts what becomes of payloads.
func (s *Service) Observe(m *obs.Metrics) {
	m.Counter("captures_total", "Calls whose payloads were to be kept, by what became of them.", []string{"result"}, func(emit obs.Emit) {
		emit(float64(s.kept.Load()), "kept")
		emit(float64(s.dropped.Load()), "dropped")
		emit(float64(s.failed.Load()), "failed")
	})
}

// On reports whether payloads may be kept now.
func (s *Service) On() bool { return s.needs.On() }

// Offer gives a call to the queue and waits for nothing. One that does not fit
// is dropped.
func (s *Service) Offer(c Call) {
	size := c.size()
	if s.waiting.Add(size) > maxWaiting {
		s.waiting.Add(-size)
		s.dropped.Add(1)
		return
	}
	select {
	case s.queue <- c:
	default:
		s.waiting.Add(-size)
		s.dropped.Add(1)
	}
}

// Run stores what is in the queue until ctx ends, and then what is left.
func (s *Service) Run(ctx context.Context) {
	for {
		select {
		case c := <-s.queue:
			s.keep(ctx, c)
		case <-ctx.Done():
			for {
				select {
				case c := <-s.queue:
					s.keep(ctx, c)
				default:
					return
				}
			}
		}
	}
}

// keep stores c and what else is there, in one transaction.
func (s *Service) keep(ctx context.Context, c Call) {
	calls := []Call{c}
	for len(calls) < batch {
		select {
		case next := <-s.queue:
			calls = append(calls, next)
			continue
		default:
		}
		break
	}
	// Not ctx: the last ones are stored when it has ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	err := s.needs.DB.InTx(ctx, func(ctx context.Context) error {
		for i := range calls {
			if err := s.add(ctx, &calls[i]); err != nil {
				return err
			}
		}
		return nil
	})
	for i := range calls {
		s.waiting.Add(-calls[i].size())
	}
	if err != nil {
		s.failed.Add(int64(len(calls)))
		s.needs.Log.WarnContext(ctx, "payloads not kept", "calls", len(calls), "err", err)
		return
	}
	s.kept.Add(int64(len(calls)))
}

// Payload is what is sealed of a call.
type Payload struct {
	RequestType string `json:"requestType"`
	Request     string `json:"request"`
	RequestCut  bool   `json:"requestCut"`
	AnswerType  string `json:"answerType"`
	Answer      string `json:"answer"`
	AnswerCut   bool   `json:"answerCut"`
	Error       string `json:"error"`
}

func (s *Service) add(ctx context.Context, c *Call) error {
	p := Payload{RequestType: c.RequestType, AnswerType: c.AnswerType, Error: c.Error}
	p.Request, p.RequestCut = text(c.RequestType, c.Request, maxText)
	p.Answer, p.AnswerCut = text(c.AnswerType, c.Answer, maxText)
	p.AnswerCut = p.AnswerCut || c.AnswerSize > int64(len(c.Answer))
	plain, err := json.Marshal(p)
	if err != nil {
		return err
	}
	sealed, err := s.needs.Box.Seal(plain, place(c.ID))
	if err != nil {
		return err
	}
	return s.store.add(ctx, Row{
		ID: c.ID, RequestID: c.RequestID, UserID: c.UserID, KeyID: c.KeyID, ModelID: c.ModelID, Operation: c.Operation, At: c.At,
		RequestSize: int64(len(c.Request)), AnswerSize: max(c.AnswerSize, int64(len(c.Answer))),
	}, sealed)
}

// place is what the payload of a call is sealed for.
func place(id string) string { return "capture_call|sealed|" + id }

// List returns up to limit of a user's payloads, the newest first, that are
// older than the one with the id before; "" begins at the newest. An empty key
// is all keys.
func (s *Service) List(ctx context.Context, userID, keyID, before string, limit int) ([]Row, error) {
	rows, err := s.store.list(ctx, userID, keyID, before, limit)
	return rows, unavailable(err)
}

// Read returns a user's payload and remembers who reads it and why. One that is
// not there is fault.ErrNotFound.
func (s *Service) Read(ctx context.Context, userID, id, reason string) (r Row, p Payload, err error) {
	err = s.needs.DB.InTx(ctx, func(ctx context.Context) error {
		var sealed []byte
		if r, sealed, err = s.store.one(ctx, userID, id); err != nil {
			return err
		}
		if p, err = s.open(id, sealed); err != nil {
			return err
		}
		return s.needs.Audit.Write(ctx, audit.Change{Action: "captures.read", Type: "call", ID: id, Reason: reason, After: map[string]any{"userId": userID}})
	})
	return r, p, unavailable(err)
}

func (s *Service) open(id string, sealed []byte) (p Payload, err error) {
	plain, err := s.needs.Box.Open(sealed, place(id))
	if err != nil {
		return p, err
	}
	return p, json.Unmarshal(plain, &p)
}

// Delete removes a user's payload, with an empty id all of them. None that is
// there is fault.ErrNotFound for one, and fine for all.
func (s *Service) Delete(ctx context.Context, userID, id string) error {
	n, err := s.store.remove(ctx, userID, id)
	if err == nil && n == 0 && id != "" {
		return fault.ErrNotFound
	}
	return unavailable(err)
}

// Sweep removes what has been kept for long enough.
func (s *Service) Sweep(ctx context.Context) error {
	before := s.needs.Now().Add(-s.needs.Keep())
	for {
		n, err := s.store.sweep(ctx, before, swept)
		if err != nil || n < swept {
			return err
		}
	}
}

func unavailable(err error) error {
	if sqldb.IsUnavailable(err) {
		return fault.ErrUnavailable.Because(err)
	}
	return err
}
