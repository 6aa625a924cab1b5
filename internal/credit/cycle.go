package credit

import (
	"time"

	"github.com/rephlo/rephlo/internal/calendar"
)

// CycleStart returns when the n-th credit cycle of a subscription begins that
// started at anchor: n months later by the rules of package calendar. A year is
// twelve cycles.
func CycleStart(anchor time.Time, n int) time.Time { return calendar.Add(anchor, n) }

// CycleOf returns which cycle of a subscription that started at anchor is under
// way at now: the largest n whose start is not after it, 0 before the anchor.
func CycleOf(anchor, now time.Time) int { return calendar.Index(anchor, now, 1) }
