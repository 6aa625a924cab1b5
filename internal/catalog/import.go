package catalog

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/catalog/catwalk"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
)

// Import asks for prices of the list that is compiled in.
type Import struct {
	Provider string // ours
	// List is the list's name of the provider; empty: the same as ours.
	List string
	// Models are those to import, as the vendor calls them; empty is none, All is
	// all that have changed.
	Models []string
	All    bool
	// Confirmed are the suspicious ones among them that somebody has looked at.
	Confirmed []string
	From      time.Time // zero: now
}

// Standing is how a model of the list stands to what is here.
type Standing string

// The standings. Suspicious prices are imported when they are confirmed;
// overrides never.
const (
	Added      Standing = "added"
	Altered    Standing = "changed"
	Retired    Standing = "retired" // here, and not in the list
	Suspicious Standing = "suspicious"
	Overridden Standing = "override"
	Unpriced   Standing = "unpriced" // the list has no price
	Same       Standing = "same"
)

// Difference is one model of the list, or of here.
type Difference struct {
	VendorModel string
	Standing    Standing
	Why         string          // of a suspicion
	Here        *pricing.Prices // nil: none
	List        *pricing.Prices // nil: none
	Imported    bool
}

// ImportPrices compares the list with the prices of a provider, and writes those
// that were chosen unless dryRun. Nothing is written when one of them cannot be.
func (s *Service) ImportPrices(ctx context.Context, in Import, dryRun bool, by By) (out []Difference, err error) {
	if in.List == "" {
		in.List = in.Provider
	}
	offers, err := catwalk.Offers(in.List)
	if err != nil {
		return nil, err
	}
	if len(offers) == 0 {
		return nil, wrong("list", "the price list has no provider %q", in.List)
	}
	err = s.change(ctx, by, func(ctx context.Context, e *edit) error {
		if _, err := e.have.provider(in.Provider); err != nil {
			return wrong("providerId", "there is no such provider")
		}
		if out, err = e.differences(in.Provider, offers); err != nil || dryRun {
			return err
		}
		for i := range out {
			if err := e.importOne(ctx, in, &out[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

func (e *edit) importOne(ctx context.Context, in Import, d *Difference) error {
	wanted := slices.Contains(in.Models, d.VendorModel)
	confirmed := slices.Contains(in.Confirmed, d.VendorModel)
	switch {
	case d.Standing == Suspicious && wanted && !confirmed:
		return wrong("confirmed", "the price of %s is suspicious (%s) and was not confirmed", d.VendorModel, d.Why)
	case d.Standing == Overridden && wanted:
		return wrong("vendorModelIds", "the price of %s was written by a person and is not replaced", d.VendorModel)
	case d.Standing == Added && (wanted || in.All), d.Standing == Altered && (wanted || in.All), d.Standing == Suspicious && confirmed:
	default:
		return nil
	}
	_, err := e.setPrice(ctx, NewPrice{Provider: in.Provider, VendorModel: d.VendorModel, From: in.From, Prices: *d.List, Source: catwalk.Source})
	d.Imported = err == nil
	return err
}

// differences compares the list with the rows that are open, by model.
func (e *edit) differences(provider string, offers []catwalk.Offer) ([]Difference, error) {
	here := map[string]PriceRow{}
	for _, r := range e.have.prices {
		if r.provider != provider || !r.until.IsZero() {
			continue
		}
		p, err := newPriceRow(r)
		if err != nil {
			return nil, err
		}
		here[r.vendorModel] = p
	}
	var out []Difference
	for _, o := range offers {
		d := Difference{VendorModel: o.Model, List: o.Prices}
		row, known := here[o.Model]
		delete(here, o.Model)
		if known {
			d.Here = &row.Prices
		}
		d.Standing, d.Why = standing(row, known, o.Prices)
		out = append(out, d)
	}
	for name, row := range here {
		out = append(out, Difference{VendorModel: name, Standing: Retired, Here: &row.Prices})
	}
	slices.SortFunc(out, func(a, b Difference) int { return strings.Compare(a.VendorModel, b.VendorModel) })
	return out, nil
}

// manifold is from when on a change is not believed.
const manifold = 10

func standing(here PriceRow, known bool, list *pricing.Prices) (Standing, string) {
	switch {
	case list == nil:
		return Unpriced, ""
	case known && sameJSON(here.Prices, *list):
		return Same, ""
	case known && here.Override():
		return Overridden, ""
	}
	far := func(a, b money.Price) bool { return a > manifold*b || b > manifold*a }
	switch {
	case list.Check() != nil:
		return Suspicious, "a price is below zero"
	case list.Input == 0 || list.Output == 0:
		return Suspicious, "a price is zero"
	case list.CacheRead.Or(0) > list.Input:
		return Suspicious, "reading from the cache costs more than the input"
	case known && (far(list.Input, here.Prices.Input) || far(list.Output, here.Prices.Output)):
		return Suspicious, "it changes more than tenfold"
	case known:
		return Altered, ""
	}
	return Added, ""
}
