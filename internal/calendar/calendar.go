// Package calendar counts months and days as bills do: from an anchor, clamped
// to the length of the month, in whole seconds. Everything is a pure function.
//
// An anchor on 31 January has its next months on 28 (or 29) February, 31 March
// and 30 April: each is counted from the anchor and not from the one before, so
// a short month does not move the day of those after it.
package calendar

import (
	"time"
	_ "time/tzdata" // days in other zones must not depend on the machine
)

// Add returns the time n months after anchor, or before it when n is negative:
// on the same day or the month's last one when it is shorter, at the same time
// of day (UTC).
func Add(anchor time.Time, n int) time.Time {
	anchor = anchor.UTC()
	year, month, day := anchor.Date()
	first := time.Date(year, month+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	clock := anchor.Sub(time.Date(year, month, day, 0, 0, 0, 0, time.UTC))
	return first.AddDate(0, 0, min(day, last)-1).Add(clock)
}

// Index returns which period of the given number of months, counted from
// anchor, is under way at now: the largest n for which Add(anchor, n*months) is
// not after now, 0 before the anchor. months is at least 1.
func Index(anchor, now time.Time, months int) int {
	anchor, now = anchor.UTC(), now.UTC()
	n := 12*(now.Year()-anchor.Year()) + int(now.Month()) - int(anchor.Month())
	if Add(anchor, n).After(now) {
		n--
	}
	return max(n, 0) / months
}

// Period is a span of time: Start is in it, End is not.
type Period struct{ Start, End time.Time }

// Nth returns the n-th period of the given number of months from anchor, the
// first being 0.
func Nth(anchor time.Time, n, months int) Period {
	return Period{Add(anchor, n*months), Add(anchor, (n+1)*months)}
}

// Seconds is how long p is, at least 0.
func (p Period) Seconds() int64 { return max(seconds(p.Start, p.End), 0) }

// Left is how many whole seconds of p are left at now: all of them before it
// starts, none after it ended.
func (p Period) Left(now time.Time) int64 {
	return min(max(seconds(now, p.End), 0), p.Seconds())
}

// seconds counts from one second to another; parts of a second are cut off
// first, so that the parts of a period add up to the whole.
func seconds(from, to time.Time) int64 { return to.Unix() - from.Unix() }

// DayStart returns when the day of t begins in zone: at midnight, or when the
// clocks jump over midnight, at the first moment after it.
func DayStart(t time.Time, zone *time.Location) time.Time {
	year, month, day := t.In(zone).Date()
	return dayStart(year, month, day, zone)
}

// NextDay returns when the day after that of t begins in zone.
func NextDay(t time.Time, zone *time.Location) time.Time {
	year, month, day := t.In(zone).Date()
	return dayStart(year, month, day+1, zone)
}

func dayStart(year int, month time.Month, day int, zone *time.Location) time.Time {
	noon := time.Date(year, month, day, 12, 0, 0, 0, zone)
	midnight := time.Date(year, month, day, 0, 0, 0, 0, zone)
	if midnight.Day() == noon.Day() {
		// Where the clocks go back over midnight, it comes twice: take the first.
		if earlier := midnight.Add(-time.Hour); earlier.Day() == noon.Day() {
			return earlier.UTC()
		}
		return midnight.UTC()
	}
	// There is no midnight: Go answers with the hour before the jump.
	from, _ := noon.ZoneBounds()
	return from.UTC()
}

// Month returns the calendar month of t in zone.
func Month(t time.Time, zone *time.Location) Period {
	year, month, _ := t.In(zone).Date()
	return Period{dayStart(year, month, 1, zone), dayStart(year, month+1, 1, zone)}
}
