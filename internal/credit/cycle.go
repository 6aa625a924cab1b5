package credit

import "time"

// CycleStart returns when the n-th credit cycle of a subscription begins that
// started at anchor: n months later, on the same day or the month's last one
// when it is shorter, at the same time of day (UTC). It always counts from the
// anchor, so that a short month does not move the day of those after it. A
// year is twelve cycles.
func CycleStart(anchor time.Time, n int) time.Time {
	anchor = anchor.UTC()
	year, month, day := anchor.Date()
	first := time.Date(year, month+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	clock := anchor.Sub(time.Date(year, month, day, 0, 0, 0, 0, time.UTC))
	return first.AddDate(0, 0, min(day, last)-1).Add(clock)
}

// CycleOf returns which cycle of a subscription that started at anchor is under
// way at now: the largest n whose start is not after it, 0 before the anchor.
func CycleOf(anchor, now time.Time) int {
	anchor, now = anchor.UTC(), now.UTC()
	n := 12*(now.Year()-anchor.Year()) + int(now.Month()) - int(anchor.Month())
	if CycleStart(anchor, n).After(now) {
		n--
	}
	return max(n, 0)
}
