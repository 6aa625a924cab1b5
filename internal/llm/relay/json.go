package relay

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is how deep JSON may be nested.
const maxDepth = 64

// scanner walks JSON strictly (RFC 8259) without decoding it. Positions are
// offsets in b; a negative one says that the text is malformed or too deep.
// Object names need not be unique; who minds uses names.
type scanner struct {
	b []byte
	// inMessages counts media while the messages of a request are walked.
	inMessages bool
	images     int
	media      int
	mediaBytes int
	// vendorObject says that something there names an object that the vendor
	// keeps in the operator's account.
	vendorObject bool
	files        bool // Gemini: a file is named by its address
	prompted     bool // the last usage stated the input
}

func (s *scanner) space(i int) int {
	for i < len(s.b) && (s.b[i] == ' ' || s.b[i] == '\n' || s.b[i] == '\r' || s.b[i] == '\t') {
		i++
	}
	return i
}

// at returns the byte at i after spaces and its position; 0 at the end.
func (s *scanner) at(i int) (byte, int) {
	if i < 0 {
		return 0, -1
	}
	if i < len(s.b) && s.b[i] > ' ' {
		return s.b[i], i
	}
	if i = s.space(i); i < len(s.b) {
		return s.b[i], i
	}
	return 0, i
}

// value returns the end of the value at i, which is nested in depth others.
func (s *scanner) value(i, depth int) int {
	var arrays uint64 // one bit per open level, set for an array
	level := 0
	var key []byte
	for {
		c, at := s.at(i)
		if at < 0 {
			return -1
		}
		i = at
		switch c {
		case '"':
			end := s.text(i)
			if end-i > minMedia && s.inMessages {
				s.medium(key, s.b[i+1:end-1])
			}
			i = end
		case '{', '[':
			if depth+level >= maxDepth {
				return -1
			}
			next, at := s.at(i + 1)
			if next == c+2 { // '}' or ']'
				i = at + 1
				break
			}
			level++
			arrays = arrays << 1
			if i = at; c == '[' {
				arrays |= 1
				key = nil
				continue
			}
			if key, i = s.key(i); i < 0 {
				return -1
			}
			continue
		default:
			i = s.scalar(i)
		}
		if i < 0 {
			return -1
		}
		for { // a value has ended at i: close levels until another one is due
			if level == 0 {
				return i
			}
			c, i = s.at(i)
			if c == ',' {
				i++
				if arrays&1 == 0 {
					key, i = s.key(i)
				}
				break
			}
			if arrays&1 == 1 && c != ']' || arrays&1 == 0 && c != '}' {
				return -1
			}
			i++
			level--
			arrays >>= 1
			key = nil
		}
		if i < 0 {
			return -1
		}
	}
}

// key reads an object's name and its colon. The name is raw.
func (s *scanner) key(i int) (name []byte, next int) {
	c, i := s.at(i)
	if c != '"' {
		return nil, -1
	}
	end := s.text(i)
	if end < 0 {
		return nil, -1
	}
	c, next = s.at(end)
	if c != ':' {
		return nil, -1
	}
	name = s.b[i+1 : end-1]
	if s.inMessages {
		s.note(name)
	}
	return name, next + 1
}

// note counts what the names in a conversation stand for.
func (s *scanner) note(name []byte) {
	if len(name) < len("file_id") || len(name) > 6*len("inline_data") { // with all of it escaped
		return
	}
	if bytes.IndexByte(name, '\\') >= 0 {
		name = unquote(append(append([]byte{'"'}, name...), '"'))
	}
	switch string(name) {
	case "image_url", "media_type": // the latter in Anthropic's sources, documents included
		s.images++
	case "inlineData", "inline_data": // Gemini
		s.images++
	case "fileUri", "file_uri":
		s.images++
		s.files = true
	case "file_id":
		s.vendorObject = true
	}
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// text returns the end of the string at i, where its opening quote is.
func (s *scanner) text(i int) int {
	b, start := s.b, i
	var seen uint64
	for i++; ; {
		// Eight bytes at a time up to a quote, a backslash or a control.
		for i+8 <= len(b) {
			w := binary.LittleEndian.Uint64(b[i:])
			q, e := w^ones*'"', w^ones*'\\'
			stop := ((w-ones*' ')&^w | (q-ones)&^q | (e-ones)&^e) & highs
			if stop != 0 {
				n := bits.TrailingZeros64(stop) &^ 7
				seen |= w & (1<<n - 1)
				i += n / 8
				break
			}
			seen |= w
			i += 8
		}
		if i >= len(b) {
			return -1
		}
		switch c := b[i]; {
		case c == '"':
			if seen&highs != 0 && !utf8.Valid(b[start+1:i]) {
				return -1
			}
			return i + 1
		case c == '\\':
			if i = escape(b, i+1); i < 0 {
				return -1
			}
		case c < ' ':
			return -1
		default: // the last seven bytes of b
			seen |= uint64(c)
			i++
		}
	}
}

// escape returns the end of the escape sequence whose backslash is before i.
func escape(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		if i+5 > len(b) {
			return -1
		}
		for _, c := range b[i+1 : i+5] {
			if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
				return -1
			}
		}
		return i + 5
	}
	return -1
}

