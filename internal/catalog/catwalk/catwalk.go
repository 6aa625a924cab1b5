// Package catwalk reads the price list that is compiled into the module
// charm.land/catwalk (MIT): what vendors ask for their models, without asking
// anybody. What the list lacks is in overlay.json.
//
// The module's two columns for cached tokens mean, by its convention, the price
// of writing to the cache (CostPer1MInCached) and of reading from it
// (CostPer1MOutCached); many rows have the price of reading in the first. So the
// first is taken as the price of a write where it is not below the input's, and
// as that of a read where it is below and the second says nothing.
package catwalk

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"

	"charm.land/catwalk/pkg/catwalk"
	"charm.land/catwalk/pkg/embedded"

	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
)

// Source names the list in the rows that come from it.
const Source = "catwalk 0.52.1"

// Offer is a model in the list.
type Offer struct {
	Provider   string // the list's name of it
	Model      string // what the vendor calls it
	Name       string
	Context    int64 // tokens
	MaxOutput  int64 // tokens; what the list calls the default
	Reasons    bool
	SeesImages bool
	// Prices is nil when the list has none: it writes 0 for what it does not
	// know.
	Prices *pricing.Prices
}

// rule adds to the prices of models what the list has no column for.
type rule struct {
	Provider          string `json:"provider"`
	Model             string `json:"model"` // a prefix
	CacheWriteLong    int64  `json:"cacheWriteLongTimesInput"`
	Threshold         int64  `json:"contextThreshold"`
	HighInputPercent  int64  `json:"highInputPercent"`
	HighOutputPercent int64  `json:"highOutputPercent"`
}

//go:embed overlay.json
var overlay []byte

var rules = sync.OnceValues(func() (out []rule, err error) {
	if err := json.Unmarshal(overlay, &out); err != nil {
		return nil, fmt.Errorf("overlay of the price list: %w", err)
	}
	return out, nil
})

// Offers returns the models of one provider of the list. It is empty for one
// that the list does not have, or that we cannot call.
func Offers(provider string) ([]Offer, error) {
	extra, err := rules()
	if err != nil {
		return nil, err
	}
	var out []Offer
	for _, p := range embedded.GetAll() {
		if string(p.ID) != provider || p.Type == catwalk.TypeBedrock || p.Type == catwalk.TypeVertexAI {
			continue
		}
		for _, m := range p.Models {
			out = append(out, Offer{
				Provider: provider, Model: m.ID, Name: m.Name, Context: m.ContextWindow, MaxOutput: m.DefaultMaxTokens,
				Reasons: m.CanReason, SeesImages: m.SupportsImages, Prices: prices(provider, m, extra),
			})
		}
	}
	return out, nil
}

// micro turns dollars a million tokens into micro-dollars: 0.39999999999999997
// is 400,000.
func micro(dollars float64) money.Price { return money.Price(math.Round(dollars * 1e6)) }

func prices(provider string, m catwalk.Model, extra []rule) *pricing.Prices {
	in, out := micro(m.CostPer1MIn), micro(m.CostPer1MOut)
	if in == 0 && out == 0 {
		return nil
	}
	p := &pricing.Prices{Input: in, Output: out}
	first, second := micro(m.CostPer1MInCached), micro(m.CostPer1MOutCached)
	if first >= in && first > 0 {
		p.CacheWrite = pricing.At(first)
	}
	switch {
	case second > 0 && second < in:
		p.CacheRead = pricing.At(second)
	case first > 0 && first < in:
		p.CacheRead = pricing.At(first)
	}
	for _, r := range extra {
		if r.Provider == provider && strings.HasPrefix(m.ID, r.Model) {
			r.apply(p)
		}
	}
	return p
}

func (r rule) apply(p *pricing.Prices) {
	if r.CacheWriteLong > 0 {
		p.CacheWriteLong = pricing.At(money.Price(r.CacheWriteLong) * p.Input)
	}
	if r.Threshold == 0 {
		return
	}
	const whole = 100
	scale := func(v money.Price, percent int64) money.Price { return v * money.Price(percent) / whole }
	optional := func(o pricing.Optional, percent int64) pricing.Optional {
		if o.IsZero() {
			return o
		}
		return pricing.At(scale(o.Or(0), percent))
	}
	p.Threshold = r.Threshold
	p.High = &pricing.Prices{
		Input: scale(p.Input, r.HighInputPercent), Output: scale(p.Output, r.HighOutputPercent), CacheRead: optional(p.CacheRead, r.HighInputPercent),
		CacheWrite: optional(p.CacheWrite, r.HighInputPercent), CacheWriteLong: optional(p.CacheWriteLong, r.HighInputPercent),
	}
}
