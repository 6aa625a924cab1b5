package capture

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"
)

// shortestMedia is how long a string must be to be taken for media.
const shortestMedia = 1 << 10

// text returns what is kept of a body: with media replaced by their size and
// hash, and cut to most bytes. A body that is no text is replaced as a whole.
func text(mediaType string, body []byte, most int) (kept string, cut bool) {
	if len(body) == 0 {
		return "", false
	}
	if !readable(mediaType) {
		return media(strings.TrimSpace(mediaType), body), false
	}
	var b strings.Builder
	for len(body) > 0 && b.Len() <= most {
		open := bytes.IndexByte(body, '"')
		if open < 0 {
			open = len(body)
		} else {
			open++
		}
		// What is beyond the limit need not be copied.
		b.Write(body[:min(open, most+1-min(b.Len(), most))])
		body = body[open:]
		end := stringEnd(body)
		value := body[:end]
		if isMedia(value) {
			b.WriteString(media(dataType(value), value))
		} else {
			b.Write(value[:min(len(value), most+1)])
		}
		body = body[end:]
		if len(body) > 0 {
			b.WriteByte('"')
			body = body[1:]
		}
	}
	kept = b.String()
	if len(kept) > most {
		kept, cut = kept[:most], true
	}
	return strings.ReplaceAll(strings.ToValidUTF8(kept, "\uFFFD"), "\x00", "\uFFFD"), cut
}

// readable reports whether a media type is that of text. None is an answer that
// never came, or one of ours.
func readable(mediaType string) bool {
	word, _, _ := strings.Cut(strings.ToLower(mediaType), ";")
	word = strings.TrimSpace(word)
	return word == "" || word == "application/json" || strings.HasPrefix(word, "text/") || strings.HasSuffix(word, "+json")
}

// stringEnd returns where the JSON string that b begins in ends: at its closing
// quote, or at the end of b.
func stringEnd(b []byte) int {
	for i := 0; ; {
		at := bytes.IndexByte(b[i:], '"')
		if at < 0 {
			return len(b)
		}
		at += i
		backslashes := 0
		for backslashes < at && b[at-1-backslashes] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 {
			return at
		}
		i = at + 1
	}
}

const dataPrefix = "data:"

// isMedia reports whether a string is a data URL, or nothing but a long piece of
// base64.
func isMedia(value []byte) bool {
	if len(value) < shortestMedia {
		return false
	}
	if bytes.HasPrefix(value, []byte(dataPrefix)) {
		return true
	}
	for i, c := range value {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '+', c == '/', c == '-', c == '_', c == '=':
		case c == '\\' && i+1 < len(value) && value[i+1] == '/':
		default:
			return false
		}
	}
	return true
}

// dataType is the media type of a data URL.
func dataType(value []byte) string {
	rest, ok := bytes.CutPrefix(value, []byte(dataPrefix))
	if !ok {
		return "media"
	}
	name := rest[:min(len(rest), 60)]
	if i := bytes.IndexAny(name, ";,"); i >= 0 {
		name = name[:i]
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("/+.-", rune(c)) {
			return "media"
		}
	}
	return string(name)
}

// media is what is kept of some bytes: their kind, size and hash.
func media(kind string, b []byte) string {
	if kind == "" || len(kind) > 100 || !utf8.ValidString(kind) || strings.ContainsAny(kind, "\"\\\x00") {
		kind = "media"
	}
	sum := sha256.Sum256(b)
	return fmt.Sprintf("[%s, %d bytes, sha256 %s]", kind, len(b), hex.EncodeToString(sum[:]))
}
