package gateway

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/rephlo/rephlo/internal/cache"
	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/obs"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/usage"
)

// maxKept is the size of the largest answer that is kept.
const maxKept = 256 << 10

// replays counts what became of calls whose answers may be kept.
type replays struct{ hits, misses atomic.Int64 }

func (r *replays) observe(m *obs.Metrics) {
	m.Counter("llm_cache_total", "Model calls whose answers may be kept, by whether one was there.", []string{"result"}, func(emit obs.Emit) {
		emit(float64(r.hits.Load()), "hit")
		emit(float64(r.misses.Load()), "miss")
	})
}

// keeping is what a call knows about its answer that is to be kept. Most calls
// have none.
type keeping struct {
	key    cache.KeptKey
	model  *catalog.Model // an answer of a fallback is not the model's
	answer *kept          // that was there
	events []byte         // of a stream so far
	large  bool           // too large to be kept
}

// kept is an answer that is given again.
type kept struct {
	ContentType string         `json:"type"`
	Warnings    []string       `json:"warnings,omitempty"`
	Counts      pricing.Counts `json:"counts"`
	Source      usage.Source   `json:"source"`
	body        []byte
}

// pack returns k as one piece: its head, then the body.
func (k *kept) pack() ([]byte, error) {
	head, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, 4+len(head)+len(k.body))
	b = binary.BigEndian.AppendUint32(b, uint32(len(head))) //nolint:gosec // a head has a few hundred bytes
	return append(append(b, head...), k.body...), nil
}

var errKept = errors.New("not a kept answer")

func unpack(b []byte) (*kept, error) {
	if len(b) < 4 {
		return nil, errKept
	}
	n, rest := int64(binary.BigEndian.Uint32(b)), b[4:]
	if n > int64(len(rest)) {
		return nil, errKept
	}
	k := &kept{body: rest[n:]}
	return k, json.Unmarshal(rest[:n], k)
}

// lookUp finds the answer that was given to the same request before, for keys
// and models that want it. For all others it does nothing.
func (c *call) lookUp() {
	if c.model.CacheFor == 0 || c.actor.Key == nil || !c.actor.Key.Cache || c.s.needs.Kept == nil || !c.replayable() {
		return
	}
	key, ok := c.keptKey()
	if !ok {
		return
	}
	c.keeping = &keeping{key: key, model: c.model}
	if b, ok := c.s.needs.Kept.Get(c.r.Context(), key); ok {
		if k, err := unpack(b); err == nil {
			c.keeping.answer = k
			c.s.replays.hits.Add(1)
			return
		}
	}
	c.s.replays.misses.Add(1)
}

// hit reports whether the answer was given before.
func (c *call) hit() bool { return c.keeping != nil && c.keeping.answer != nil }

var (
	valueHit  = []string{"hit"}
	valueMiss = []string{"miss"}
)

// cacheHeader is what X-Rephlo-Cache says.
func (c *call) cacheHeader() []string {
	switch {
	case c.keeping == nil:
		return valueOff
	case c.keeping.answer != nil:
		return valueHit
	}
	return valueMiss
}

// replay gives the answer of an earlier call again. It is recorded like any
// other; unless the operator wants it paid, it costs nothing.
func (c *call) replay() error {
	k := c.keeping.answer
	if err := c.held(); err != nil {
		return c.notHeld(err)
	}
	c.firstByte = c.s.needs.Now().Sub(c.began)
	paid, err := c.settle(credit.Finished, usage.Success, used{counts: k.Counts, source: k.Source})
	if err != nil && !errors.Is(err, credit.ErrNotDurable) {
		return unavailable(err)
	}
	if c.hold == nil {
		room, err := c.s.needs.Credits.Room(c.r.Context(), c.actor.UserID, nil)
		paid = receipt{remaining: room, durable: err == nil && !c.actor.Test}
	}
	if len(k.Warnings) > 0 {
		c.w.Header()["X-Rephlo-Warnings"] = k.Warnings
	}
	head := llm.Reply{ContentType: k.ContentType}
	if !c.scan.Stream {
		return c.writeAnswer(head, &buffer{b: k.body}, paid)
	}
	b := k.body
	if paid.durable {
		if c.wantsCredits() && (c.scan.IncludeUsage || c.op.op == llm.OpResponses) {
			b = withStreamCredits(b, paid)
		}
		if c.hold == nil { // known before the first byte
			paid.show(c.w.Header())
		}
	}
	if c.write(head, b) == nil && c.hold != nil && paid.durable {
		paid.show(c.w.Header()) // as trailers
	}
	return nil
}

// show sets the headers that say what a call cost.
func (p receipt) show(h http.Header) {
	h["X-Rephlo-Credits-Charged"] = []string{p.charged.String()}
	h["X-Rephlo-Credits-Remaining"] = []string{p.remaining.String()}
}

// collect adds events of a stream to what is kept of it.
func (k *keeping) collect(parts ...[]byte) {
	if k.large {
		return
	}
	for _, p := range parts {
		if len(k.events)+len(p) > maxKept {
			k.events, k.large = nil, true
			return
		}
		k.events = append(k.events, p...)
	}
}

// keep keeps a whole answer that used u, if it may be given again.
func (c *call) keep(contentType string, body []byte, u used) {
	k := c.keeping
	if k == nil || k.answer != nil || k.large || len(body) > maxKept || c.model != k.model || c.output != c.limit() || callsTools(body) {
		return
	}
	answer := kept{ContentType: contentType, Warnings: c.w.Header()["X-Rephlo-Warnings"], Counts: u.counts, Source: u.source, body: body}
	if packed, err := answer.pack(); err == nil {
		c.s.needs.Kept.Put(c.ctx, k.key, packed, k.model.CacheFor)
	}
}

// toolWords are how the dialects write that a model calls a tool. Inside a text
// their quotes are escaped.
var toolWords = [][]byte{[]byte(`"tool_calls"`), []byte(`"function_call"`), []byte(`"custom_tool_call"`), []byte(`"tool_use"`), []byte(`"functionCall"`)}

// callsTools reports whether an answer has calls of tools: it is then a step of
// something that happens elsewhere.
func callsTools(answer []byte) bool {
	for _, word := range toolWords {
		for rest := answer; ; {
			i := bytes.Index(rest, word)
			if i < 0 {
				break
			}
			if rest = rest[i+len(word):]; !emptyValue(rest) {
				return true
			}
		}
	}
	return false
}

// emptyValue reports whether b goes on with a colon and null or an empty array.
func emptyValue(b []byte) bool {
	b, ok := bytes.CutPrefix(bytes.TrimLeft(b, " \t\r\n"), []byte(":"))
	if !ok {
		return false
	}
	b = bytes.TrimLeft(b, " \t\r\n")
	if bytes.HasPrefix(b, []byte("null")) {
		return true
	}
	b, ok = bytes.CutPrefix(b, []byte("["))
	return ok && bytes.HasPrefix(bytes.TrimLeft(b, " \t\r\n"), []byte("]"))
}
