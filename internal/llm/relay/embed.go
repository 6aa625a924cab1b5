package relay

import (
	"strings"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/wire"
)

// Embed is what a request of embedContent or batchEmbedContents says about
// itself. Its positions belong to the body that was scanned.
type Embed struct {
	Scan
	models []span // where the model is named again
}

// ScanEmbed reads the body of embedContent, or of batchEmbedContents, in one
// pass without decoding it. Names may be written with underscores. model is
// that of the path, which the body may repeat but not change. Each request is a
// message of the Scan.
//
// Source: https://ai.google.dev/api/embeddings
func ScanEmbed(body []byte, model string, batch bool) (Embed, error) {
	e := Embed{Scan: Scan{N: 1, Model: model}}
	w := scanner{b: body}
	c, at := w.at(0)
	if c != '{' {
		return e, errBody
	}
	m := w.object(at, 0)
	var err error
	if batch {
		err = e.requests(&w, &m)
	} else {
		err = e.request(&w, &m)
	}
	switch {
	case err != nil:
		return e, err
	case m.end < 0 || w.space(m.end) != len(body):
		return e, errBody
	case e.Messages == 0 && batch:
		return e, errField.At("requests").Saying("The field requests is missing, or empty. Send at least one request.")
	}
	e.files = w.files
	e.Images, e.Media, e.MediaBytes = w.images, w.media, int64(w.mediaBytes)
	e.TextBytes = int64(len(body)) - e.MediaBytes
	return e, nil
}

// requests walks a batch.
func (e *Embed) requests(w *scanner, m *members) error {
	var seen names
	for m.next() {
		name := camel(m.name)
		if !seen.add([]byte(name)) {
			return errDuplicate.At(name)
		}
		if name != "requests" {
			m.skip()
			continue
		}
		if w.charAt(m.at) != '[' {
			return errField.At(name).Saying("The field requests must be a list.")
		}
		a := w.array(m.at, m.depth)
		for a.next() {
			if w.charAt(a.at) != '{' {
				return errField.At(name).Saying("Each of requests must be an object.")
			}
			o := w.object(a.at, a.depth)
			if err := e.request(w, &o); err != nil {
				return err
			}
			a.at = o.end
		}
		m.at = a.end
	}
	return nil
}

// request walks one request.
func (e *Embed) request(w *scanner, m *members) error {
	var seen names
	content := false
	for m.next() {
		name := camel(m.name)
		if !seen.add([]byte(name)) {
			return errDuplicate.At(name)
		}
		start := m.at
		w.inMessages = name == "content"
		content = content || w.inMessages
		m.skip()
		w.inMessages = false
		if m.at < 0 {
			return errBody
		}
		if name != "model" {
			continue
		}
		value := w.b[start:m.at]
		if value[0] != '"' || strings.TrimPrefix(string(unquote(value)), "models/") != e.Model {
			return errField.At(name).Saying("The field model is not the model of the path. Leave it out, or repeat that.")
		}
		e.models = append(e.models, span{start, m.at})
	}
	if m.end >= 0 && !content {
		return errField.At("content").Saying("The field content is missing. Send what is to be embedded.")
	}
	e.Messages++
	return nil
}

// Apply returns the body around its only edits: the names of the model.
func (e Embed) Apply(body []byte, model string) [][]byte {
	edits := make([]splice, 0, len(e.models))
	text := wire.Quote(nil, "models/"+model)
	for _, at := range e.models {
		edits = append(edits, splice{at, text})
	}
	return cut(body, edits)
}

// geminiVectors reads the usage of an answer with embeddings.
func geminiVectors(body []byte) (llm.Usage, error) {
	r := reply{}
	r.b = body
	c, at := r.at(0)
	if c != '{' {
		return llm.Usage{}, llm.Fail(llm.Protocol, errNotObject)
	}
	found := false
	var failure error
	m := r.object(at, 0)
	for m.next() {
		c, start := r.charAt(m.at), m.at
		switch name := string(m.name); {
		case name == "usageMetadata" && c == '{':
			m.at = r.geminiUsage(m.at, m.depth, &r.usage)
		case name == "error" && c == '{':
			if m.skip(); m.at >= 0 {
				failure = GeminiFailure(body[start:m.at])
			}
		default:
			found = found || name == "embedding" && c == '{' || name == "embeddings" && c == '['
			m.skip()
		}
	}
	u := r.usage
	switch {
	case m.end < 0 || r.space(m.end) != len(body):
		return llm.Usage{}, llm.Fail(llm.Protocol, errNotObject)
	case failure != nil:
		return llm.Usage{}, failure
	case !found:
		return llm.Usage{}, llm.Fail(llm.Protocol, errNoOutput)
	}
	u.Output, u.Reasoning, u.AudioOutput, u.ImageOutput = 0, 0, 0, 0
	return u, nil
}
