package web

import (
	"github.com/danielgtaylor/huma/v2"

	"github.com/rephlo/rephlo/internal/money"
)

// Amount is credits in the body of a request: a JSON number above 0 with at
// most six decimals.
type Amount struct{ money.Credits }

// Schema describes it.
func (Amount) Schema(huma.Registry) *huma.Schema {
	least := 0.000001
	return &huma.Schema{Type: huma.TypeNumber, Minimum: &least, Description: "Credits, with at most six decimals"}
}

// anyCredits describes money.Credits, which are numbers in JSON.
type anyCredits struct{}

// Schema describes it.
func (anyCredits) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeNumber, Description: "Credits, with at most six decimals"}
}

// UnmarshalJSON reads the number without rounding.
func (a *Amount) UnmarshalJSON(b []byte) error {
	if err := a.Credits.UnmarshalJSON(b); err != nil {
		return errValidation.Saying("An amount is a number of credits with at most six decimals.").Because(err)
	}
	return nil
}
