package money_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/rephlo/rephlo/internal/money"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]money.Credits{
		"0": 0, "1": 1_000_000, "0.000001": 1, "12.5": 12_500_000, "9223372036854.775807": 9223372036854775807, "007": 7_000_000,
	} {
		if got, err := money.Parse(text); err != nil || got != want {
			t.Errorf("Parse(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for text, want := range map[string]error{
		"": money.ErrSyntax, "-1": money.ErrSyntax, "+1": money.ErrSyntax, "1.": money.ErrSyntax, ".5": money.ErrSyntax,
		"1e3": money.ErrSyntax, "1.0000001": money.ErrSyntax, " 1": money.ErrSyntax, "NaN": money.ErrSyntax, `"1"`: money.ErrSyntax,
		"9223372036854.775808": money.ErrRange, "99999999999999999999": money.ErrRange,
	} {
		if got, err := money.Parse(text); !errors.Is(err, want) {
			t.Errorf("Parse(%q) = %d, %v; want %v", text, got, err, want)
		}
	}
}

// Whatever is read is written as the same amount.
func FuzzParse(f *testing.F) {
	f.Add("1.25")
	f.Add("0.000001")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := money.Parse(text)
		if err != nil {
			return
		}
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var again money.Credits
		if err := json.Unmarshal(b, &again); err != nil || again != c {
			t.Errorf("%q became %s, then %d, %v", text, b, again, err)
		}
	})
}
