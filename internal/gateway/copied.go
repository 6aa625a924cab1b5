package gateway

import (
	"errors"

	"github.com/rephlo/rephlo/internal/capture"
	"github.com/rephlo/rephlo/internal/fault"
)

// maxCopied is how much of a stream is copied: more than is kept, because media
// in it will be short.
const maxCopied = 1 << 20

// copied is what is kept of a call for its owner. Most calls have none.
type copied struct {
	request, answer []byte
	size            int64 // of all events of a stream
}

// copies lets what is asked and answered be copied, if operator and owner want
// it.
func (c *call) copies() {
	if c.actor.Key != nil && c.actor.Key.Capture && c.s.needs.Captures != nil && c.s.needs.Captures.On() {
		c.copied = &copied{}
	}
}

// event copies a part of a stream. The lock on what is written is held.
func (k *copied) event(p []byte) {
	k.size += int64(len(p))
	k.answer = append(k.answer, p[:min(len(p), maxCopied-len(k.answer))]...)
}

// takeBody takes the body as the client sent it, which nothing may use again.
func (k *copied) takeBody(c *call) {
	if c.came != nil {
		k.request, c.came = c.came.b, nil
	} else if c.body != nil {
		k.request, c.body = c.body.b, nil
	}
}

// offer gives what was copied of a call that ended with err to those who keep
// it.
func (c *call) offer(err error) {
	kept := capture.Call{
		ID: c.entry.ID, RequestID: c.entry.RequestID, UserID: c.entry.UserID, KeyID: c.entry.KeyID, ModelID: c.entry.ModelID, Operation: c.entry.Operation, At: c.began,
		RequestType: c.r.Header.Get("Content-Type"), Request: c.copied.request, Answer: c.copied.answer, AnswerSize: c.copied.size,
	}
	if len(kept.Answer) > 0 {
		kept.AnswerType = c.w.Header().Get("Content-Type")
	}
	if err != nil {
		kept.Error = fault.ErrInternal.Code
		if f, ok := errors.AsType[*fault.Error](err); ok {
			kept.Error = f.Code
		}
	}
	c.s.needs.Captures.Offer(kept)
}
