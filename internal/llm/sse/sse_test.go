package sse_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/sse"
)

// read returns all events as name|data and how the stream ended.
func read(r io.Reader, limit int) ([]string, error) {
	s := sse.NewReader(r, limit)
	defer s.Release()
	var out []string
	for {
		e, err := s.Next()
		if err != nil {
			return out, err
		}
		out = append(out, string(e.Name)+"|"+string(e.Data))
	}
}

func TestEventsAreReadHoweverTheirLinesEndAndTheirBytesArrive(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"LF", "data: a\n\nevent: x\ndata:b\n\n", []string{"|a", "x|b"}},
		{"CRLF", "event: x\r\ndata: a\r\n\r\ndata: b\r\n\r\n", []string{"x|a", "|b"}},
		{"CR", "event: x\rdata: a\r\rdata: b\r\r", []string{"x|a", "|b"}},
		{"BOM", "\ufeffdata: a\n\n", []string{"|a"}},
		{"several data lines", "data: a\ndata:\ndata:  b\n\n", []string{"|a\n\n b"}},
		{"comments, id and retry", ": hi\n\nid: 1\nretry: 5\n\n: x\ndata: a\n: y\nid: 2\n\n", []string{"|a"}},
		{"an event without data has no name for the next", "event: x\n\ndata: a\n\n", []string{"|a"}},
		{"no value", "data\n\n", []string{"|"}},
		{"the last event lacks its end", "data: a\n\ndata: b\n", []string{"|a"}},
		{"but [DONE] is whole", "data: a\n\ndata: [DONE]", []string{"|a", "|[DONE]"}},
		{"split characters", "data: Grüße, 世界 🙂\n\n", []string{"|Grüße, 世界 🙂"}},
	} {
		for reader, wrap := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "with the error": iotest.DataErrReader,
		} {
			got, err := read(wrap(strings.NewReader(tt.in)), 0)
			if !errors.Is(err, io.EOF) || !cmp.Equal(got, tt.want) {
				t.Errorf("%s, %s: got %q, %v, want %q", tt.name, reader, got, err, tt.want)
			}
		}
	}
}

func TestLongLinesAndEventsAreRefused(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"line":           "data: " + strings.Repeat("a", 200),
		"event":          strings.Repeat("data: "+strings.Repeat("a", 50)+"\n", 3) + "\n",
		"lines":          strings.Repeat("id: 1\n", 2000) + "\n",
		"endless":        strings.Repeat("x", 1<<20),
		"comment":        ":" + strings.Repeat("x", 1<<10),
		"ended too late": "data: " + strings.Repeat("a", 200) + "\n\n",
	} {
		if got, err := read(iotest.OneByteReader(strings.NewReader(in)), 100); llm.KindOf(err) != llm.Protocol {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	if got, err := read(strings.NewReader("data: "+strings.Repeat("a", 94)+"\n\n"), 100); len(got) != 1 {
		t.Errorf("a line at the limit: %q, %v", got, err)
	}
}

func TestAReaderThatFailsOrHasNothingEndsTheStream(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	got, err := read(io.MultiReader(strings.NewReader("data: a\n\ndata: b"), iotest.ErrReader(broken)), 0)
	if !errors.Is(err, broken) || !cmp.Equal(got, []string{"|a"}) {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := read(nothing{}, 0); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v", err)
	}
}

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	t.Parallel()
	var b []byte
	b = sse.Append(b, "x", []byte("one\ntwo"))
	b = sse.Append(b, "", []byte("three"))
	b = sse.Close(append(sse.Open(b, "y"), "{}"...))
	got, err := read(bytes.NewReader(b), 0)
	if want := []string{"x|one\ntwo", "|three", "y|{}"}; !errors.Is(err, io.EOF) || !cmp.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
}

// However a stream is cut into reads, its events are the same, and what they
// take is bounded.
func FuzzReader(f *testing.F) {
	f.Add([]byte("\ufeffevent: x\r\ndata: a\r\n\r\n: c\rdata: b\r\rdata: [DONE]"))
	f.Add([]byte("data: a\n\rdata\n\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, err := read(bytes.NewReader(b), 64)
		bytewise, err2 := read(iotest.OneByteReader(bytes.NewReader(b)), 64)
		if !cmp.Equal(whole, bytewise) || errors.Is(err, io.EOF) != errors.Is(err2, io.EOF) {
			t.Fatalf("%q: %q, %v and %q, %v", b, whole, err, bytewise, err2)
		}
		for _, e := range whole {
			if len(e) > 64+64+1 {
				t.Fatalf("%d bytes", len(e))
			}
		}
		var out []byte
		for _, e := range whole {
			name, data, _ := strings.Cut(e, "|")
			if !strings.Contains(data, "|") && !strings.Contains(name, "|") {
				out = sse.Append(out, name, []byte(data))
			}
		}
		if _, err := read(bytes.NewReader(out), 0); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	})
}
