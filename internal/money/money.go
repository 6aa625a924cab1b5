// Package money holds quantities of value as integers and the rules by which
// they are rounded. Nothing here is a floating-point number.
//
// Credits are what people spend: millionths of a credit in an int64. Prices
// are what vendors ask: micro-dollars for a million units. A quantity times a
// price is exactly pico-dollars, without a division, so a whole call is priced
// with one division and one rounding.
package money

import (
	"bytes"
	"errors"
	"math"
	"math/big"
	"math/bits"
	"strconv"
)

// Credits is an amount of credits in millionths (µcr).
type Credits int64

// Credit is one whole credit.
const Credit Credits = 1_000_000

// MaxTransfer is the most that one transfer may move: a billion credits.
const MaxTransfer = 1_000_000_000 * Credit

// ErrRange says that a result does not fit; nothing was rounded or clamped.
var ErrRange = errors.New("amount out of range")

// String formats c in whole credits, exactly, e.g. "1.25".
func (c Credits) String() string {
	var b [24]byte
	return string(c.append(b[:0]))
}

// MarshalJSON writes c as a JSON number of whole credits with at most six
// decimals, printed from the integer without rounding.
func (c Credits) MarshalJSON() ([]byte, error) { return c.append(nil), nil }

func (c Credits) append(b []byte) []byte {
	u := uint64(c) //nolint:gosec // two's complement is what is wanted
	if c < 0 {
		b = append(b, '-')
		u = -u
	}
	b = strconv.AppendUint(b, u/1_000_000, 10)
	part := u % 1_000_000
	if part == 0 {
		return b
	}
	var scratch [7]byte
	digits := strconv.AppendUint(scratch[:0], 1_000_000+part, 10) // 1dddddd
	b = append(b, '.')
	return append(b, bytes.TrimRight(digits[1:], "0")...)
}

// Price is micro-dollars for a million units of something (µ$/M).
type Price int64

// Cost is an exact sum of quantities times prices, in pico-dollars. It has 128
// bits, so no sum of a call's classes can overflow it. The zero Cost is ready
// to use.
type Cost struct{ hi, lo uint64 }

// Add returns c plus quantity units at price. Neither may be negative.
func (c Cost) Add(quantity int64, price Price) (Cost, error) {
	if quantity < 0 || price < 0 {
		return Cost{}, ErrRange
	}
	hi, lo := bits.Mul64(uint64(quantity), uint64(price))
	var carry uint64
	c.lo, carry = bits.Add64(c.lo, lo, 0)
	c.hi, carry = bits.Add64(c.hi, hi, carry)
	if carry != 0 {
		return Cost{}, ErrRange
	}
	return c, nil
}

// Zero reports whether c is nothing.
func (c Cost) Zero() bool { return c.hi == 0 && c.lo == 0 }

// Pico returns c in pico-dollars, or ErrRange when an int64 cannot hold it.
func (c Cost) Pico() (int64, error) {
	if c.hi != 0 || c.lo > math.MaxInt64 {
		return 0, ErrRange
	}
	return int64(c.lo), nil
}

// Terms turn a cost into credits. They are fixed for a call when it is
// admitted.
type Terms struct {
	Multiplier  int64   // basis points: 10,000 is the vendor's price
	CreditValue int64   // micro-dollars that one credit is worth
	Increment   Credits // charges are whole multiples of it
}

// Charge returns ceil(c x multiplier / (10,000 x credit value x increment)) x
// increment: one division, one rounding, up. A cost above zero is charged at
// least one increment. What does not fit is ErrRange.
func (t Terms) Charge(c Cost) (Credits, error) {
	if t.Multiplier <= 0 || t.CreditValue <= 0 || t.Increment <= 0 {
		return 0, ErrRange
	}
	divHi, div := bits.Mul64(uint64(t.CreditValue), uint64(t.Increment))
	if divHi != 0 {
		return 0, ErrRange
	}
	divHi, div = bits.Mul64(div, 10_000)
	numHi, num := bits.Mul64(c.lo, uint64(t.Multiplier))
	if c.hi != 0 || divHi != 0 || numHi >= div {
		return t.chargeBig(c)
	}
	quotient, rest := bits.Div64(numHi, num, div)
	if rest != 0 {
		quotient++
	}
	return product(quotient, t.Increment)
}

// chargeBig is Charge for costs whose intermediate values need more than 128
// bits; no real call costs that much.
func (t Terms) chargeBig(c Cost) (Credits, error) {
	cost := new(big.Int).Lsh(new(big.Int).SetUint64(c.hi), 64)
	cost.Add(cost, new(big.Int).SetUint64(c.lo))
	cost.Mul(cost, big.NewInt(t.Multiplier))
	div := new(big.Int).Mul(big.NewInt(10_000), big.NewInt(t.CreditValue))
	div.Mul(div, big.NewInt(int64(t.Increment)))
	quotient, rest := new(big.Int).QuoRem(cost, div, new(big.Int))
	if rest.Sign() != 0 {
		quotient.Add(quotient, big.NewInt(1))
	}
	if !quotient.IsUint64() {
		return 0, ErrRange
	}
	return product(quotient.Uint64(), t.Increment)
}

func product(n uint64, increment Credits) (Credits, error) {
	hi, lo := bits.Mul64(n, uint64(increment)) //nolint:gosec // Charge checked that it is positive
	if hi != 0 || lo > math.MaxInt64 {
		return 0, ErrRange
	}
	return Credits(lo), nil
}
