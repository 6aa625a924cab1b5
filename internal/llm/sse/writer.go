package sse

import "bytes"

// Append appends an event with this data, which is one line or several. An
// empty name is left out.
func Append(dst []byte, name string, data []byte) []byte {
	dst = Open(dst, name)
	for {
		line, rest, more := bytes.Cut(data, []byte("\n"))
		dst = append(dst, line...)
		if !more {
			return Close(dst)
		}
		dst = append(dst, "\ndata: "...)
		data = rest
	}
}

// Open appends the beginning of an event whose data the caller appends on one
// line, followed by Close.
func Open(dst []byte, name string) []byte {
	if name != "" {
		dst = append(append(append(dst, "event: "...), name...), '\n')
	}
	return append(dst, "data: "...)
}

// Close appends the end of an event.
func Close(dst []byte) []byte { return append(dst, "\n\n"...) }
