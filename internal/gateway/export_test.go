package gateway

import (
	"github.com/rephlo/rephlo/internal/capture"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/obs"
)

// Trace sends the spans of calls to t; before the first call.
func (s *Service) Trace(t *obs.Tracer) { s.needs.Tracer = t }

// WithCredits is withCredits for a charge that is durable.
func WithCredits(body []byte, charged, remaining money.Credits) []byte {
	return withCredits(body, receipt{charged, remaining, true})
}

// WithStreamCredits is withStreamCredits for a charge that is durable.
func WithStreamCredits(events []byte, charged, remaining money.Credits) []byte {
	return withStreamCredits(events, receipt{charged, remaining, true})
}

// TakeBodies takes n bytes of the body budget and returns what gives them back.
func (s *Service) TakeBodies(n int64) (give func(), ok bool) {
	return func() { s.bodies.give(n) }, s.bodies.try(n)
}

// Bodies returns how many bytes of the budget are taken.
func (s *Service) Bodies() int64 { return s.bodies.used.Load() }

// HoldFirst lets vendors wait for gate A; before the first call.
func (s *Service) HoldFirst() { s.needs.HoldFirst = true }

// Paths returns the paths of all operations.
func Paths() []string {
	out := make([]string, len(operations))
	for i, op := range operations {
		out[i] = op.path
	}
	return out
}

// ForgetShortfalls forgets which models have cost more than was held.
func (s *Service) ForgetShortfalls() {
	s.short.mu.Lock()
	defer s.short.mu.Unlock()
	clear(s.short.factors)
}

// Lowered and Raise are lowered and raise.
func Lowered(room money.Credits, factor int64) money.Credits { return lowered(room, factor) }

// Raise is raise.
func Raise(b money.Credits, factor int64) money.Credits { return raise(b, factor) }

// ChargeKept says whether answers that are given again cost anything; before the
// first call.
func (s *Service) ChargeKept(f func() bool) { s.needs.ChargeKept = f }

// CallsTools is callsTools.
func CallsTools(answer []byte) bool { return callsTools(answer) }

// Capture lets c keep what is asked and answered; before the first call.
func (s *Service) Capture(c *capture.Service) { s.needs.Captures = c }

// Load lets p load images while on says so; between calls.
func (s *Service) Load(p Pictures, on func() bool) { s.needs.Pictures, s.needs.FetchImages = p, on }

// NewCounted returns what raises a counter of two labels, of which the first may
// have most values.
func NewCounted(m *obs.Metrics, name string, most int) func(a, b string) {
	c := &counted{bounds: [3]int{most}}
	m.Counter(name, "Help.", []string{"a", "b"}, c.emit(2))
	return func(a, b string) { c.one(labels{a: a, b: b}) }
}

// Places sets how many calls there may be at once.
func (s *Service) Places(n int64) { s.turns.Adapt(0, n) }

// Turns returns how many calls have a place, and how many wait for one.
func (s *Service) Turns() (running, waiting int64) { return s.turns.Running(), s.turns.Waiting() }
