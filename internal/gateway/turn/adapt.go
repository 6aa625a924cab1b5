package turn

import "time"

// How the limit moves.
const (
	tooLate = 100 * time.Millisecond // behind its time, a process has too much to do
	step    = 8                      // by an eighth
	highest = 16                     // times what it began with
	lowest  = 2                      // a part of it
)

// Adapt moves the limit once for the time since the last call: late is how far
// this process was behind a moment that it had meant to keep. base is what the
// limit begins with; another than before sets it anew. Call it a few times a
// second.
func (q *Queue) Adapt(late time.Duration, base int64) {
	needed := q.needed.Swap(false) || q.waiting.Load() > 0
	q.mu.Lock()
	defer q.mu.Unlock()
	limit := q.limit.Load()
	switch {
	case base != q.base:
		q.base, limit = base, base
	case late > tooLate:
		limit = max(limit-limit/step, base/lowest, 1)
	case needed:
		limit = min(limit+limit/step+1, base*highest)
	default:
		return
	}
	q.limit.Store(limit)
	q.call()
}
