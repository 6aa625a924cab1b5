package upstream

import (
	"testing"
	"time"
)

// Whatever a vendor asks for, the wait is from nothing to a day.
func FuzzRetryAfter(f *testing.F) {
	for _, v := range []string{"3", "1.5", "1e300", "NaN", "-Inf", "0x1p4", "Fri, 27 Nov 2026 12:01:00 GMT", "soon"} {
		f.Add(v, "")
		f.Add("", v)
	}
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, seconds, millis string) {
		got := retryAfter(func(name string) string {
			if name == "retry-after" {
				return seconds
			}
			return millis
		}, now)
		if got < 0 || got > maxRetryAfter {
			t.Errorf("%q, %q: %v", seconds, millis, got)
		}
	})
}
