package anthropic

import (
	"bytes"
	"unicode/utf8"
)

var (
	deltaOpen = []byte(`{"type":"content_block_delta","index":`)
	deltaText = []byte(`,"delta":{"type":"text_delta","text":"`)
	deltaEnd  = []byte(`"}`)
)

// textDelta reads a text_delta as Anthropic spells it, with a text that needs no
// unescaping: most events of a stream are so, and a decoder of JSON takes half
// of what the whole stream costs. It is not ok for everything else, which the
// decoder reads.
func textDelta(data []byte) (index int, text []byte, ok bool) {
	rest, ok := bytes.CutPrefix(data, deltaOpen)
	if !ok {
		return 0, nil, false
	}
	digits := 0
	for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
		index = 10*index + int(rest[digits]-'0')
		digits++
	}
	if digits == 0 || digits > 6 || digits > 1 && rest[0] == '0' {
		return 0, nil, false
	}
	if rest, ok = bytes.CutPrefix(rest[digits:], deltaText); !ok {
		return 0, nil, false
	}
	end := bytes.IndexByte(rest, '"')
	if end < 0 || !literal(rest[:end]) {
		return 0, nil, false
	}
	text = rest[:end]
	if rest, ok = bytes.CutPrefix(rest[end:], deltaEnd); !ok {
		return 0, nil, false
	}
	rest, ok = bytes.CutPrefix(bytes.TrimLeft(rest, " "), deltaEnd[1:])
	return index, text, ok && len(bytes.TrimLeft(rest, " ")) == 0
}

// literal reports whether the inside of a JSON string means itself.
func literal(b []byte) bool {
	ascii := true
	for _, c := range b {
		if c < ' ' || c == '\\' {
			return false
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	return ascii || utf8.Valid(b)
}
