package relay

import (
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Edit says what changes in a request before it is forwarded. Zero fields
// change nothing.
type Edit struct {
	Model string // the vendor's name of the model
	// MaxTokens is inserted as the output limit under MaxTokensKey when the
	// client states none under either name.
	MaxTokensKey string
	MaxTokens    int64
	// IncludeUsage has a stream report its usage.
	IncludeUsage bool
	// Forget has the vendor keep nothing of Responses.
	Forget bool
}

// splice replaces b[start:end] with text.
type splice struct {
	span
	text []byte
}

// Apply returns the body as slices around the edits. An empty list of tools
// goes, with its tool_choice, because some vendors refuse it. All other bytes
// are those of body, which must be the one that was scanned and must not change
// while the parts are used.
func (s Scan) Apply(body []byte, e Edit) [][]byte {
	var room [8]splice
	edits := room[:0]
	scratch := make([]byte, 0, 160+len(e.Model))
	add := func(at span, from int) { edits = append(edits, splice{at, scratch[from:len(scratch):len(scratch)]}) }

	if e.Model != "" && e.Model != s.Model {
		from := len(scratch)
		scratch, _ = jsontext.AppendQuote(scratch, e.Model) // invalid UTF-8 becomes U+FFFD
		add(s.model, from)
	}
	if e.MaxTokens > 0 && s.MaxTokens == 0 {
		from := len(scratch)
		if at := s.limitAt(e.MaxTokensKey); !at.absent() { // an explicit null
			scratch = strconv.AppendInt(scratch, e.MaxTokens, 10)
			add(at, from)
		} else {
			scratch = append(append(append(scratch, '"'), e.MaxTokensKey...), `":`...)
			scratch = append(strconv.AppendInt(scratch, e.MaxTokens, 10), ',')
			add(span{s.open, s.open}, from)
		}
	}
	if e.Forget && string(body[s.store.start:s.store.end]) != "false" {
		from := len(scratch)
		if s.store.absent() {
			scratch = append(scratch, `"store":false,`...)
			add(span{s.open, s.open}, from)
		} else {
			scratch = append(scratch, "false"...)
			add(s.store, from)
		}
	}
	if e.IncludeUsage && s.Stream && !s.IncludeUsage {
		from := len(scratch)
		at := s.includeUsage
		switch {
		case !at.absent():
			scratch = append(scratch, "true"...)
		case s.options.absent():
			at = span{s.open, s.open}
			scratch = append(scratch, `"stream_options":{"include_usage":true},`...)
		case body[s.options.start] != '{': // null
			at = s.options
			scratch = append(scratch, `{"include_usage":true}`...)
		default:
			at = span{s.options.start + 1, s.options.start + 1}
			scratch = append(scratch, `"include_usage":true`...)
			if !s.optionsEmpty {
				scratch = append(scratch, ',')
			}
		}
		add(at, from)
	}
	edits = s.withoutTools(edits)
	slices.SortStableFunc(edits, func(a, b splice) int { return a.start - b.start })
	return cut(body, edits)
}

func (s *Scan) limitAt(key string) span {
	for i, k := range s.limitKeys() {
		if k == key {
			return s.limits[i]
		}
	}
	return span{}
}

// withoutTools adds the removal of an empty tools and of its tool_choice.
func (s *Scan) withoutTools(edits []splice) []splice {
	tools, choice := s.emptyTools, s.toolChoice
	switch {
	case tools.absent():
		return edits
	case choice.absent():
	case tools.after == choice.start: // neighbours go as one
		tools.end, tools.after, choice = choice.end, choice.after, member{}
	case choice.after == tools.start:
		tools.start, tools.before, choice = choice.start, choice.before, member{}
	}
	for _, m := range []member{tools, choice} {
		switch {
		case m.absent():
		case m.after > 0: // with the comma behind
			edits = append(edits, splice{span: span{m.start, m.after}})
		default: // with the comma before: model stands there
			edits = append(edits, splice{span: span{m.before, m.end}})
		}
	}
	return edits
}

// cut returns body around the edits, which are sorted and do not overlap.
func cut(body []byte, edits []splice) [][]byte {
	parts := make([][]byte, 0, 2*len(edits)+1)
	at := 0
	for _, e := range edits {
		if e.start > at {
			parts = append(parts, body[at:e.start])
		}
		if len(e.text) > 0 {
			parts = append(parts, e.text)
		}
		at = e.end
	}
	return append(parts, body[at:])
}
