package credit_test

import (
	"math"
	"testing"

	"github.com/rephlo/rephlo/internal/credit"
)

func TestAmountsInFindingsHaveAllTheirPlaces(t *testing.T) {
	t.Parallel()
	for amount, want := range map[int64]string{
		0: "0.000000", 1: "0.000001", -1: "-0.000001", 999_999_999: "999.999999", 1_470_000_000: "1,470.000000", 1_000_000_000_000: "1,000,000.000000",
		-1_234_567_890_123: "-1,234,567.890123", math.MinInt64: "-9,223,372,036,854.775808",
	} {
		if got := credit.Micro(amount); got != want {
			t.Errorf("%d is printed %q, want %q", amount, got, want)
		}
	}
}
