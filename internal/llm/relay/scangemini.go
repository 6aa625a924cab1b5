package relay

import (
	"strconv"
	"strings"
)

// geminiForm is the body of generateContent, whose model stands in the path.
var geminiForm = &form{input: "contents", gemini: true}

// ScanGemini reads the body of generateContent in one pass without decoding it.
// Names may be written with underscores, as protocol buffers' JSON lets them
// be, but not twice. What names an object in the operator's account, and tools
// that Google runs, are faults. Scan.Model is empty.
func ScanGemini(body []byte) (Scan, error) {
	s, err := scan(body, geminiForm)
	if err == nil && !s.hasMessages {
		return s, errField.At("contents").Saying("The field contents is missing. Send the conversation as a list.")
	}
	return s, err
}

// camel returns a name as Google's documentation writes it.
func camel(name []byte) string {
	text := string(name)
	if !strings.Contains(text, "_") {
		return text
	}
	var b strings.Builder
	up := false
	for i := range len(text) {
		c := text[i]
		switch {
		case c == '_':
			up = true
			continue
		case up && c >= 'a' && c <= 'z':
			c -= 'a' - 'A'
		}
		up = false
		b.WriteByte(c)
	}
	return b.String()
}

// geminiField is field for geminiForm.
func (s *Scan) geminiField(w *scanner, m *members) error {
	name := camel(m.name)
	switch name {
	case "contents":
		return s.input(w, m)
	case "generationConfig":
		return s.geminiConfig(w, m)
	case "tools":
		return s.geminiTools(w, m)
	}
	start := m.at
	if m.skip(); m.at < 0 {
		return errBody
	}
	if value := string(w.b[start:m.at]); name == "cachedContent" && value != "null" && value != `""` {
		return errUnsupported.At(name).Saying("The field cachedContent is not possible here: it is kept in the operator's account. Send the contents.")
	}
	return nil
}

// geminiConfig reads the limits of generationConfig.
func (s *Scan) geminiConfig(w *scanner, m *members) error {
	const name = "generationConfig"
	start := m.at
	if w.charAt(start) != '{' {
		if m.skip(); m.at < 0 || string(w.b[start:m.at]) != "null" {
			return errField.At(name).Saying("The field %s must be an object.", name)
		}
		s.options = span{start, m.at}
		return nil
	}
	s.optionsEmpty = true
	var seen names
	o := w.object(start, m.depth)
	for o.next() {
		s.optionsEmpty = false
		key := camel(o.name)
		if !seen.add([]byte(key)) {
			return errDuplicate.At(name + "." + key)
		}
		from := o.at
		if o.skip(); o.at < 0 {
			return errBody
		}
		value := w.b[from:o.at]
		switch key {
		case "maxOutputTokens":
			s.limits[0] = span{from, o.at}
			if err := whole(name+"."+key, value, 1<<31-1, &s.MaxTokens); err != nil {
				return err
			}
			if s.MaxTokens > 0 {
				s.MaxTokensKey = name + "." + key
			}
		case "candidateCount":
			if err := whole(name+"."+key, value, maxChoices, &s.N); err != nil {
				return err
			}
		}
	}
	m.at = o.end
	s.options = span{start, max(m.at, 0)}
	return nil
}

// geminiTools counts the lists of functions and refuses what Google runs.
func (s *Scan) geminiTools(w *scanner, m *members) error {
	if w.charAt(m.at) != '[' {
		m.skip()
		return nil
	}
	a := w.array(m.at, m.depth)
	for a.next() {
		if w.charAt(a.at) != '{' {
			return errField.At("tools").Saying("Each of tools must be an object.")
		}
		o := w.object(a.at, a.depth)
		for o.next() {
			key := camel(o.name)
			if o.skip(); key != "functionDeclarations" {
				return errUnsupported.At("tools").Saying("The tool %q is not possible here: only functionDeclarations are, the others run at the model provider.", key)
			}
		}
		a.at = o.end
		s.Tools++
	}
	m.at = a.end
	return nil
}

// ApplyGemini returns the body around its only edit: the output limit where
// none is stated.
func (s Scan) ApplyGemini(body []byte, maxTokens int64) [][]byte {
	if maxTokens <= 0 || s.MaxTokens > 0 {
		return [][]byte{body}
	}
	member := strconv.AppendInt([]byte(`"maxOutputTokens":`), maxTokens, 10)
	object := append(append([]byte{'{'}, member...), '}')
	switch at := s.options; {
	case at.absent():
		text := append(append([]byte(`"generationConfig":`), object...), ',')
		return cut(body, []splice{{span{s.open, s.open}, text}})
	case body[at.start] != '{': // null
		return cut(body, []splice{{at, object}})
	case !s.limits[0].absent(): // an explicit null
		return cut(body, []splice{{s.limits[0], strconv.AppendInt(nil, maxTokens, 10)}})
	case s.optionsEmpty:
		return cut(body, []splice{{span{at.start + 1, at.start + 1}, member}})
	default:
		return cut(body, []splice{{span{at.start + 1, at.start + 1}, append(member, ',')}})
	}
}

// HasFiles reports whether a request of Gemini names files by their address:
// whether these may be used must be looked at one by one.
func (s Scan) HasFiles() bool { return s.files }
