package bus

import "github.com/rephlo/rephlo/internal/obs"

// Observe shows in m how old what this process knows may be: the messages of
// others, and what each Follower has read.
func (b *Bus) Observe(m *obs.Metrics) {
	m.Gauge("snapshot_age_seconds", "How long ago this process last read what others may have changed.", []string{"name"}, func(emit obs.Emit) {
		b.mu.Lock()
		defer b.mu.Unlock()
		now := b.now()
		if !b.caughtUp.IsZero() {
			emit(now.Sub(b.caughtUp).Seconds(), "messages")
		}
		for _, f := range b.followers {
			if at := f.read.Load(); at != 0 {
				emit(float64(now.UnixMicro()-at)/1e6, f.kind)
			}
		}
	})
}
