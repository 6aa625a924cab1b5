package pack

import (
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/money"
)

// Pack is credits that can be had at once.
type Pack struct {
	ID        string
	Credits   money.Credits // whole ones
	Price     int64         // minor units of the currency, above 0
	Active    bool          // it can be bought
	Version   int64         // counts changes
	UpdatedAt time.Time
}

// Bounds of a pack.
const (
	MaxCredits = 10_000_000 // whole ones
	MaxPrice   = 1_000_000_000
)

// Faults of packs.
var (
	ErrUnknown = fault.New(fault.NotFound, "not_found", "There is no such credit pack.")
	ErrEdited  = fault.New(fault.PreconditionFailed, "edited_elsewhere", "Somebody else has changed the pack. Read it again and repeat your change.")
	ErrWrong   = fault.New(fault.Unprocessable, "validation_error", "A field is wrong.")
)

func (p Pack) check() error {
	if p.Credits < money.Credit || p.Credits%money.Credit != 0 || p.Credits > MaxCredits*money.Credit {
		return ErrWrong.Saying("A pack has 1 to %d whole credits.", MaxCredits).At("credits")
	}
	if p.Price < 1 || p.Price > MaxPrice {
		return ErrWrong.Saying("The price is 1 to %d, in minor units.", MaxPrice).At("price")
	}
	return nil
}

// Edit is what changes of a pack; nil fields stay.
type Edit struct {
	Credits *money.Credits
	Price   *int64
	Active  *bool
}

func (p Pack) edited(e Edit) Pack {
	if e.Credits != nil {
		p.Credits = *e.Credits
	}
	if e.Price != nil {
		p.Price = *e.Price
	}
	if e.Active != nil {
		p.Active = *e.Active
	}
	return p
}
