package branding

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"path"
	"strings"
	"unicode/utf8"
)

// Bounds of an archive.
const (
	maxEntries = 1000
	maxRatio   = 100 // of what it unpacks to, to its own size
)

// kindOf returns what a file is: json, log, txt or zip. The name says what it
// should be, and its content must be that.
func kindOf(name string, data []byte) (string, error) {
	kind := strings.TrimPrefix(strings.ToLower(path.Ext(name)), ".")
	ok := false
	switch kind {
	case "json":
		ok = json.Valid(data)
	case "log", "txt":
		ok = len(data) > 0 && utf8.Valid(data) && !bytes.ContainsRune(data, 0)
	case "zip":
		ok = harmless(data)
	}
	if !ok {
		return "", ErrType
	}
	return kind, nil
}

// harmless reports whether data is an archive within bounds. It is unpacked to
// know: what an archive says of its sizes need not be true.
func harmless(data []byte) bool {
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil || len(r.File) == 0 || len(r.File) > maxEntries {
		return false
	}
	left := int64(len(data)) * maxRatio
	for _, f := range r.File {
		if f.UncompressedSize64 > uint64(left) { //nolint:gosec // left is not negative
			return false
		}
		entry, err := f.Open()
		if err != nil {
			return false
		}
		n, err := io.Copy(io.Discard, io.LimitReader(entry, left+1))
		if err := entry.Close(); err != nil {
			return false
		}
		if left -= n; err != nil || left < 0 {
			return false
		}
	}
	return true
}
