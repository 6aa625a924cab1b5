package cache

import (
	"log/slog"
	"time"
)

// OpenPatiently is OpenRedis for tests of what is counted: a slow machine is not
// taken for a server that is gone.
func OpenPatiently(url string, log *slog.Logger) (*Redis, error) {
	return openRedis(url, log, 20*time.Second)
}

// Tidy does once what is done all the time.
func (c *Counters) Tidy() { c.sweep(c.micros()) }

// Len is how many counters are remembered.
func (c *Counters) Len() int { return len(c.everything()) }
