package upstream

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds what a vendor may ask for; what is sensible is routing's
// to say.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads when the vendor wants to be asked again: retry-after-ms,
// then Retry-After in seconds (with a fraction, as some send) or as a date. 0
// is nothing.
func retryAfter(header func(name string) string, now time.Time) time.Duration {
	if ms, ok := number(header("retry-after-ms")); ok {
		return bounded(ms, time.Millisecond)
	}
	value := header("retry-after")
	if s, ok := number(value); ok {
		return bounded(s, time.Second)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

func number(text string) (float64, bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	return n, err == nil && n >= 0
}

func bounded(n float64, unit time.Duration) time.Duration {
	if n >= float64(maxRetryAfter/unit) {
		return maxRetryAfter
	}
	return time.Duration(n * float64(unit))
}
