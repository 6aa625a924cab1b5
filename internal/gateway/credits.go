package gateway

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// withCredits returns body, an answer in OpenAI's shape, with the charge in its
// usage. Without a usage object it comes back as it is.
func withCredits(body []byte, paid receipt) []byte {
	at, empty := usageEnd(body)
	if at < 0 {
		return body
	}
	text := make([]byte, 0, 80)
	if !empty {
		text = append(text, ',')
	}
	text = append(text, `"credits":{"deducted":`...)
	text = append(text, paid.charged.String()...)
	text = append(text, `,"remaining":`...)
	text = append(text, paid.remaining.String()...)
	text = append(text, '}')
	out := make([]byte, 0, len(body)+len(text))
	out = append(out, body[:at]...)
	out = append(out, text...)
	return append(out, body[at:]...)
}

// withStreamCredits does so in the last of some events that has usage.
func withStreamCredits(events []byte, paid receipt) []byte {
	for end := len(events); end > 0; {
		start := bytes.LastIndexByte(events[:end-1], '\n') + 1
		line := events[start:end]
		if payload, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			if with := withCredits(payload, paid); len(with) > len(payload) {
				out := make([]byte, 0, len(events)+len(with)-len(payload))
				out = append(out, events[:start+len("data:")]...)
				out = append(out, with...)
				return append(out, events[end:]...)
			}
		}
		end = start
	}
	return events
}

// usageEnd returns where the closing brace of the usage object is, and whether
// the object is empty; -1 without one.
func usageEnd(object []byte) (at int, empty bool) {
	d := jsontext.NewDecoder(bytes.NewReader(object), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return -1, false
	}
	at = -1
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return -1, false
		}
		isUsage := name.String() == "usage"
		value, err := d.ReadValue()
		if err != nil {
			return -1, false
		}
		if isUsage && value.Kind() == '{' {
			at = int(d.InputOffset()) - 1
			empty = len(bytes.TrimSpace(value[1:len(value)-1])) == 0
		}
	}
	return at, empty
}
