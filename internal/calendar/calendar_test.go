package calendar_test

import (
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/calendar"
)

// daysIn knows the calendar by other means than package time.
func daysIn(year, month int) int {
	switch {
	case month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0):
		return 29
	case month == 2:
		return 28
	case month == 4 || month == 6 || month == 9 || month == 11:
		return 30
	}
	return 31
}

func date(year, month, day int) time.Time {
	return time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
}

// Every day of nine years around two century years, one of them a leap year, is
// an anchor; from each, sixty months on and twelve back.
func TestMonthsKeepTheDayOfTheirAnchor(t *testing.T) {
	t.Parallel()
	cases := 0
	for _, years := range [][2]int{{1999, 2001}, {2023, 2025}, {2099, 2101}} {
		for year := years[0]; year <= years[1]; year++ {
			for month := 1; month <= 12; month++ {
				for day := 1; day <= daysIn(year, month); day++ {
					anchor := date(year, month, day).Add(13*time.Hour + 14*time.Minute + 15*time.Second)
					for n := -12; n <= 60; n++ {
						check(t, anchor, n)
						cases++
					}
				}
			}
		}
	}
	if cases < 120_000 {
		t.Errorf("only %d cases", cases)
	}
}

func check(t *testing.T, anchor time.Time, n int) {
	t.Helper()
	months := anchor.Year()*12 + int(anchor.Month()) - 1 + n
	year, month := months/12, months%12+1
	got := calendar.Add(anchor, n)
	wantDay := min(anchor.Day(), daysIn(year, month))
	if got.Year() != year || int(got.Month()) != month || got.Day() != wantDay || got.Hour() != 13 || got.Minute() != 14 || got.Second() != 15 {
		t.Fatalf("%d months from %s: %s, want the %d of %d-%d", n, anchor, got, wantDay, year, month)
	}
	if !calendar.Add(anchor, n-1).Before(got) {
		t.Fatalf("month %d from %s does not come after the one before", n, anchor)
	}
	if n < 0 {
		return
	}
	for _, length := range []int{1, 12} {
		if at := calendar.Index(anchor, got, length); at != n/length {
			t.Fatalf("period %d of %d months from %s is under way at %s, want %d", at, length, anchor, got, n/length)
		}
		if at := calendar.Index(anchor, got.Add(-time.Second), length); at != max(n-1, 0)/length {
			t.Fatalf("a second before %s period %d of %d months from %s is under way", got, at, length, anchor)
		}
	}
}

// The specification's own example.
func TestAnAnchorOnThe31stNeverDrifts(t *testing.T) {
	t.Parallel()
	anchor := date(2026, 1, 31)
	for n, want := range []time.Time{anchor, date(2026, 2, 28), date(2026, 3, 31), date(2026, 4, 30), date(2026, 5, 31)} {
		if got := calendar.Add(anchor, n); !got.Equal(want) {
			t.Errorf("month %d begins on %s, want %s", n, got, want)
		}
	}
	if got, want := calendar.Add(date(2024, 2, 29), 12), date(2025, 2, 28); !got.Equal(want) {
		t.Errorf("a year after 29 February: %s, want %s", got, want)
	}
	if got, want := calendar.Add(date(2024, 2, 29), 48), date(2028, 2, 29); !got.Equal(want) {
		t.Errorf("four years after 29 February: %s, want %s", got, want)
	}
}

// Periods meet, and what is left of one falls from all to nothing.
func TestPeriodsMeetAndRunDown(t *testing.T) {
	t.Parallel()
	anchor := date(2026, 1, 31).Add(5 * time.Second)
	for n := range 48 {
		p, next := calendar.Nth(anchor, n, 1), calendar.Nth(anchor, n+1, 1)
		if !p.End.Equal(next.Start) || p.Seconds() < 28*86_400 || p.Seconds() > 31*86_400 {
			t.Errorf("period %d is %v, the next %v", n, p, next)
		}
		mid := p.Start.Add(10 * 24 * time.Hour).Add(999 * time.Millisecond)
		for _, tt := range []struct {
			at   time.Time
			want int64
		}{{p.Start.Add(-time.Hour), p.Seconds()}, {p.Start, p.Seconds()}, {mid, p.Seconds() - 864_000}, {p.End, 0}, {p.End.Add(time.Hour), 0}} {
			if got := p.Left(tt.at); got != tt.want {
				t.Errorf("at %s %d seconds of %v are left, want %d", tt.at, got, p, tt.want)
			}
		}
	}
}

// Zones whose clocks jump over midnight (Cairo, Asunción, Havana), that went
// over a whole day (Apia) and that go by half an hour (Lord Howe).
var zones = []string{"UTC", "Europe/Berlin", "America/New_York", "Africa/Cairo", "America/Asuncion", "America/Havana", "Pacific/Apia", "Australia/Lord_Howe", "Asia/Kathmandu"}

// Over eighteen years, hour by hour: each moment is in exactly one day, whose
// name is that of the moment, and days meet.
func TestEveryMomentIsInOneDayOfItsZone(t *testing.T) {
	t.Parallel()
	for _, name := range zones {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zone, err := time.LoadLocation(name)
			if err != nil {
				t.Fatal(err)
			}
			for at := date(2009, 1, 1); at.Year() < 2027; at = at.Add(time.Hour) {
				start, end := calendar.DayStart(at, zone), calendar.NextDay(at, zone)
				day := at.In(zone).YearDay()
				if start.After(at) || !end.After(at) || start.In(zone).YearDay() != day || end.Add(-time.Second).In(zone).YearDay() != day {
					t.Fatalf("%s is in the day from %s to %s", at.In(zone), start.In(zone), end.In(zone))
				}
				if before := start.Add(-time.Second).In(zone); before.YearDay() == day {
					t.Fatalf("the day of %s begins before %s", at.In(zone), start.In(zone))
				}
			}
		})
	}
}

func TestAMonthOfAZone(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	got := calendar.Month(time.Date(2026, 2, 28, 23, 30, 0, 0, time.UTC), berlin) // 1 March there
	want := calendar.Period{Start: time.Date(2026, 2, 28, 23, 0, 0, 0, time.UTC), End: time.Date(2026, 3, 31, 22, 0, 0, 0, time.UTC)}
	if got != want {
		t.Errorf("month %v, want %v", got, want)
	}
}
