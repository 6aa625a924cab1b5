package usage

import (
	"math"
	"math/big"

	"github.com/rephlo/rephlo/internal/money"
)

// Line is the part of a price that one class of counts makes. Only the sum of
// a call is rounded up, so the lines add up to a little less than the charge.
type Line struct {
	Class      string
	Quantity   int64
	PerMillion money.Credits // for a million units, rounded half up to µcr
	Credits    money.Credits // rounded half up to µcr
}

// Lines explains the price of e: a line for each class that was used, at the
// prices and terms that were fixed at admission.
func (e Entry) Lines() []Line {
	p := e.Prices
	if p.High != nil && e.Counts.TotalInput() > p.Threshold {
		p = *p.High
	}
	lines := []Line{}
	for _, l := range [...]struct {
		class    string
		quantity int64
		price    money.Price
	}{
		{"input", e.Counts.Input, p.Input},
		{"cacheRead", e.Counts.CacheRead, p.CacheRead.Or(p.Input)},
		{"cacheWrite", e.Counts.CacheWrite, p.CacheWrite.Or(p.Input)},
		{"cacheWriteLong", e.Counts.CacheWriteLong, p.CacheWriteLong.Or(p.CacheWrite.Or(p.Input))},
		{"imageInput", e.Counts.ImageInput, p.ImageInput.Or(p.Input)},
		{"audioInput", e.Counts.AudioInput, p.AudioInput.Or(p.Input)},
		{"output", e.Counts.Output, p.Output},
		{"reasoning", e.Counts.Reasoning, p.Reasoning.Or(p.Output)},
		{"audioOutput", e.Counts.AudioOutput, p.AudioOutput.Or(p.Output)},
		{"imageOutput", e.Counts.ImageOutput, p.ImageOutput.Or(p.Output)},
		{"image", e.Counts.Images, p.Image.Or(0)},
		{"audioSeconds", e.Counts.AudioSeconds, p.AudioSecond.Or(0)},
		{"characters", e.Counts.Characters, p.Character.Or(0)},
		{"serverToolCall", e.Counts.ServerToolCalls, p.ServerToolCall.Or(0)},
		{"request", e.Counts.Requests, p.Request.Or(0)},
	} {
		if l.quantity > 0 {
			lines = append(lines, Line{
				Class: l.class, Quantity: l.quantity,
				PerMillion: e.worth(1_000_000, l.price), Credits: e.worth(l.quantity, l.price),
			})
		}
	}
	return lines
}

// worth returns what quantity units at price cost by the terms of e, in µcr
// rounded half up; the largest amount when it does not fit.
func (e Entry) worth(quantity int64, price money.Price) money.Credits {
	if e.Terms.CreditValue <= 0 {
		return 0
	}
	n := big.NewInt(quantity)
	n.Mul(n, big.NewInt(int64(price)))
	n.Mul(n, big.NewInt(e.Terms.Multiplier))
	per := big.NewInt(10_000)
	per.Mul(per, big.NewInt(e.Terms.CreditValue))
	n.Lsh(n, 1).Add(n, per).Quo(n, per.Lsh(per, 1)) // floor(x + 1/2)
	if !n.IsInt64() {
		return math.MaxInt64
	}
	return money.Credits(n.Int64())
}
