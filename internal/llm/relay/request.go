package relay

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
)

var errUnsupported = fault.New(fault.Invalid, "unsupported_parameter", "A parameter is not possible here.").Final()

// form is where an operation's requests state what concerns us.
type form struct {
	input  string    // the field that must be there; the only one with media
	limits [2]string // of the output, per choice
	// refused fields name objects that the vendor keeps in the operator's
	// account, so one tenant could read another's. An explicit null is none.
	refused []string
	// hosted says that tools which the vendor runs are refused.
	hosted bool
	// gemini has no model in the body, and names of two spellings.
	gemini bool
}

var forms = map[llm.Op]*form{
	llm.OpChat: {input: "messages", limits: limitKeys},
	llm.OpResponses: {
		input: "input", limits: [2]string{"max_output_tokens", ""}, hosted: true,
		refused: []string{"previous_response_id", "conversation", "prompt", "background"},
	},
	llm.OpMessages: {
		input: "messages", limits: [2]string{"max_tokens", ""}, hosted: true, refused: []string{"container", "mcp_servers"},
	},
	llm.OpCompletions: {input: "prompt", limits: [2]string{"max_tokens", ""}},
	llm.OpEmbeddings:  {input: "input"},
	llm.OpImages:      {input: "prompt"},
	llm.OpSpeech:      {input: "input", refused: nil},
	llm.OpModerations: {input: "input"},
}

// ScanRequest reads a request of op in one pass without decoding it. It accepts
// what ScanChat accepts, for the fields that op has. Fields that name objects
// in the vendor's account are faults.
func ScanRequest(op llm.Op, body []byte) (Scan, error) {
	f := forms[op]
	if f == nil {
		return Scan{}, errBody
	}
	if op == llm.OpChat {
		return ScanChat(body)
	}
	s, err := scan(body, f)
	if err != nil {
		return s, err
	}
	if !s.hasMessages {
		return s, errField.At(f.input).Saying("The field %s is missing.", f.input)
	}
	return s, nil
}

// otherField is field for operations that are not chat completions.
func (s *Scan) otherField(w *scanner, m *members) (*member, error) {
	name := string(m.name)
	f := s.form
	if f.gemini {
		return nil, s.geminiField(w, m)
	}
	switch name {
	case f.input:
		return nil, s.input(w, m)
	case "tools":
		if f.hosted {
			return s.functionTools(w, m)
		}
	case "stream_options":
		return nil, s.streamOptions(w, m)
	case "reasoning", "text", "response_format", "thinking", "output_config":
		return nil, unique(w, m, name)
	}
	start := m.at
	if m.skip(); m.at < 0 {
		return nil, errBody
	}
	value, at := w.b[start:m.at], span{start, m.at}
	for _, refused := range f.refused {
		if name == refused && string(value) != "null" && string(value) != "false" {
			return nil, errUnsupported.At(name).Saying("The field %s is not possible here: nothing is kept between requests. Send the conversation as input.", name)
		}
	}
	switch name {
	case "n", "best_of":
		n := int64(1)
		if err := whole(name, value, maxChoices, &n); err != nil {
			return nil, err
		}
		s.N = max(s.N, n)
		return nil, nil
	case "store":
		s.store = at
		return nil, nil
	case "size", "quality", "voice":
		return nil, s.word(name, value)
	case "stream_format":
		s.Stream = s.Stream || string(value) == `"sse"`
		return nil, nil
	case "tool_choice":
		return &s.toolChoice, nil
	}
	if name != "" && (name == f.limits[0] || name == f.limits[1]) {
		return nil, s.limit(name, value, at)
	}
	return s.known(name, value, at)
}

// word keeps a short string that a price may depend on.
func (s *Scan) word(name string, value []byte) error {
	if string(value) == "null" {
		return nil
	}
	if value[0] != '"' || len(value) > 64 {
		if name == "voice" { // a voice of one's own is an object
			return nil
		}
		return errField.At(name).Saying("The field %s must be a short string.", name)
	}
	switch text := string(unquote(value)); name {
	case "size":
		s.Size = strings.ToLower(text)
	case "quality":
		s.Quality = strings.ToLower(text)
	}
	return nil
}

