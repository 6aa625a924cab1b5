package obs

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Options say what the log looks like. The zero value writes text from level
// info.
type Options struct {
	// Format is "text", "json" or "auto": text when Out is a terminal.
	Format string
	// Level is "debug", "info", "warn" or "error".
	Level string
}

// Bounds of the queue. Below the reserve only warnings and errors get in.
const (
	queueLines   = 8192
	queueReserve = 2048
	maxLine      = 64 << 10
)

// Log owns the goroutine that writes the lines out.
type Log struct {
	*slog.Logger
	out     io.Writer
	now     func() time.Time
	json    bool
	queue   chan []byte
	dropped atomic.Int64 // since they were last reported
	total   atomic.Int64
	closing chan struct{}
	done    chan struct{}
	once    sync.Once
	lines   []byte // that are written together; of the goroutine
}

// New returns a Log that writes to out until Close. now stamps its own lines
// about dropped ones.
func New(out io.Writer, o Options, now func() time.Time) *Log {
	l := &Log{
		out: out, now: now, json: o.Format == "json" || o.Format == "auto" && !terminal(out),
		queue: make(chan []byte, queueLines), closing: make(chan struct{}), done: make(chan struct{}),
	}
	opts := &slog.HandlerOptions{Level: level(o.Level)}
	l.Logger = slog.New(&handler{
		low:  l.form(gate{l, queueReserve}, opts),
		high: l.form(gate{l, 0}, opts),
	})
	go l.run()
	return l
}

func (l *Log) form(w io.Writer, opts *slog.HandlerOptions) slog.Handler {
	if l.json {
		return slog.NewJSONHandler(w, opts)
	}
	return slog.NewTextHandler(w, opts)
}

func level(name string) slog.Level {
	var lv slog.Level
	_ = lv.UnmarshalText([]byte(name)) // unknown and empty: info; config has checked it
	return lv
}

// terminal reports whether people read w.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Dropped returns how many lines were dropped since the start.
func (l *Log) Dropped() int64 { return l.total.Load() }

// Close writes out what is queued and ends the goroutine. When ctx ends first,
// because nobody reads our output, it gives up and returns ctx's error. Lines
// that come later are dropped. It may be called twice.
func (l *Log) Close(ctx context.Context) error {
	l.once.Do(func() { close(l.closing) })
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// gate puts lines into the queue while more than reserve places are free.
type gate struct {
	log     *Log
	reserve int
}

// Write implements io.Writer for slog's handlers. It never blocks.
func (g gate) Write(line []byte) (int, error) {
	if len(g.log.queue) < queueLines-g.reserve {
		select {
		case g.log.queue <- redact(line):
			return len(line), nil
		default:
		}
	}
	g.log.dropped.Add(1)
	g.log.total.Add(1)
	return len(line), nil
}

func (l *Log) run() {
	defer close(l.done)
	for {
		select {
		case line := <-l.queue:
			l.write(line)
		case <-l.closing:
			for len(l.queue) > 0 {
				l.write(<-l.queue)
			}
			l.report()
			return
		}
	}
}

// write writes a line, together with others that wait, and then says what was
// dropped while it could not.
func (l *Log) write(line []byte) {
	const batch = 32 << 10
	if len(l.queue) > 0 {
		l.lines = append(l.lines[:0], line...)
		for len(l.lines) < batch && len(l.queue) > 0 {
			l.lines = append(l.lines, <-l.queue...)
		}
		line = l.lines
	}
	_, _ = l.out.Write(line) // there is nowhere to say that the log cannot be written
	if len(l.queue) < queueLines-queueReserve {
		l.report()
	}
}

func (l *Log) report() {
	n := l.dropped.Swap(0)
	if n == 0 {
		return
	}
	r := slog.NewRecord(l.now(), slog.LevelWarn, "log lines dropped", 0)
	r.AddAttrs(slog.Int64("lines", n))
	_ = l.form(l.out, nil).Handle(context.Background(), r) // as above
}

// handler sends records to one of two slog handlers that differ in what
// happens when the queue fills up.
type handler struct{ low, high slog.Handler }

func (h *handler) Enabled(ctx context.Context, lv slog.Level) bool { return h.low.Enabled(ctx, lv) }

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return h.low.Handle(ctx, r)
	}
	return h.high.Handle(ctx, r)
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{low: h.low.WithAttrs(attrs), high: h.high.WithAttrs(attrs)}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{low: h.low.WithGroup(name), high: h.high.WithGroup(name)}
}
