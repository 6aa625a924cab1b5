package gateway

import (
	"bytes"
	"strings"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/dialect/google"
	"github.com/rephlo/rephlo/internal/llm/relay"
)

// opGemini is generateContent and streamGenerateContent, which the path names
// behind the model.
var opGemini = &operation{
	op: llm.OpGenerate, path: "/v1beta/models/{call}", word: "generation", scan: scanGemini, limitKey: "generationConfig.maxOutputTokens",
	dialect: google.Gemini{}, streamError: geminiError, maxLine: mediaLine,
}

func scanGemini(c *call) (err error) {
	if c.scan, err = relay.ScanGemini(c.body.b); err != nil {
		return err
	}
	path := c.r.PathValue("call")
	at := strings.LastIndexByte(path, ':')
	if at < 0 {
		at = len(path)
	}
	c.scan.Model = path[:at]
	switch path[at:] {
	case ":generateContent":
	case ":streamGenerateContent":
		c.scan.Stream = true
		c.array = c.r.URL.Query().Get("alt") != "sse"
	default:
		return ErrOperation.Saying("The path must end with :generateContent, :streamGenerateContent, :countTokens, :embedContent or :batchEmbedContents.")
	}
	return nil
}

// geminiError is the error that ends a stream which has begun: an event, or the
// last element of the array.
func geminiError(c *call, f *fault.Error) []byte {
	if !c.array {
		return google.Gemini{}.AppendStreamError(nil, f, c.errorMeta())
	}
	before := ",\r\n"
	if !c.content {
		before = "["
	}
	return append(google.Gemini{}.AppendError([]byte(before), f, c.errorMeta()), ']')
}

// framed makes elements of an array of events, which have one line of data
// each.
func (t *translation) framed(events []byte) []byte {
	if !t.c.array {
		return events
	}
	var out []byte
	for event := range bytes.SplitSeq(events, []byte("\n\n")) {
		data, ok := bytes.CutPrefix(event, []byte("data: "))
		if !ok {
			continue
		}
		before := ",\r\n"
		if t.elements == 0 {
			before = "["
		}
		t.elements++
		out = append(append(out, before...), data...)
	}
	return out
}
