package obs

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// TraceOptions are what a Tracer is made of.
type TraceOptions struct {
	// Endpoint is the address of the receiver, without /v1/traces.
	Endpoint string
	// Header is sent to it, as a credential.
	Header http.Header
	// OneIn is how many requests there are to each that is traced; 1 traces all.
	// A request whose traceparent says that it is sampled is traced always.
	OneIn   uint64
	Version string
	Log     *slog.Logger
}

// Tracer sends the spans of some requests to an OTLP receiver. A nil one traces
// nothing. It is safe for concurrent use. Spans wait in a bounded queue; when
// it is full, as when the receiver is down, they are dropped and counted.
type Tracer struct {
	TraceOptions
	client  *http.Client
	queue   chan *Trace
	stop    chan struct{}
	done    sync.WaitGroup
	dropped atomic.Int64
}

const (
	tracesWaiting = 1024
	tracesAtOnce  = 128
	tracePause    = time.Second
	tracePatience = 10 * time.Second
)

// NewTracer returns a Tracer that sends until Stop.
func NewTracer(o TraceOptions) *Tracer {
	t := &Tracer{
		TraceOptions: o, queue: make(chan *Trace, tracesWaiting), stop: make(chan struct{}),
		client: &http.Client{Timeout: tracePatience, Transport: &http.Transport{MaxIdleConns: 1, IdleConnTimeout: time.Minute}},
	}
	t.done.Go(t.run)
	return t
}

// Trace is the spans of one request, the server's first. It belongs to the
// goroutine of the request until End.
type Trace struct {
	tracer *Tracer
	id     [16]byte
	parent [8]byte // of the caller; zero if there is none
	spans  []Span
}

// Span is a piece of work. Its attributes are texts, numbers, truths and lists
// of texts; never what people wrote or read.
type Span struct {
	Name       string
	Start, End time.Time
	Attrs      []Attr
	Failed     string // what kind of failure it ended with; empty for none

	id [8]byte
}

// Begin returns the Trace of a request that began at start, or nil when it is not
// traced. traceparent are the values of that header (W3C Trace Context).
func (t *Tracer) Begin(traceparent []string, start time.Time) *Trace {
	if t == nil {
		return nil
	}
	var of Trace
	sampled := false
	if len(traceparent) == 1 {
		of.id, of.parent, sampled = ParseTraceparent(traceparent[0])
	}
	if !sampled && mathrand.Uint64N(max(t.OneIn, 1)) != 0 { //nolint:gosec // it only picks some
		return nil
	}
	tr := &Trace{tracer: t, id: of.id, parent: of.parent, spans: make([]Span, 1, 4)}
	if tr.id == [16]byte{} {
		_, _ = rand.Read(tr.id[:]) // it does not fail
	}
	tr.spans[0].Start = start
	return tr
}

// ID returns the id of the trace in hexadecimal digits.
func (tr *Trace) ID() string { return hex.EncodeToString(tr.id[:]) }

// Add adds a finished span below that of the server.
func (tr *Trace) Add(s Span) { tr.spans = append(tr.spans, s) }

// End finishes the server's span and hands the trace over.
func (tr *Trace) End(s Span) {
	s.Start = tr.spans[0].Start
	tr.spans[0] = s
	for i := range tr.spans {
		_, _ = rand.Read(tr.spans[i].id[:]) // it does not fail
	}
	select {
	case tr.tracer.queue <- tr:
	default:
		tr.tracer.dropped.Add(1)
	}
}

// Observe shows how many traces were lost.
func (t *Tracer) Observe(m *Metrics) {
	if t != nil {
		m.Counter("traces_dropped_total", "Traces that the receiver did not get.", nil, func(emit Emit) { emit(float64(t.dropped.Load())) })
	}
}

// Stop sends what waits and ends the Tracer. Nothing may end a Trace afterwards.
func (t *Tracer) Stop(ctx context.Context) error {
	if t == nil {
		return nil
	}
	close(t.stop)
	ended := make(chan struct{})
	go func() { t.done.Wait(); close(ended) }()
	select {
	case <-ended:
		t.client.CloseIdleConnections()
		return nil
	case <-ctx.Done():
		return fmt.Errorf("send the last traces: %w", ctx.Err())
	}
}

// run sends what comes, some at once, until Stop.
func (t *Tracer) run() {
	tick := time.NewTicker(tracePause)
	defer tick.Stop()
	var batch []*Trace
	for {
		select {
		case tr := <-t.queue:
			if batch = append(batch, tr); len(batch) < tracesAtOnce {
				continue
			}
		case <-tick.C:
		case <-t.stop:
			for len(t.queue) > 0 {
				batch = append(batch, <-t.queue)
			}
			t.send(batch)
			return
		}
		t.send(batch)
		batch = batch[:0]
	}
}

// send hands a batch to the receiver. What it does not take is lost: whoever
// watches must not be what makes us wait.
func (t *Tracer) send(batch []*Trace) {
	if len(batch) == 0 {
		return
	}
	err := t.post(t.encode(batch))
	if err != nil {
		t.dropped.Add(int64(len(batch)))
		t.Log.LogAttrs(context.Background(), slog.LevelWarn, "traces lost", slog.Int("traces", len(batch)), slog.Any("err", err))
	}
}

func (t *Tracer) post(body []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), tracePatience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(t.Endpoint, "/")+"/v1/traces", bytes.NewReader(body))
	if err != nil {
		return err
	}
	maps.Copy(r.Header, t.Header)
	r.Header.Set("Content-Type", "application/json")
	res, err := t.client.Do(r)
	if err != nil {
		return err
	}
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // so that the connection is used again
	_ = res.Body.Close()                          // it was read
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("the receiver answers %d", res.StatusCode)
	}
	return nil
}

// ParseTraceparent reads a traceparent (W3C Trace Context section 3.2): the ids
// of the trace and of the caller's span, and whether the caller is sampled. All
// are zero for one that is malformed.
func ParseTraceparent(text string) (trace [16]byte, parent [8]byte, sampled bool) {
	const length = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if len(text) < length || text[2] != '-' || text[35] != '-' || text[52] != '-' {
		return trace, parent, false
	}
	var version, flags [1]byte
	ok := lower(version[:], text[:2]) && lower(trace[:], text[3:35]) && lower(parent[:], text[36:52]) && lower(flags[:], text[53:55])
	switch {
	case !ok, version[0] == 0xff, trace == [16]byte{}, parent == [8]byte{},
		version[0] == 0 && len(text) != length, len(text) > length && text[length] != '-':
		return [16]byte{}, [8]byte{}, false
	}
	return trace, parent, flags[0]&1 == 1
}

// lower decodes hexadecimal digits, which are in lower case.
func lower(to []byte, text string) bool {
	digit := func(c byte) (byte, bool) {
		switch {
		case c >= '0' && c <= '9':
			return c - '0', true
		case c >= 'a' && c <= 'f':
			return c - 'a' + 10, true
		}
		return 0, false
	}
	for i := range to {
		high, ok := digit(text[2*i])
		low, ok2 := digit(text[2*i+1])
		if !ok || !ok2 {
			return false
		}
		to[i] = high<<4 | low
	}
	return true
}
