package app

import (
	"testing"
	"time"
)

func TestMonthAfterIsClampedToTheMonthsEnd(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]string{
		"2026-01-31": "2026-02-28", "2028-01-31": "2028-02-29", "2026-03-31": "2026-04-30",
		"2026-12-31": "2027-01-31", "2026-02-28": "2026-03-28", "2026-01-15": "2026-02-15",
	} {
		start, err := time.Parse(time.DateOnly, from)
		if err != nil {
			t.Fatal(err)
		}
		if got := monthAfter(start).Format(time.DateOnly); got != want {
			t.Errorf("a month after %s is %s, want %s", from, got, want)
		}
	}
}
