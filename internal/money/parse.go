package money

import (
	"errors"
	"strconv"
	"strings"
)

// ErrSyntax says that a text is not an amount of credits.
var ErrSyntax = errors.New("not an amount of credits with at most six decimals")

// Parse reads an amount of whole credits with at most six decimals, such as
// "12" or "0.25". It takes no sign, no exponent and no spaces, and rounds
// nothing: what does not fit is ErrRange.
func Parse(text string) (Credits, error) {
	whole, part, dot := strings.Cut(text, ".")
	if whole == "" || dot && (part == "" || len(part) > 6) || strings.Trim(whole+part, "0123456789") != "" {
		return 0, ErrSyntax
	}
	n, err := strconv.ParseInt(whole+(part + "000000")[:6], 10, 64)
	if err != nil {
		return 0, ErrRange
	}
	return Credits(n), nil
}

// UnmarshalJSON reads a JSON number of whole credits, as Parse does.
func (c *Credits) UnmarshalJSON(b []byte) (err error) {
	*c, err = Parse(string(b))
	return err
}
