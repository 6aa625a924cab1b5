package sqldb

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// relistenAfter is how long a Listener waits before it connects again.
const relistenAfter = 500 * time.Millisecond

// Listener hears what is notified on a channel. Messages are hints: one can be
// lost while the connection is down, so who needs them also looks now and then.
type Listener struct {
	db      *DB
	channel string
	hear    func(payload string)
	hearing atomic.Bool
	cancel  context.CancelFunc
	done    chan struct{}
}

// listeners are those in this process; on SQLite they are all there are.
type listeners struct {
	mu  sync.Mutex
	all map[*Listener]bool // guarded by mu
}

// Listen calls hear with the payload of each notification on channel, one at a
// time, until Close. hear must not block. On PostgreSQL it uses a connection of
// its own (LISTEN), and connects again when that is lost. On SQLite only this
// process's notifications arrive.
func (d *DB) Listen(channel string, hear func(payload string)) *Listener {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Listener{db: d, channel: channel, hear: hear, cancel: cancel, done: make(chan struct{})}
	if d.engine == SQLite {
		d.listeners.mu.Lock()
		defer d.listeners.mu.Unlock()
		if d.listeners.all == nil {
			d.listeners.all = map[*Listener]bool{}
		}
		d.listeners.all[l] = true
		l.hearing.Store(true)
		close(l.done)
		return l
	}
	go l.run(ctx)
	return l
}

// Hearing reports whether messages arrive now.
func (l *Listener) Hearing() bool { return l.hearing.Load() }

// Close ends l and waits until hear has returned.
func (l *Listener) Close() {
	l.cancel()
	<-l.done
	l.db.listeners.mu.Lock()
	defer l.db.listeners.mu.Unlock()
	delete(l.db.listeners.all, l)
	l.hearing.Store(false)
}

func (l *Listener) run(ctx context.Context) {
	defer close(l.done)
	for ctx.Err() == nil {
		_ = l.listen(ctx) // whatever ended it, the answer is to connect again
		l.hearing.Store(false)
		select {
		case <-time.After(relistenAfter):
		case <-ctx.Done():
		}
	}
}

func (l *Listener) listen(ctx context.Context) error {
	cfg, err := postgresConfig(l.db.url)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), relistenAfter)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{l.channel}.Sanitize()); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	l.hearing.Store(true)
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		l.hear(n.Payload)
	}
}

// Notify tells the listeners of channel once the transaction that ctx carries
// has committed, or at once when there is none.
func (d *DB) Notify(ctx context.Context, channel, payload string) error {
	if d.engine != SQLite {
		if _, err := d.Q(ctx).ExecContext(ctx, `SELECT pg_notify($1, $2)`, channel, payload); err != nil {
			return fmt.Errorf("notify: %w", err)
		}
		return nil
	}
	d.AfterCommit(ctx, func() {
		d.listeners.mu.Lock()
		var to []*Listener
		for l := range d.listeners.all {
			if l.channel == channel {
				to = append(to, l)
			}
		}
		d.listeners.mu.Unlock()
		for _, l := range to {
			l.hear(payload)
		}
	})
	return nil
}
