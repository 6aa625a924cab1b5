package pricing

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/rephlo/rephlo/internal/money"
)

// Prices is one price row of a vendor's model. Classes that are not set have
// the fallback of the package comment. The zero value is free of charge.
type Prices struct {
	Input          money.Price `json:"input"`
	CacheRead      Optional    `json:"cacheRead,omitzero"`
	CacheWrite     Optional    `json:"cacheWrite,omitzero"`
	CacheWriteLong Optional    `json:"cacheWriteLong,omitzero"`
	ImageInput     Optional    `json:"imageInput,omitzero"`
	AudioInput     Optional    `json:"audioInput,omitzero"`
	Output         money.Price `json:"output"`
	Reasoning      Optional    `json:"reasoning,omitzero"`
	AudioOutput    Optional    `json:"audioOutput,omitzero"`
	ImageOutput    Optional    `json:"imageOutput,omitzero"`

	// Prices of a million units that are not tokens. A model without one does
	// not serve what would be counted so; a price per request is then none.
	Image          Optional     `json:"image,omitzero"`
	ImageBy        []ImagePrice `json:"imageBy,omitempty"`     // instead of Image, where its size or quality matters
	AudioSecond    Optional     `json:"audioSeconds,omitzero"` // that is heard
	Character      Optional     `json:"characters,omitzero"`   // that is spoken
	ServerToolCall Optional     `json:"serverToolCall,omitzero"`
	Request        Optional     `json:"request,omitzero"`

	// Threshold is how many input tokens the prices above are for. More of
	// them, and High prices the whole call. Both are set or neither.
	Threshold int64   `json:"contextThreshold,omitempty"`
	High      *Prices `json:"highContext,omitempty"`
}

// Optional is a price that a row may leave out. Zero is left out; a price of 0
// is At(0).
type Optional struct {
	price money.Price
	set   bool
}

// At returns price as one that is set.
func At(price money.Price) Optional { return Optional{price, true} }

// Or returns the price, or fallback when there is none.
func (o Optional) Or(fallback money.Price) money.Price {
	if o.set {
		return o.price
	}
	return fallback
}

// IsZero reports whether no price is set; encoding/json leaves it out then.
func (o Optional) IsZero() bool { return !o.set }

// MarshalJSON implements json.Marshaler.
func (o Optional) MarshalJSON() ([]byte, error) {
	if !o.set {
		return []byte("null"), nil
	}
	return json.Marshal(int64(o.price))
}

// UnmarshalJSON implements json.Unmarshaler; null is no price.
func (o *Optional) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*o = Optional{}
		return nil
	}
	var price int64
	if err := json.Unmarshal(b, &price); err != nil {
		return err
	}
	*o = At(money.Price(price))
	return nil
}

var errPrices = errors.New("invalid prices")

// Check says what is wrong with a row that somebody wrote: a price below zero,
// a threshold without its prices, or a class that only the first set has.
func (p Prices) Check() error {
	if err := p.checkSet(); err != nil {
		return err
	}
	if p.High == nil && p.Threshold == 0 {
		return nil
	}
	if p.High == nil || p.Threshold <= 0 {
		return fmt.Errorf("%w: contextThreshold and highContext belong together", errPrices)
	}
	if p.High.High != nil || p.High.Threshold != 0 {
		return fmt.Errorf("%w: highContext has a threshold of its own", errPrices)
	}
	high := p.High.classes()
	for i, c := range p.classes() {
		if c.set && !high[i].set {
			return fmt.Errorf("%w: highContext lacks the class %s", errPrices, classNames[i])
		}
	}
	return p.High.checkSet()
}

func (p Prices) checkSet() error {
	if p.Input < 0 || p.Output < 0 {
		return fmt.Errorf("%w: a price is below zero", errPrices)
	}
	for i, c := range p.classes() {
		if c.price < 0 {
			return fmt.Errorf("%w: the price of %s is below zero", errPrices, classNames[i])
		}
	}
	return p.checkUnits()
}

// classNames are the names of classes, in their order.
var classNames = [8]string{"cacheRead", "cacheWrite", "cacheWriteLong", "imageInput", "audioInput", "reasoning", "audioOutput", "imageOutput"}

func (p *Prices) classes() [8]Optional {
	return [8]Optional{p.CacheRead, p.CacheWrite, p.CacheWriteLong, p.ImageInput, p.AudioInput, p.Reasoning, p.AudioOutput, p.ImageOutput}
}

// Free reports whether nothing can cost anything.
func (p Prices) Free() bool {
	if p.Input != 0 || p.Output != 0 {
		return false
	}
	for _, c := range p.classes() {
		if c.price != 0 {
			return false
		}
	}
	return p.freeUnits() && (p.High == nil || p.High.Free())
}

func (p *Prices) longWrite() money.Price {
	return p.CacheWriteLong.Or(p.CacheWrite.Or(p.Input))
}

// cost adds quantity times price over the classes.
func (p *Prices) cost(c Counts) (money.Cost, error) {
	s := p
	if p.High != nil && c.TotalInput() > p.Threshold {
		s = p.High
	}
	var cost money.Cost
	var err error
	for _, l := range [...]struct {
		quantity int64
		price    money.Price
	}{
		{c.Input, s.Input},
		{c.CacheRead, s.CacheRead.Or(s.Input)},
		{c.CacheWrite, s.CacheWrite.Or(s.Input)},
		{c.CacheWriteLong, s.longWrite()},
		{c.ImageInput, s.ImageInput.Or(s.Input)},
		{c.AudioInput, s.AudioInput.Or(s.Input)},
		{c.Output, s.Output},
		{c.Reasoning, s.Reasoning.Or(s.Output)},
		{c.AudioOutput, s.AudioOutput.Or(s.Output)},
		{c.ImageOutput, s.ImageOutput.Or(s.Output)},
	} {
		if cost, err = cost.Add(l.quantity, l.price); err != nil {
			return money.Cost{}, err
		}
	}
	return s.addUnits(cost, c.Units)
}
