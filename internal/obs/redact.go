package obs

import "bytes"

// mark replaces what looks like a secret.
const mark = "[redacted]"

// shapes are how secrets begin, and how many characters must follow so that
// ordinary words and the shown beginning of a key stay readable.
var shapes = []struct {
	begin string
	least int
}{
	{"rph_", 16}, // API keys, refresh tokens, codes, client secrets
	{"sk-", 16},  // OpenAI, Anthropic and others
	{"AIza", 20}, // Google
	{"Bearer ", 8},
	{"eyJ", 20}, // a JWT
	{"-----BEGIN ", 0},
}

// redact returns a copy of line, cut to maxLine bytes, without anything that
// has the shape of a secret. Valid JSON stays valid when it was not cut: no
// character that JSON escapes is part of a shape.
func redact(line []byte) []byte {
	if len(line) > maxLine {
		line = append(append([]byte{}, line[:maxLine]...), '\n')
	}
	out := make([]byte, 0, len(line)+1)
	for len(line) > 0 {
		at, end := nextSecret(line)
		if at < 0 {
			break
		}
		out = append(append(out, line[:at]...), mark...)
		line = line[end:]
	}
	return append(out, line...)
}

// nextSecret returns where the first secret in line is, or -1.
func nextSecret(line []byte) (start, end int) {
	start = -1
	for _, s := range shapes {
		for from := 0; ; {
			at := bytes.Index(line[from:], []byte(s.begin))
			if at < 0 {
				break
			}
			at += from
			from = at + len(s.begin)
			stop := from
			for stop < len(line) && isToken(line[stop]) {
				stop++
			}
			if stop-from < s.least || at > 0 && isWord(line[at-1]) {
				continue
			}
			if start < 0 || at < start {
				start, end = at, stop
			}
			break
		}
	}
	return start, end
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func isToken(c byte) bool {
	return isWord(c) || c == '_' || c == '-' || c == '.' || c == '+' || c == '/' || c == '=' || c == '~'
}
