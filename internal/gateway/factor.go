package gateway

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/rephlo/rephlo/internal/money"
)

// Factors by which bounds are raised, in basis points.
const (
	factorOne = 10_000
	// factorMost keeps a vendor that counts wrongly from making its model
	// unaffordable.
	factorMost = 4 * factorOne
)

// shortfalls know by how much calls of a model have cost more than was held, at
// the most, so that the next holds of it are enough. Each process learns it
// anew.
type shortfalls struct {
	any     atomic.Bool // there is one: what nearly every call asks
	mu      sync.RWMutex
	factors map[string]int64 // guarded by mu, by model
}

// factor returns by what the bound of a model is multiplied, in basis points.
func (s *shortfalls) factor(model string) int64 {
	if !s.any.Load() {
		return factorOne
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return max(s.factors[model], factorOne)
}

// note raises the factor of a model after a call that cost price, for which held
// was set aside with the factor used.
func (s *shortfalls) note(model string, price, held money.Credits, used int64) {
	f := min(raised(price, used, int64(held)), factorMost)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.factors == nil {
		s.factors = map[string]int64{}
	}
	s.factors[model] = max(s.factors[model], f)
	s.any.Store(true)
}

// raised is amount times over, divided by under and rounded up; what does not
// fit is the largest amount.
func raised(amount money.Credits, over, under int64) int64 {
	hi, lo := bits.Mul64(uint64(amount), uint64(over)) //nolint:gosec // neither is negative
	lo, carry := bits.Add64(lo, uint64(under-1), 0)    //nolint:gosec // under is above zero
	if hi += carry; hi >= uint64(under) {              //nolint:gosec // as above
		return int64(money.MaxTransfer)
	}
	q, _ := bits.Div64(hi, lo, uint64(under)) //nolint:gosec // as above
	return int64(min(q, uint64(money.MaxTransfer)))
}

// raise is the bound b of a model with its factor.
func raise(b money.Credits, factor int64) money.Credits {
	if factor == factorOne {
		return b
	}
	return money.Credits(raised(b, factor, factorOne))
}

// lowered is what of room is there for a bound that will be raised.
func lowered(room money.Credits, factor int64) money.Credits {
	if factor == factorOne {
		return room
	}
	return room / money.Credits(factor) * factorOne
}