// scalar returns the end of the number or literal at i.
func (s *scanner) scalar(i int) int {
	if i >= len(s.b) {
		return -1
	}
	switch c := s.b[i]; c {
	case 't':
		return s.literal(i, "true")
	case 'f':
		return s.literal(i, "false")
	case 'n':
		return s.literal(i, "null")
	case '-':
		i++
	}
	zero := i < len(s.b) && s.b[i] == '0'
	start := i
	if i = s.digits(i); i < 0 || zero && i > start+1 {
		return -1
	}
	if i < len(s.b) && s.b[i] == '.' {
		if i = s.digits(i + 1); i < 0 {
			return -1
		}
	}
	if i < len(s.b) && s.b[i]|0x20 == 'e' {
		if i++; i < len(s.b) && (s.b[i] == '+' || s.b[i] == '-') {
			i++
		}
		i = s.digits(i)
	}
	return i
}

func (s *scanner) literal(i int, word string) int {
	if len(s.b)-i < len(word) || string(s.b[i:i+len(word)]) != word {
		return -1
	}
	return i + len(word)
}

func (s *scanner) digits(i int) int {
	start := i
	for i < len(s.b) && s.b[i] >= '0' && s.b[i] <= '9' {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// members walks an object, elements an array:
//
//	for m := s.object(i, depth); m.next(); {
//		… m.name, m.at …
//		m.at = end of the value
//	}
//
// Afterwards end is behind the closing bracket, or negative.
type members struct {
	s       *scanner
	name    []byte // without escapes
	start   int    // of the name, its quote included
	at      int    // of the value; the caller moves it behind it
	depth   int    // in which the values are nested
	end     int
	started bool
	array   bool
}

// object begins to walk the object whose brace is at i, nested in depth
// others.
func (s *scanner) object(i, depth int) members {
	return members{s: s, at: i, depth: depth + 1, end: -1}
}

// array begins to walk the array whose bracket is at i.
func (s *scanner) array(i, depth int) members {
	return members{s: s, at: i, depth: depth + 1, end: -1, array: true}
}

// next goes to the following member. It is false at the end and when the text
// is malformed.
func (m *members) next() bool {
	if m.at < 0 || m.depth > maxDepth {
		return false
	}
	var c byte
	if m.started {
		c, m.at = m.s.at(m.at)
	}
	closing := byte('}')
	if m.array {
		closing = ']'
	}
	switch {
	case !m.started:
		m.started = true
		if c, m.at = m.s.at(m.at + 1); c == closing {
			m.end = m.at + 1
			return false
		}
	case c == closing:
		m.end = m.at + 1
		return false
	case c != ',':
		return false
	default:
		c, m.at = m.s.at(m.at + 1)
	}
	if m.array {
		return m.at >= 0 && c != 0
	}
	m.start = m.at
	if m.name, m.at = m.s.key(m.at); m.at < 0 {
		return false
	}
	if bytes.IndexByte(m.name, '\\') >= 0 {
		m.name = unquote(m.s.b[m.start : m.start+len(m.name)+2])
	}
	_, m.at = m.s.at(m.at)
	return true
}

// skip moves behind the value.
func (m *members) skip() { m.at = m.s.value(m.at, m.depth) }

// unquote decodes a checked string, quotes included. A lone surrogate becomes
// U+FFFD.
func unquote(quoted []byte) []byte {
	text, _ := jsontext.AppendUnquote([]byte(nil), quoted) // a lone surrogate is its only error here
	return text
}

// names tells whether object names repeat.
type names struct {
	few  [24][]byte
	n    int
	many map[string]struct{}
}

// add reports whether name is new.
func (s *names) add(name []byte) bool {
	for _, have := range s.few[:s.n] {
		if string(have) == string(name) {
			return false
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return true
	}
	if s.many == nil {
		s.many = map[string]struct{}{}
	}
	if _, ok := s.many[string(name)]; ok {
		return false
	}
	s.many[string(name)] = struct{}{}
	return true
}