// input reads what the model is given: a string, or a list whose items are
// counted.
func (s *Scan) input(w *scanner, m *members) error {
	name, start := s.form.input, m.at
	s.hasMessages = true
	w.inMessages = true
	defer func() { w.inMessages = false }()
	switch w.charAt(m.at) {
	case '"':
		s.Messages = 1
		if m.skip(); m.at >= 0 {
			s.characters(w.b[start:m.at])
		}
	case '[':
		a := w.array(m.at, m.depth)
		numbers := false
		for a.next() {
			if err := s.item(w, &a); err != nil {
				return err
			}
			c := w.charAt(a.at)
			if numbers = number(c); numbers {
				s.Tokens++
			}
			if c == '[' && !s.form.hosted {
				s.tokens(w, &a)
			} else {
				a.skip()
			}
			s.Messages++
		}
		if m.at = a.end; numbers { // the tokens of one text
			s.Messages = 1
		}
	default:
		if m.skip(); m.at < 0 {
			return errBody
		}
		return errField.At(name).Saying("The field %s must be a string or a list.", name)
	}
	return nil
}

// number reports whether a value that begins with c is one.
func number(c byte) bool { return c >= '0' && c <= '9' || c == '-' }

// tokens counts the tokens of one text among several.
func (s *Scan) tokens(w *scanner, m *members) {
	a := w.array(m.at, m.depth)
	for a.next() {
		if number(w.charAt(a.at)) {
			s.Tokens++
		}
		a.skip()
	}
	m.at = a.end
}

// characters counts a JSON string as people do.
func (s *Scan) characters(quoted []byte) {
	if bytes.IndexByte(quoted, '\\') >= 0 {
		quoted = unquote(quoted)
		s.Characters += int64(utf8.RuneCount(quoted))
		return
	}
	s.Characters += int64(utf8.RuneCount(quoted)) - 2
}

// item looks at one item of the input of Responses: one that only refers to
// what the vendor keeps is refused. a is not moved.
func (s *Scan) item(w *scanner, a *members) error {
	if s.form.input != "input" || !s.form.hosted || w.charAt(a.at) != '{' {
		return nil
	}
	const at = "input"
	var seen names
	var id, kind, role bool
	o := w.object(a.at, a.depth)
	for o.next() {
		if !seen.add(o.name) {
			return errDuplicate.At(at)
		}
		name, start := string(o.name), o.at
		if o.skip(); o.at < 0 {
			return errBody
		}
		switch value := w.b[start:o.at]; name {
		case "id":
			id = string(value) != "null"
		case "role":
			role = true
		case "type":
			kind = string(value) != "null"
			if value[0] == '"' && string(unquote(value)) == "item_reference" {
				return errReference
			}
		}
	}
	if id && !kind && !role {
		return errReference
	}
	return nil
}

var errReference = errUnsupported.At("input").Saying("An item of input refers to an earlier answer, but nothing is kept between requests. Send the item itself.")

// functionTools counts the tools and refuses those that the vendor runs.
func (s *Scan) functionTools(w *scanner, m *members) (*member, error) {
	start, depth := m.at, m.depth
	found, err := s.tools(w, m)
	if err != nil || s.Tools == 0 {
		return found, err
	}
	a := w.array(start, depth)
	for i := 0; a.next(); i++ {
		o := w.object(a.at, a.depth)
		kind := ""
		for o.next() {
			at, isType := o.at, string(o.name) == "type"
			if o.skip(); isType && o.at > at && w.b[at] == '"' {
				kind = string(unquote(w.b[at:o.at]))
			}
		}
		plain := kind == "" && s.form.input == "messages" // Anthropic's own tools have no type
		if kind != "function" && kind != "custom" && !plain {
			return nil, errUnsupported.At("tools").With("index", i).Saying("Only tools of the types function and custom are possible here: the others run at the model provider.")
		}
		a.skip()
	}
	return found, nil
}
