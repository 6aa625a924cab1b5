package cache

import "time"

// window is the time of a limit, in microseconds.
const window = int64(time.Minute / time.Microsecond)

// MaxLimit bounds a limit: above, its level would not be exact in Redis, whose
// scripts count with 53 bits.
const MaxLimit = 100_000_000

// bucket is a token bucket of a limit a minute. Its level is in permits times
// window; it may be below zero after more was spent than was there.
type bucket struct {
	level, at int64 // at: microseconds
}

func newBucket(limit, now int64) bucket { return bucket{level: limit * window, at: now} }

// fill adds what the time since the last call has brought.
func (b *bucket) fill(limit, now int64) {
	passed := min(max(now-b.at, 0), (debtWindows+1)*window) // then it is full in any case
	b.level = min(b.level+passed*limit, limit*window)
	b.at = max(now, b.at)
}

// take takes one permit, if there is one.
func (b *bucket) take(limit, now int64) bool {
	b.fill(limit, now)
	if b.level < window {
		return false
	}
	b.level -= window
	return true
}

// spend takes n permits, also those that are not there.
func (b *bucket) spend(limit, now, n int64) {
	b.fill(limit, now)
	b.level = max(b.level-n*window, -debtWindows*limit*window)
}

// debtWindows bounds how far below zero a bucket goes: so long nobody waits for
// what one call has used.
const debtWindows = 5

// left returns the whole permits that are there.
func (b *bucket) left() int64 { return max(b.level, 0) / window }

// next returns when the next permit is there.
func (b *bucket) next(limit int64) time.Duration {
	if b.level >= window {
		return 0
	}
	return time.Duration((window-b.level+limit-1)/limit) * time.Microsecond
}

// full returns when all permits are there again.
func (b *bucket) full(limit int64) time.Duration {
	return time.Duration((limit*window-b.level+limit-1)/limit) * time.Microsecond
}
