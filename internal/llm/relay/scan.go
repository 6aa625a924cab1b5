package relay

import (
	"bytes"
	"math"

	"github.com/rephlo/rephlo/internal/fault"
)

// minMedia is from how many bytes a string may be media instead of text.
const minMedia = 1 << 10

// maxChoices is the largest n of a chat completion.
const maxChoices = 10

var (
	errBody      = fault.New(fault.Invalid, "invalid_request", "The body is not a JSON object, or is nested deeper than 64 levels. Send valid JSON in UTF-8.").Final()
	errDuplicate = fault.New(fault.Invalid, "invalid_request", "A field occurs twice in one object. Send it once.").Final()
	errField     = fault.New(fault.Invalid, "invalid_request", "A field has a value of the wrong type.").Final()
	errRange     = fault.New(fault.Invalid, "parameter_out_of_range", "A field has a value outside of its range.").Final()
)

// span is b[start:end] of the scanned body; the zero span is absent.
type span struct{ start, end int }

func (s span) absent() bool { return s.end == 0 }

// Scan is what a chat completion request says about itself. Its positions
// belong to the body that was scanned.
type Scan struct {
	Model        string
	Stream       bool
	IncludeUsage bool  // stream_options.include_usage is true
	N            int64 // choices, 1 when not stated
	// MaxTokens is the output limit per choice, 0 when not stated. When both
	// names of it are sent it is the larger, and MaxTokensKey the newer name.
	MaxTokens    int64
	MaxTokensKey string
	Messages     int
	Tools        int
	// TextBytes is the length of the body without media.
	TextBytes int64
	// Images counts the image parts of the messages; Media the long encoded
	// strings among them (images, audio, files) and MediaBytes their length.
	Images     int
	Media      int
	MediaBytes int64
	// Tokens that the input consists of, where it is given as such.
	Tokens int64
	// Characters of the input, where it is one text. Size and Quality are of
	// the images that are asked for.
	Characters    int64
	Size, Quality string

	form         *form // nil for chat completions
	store        span  // value of store
	files        bool  // Gemini: a file is named by its address
	open         int   // behind the opening brace
	model        span
	limits       [2]span // values of the two names; a null has a span too
	options      span    // value of stream_options
	includeUsage span    // value of stream_options.include_usage
	optionsEmpty bool
	hasMessages  bool
	emptyTools   member
	toolChoice   member
}

// member is where a field of the top level is, for its removal.
type member struct {
	span       // name and value
	before int // the end of the field before, 0 without one
	after  int // the start of the field behind, 0 without one
}

var limitKeys = [2]string{"max_tokens", "max_completion_tokens"}

// ScanChat reads a chat completion request in one pass without decoding it.
// It accepts what a strict JSON parser does: an object in valid UTF-8 with
// unique names at the top and in the objects that matter for money, at most 64
// levels deep, with nothing behind it. A fault names the field.
func ScanChat(body []byte) (Scan, error) {
	s, err := scan(body, nil)
	if err == nil && !s.hasMessages {
		return s, errField.At("messages").Saying("The field messages is missing. Send the conversation as a list.")
	}
	return s, err
}

// scan reads a request of a form; nil is that of chat completions.
func scan(body []byte, f *form) (Scan, error) {
	s := Scan{N: 1, form: f}
	w := scanner{b: body}
	c, at := w.at(0)
	if c != '{' {
		return s, errBody
	}
	s.open = at + 1
	var seen names
	var err error
	last := (*member)(nil)
	before := 0
	m := w.object(at, 0)
	for m.next() {
		if last != nil {
			last.after, last = m.start, nil
		}
		name := m.name
		if f != nil && f.gemini {
			name = []byte(camel(name))
		}
		if !seen.add(name) {
			return s, errDuplicate.At(string(m.name)).Saying("The field %q occurs twice. Send it once.", m.name)
		}
		start := m.start
		if last, err = s.field(&w, &m); err != nil {
			return s, err
		}
		if m.at < 0 {
			return s, errBody
		}
		if last != nil {
			last.span, last.before = span{start, m.at}, before
		}
		before = m.at
	}
	if m.end < 0 || w.space(m.end) != len(body) {
		return s, errBody
	}
	if s.model.absent() && (f == nil || !f.gemini) {
		return s, errField.At("model").Saying("The field model is missing. Name the model to use.")
	}
	if w.vendorObject {
		return s, errUnsupported.At("file_id").Saying("A file_id names an object in the model provider's account, which is not possible here. Send the file itself.")
	}
	s.files = w.files
	s.Images, s.Media, s.MediaBytes = w.images, w.media, int64(w.mediaBytes)
	s.TextBytes = int64(len(body)) - s.MediaBytes
	return s, nil
}

// field takes one field of the top level and moves m behind it. It returns the
// member whose place is wanted, if any.
func (s *Scan) field(w *scanner, m *members) (*member, error) {
	if s.form != nil {
		return s.otherField(w, m)
	}
	switch string(m.name) {
	case "messages":
		return nil, s.messages(w, m)
	case "tools":
		return s.tools(w, m)
	case "stream_options":
		return nil, s.streamOptions(w, m)
	case "response_format", "reasoning", "thinking":
		return nil, unique(w, m, string(m.name))
	}
	start := m.at
	name := m.name
	if m.skip(); m.at < 0 {
		return nil, errBody
	}
	value, at := w.b[start:m.at], span{start, m.at}
	switch string(name) {
	case "n":
		return nil, whole("n", value, maxChoices, &s.N)
	case limitKeys[0], limitKeys[1]:
		return nil, s.limit(string(name), value, at)
	case "tool_choice":
		return &s.toolChoice, nil
	}
	return s.known(string(name), value, at)
}

