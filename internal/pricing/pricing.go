package pricing

import (
	"math"
	"math/big"

	"github.com/rephlo/rephlo/internal/money"
)

// Counts is what one call used: tokens, each in exactly one class, and what is
// not counted in tokens.
type Counts struct {
	Input          int64 `json:"input,omitempty"`
	CacheRead      int64 `json:"cacheRead,omitempty"`
	CacheWrite     int64 `json:"cacheWrite,omitempty"`
	CacheWriteLong int64 `json:"cacheWriteLong,omitempty"` // kept for an hour
	ImageInput     int64 `json:"imageInput,omitempty"`
	AudioInput     int64 `json:"audioInput,omitempty"`
	Output         int64 `json:"output,omitempty"`
	Reasoning      int64 `json:"reasoning,omitempty"`
	AudioOutput    int64 `json:"audioOutput,omitempty"`
	ImageOutput    int64 `json:"imageOutput,omitempty"`
	Units
}

// Units is what a call used that has a price of its own beside tokens.
type Units struct {
	Images          int64 `json:"image,omitempty"`        // that were made
	AudioSeconds    int64 `json:"audioSeconds,omitempty"` // that were heard, rounded up
	Characters      int64 `json:"characters,omitempty"`   // that were spoken
	ServerToolCalls int64 `json:"serverToolCall,omitempty"`
	Requests        int64 `json:"request,omitempty"`
}

// TotalInput returns all that was read, cached or not; at most MaxInt64.
func (c Counts) TotalInput() int64 {
	return sum(c.Input, c.CacheRead, c.CacheWrite, c.CacheWriteLong, c.ImageInput, c.AudioInput)
}

// TotalOutput returns all that was generated; at most MaxInt64.
func (c Counts) TotalOutput() int64 {
	return sum(c.Output, c.Reasoning, c.AudioOutput, c.ImageOutput)
}

// sum adds what is above zero and stops at the largest value.
func sum(parts ...int64) int64 {
	var total int64
	for _, n := range parts {
		if n > math.MaxInt64-total {
			return math.MaxInt64
		}
		total += max(n, 0)
	}
	return total
}

// DefaultTerms are the terms of a call that no margin rule is about: one and a
// half times the vendor's price, a credit worth one cent, charged in
// hundredths of a credit.
func DefaultTerms() money.Terms {
	return money.Terms{Multiplier: 15_000, CreditValue: 10_000, Increment: money.Credit / 100}
}

// Price returns what c costs a user and what it costs us at the vendor, by the
// row p and the terms t. A negative count or price, and a result that does not
// fit, is money.ErrRange.
func Price(c Counts, p Prices, t money.Terms) (money.Credits, money.Cost, error) {
	cost, err := p.cost(c)
	if err != nil {
		return 0, money.Cost{}, err
	}
	charge, err := t.Charge(cost)
	if err != nil {
		return 0, money.Cost{}, err
	}
	return charge, cost, nil
}

// Bound returns the most that a call can cost which reads at most the tokens
// of in and writes at most output tokens, whatever classes the vendor will
// report them in. From 95 % of the threshold on it uses the long-context
// prices: in is an estimate.
func Bound(in Input, output int64, p Prices, t money.Terms) (money.Credits, error) {
	s := &p
	if p.High != nil && sum(in.Text, in.Media) >= p.Threshold-p.Threshold/20 {
		s = p.High
	}
	text := max(s.Input, s.CacheWrite.Or(s.Input))
	if in.LongCache {
		text = max(text, s.longWrite())
	}
	media := max(text, s.ImageInput.Or(s.Input), s.AudioInput.Or(s.Input))
	out := max(s.Output, s.Reasoning.Or(s.Output), s.AudioOutput.Or(s.Output), s.ImageOutput.Or(s.Output))

	cost, err := s.addUnits(money.Cost{}, in.Units)
	for _, l := range [...]struct {
		quantity int64
		price    money.Price
	}{{in.Text, text}, {in.Media, media}, {output, out}} {
		if err == nil {
			cost, err = cost.Add(l.quantity, l.price)
		}
	}
	if err != nil {
		return 0, err
	}
	return t.Charge(cost)
}

// Input is what a call is expected to read, for Bound.
type Input struct {
	Text      int64 // tokens of text
	Media     int64 // tokens of images, sound and files
	LongCache bool  // the caller asked to cache for an hour
	Units           // at most so many
}

// Affordable returns the largest output up to limit whose Bound is at most
// room, or -1 when room does not even pay for the input.
func Affordable(in Input, limit int64, room money.Credits, p Prices, t money.Terms) int64 {
	fits := func(output int64) bool {
		need, err := Bound(in, output, p, t)
		return err == nil && need <= room
	}
	if fits(limit) {
		return limit
	}
	low, high := int64(-1), limit // low fits or is -1, high does not
	for high-low > 1 {
		if mid := low + (high-low)/2; fits(mid) {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

// Shown returns the price that people see, of so many units: rounded half up
// to a millionth of a credit, 0 when it cannot be expressed. No charge is
// computed from it.
func Shown(price money.Price, t money.Terms, units int64) money.Credits {
	if t.CreditValue <= 0 {
		return 0
	}
	twice := big.NewInt(2)
	twice.Mul(twice, big.NewInt(int64(price)))
	twice.Mul(twice, big.NewInt(units))
	twice.Mul(twice, big.NewInt(t.Multiplier))
	div := new(big.Int).Mul(big.NewInt(10_000), big.NewInt(t.CreditValue)) // half_up(a/b) = (2a+b) / 2b
	twice.Add(twice, div)
	if twice.Quo(twice, div.Lsh(div, 1)); !twice.IsInt64() {
		return 0
	}
	return money.Credits(twice.Int64())
}
