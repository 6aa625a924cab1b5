// Package list pages through results by keyset: a cursor names the last row
// that was shown, so a page costs the same however deep it is.
package list

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"

	"github.com/rephlo/rephlo/internal/fault"
)

// Sizes of a page.
const (
	DefaultLimit = 20
	MaxLimit     = 100
)

// ErrCursor answers a cursor that we did not make, or made for another list.
var ErrCursor = fault.New(fault.Invalid, "invalid_cursor", "The cursor is not one that this list gave. Start again without it.")

// Cursors makes and reads opaque, signed cursors. The zero value signs with an
// empty key and is for tests only.
type Cursors struct{ key []byte }

// NewCursors returns Cursors that sign with key.
func NewCursors(key []byte) Cursors { return Cursors{key} }

// Encode returns position as a cursor of the named list.
func (c Cursors) Encode(list string, position any) (string, error) {
	body, err := json.Marshal(position)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(c.sign(list, body), body...)), nil
}

// Decode reads a cursor of the named list into position, or returns ErrCursor.
func (c Cursors) Decode(list, cursor string, position any) error {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) < tagSize || !hmac.Equal(raw[:tagSize], c.sign(list, raw[tagSize:])) {
		return ErrCursor.At("cursor")
	}
	if err := json.Unmarshal(raw[tagSize:], position); err != nil {
		return ErrCursor.At("cursor")
	}
	return nil
}

const tagSize = 16

func (c Cursors) sign(list string, body []byte) []byte {
	m := hmac.New(sha256.New, c.key)
	m.Write([]byte(list))
	m.Write([]byte{0})
	m.Write(body)
	return m.Sum(nil)[:tagSize]
}

// Page is one page of a list as the API shows it.
type Page[T any] struct {
	Data       []T     `json:"data"`
	NextCursor *string `json:"nextCursor" doc:"Of the next page; null on the last one. While it is not null a page may have fewer entries than asked for, even none: a filter that finds little looks at so many and goes on"`
}

// Make returns one page of a list whose rows are ordered by their id, the
// highest first. load returns up to limit rows with an id below before ("": the
// first page); show makes the answer of a row.
func Make[R, T any](c Cursors, name, cursor string, limit int, show func(R) T, id func(R) string, load func(before string, limit int) ([]R, error)) (Page[T], error) {
	before := ""
	if cursor != "" {
		if err := c.Decode(name, cursor, &before); err != nil {
			return Page[T]{}, err
		}
	}
	rows, err := load(before, limit+1)
	if err != nil {
		return Page[T]{}, err
	}
	page := Page[T]{Data: make([]T, 0, limit)}
	if len(rows) > limit {
		rows = rows[:limit]
		next, err := c.Encode(name, id(rows[limit-1]))
		if err != nil {
			return Page[T]{}, err
		}
		page.NextCursor = &next
	}
	for _, r := range rows {
		page.Data = append(page.Data, show(r))
	}
	return page, nil
}
