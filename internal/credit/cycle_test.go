package credit_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
)

// daysIn knows the calendar by other means than package time's arithmetic.
func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

func checkCycle(t *testing.T, anchor time.Time, n int) {
	t.Helper()
	months := anchor.Year()*12 + int(anchor.Month()) - 1 + n
	year, month := months/12, months%12+1
	want := time.Date(year, time.Month(month), min(anchor.Day(), daysIn(year, month)),
		anchor.Hour(), anchor.Minute(), anchor.Second(), anchor.Nanosecond(), time.UTC)
	got := credit.CycleStart(anchor, n)
	if !got.Equal(want) {
		t.Fatalf("cycle %d from %s begins at %s, want %s", n, anchor, got, want)
	}
	if n > 0 && !credit.CycleStart(anchor, n-1).Before(got) {
		t.Fatalf("cycle %d from %s does not begin after the one before", n, anchor)
	}
	for _, at := range []struct {
		now  time.Time
		want int
	}{{got, n}, {got.Add(-time.Microsecond), max(n-1, 0)}, {credit.CycleStart(anchor, n+1).Add(-time.Microsecond), n}} {
		if c := credit.CycleOf(anchor, at.now); c != at.want {
			t.Fatalf("at %s cycle %d from %s is under way, want %d", at.now, c, anchor, at.want)
		}
	}
}

// Every day of five years as the anchor, sixty months and five years from it:
// each cycle begins on the anchor's day or the month's last, no day is skipped
// and none counted twice.
func TestCyclesBeginOnTheAnchorsDay(t *testing.T) {
	t.Parallel()
	clock := 13*time.Hour + 14*time.Minute + 15*time.Second + 16*time.Microsecond
	for day := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() <= 2028; day = day.AddDate(0, 0, 1) {
		for n := range 61 {
			checkCycle(t, day.Add(clock), n)
		}
		for years := range 6 {
			checkCycle(t, day, 12*years)
		}
	}
}

// Day, month and year are drawn apart, with a weight on the days that not every
// month has: a plain second would hide them.
func TestCyclesOfRandomAnchors(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 20_000 {
		year, month := 1970+r.IntN(400), 1+r.IntN(12)
		day := 1 + r.IntN(28)
		if r.IntN(4) != 0 {
			day = 28 + r.IntN(4)
		}
		day = min(day, daysIn(year, month))
		anchor := time.Date(year, time.Month(month), day, r.IntN(24), r.IntN(60), r.IntN(60), 0, time.UTC)
		checkCycle(t, anchor, r.IntN(600))
	}
}
