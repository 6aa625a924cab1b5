package money_test

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/rephlo/rephlo/internal/money"
)

func TestCreditsString(t *testing.T) {
	t.Parallel()
	for c, want := range map[money.Credits]string{
		0:                  "0",
		1:                  "0.000001",
		1_250_000:          "1.25",
		100 * money.Credit: "100",
		-1_500_000:         "-1.5",
		math.MaxInt64:      "9223372036854.775807",
		math.MinInt64:      "-9223372036854.775808",
	} {
		if got := c.String(); got != want {
			t.Errorf("Credits(%d).String() = %q, want %q", int64(c), got, want)
		}
	}
}

// line is one class of a priced call: units at micro-dollars per million.
type line struct {
	units int64
	price money.Price
}

// The table of the product's price formula, each case at four increments.
func TestChargeTable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		lines      []line
		multiplier int64
		pico       int64
		want       [4]string
	}{
		{"mini", []line{{1000, 250_000}, {500, 2_000_000}}, 13000, 1_250_000_000, [4]string{"0.163", "0.17", "0.2", "1"}},
		{"nano", []line{{100, 50_000}, {20, 400_000}}, 15000, 13_000_000, [4]string{"0.002", "0.01", "0.1", "1"}},
		{"exact multiple", []line{{10_000, 5_000_000}}, 15000, 50_000_000_000, [4]string{"7.5", "7.5", "7.5", "8"}},
		{"exact whole", []line{{14_000, 5_000_000}}, 10000, 70_000_000_000, [4]string{"7", "7", "7", "7"}},
		{"cache classes", []line{{2000, 3_000_000}, {10_000, 3_750_000}, {50_000, 300_000}, {1000, 15_000_000}}, 13000, 73_500_000_000, [4]string{"9.555", "9.56", "9.6", "10"}},
		{"long cache write", []line{{1000, 3_000_000}, {4000, 6_000_000}, {500, 15_000_000}}, 13000, 34_500_000_000, [4]string{"4.485", "4.49", "4.5", "5"}},
		{"high context", []line{{60_000, 2_500_000}, {150_000, 250_000}, {1000, 15_000_000}, {3000, 15_000_000}}, 12500, 247_500_000_000, [4]string{"30.938", "30.94", "31", "31"}},
		{"above threshold", []line{{200_001, 2_500_000}, {1000, 15_000_000}}, 12500, 515_002_500_000, [4]string{"64.376", "64.38", "64.4", "65"}},
		{"cached and reasoning", []line{{2000, 250_000}, {8000, 25_000}, {300, 2_000_000}, {600, 2_000_000}}, 13000, 2_500_000_000, [4]string{"0.325", "0.33", "0.4", "1"}},
		{"images", []line{{2, 40_000_000_000}}, 12500, 80_000_000_000, [4]string{"10", "10", "10", "10"}},
		{"embedding", []line{{5000, 20_000}}, 13000, 100_000_000, [4]string{"0.013", "0.02", "0.1", "1"}},
		{"large", []line{{1_000_000, 15_000_000}, {128_000, 75_000_000}}, 20000, 24_600_000_000_000, [4]string{"4920", "4920", "4920", "4920"}},
		{"free", []line{{1000, 0}}, 13000, 0, [4]string{"0", "0", "0", "0"}},
	} {
		var cost money.Cost
		for _, l := range tt.lines {
			var err error
			if cost, err = cost.Add(l.units, l.price); err != nil {
				t.Fatal(err)
			}
		}
		if pico, err := cost.Pico(); err != nil || pico != tt.pico {
			t.Errorf("%s: cost %d, %v; want %d", tt.name, pico, err, tt.pico)
		}
		for i, increment := range []money.Credits{1000, 10_000, 100_000, 1_000_000} {
			got, err := money.Terms{Multiplier: tt.multiplier, CreditValue: 10_000, Increment: increment}.Charge(cost)
			if err != nil || got.String() != tt.want[i] {
				t.Errorf("%s at increment %s: %s, %v; want %s", tt.name, increment, got, err, tt.want[i])
			}
		}
	}
}

// Charge agrees with arbitrary-precision arithmetic for any input.
func TestChargeAgainstBigIntegers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var cost money.Cost
		sum := new(big.Int)
		for range rapid.IntRange(1, 6).Draw(t, "classes") {
			n := rapid.Int64Range(0, math.MaxInt64).Draw(t, "units")
			p := rapid.Int64Range(0, math.MaxInt64).Draw(t, "price")
			var err error
			if cost, err = cost.Add(n, money.Price(p)); err != nil {
				t.Fatal(err) // six products of 126 bits fit in 128
			}
			sum.Add(sum, new(big.Int).Mul(big.NewInt(n), big.NewInt(p)))
		}
		terms := money.Terms{
			Multiplier:  rapid.Int64Range(1, 100_000).Draw(t, "multiplier"),
			CreditValue: rapid.Int64Range(1, 1_000_000).Draw(t, "value"),
			Increment:   money.Credits(rapid.Int64Range(1, 1_000_000).Draw(t, "increment")),
		}
		div := new(big.Int).Mul(big.NewInt(10_000*terms.CreditValue), big.NewInt(int64(terms.Increment)))
		want, rest := new(big.Int).QuoRem(sum.Mul(sum, big.NewInt(terms.Multiplier)), div, new(big.Int))
		if rest.Sign() != 0 {
			want.Add(want, big.NewInt(1))
		}
		want.Mul(want, big.NewInt(int64(terms.Increment)))

		got, err := terms.Charge(cost)
		switch {
		case !want.IsInt64():
			if !errors.Is(err, money.ErrRange) {
				t.Fatalf("%s does not fit but Charge gave %d, %v", want, got, err)
			}
		case err != nil || int64(got) != want.Int64():
			t.Fatalf("got %d, %v; want %s", got, err, want)
		}
	})
}

func TestChargeRefusesNonsense(t *testing.T) {
	t.Parallel()
	if _, err := (money.Cost{}).Add(-1, 1); !errors.Is(err, money.ErrRange) {
		t.Errorf("negative quantity: %v", err)
	}
	if _, err := (money.Terms{}).Charge(money.Cost{}); !errors.Is(err, money.ErrRange) {
		t.Errorf("terms without a value: %v", err)
	}
}
