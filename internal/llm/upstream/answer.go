package upstream

import (
	"errors"
	"io"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/sse"
)

// Yield takes an event of a stream; false ends the stream.
type Yield func(llm.Event, error) bool

// Decoder makes events of a vendor's answer. Its methods return false when no
// more is wanted, as yield does.
type Decoder interface {
	// Event takes an event of a stream. done is true behind the terminal one.
	Event(e sse.Event, yield Yield) (done, more bool)
	// Whole takes an answer in one piece.
	Whole(body []byte, yield Yield) bool
}

// Ender is a Decoder of a protocol whose streams have no terminal event.
type Ender interface {
	// End takes the proper end of the vendor's bytes. It is false when the
	// answer is not complete.
	End(yield Yield) bool
}

var errLong = errors.New("the answer is longer than 64 MiB")

// Read yields the events of reply, EventStart first, and closes it.
func Read(reply llm.Reply, stream bool, warnings []llm.Warning, d Decoder, yield Yield) {
	defer reply.Body.Close()
	head := &llm.Head{VendorRequestID: reply.VendorRequestID, ProcessingMS: reply.ProcessingMS, Warnings: warnings}
	if !yield(llm.Event{Kind: llm.EventStart, Head: head}, nil) {
		return
	}
	if stream {
		readStream(reply, d, yield)
		return
	}
	body, err := whole(reply)
	if err != nil {
		yield(llm.Event{}, err)
		return
	}
	d.Whole(body, yield)
}

// Body returns the bytes of an answer in one piece and closes it. An error is a
// *llm.Failure.
func Body(reply llm.Reply) ([]byte, error) {
	defer reply.Body.Close()
	return whole(reply)
}

func whole(reply llm.Reply) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(reply.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, llm.Broken(err)
	case len(body) > maxAnswer:
		return nil, llm.Fail(llm.Protocol, errLong)
	}
	return body, nil
}

func readStream(reply llm.Reply, d Decoder, yield Yield) {
	r := sse.NewReader(reply.Body, 0)
	defer r.Release()
	// What was promised to follow at once follows, if need be as a sign of life:
	// not every event of a vendor is one of ours.
	promised := false
	out := yield
	yield = func(e llm.Event, err error) bool {
		e.More = err == nil && r.Ready()
		promised = e.More
		return out(e, err)
	}
	comments := 0
	for {
		if promised && !r.Ready() && !yield(llm.Event{Kind: llm.EventAlive}, nil) {
			return
		}
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			if d, ok := d.(Ender); ok && d.End(yield) {
				return
			}
			err = llm.ErrCut
		}
		if err != nil {
			yield(llm.Event{}, llm.Broken(err))
			return
		}
		if n := r.Comments(); n != comments {
			comments = n
			if !yield(llm.Event{Kind: llm.EventAlive}, nil) {
				return
			}
		}
		done, more := d.Event(e, yield)
		if !more {
			return
		}
		if done {
			if b, ok := reply.Body.(interface{ Done() }); ok {
				b.Done() // Close may wait a moment for the formal end
			}
			return
		}
	}
}
