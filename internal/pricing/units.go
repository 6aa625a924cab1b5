package pricing

import (
	"fmt"

	"github.com/rephlo/rephlo/internal/money"
)

// ImagePrice is the price of a million images of a size and quality. An empty
// word is for all that have no price of their own.
type ImagePrice struct {
	Size    string      `json:"size,omitempty"`
	Quality string      `json:"quality,omitempty"`
	Price   money.Price `json:"price"`
}

// ForImage returns p with the one price that images of this size and quality
// have. What the caller leaves open, because it is empty or "auto", costs the
// dearest that may come of it. It is false when such images have no price.
func (p Prices) ForImage(size, quality string) (Prices, bool) {
	if len(p.ImageBy) == 0 {
		return p, p.Image.set
	}
	matches := func(asked, has string) bool { return asked == "" || asked == "auto" || has == "" || has == asked }
	best, exact := Optional{}, -1
	for _, i := range p.ImageBy {
		if !matches(size, i.Size) || !matches(quality, i.Quality) {
			continue
		}
		points := 0
		if i.Size != "" && i.Size == size {
			points++
		}
		if i.Quality != "" && i.Quality == quality {
			points++
		}
		if points > exact || points == exact && i.Price > best.price {
			best, exact = At(i.Price), points
		}
	}
	p.ImageBy = nil
	if !best.set { // Image is for all others
		return p, p.Image.set
	}
	p.Image = best
	return p, true
}

// units returns what there is of each, and its price. Image and the following
// are nothing where they have no price, because the model cannot have served
// them.
func (p *Prices) units(u Units) [5]struct {
	quantity int64
	price    Optional
} {
	return [...]struct {
		quantity int64
		price    Optional
	}{
		{u.Images, p.Image},
		{u.AudioSeconds, p.AudioSecond},
		{u.Characters, p.Character},
		{u.ServerToolCalls, p.ServerToolCall},
		{u.Requests, p.Request},
	}
}

func (p *Prices) addUnits(cost money.Cost, u Units) (money.Cost, error) {
	if u == (Units{}) {
		return cost, nil
	}
	var err error
	for _, l := range p.units(u) {
		if cost, err = cost.Add(l.quantity, l.price.Or(0)); err != nil {
			return money.Cost{}, err
		}
	}
	return cost, nil
}

func (p *Prices) freeUnits() bool {
	for _, l := range p.units(Units{}) {
		if l.price.price != 0 {
			return false
		}
	}
	for _, i := range p.ImageBy {
		if i.Price != 0 {
			return false
		}
	}
	return true
}

// OnlyUnits reports whether p has prices, and none of them is for tokens.
func (p Prices) OnlyUnits() bool {
	tokens := p
	tokens.Image, tokens.ImageBy, tokens.AudioSecond, tokens.Character, tokens.ServerToolCall, tokens.Request = Optional{}, nil, Optional{}, Optional{}, Optional{}, Optional{}
	return !p.Free() && tokens.Free()
}

// maxImagePrices bounds a row, because a call's record repeats it.
const maxImagePrices = 24

func (p *Prices) checkUnits() error {
	for _, l := range p.units(Units{}) {
		if l.price.price < 0 {
			return fmt.Errorf("%w: the price of a unit is below zero", errPrices)
		}
	}
	if len(p.ImageBy) > maxImagePrices {
		return fmt.Errorf("%w: at most %d prices of images are possible", errPrices, maxImagePrices)
	}
	seen := map[[2]string]bool{}
	for _, i := range p.ImageBy {
		if i.Price < 0 || len(i.Size) > 20 || len(i.Quality) > 20 || seen[[2]string{i.Size, i.Quality}] {
			return fmt.Errorf("%w: the price of images of size %q and quality %q is below zero, or there twice", errPrices, i.Size, i.Quality)
		}
		seen[[2]string{i.Size, i.Quality}] = true
	}
	return nil
}