// known takes a field that all requests have.
func (s *Scan) known(name string, value []byte, at span) (*member, error) {
	switch name {
	case "model":
		if value[0] != '"' || len(value) == 2 {
			return nil, errField.At("model").Saying("The field model must be a string that names a model.")
		}
		s.model = at
		if s.Model = string(value[1 : len(value)-1]); bytes.IndexByte(value, '\\') >= 0 {
			s.Model = string(unquote(value))
		}
	case "stream":
		switch string(value) {
		case "true":
			s.Stream = true
		case "false", "null":
		default:
			return nil, errField.At("stream").Saying("The field stream must be true or false.")
		}
	}
	return nil, nil
}

func (s *Scan) limit(name string, value []byte, at span) error {
	keys := s.limitKeys()
	which := 0
	if name == keys[1] {
		which = 1
	}
	s.limits[which] = at
	var n int64
	if err := whole(name, value, math.MaxInt32, &n); err != nil || n == 0 {
		return err
	}
	s.MaxTokens = max(s.MaxTokens, n)
	if s.MaxTokensKey == "" || which == 1 {
		s.MaxTokensKey = keys[which]
	}
	return nil
}

func (s *Scan) limitKeys() [2]string {
	if s.form != nil {
		return s.form.limits
	}
	return limitKeys
}

func (s *Scan) messages(w *scanner, m *members) error {
	if w.charAt(m.at) != '[' {
		return errField.At("messages").Saying("The field messages must be a list.")
	}
	s.hasMessages = true
	w.inMessages = true
	a := w.array(m.at, m.depth)
	for a.next() {
		a.skip()
		s.Messages++
	}
	w.inMessages = false
	m.at = a.end
	return nil
}

// tools counts the tools; the names in each must be unique, since a hosted
// tool is told by its type.
func (s *Scan) tools(w *scanner, m *members) (*member, error) {
	if w.charAt(m.at) != '[' {
		if m.skip(); m.at >= 0 && w.b[m.at-1] != 'l' { // null
			return nil, errField.At("tools").Saying("The field tools must be a list.")
		}
		return nil, nil
	}
	a := w.array(m.at, m.depth)
	for a.next() {
		if w.charAt(a.at) != '{' {
			return nil, errField.At("tools").Saying("Each of tools must be an object.")
		}
		if err := unique(w, &a, "tools"); err != nil {
			return nil, err
		}
		s.Tools++
	}
	m.at = a.end
	if s.Tools == 0 {
		return &s.emptyTools, nil
	}
	return nil, nil
}

func (s *Scan) streamOptions(w *scanner, m *members) error {
	const name = "stream_options"
	start := m.at
	if w.charAt(start) == '{' {
		s.optionsEmpty = true
		var seen names
		o := w.object(start, m.depth)
		for o.next() {
			s.optionsEmpty = false
			if !seen.add(o.name) {
				return errDuplicate.At(name)
			}
			at := o.at
			isUsage := string(o.name) == "include_usage"
			if o.skip(); o.at >= 0 && isUsage {
				s.includeUsage = span{at, o.at}
			}
		}
		m.at = o.end
	} else if m.skip(); m.at >= 0 && string(w.b[start:m.at]) != "null" {
		return errField.At(name).Saying("The field stream_options must be an object.")
	}
	s.options = span{start, max(m.at, 0)}
	switch v := w.b[s.includeUsage.start:s.includeUsage.end]; string(v) {
	case "true":
		s.IncludeUsage = true
	case "", "false", "null":
	default:
		return errField.At("stream_options.include_usage").Saying("The field stream_options.include_usage must be true or false.")
	}
	return nil
}

// unique moves m behind a value; if it is an object its names must be unique.
func unique(w *scanner, m *members, param string) error {
	if w.charAt(m.at) != '{' {
		m.skip()
		return nil
	}
	var seen names
	o := w.object(m.at, m.depth)
	for o.next() {
		if !seen.add(o.name) {
			return errDuplicate.At(param)
		}
		o.skip()
	}
	m.at = o.end
	return nil
}

// charAt is at for a position that is already behind spaces.
func (s *scanner) charAt(i int) byte {
	if i >= 0 && i < len(s.b) {
		return s.b[i]
	}
	return 0
}

// medium books a long string of the messages if it is media: the data of an
// audio or file part, or a data URL. What a model reads as text stands under
// other names, so nobody makes text free by starting it with "data:".
func (s *scanner) medium(key, value []byte) {
	switch string(key) {
	case "data", "file_data":
	case "url", "image_url":
		if !bytes.HasPrefix(value, []byte("data:")) {
			return
		}
	default:
		return
	}
	s.media++
	s.mediaBytes += len(value)
}

// whole reads an integer between 1 and limit into n; null leaves it.
func whole(name string, value []byte, limit int64, n *int64) error {
	if string(value) == "null" {
		return nil
	}
	v, ok := integer(value)
	if !ok {
		return errField.At(name).Saying("The field %s must be a whole number.", name)
	}
	if v < 1 || v > limit {
		return errRange.At(name).With("min", 1).With("max", limit).Saying("The field %s must be between 1 and %d.", name, limit)
	}
	*n = v
	return nil
}

// integer reads a JSON integer; one too large for 64 bits is the largest.
func integer(v []byte) (n int64, ok bool) {
	digits := v
	if len(v) > 0 && v[0] == '-' {
		digits = v[1:]
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n > (math.MaxInt64-9)/10 {
			n = math.MaxInt64
			continue
		}
		n = n*10 + int64(c-'0')
	}
	if len(digits) < len(v) {
		n = -n
	}
	return n, len(digits) > 0
}
