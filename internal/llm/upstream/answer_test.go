package upstream_test

import (
	"io"
	"testing"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/sse"
	"github.com/rephlo/rephlo/internal/llm/upstream"
)

// words makes a text of every event but those that say nothing.
type words struct{}

func (words) Event(e sse.Event, yield upstream.Yield) (done, more bool) {
	switch string(e.Data) {
	case "nothing":
		return false, true
	case "end":
		return true, true
	}
	return false, yield(llm.Event{Kind: llm.EventText, Text: string(e.Data)}, nil)
}

func (words) Whole([]byte, upstream.Yield) bool { return true }

// A reader may keep an event that has More until the next one, so there is one
// before the vendor is waited for.
func TestAnEventThatPromisesMoreIsFollowedAtOnce(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	pieces := []string{"data: a\n\ndata: b\n\n", "data: c\n\ndata: nothing\n\n", "data: nothing\n\n", "data: d\n\ndata: end\n\n"}
	next := make(chan int, len(pieces))
	go func() {
		for i := range next {
			_, _ = io.WriteString(w, pieces[i]) // the test sees what is missing
		}
	}()
	next <- 0
	sent, kept, got := 1, "", ""
	upstream.Read(llm.Reply{Body: r}, true, nil, words{}, func(e llm.Event, err error) bool {
		if err != nil {
			t.Error(err)
			return false
		}
		kept += e.Text
		if e.More || e.Kind == llm.EventStart {
			return true
		}
		got, kept = got+kept+"|", ""
		if sent == 1 { // what says nothing brings no event
			next <- sent
			sent++
		} else {
			for ; sent < len(pieces); sent++ {
				next <- sent
			}
		}
		return true
	})
	close(next)
	if got += kept; got != "ab|c|d" && got != "ab|c|d|" {
		t.Errorf("written together: %s", got)
	}
}
