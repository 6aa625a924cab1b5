package gateway

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"hash"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/cache"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/relay"
)

// replayable reports whether the answer of a call could be given again: its
// caller did not switch that off, and wants what is most likely.
func (c *call) replayable() bool {
	if v := c.r.Header["X-Rephlo-Cache"]; len(v) > 0 && v[0] == "off" {
		return false
	}
	switch c.op.op { //nolint:exhaustive // the others make media, or judge
	case llm.OpChat, llm.OpResponses, llm.OpMessages, llm.OpCompletions:
		return settled(c.body.b, "temperature")
	case llm.OpGenerate:
		return settled(c.body.b, "generationConfig", "temperature")
	case llm.OpEmbeddings, llm.OpEmbedContent, llm.OpEmbedBatch:
		return true
	}
	return false
}

// settled reports whether the number at path is 0 or not there.
func settled(body []byte, path ...string) bool {
	yes := true
	relay.Members(body, func(m relay.Member) bool {
		name, err := jsontext.AppendUnquote(nil, append(append([]byte{'"'}, m.Name...), '"'))
		if err != nil || string(name) != path[0] {
			return true
		}
		switch {
		case null(m):
		case len(path) > 1:
			yes = settled(m.Value, path[1:]...)
		default:
			f, err := strconv.ParseFloat(string(bytes.TrimSpace(m.Value)), 64)
			yes = err == nil && f == 0
		}
		return yes
	})
	return yes
}

// keptKey is a hash of all that the answer depends on: who asks with which key,
// for which model at which price and from where, in which dialect, and what.
// Spaces and the order of names make no difference; it is false for a body that
// cannot be read.
func (c *call) keptKey() (cache.KeptKey, bool) {
	body := jsontext.Value(bytes.Clone(c.body.b))
	if err := body.Compact(jsontext.ReorderRawObjects(true)); err != nil {
		return cache.KeptKey{}, false
	}
	price, err := json.Marshal(struct{ Prices, Terms any }{c.prices, c.terms})
	if err != nil {
		return cache.KeptKey{}, false
	}
	first := &c.model.Routes[0]
	h := sha256.New()
	for _, part := range []string{
		"answer/1", c.actor.UserID, c.actor.KeyID, c.model.ID, first.Provider.Name, first.VendorModel, string(price),
		string(c.op.op), c.op.path, strconv.FormatBool(c.scan.Stream), strconv.FormatBool(c.array), strconv.FormatBool(c.strict()),
	} {
		addPart(h, []byte(part))
	}
	if c.op.headers != nil {
		for _, f := range c.op.headers(c.r.Header) {
			addPart(h, []byte(f.Name))
			addPart(h, []byte(f.Value))
		}
	}
	addPart(h, body)
	return cache.KeptKey(h.Sum(nil)), true
}

// addPart adds a part that cannot be taken for another's end or beginning.
func addPart(h hash.Hash, part []byte) {
	h.Write(binary.BigEndian.AppendUint64(make([]byte, 0, 8), uint64(len(part))))
	h.Write(part)
}

// strict reports whether the client wants a refusal instead of a warning.
func (c *call) strict() bool {
	v := c.r.Header["X-Rephlo-Strict"]
	return len(v) == 1 && v[0] == "1"
}
