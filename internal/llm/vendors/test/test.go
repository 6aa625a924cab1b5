package test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/vendors/openai"
)

// Vendor implements llm.Vendor without a network.
type Vendor struct{}

var (
	_ llm.Vendor   = Vendor{}
	_ llm.Streamer = Vendor{}
	_ llm.Embedder = Vendor{}
)

// New returns the vendor.
func New() Vendor { return Vendor{} }

// Native implements llm.Vendor.
func (Vendor) Native(op llm.Op) bool { return op == llm.OpChat || others[op] != nil }

var errOp = errors.New("operation is not forwarded")

// Stream implements llm.Streamer: other dialects are answered through the hub.
func (v Vendor) Stream(ctx context.Context, to llm.Target, req *llm.Request) iter.Seq2[llm.Event, error] {
	return openai.StreamChat(ctx, to, req, true, v.Forward)
}

// Embed implements llm.Embedder.
func (v Vendor) Embed(ctx context.Context, to llm.Target, req *llm.EmbedRequest) (llm.EmbedAnswer, error) {
	return openai.Embed(ctx, to, req, v.Forward)
}

// Forward implements llm.Vendor.
func (v Vendor) Forward(ctx context.Context, to llm.Target, call llm.Call) (llm.Reply, error) {
	if !v.Native(call.Op) {
		return llm.Reply{}, llm.Fail(llm.UnknownModel, errOp)
	}
	plan := planChat
	if other := others[call.Op]; other != nil {
		plan = other
	}
	a, err := plan(request{Model: to.Model, contentType: call.ContentType}, bytes.Join(call.Parts, nil))
	if err != nil {
		return llm.Reply{}, err
	}
	if !a.Stream || a.script.status > 0 && a.script.errorAt == 0 {
		if err := sleep(ctx, a.script.delay); err != nil {
			return llm.Reply{}, llm.Broken(err)
		}
	}
	if a.script.status > 0 && (a.script.errorAt == 0 || !a.Stream) {
		return llm.Reply{}, a.refusal().Failure()
	}
	reply := llm.Reply{ContentType: "application/json", VendorRequestID: "req_" + a.hash[:24], ProcessingMS: "1", Length: -1}
	if a.Stream {
		reply.ContentType = "text/event-stream; charset=utf-8"
		b := &body{ctx: ctx, idle: to.Idle, answer: a, stream: true}
		if a.events == nil {
			b.segments = a.segments()
		} else {
			b.prepared = a.events(a)
		}
		reply.Body = b
		return reply, nil
	}
	whole := a.whole(a)
	if a.mediaType != "" {
		reply.ContentType = a.mediaType
	}
	if a.script.bad == "" && a.script.cut == 0 && a.script.stall == 0 {
		reply.Length = int64(len(whole))
	}
	reply.Body = &body{ctx: ctx, idle: to.Idle, answer: a, ready: a.broken(whole)}
	return reply, nil
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answer is what a request will be answered with.
type answer struct {
	request
	script    script
	hash      string
	text      string
	refused   string
	reasoning string
	finish    string
	input     int64 // tokens

	// How the answer is written. Chat completions have no events: they are made
	// one by one.
	whole     func(*answer) []byte
	events    func(*answer) [][]byte
	mediaType string // of the whole; empty is JSON
}

// request is what the vendor looks at.
type request struct {
	contentType string

	Model     string `json:"model"`
	Stream    bool   `json:"stream"`
	N         int    `json:"n"`
	Max       int    `json:"max_completion_tokens"`
	MaxOld    int    `json:"max_tokens"`
	StreamOpt struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	Messages []struct {
		Role    string         `json:"role"`
		Content jsontext.Value `json:"content"`
	} `json:"messages"`
}

// start returns the answer to a request whose JSON is read into more.
func start(r request, raw []byte, more any) (*answer, error) {
	a := &answer{request: r, finish: "stop"}
	for _, into := range []any{&a.request, more} {
		if into == nil {
			continue
		}
		if err := json.Unmarshal(raw, into, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
			return nil, llm.Refusal{Status: 400, Message: "The body has a field of the wrong type."}.Failure()
		}
	}
	sum := sha256.Sum256(raw)
	a.hash = hex.EncodeToString(sum[:])
	a.N = min(max(a.N, 1), 10)
	return a, nil
}

// say plans an answer to the last text of a conversation of size bytes.
func (a *answer) say(last string, size int) {
	a.input = tokens(size)
	a.script, a.text = parse(a.Model, last)
	a.compose()
}

func planChat(r request, raw []byte) (*answer, error) {
	a, err := start(r, raw, nil)
	if err != nil {
		return nil, err
	}
	a.whole = (*answer).json
	last, size := "", 0
	for _, m := range a.Messages {
		text := contentText(m.Content)
		size += len(text)
		if m.Role == "user" {
			last = text
		}
	}
	a.say(last, size)
	return a, nil
}

// compose decides what is said, within the output limit.
func (a *answer) compose() {
	s := &a.script
	a.reasoning = filler("think ", s.reasoning)
	switch {
	case s.finish == "refusal":
		a.refused, a.text = "I cannot help with that.", ""
	case s.json != "":
		a.text = s.json
	case s.tokens >= 0:
		a.text = filler("word ", s.tokens)
	case len(s.tools) > 0:
		a.text = ""
	case a.text == "":
		a.text = "This is the test model."
	}
	if len(s.tools) > 0 {
		a.finish = "tool_calls"
	}
	limit := a.Max
	if limit == 0 {
		limit = a.MaxOld
	}
	if limit > 0 {
		a.reasoning = a.within(a.reasoning, 4*limit)
		a.text = a.within(a.text, 4*limit-len(a.reasoning))
	}
	if s.finish == "length" {
		a.finish = s.finish
	}
}

// within cuts text to room and notes that it did.
func (a *answer) within(text string, room int) string {
	if len(text) <= room {
		return text
	}
	a.finish = "length"
	return strings.ToValidUTF8(text[:room], "")
}

// filler returns n tokens of words.
func filler(word string, n int) string {
	return strings.Repeat(word, (4*n+len(word)-1)/len(word))[:4*n]
}

func tokens(size int) int64 { return int64(size+3) / 4 }

// contentText returns the text of a message: a string, or its text parts.
func contentText(v jsontext.Value) string {
	var text string
	if json.Unmarshal(v, &text, jsontext.AllowInvalidUTF8(true)) == nil {
		return text
	}
	var parts []struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(v, &parts, jsontext.AllowInvalidUTF8(true)) != nil {
		return ""
	}
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = p.Text
	}
	return strings.Join(texts, "\n")
}

// body is read as if it came from a connection: it waits, ends early or fails
// as the script says, and ends with ctx.
type body struct {
	ctx      context.Context //nolint:containedctx // it bounds the reads, as with net/http
	idle     time.Duration
	answer   *answer
	stream   bool
	segments []segment // of a stream, not yet begun
	prepared [][]byte  // or the events themselves
	events   int
	ready    []byte
	scratch  []byte
	err      error
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	if len(b.ready) == 0 && b.err == nil {
		b.err = b.advance()
	}
	if len(b.ready) > 0 {
		n := copy(p, b.ready)
		b.ready = b.ready[n:]
		return n, nil
	}
	return 0, b.err
}

// Close implements io.Closer.
func (b *body) Close() error {
	if b.err == nil {
		b.err = io.ErrClosedPipe
	}
	b.ready = nil
	return nil
}

// stall is silent until the idle limit or the end of the call.
func (b *body) stall() error {
	limit := b.idle
	if limit <= 0 {
		limit = maxWait
	}
	if err := sleep(b.ctx, limit); err != nil {
		return err
	}
	return context.DeadlineExceeded
}
