// Package bus carries small invalidation messages between the processes that
// share a database: "this API key changed", "that user's tokens are void". A
// message is a row, written in the transaction that causes it, so nothing is
// announced that did not happen. Within the process it is delivered after the
// commit; other processes poll.
//
// A message may arrive more than once and must therefore mean "look again".
//
// Tables: bus_message.
package bus

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// Timing of the polling. The overlap covers transactions that commit later
// than others that began after them, and clocks that differ.
const (
	interval = time.Second
	overlap  = 10 * time.Second
	kept     = time.Hour
)

// Bus delivers messages. It is safe for concurrent use.
type Bus struct {
	store store
	db    *sqldb.DB
	log   *slog.Logger
	now   func() time.Time

	mu       sync.Mutex
	handlers map[string][]func(subject string) // guarded by mu
	seen     map[string]time.Time              // guarded by mu
	caughtUp time.Time                         // guarded by mu: the last successful poll

	followers []*Follower // guarded by mu
	cancel    context.CancelFunc
	done      chan struct{}
}

// New returns a Bus that does not poll yet.
func New(db *sqldb.DB, log *slog.Logger, now func() time.Time) *Bus {
	return &Bus{store: store{db}, db: db, log: log, now: now, handlers: map[string][]func(string){}, seen: map[string]time.Time{}}
}

// Subscribe calls f for each message of the kind. f must not block.
func (b *Bus) Subscribe(kind string, f func(subject string)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handlers[kind] = append(b.handlers[kind], f)
}

// Publish announces a change, in the transaction that ctx carries if there is
// one.
func (b *Bus) Publish(ctx context.Context, kind, subject string) error {
	m := message{id: id.New("msg", b.now()), kind: kind, subject: subject}
	if err := b.store.add(ctx, m, b.now()); err != nil {
		return err
	}
	b.db.AfterCommit(ctx, func() { b.deliver(m) })
	return nil
}

// Start polls for the messages of other processes until Stop. Messages that
// were written before it are not delivered: who starts, loads.
func (b *Bus) Start(ctx context.Context) error {
	if err := b.poll(ctx, false); err != nil {
		return err
	}
	ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
	b.done = make(chan struct{})
	go b.run(ctx)
	return nil
}

// Stop ends the polling and waits for it.
func (b *Bus) Stop() {
	if b.cancel == nil {
		return
	}
	b.cancel()
	<-b.done
}

// Age returns how long ago the last poll succeeded.
func (b *Bus) Age() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now().Sub(b.caughtUp)
}

func (b *Bus) run(ctx context.Context) {
	defer close(b.done)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	swept := b.now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := b.poll(ctx, true); err != nil && ctx.Err() == nil {
			b.log.WarnContext(ctx, "bus poll failed", "err", err)
		}
		if b.now().Sub(swept) > kept {
			swept = b.now()
			if err := b.store.sweep(ctx, b.now().Add(-kept)); err != nil && ctx.Err() == nil {
				b.log.WarnContext(ctx, "bus sweep failed", "err", err)
			}
		}
	}
}

func (b *Bus) poll(ctx context.Context, deliver bool) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	since := b.now().Add(-overlap)
	messages, err := b.store.since(ctx, since)
	if err != nil {
		return err
	}
	for _, m := range messages {
		if deliver {
			b.deliver(m)
		} else {
			b.first(m)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.caughtUp = b.now()
	for id, at := range b.seen {
		if at.Before(since.Add(-overlap)) {
			delete(b.seen, id)
		}
	}
	return nil
}

// first reports whether m is new here, and remembers it.
func (b *Bus) first(m message) ([]func(string), bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.seen[m.id]; ok {
		return nil, false
	}
	b.seen[m.id] = b.now()
	return b.handlers[m.kind], true
}

func (b *Bus) deliver(m message) {
	handlers, ok := b.first(m)
	if !ok {
		return
	}
	for _, f := range handlers {
		f(m.subject)
	}
}
