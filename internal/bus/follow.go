package bus

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// again is the time between two looks for what no message told.
const again = 3 * time.Second

// Follower keeps in memory what a table says, in step with the changes of other
// processes: it looks when a message comes, and every few seconds in case one
// was missed, or the time has come for something. It is safe for concurrent use.
type Follower struct {
	look func(ctx context.Context) error
	kind string
	what string
	now  func() time.Time
	read atomic.Int64 // when it last looked with success, Unix microseconds; 0: never
	log  *slog.Logger
	wake chan struct{}
	stop context.CancelFunc
	done sync.WaitGroup

	looking sync.Mutex // one at a time, so that an older look does not win
}

// Follow returns a Follower that calls look when a message of the kind comes,
// once it is started. what names it in the log.
func (b *Bus) Follow(kind, what string, look func(ctx context.Context) error) *Follower {
	f := &Follower{look: look, kind: kind, what: what, now: b.now, log: b.log, wake: make(chan struct{}, 1)}
	b.mu.Lock()
	b.followers = append(b.followers, f)
	b.mu.Unlock()
	b.Subscribe(kind, func(string) {
		select {
		case f.wake <- struct{}{}:
		default:
		}
	})
	return f
}

// Load looks now.
func (f *Follower) Load(ctx context.Context) error {
	f.looking.Lock()
	defer f.looking.Unlock()
	at := f.now()
	if err := f.look(ctx); err != nil {
		return err
	}
	f.read.Store(at.UnixMicro())
	return nil
}

// Start follows until Stop. A look that fails is logged and tried again.
func (f *Follower) Start(ctx context.Context) {
	ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	f.done.Go(func() {
		tick := time.NewTicker(again)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-f.wake:
			case <-tick.C:
			}
			f.refresh(ctx)
		}
	})
}

// Refresh is Load for who can do nothing about a failure: it is logged, and
// tried again within seconds where the Follower is started.
func (f *Follower) Refresh() { f.refresh(context.Background()) }

func (f *Follower) refresh(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, again)
	defer cancel()
	if err := f.Load(bounded); err != nil && ctx.Err() == nil {
		f.log.WarnContext(ctx, "reading failed", "what", f.what, "err", err)
	}
}

// Stop ends what Start began. It may be called without it.
func (f *Follower) Stop() {
	if f.stop != nil {
		f.stop()
		f.done.Wait()
	}
}
