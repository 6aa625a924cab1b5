package wire

import (
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Next appends the comma before an element or a name, where one is due.
func Next(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] != '{' && b[n-1] != '[' && b[n-1] != ':' {
		b = append(b, ',')
	}
	return b
}

// Name appends a member's name, which needs no escapes, and its colon.
func Name(b []byte, name string) []byte {
	b = append(Next(b), '"')
	b = append(b, name...)
	return append(b, '"', ':')
}

// Quote appends text as a JSON string. Invalid UTF-8 becomes U+FFFD.
func Quote[T ~string | ~[]byte](b []byte, text T) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(string(text[i:min(i+utf8.UTFMax, len(text))]))
			if r != utf8.RuneError || size != 1 {
				i += size
				continue
			}
		}
		b = append(b, text[start:i]...)
		b = escape(b, c)
		i++
		start = i
	}
	b = append(b, text[start:]...)
	return append(b, '"')
}

const hex = "0123456789abcdef"

func escape(b []byte, c byte) []byte {
	switch {
	case c == '"', c == '\\':
		return append(b, '\\', c)
	case c == '\n':
		return append(b, `\n`...)
	case c == '\r':
		return append(b, `\r`...)
	case c == '\t':
		return append(b, `\t`...)
	case c >= utf8.RuneSelf:
		return append(b, "\ufffd"...)
	default:
		return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
	}
}

// String appends a member with a string.
func String[T ~string | ~[]byte](b []byte, name string, v T) []byte {
	return Quote(Name(b, name), v)
}

// OptString is String unless v is empty.
func OptString[T ~string | ~[]byte](b []byte, name string, v T) []byte {
	if len(v) == 0 {
		return b
	}
	return String(b, name, v)
}

// Int appends a member with a number.
func Int[T ~int | ~int64](b []byte, name string, v T) []byte {
	return strconv.AppendInt(Name(b, name), int64(v), 10)
}

// OptInt is Int unless v is 0.
func OptInt[T ~int | ~int64](b []byte, name string, v T) []byte {
	if v == 0 {
		return b
	}
	return Int(b, name, v)
}

// Bool appends a member with true or false.
func Bool(b []byte, name string, v bool) []byte { return strconv.AppendBool(Name(b, name), v) }

// OptBool is Bool unless v is nil.
func OptBool(b []byte, name string, v *bool) []byte {
	if v == nil {
		return b
	}
	return Bool(b, name, *v)
}

// Raw appends a member with a JSON value; nothing when v is empty.
func Raw[T ~string | ~[]byte](b []byte, name string, v T) []byte {
	if len(v) == 0 {
		return b
	}
	return append(Name(b, name), v...)
}

// Text returns the text of a JSON string, and whether v is one.
func Text(v jsontext.Value) (string, bool) {
	if v.Kind() != '"' {
		return "", false
	}
	b, err := jsontext.AppendUnquote([]byte(nil), []byte(v))
	return string(b), err == nil
}

// Object reports whether text is exactly one JSON object in valid UTF-8; an
// object with repeated names is none.
func Object(text string) bool {
	v := jsontext.Value(text)
	return v.Kind() == '{' && v.IsValid()
}
