// Package secret has a string that cannot be printed by accident.
package secret

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// String is a secret. Every way of formatting it gives "[redacted]"; Reveal
// is the only way to the text.
type String struct{ text string }

// New returns text as a secret.
func New(text string) String { return String{text} }

// Reveal returns the text; it must not reach a log, an error or an answer.
func (s String) Reveal() string { return s.text }

// Empty reports whether there is no text.
func (s String) Empty() bool { return s.text == "" }

// Equal compares in a time that does not depend on where the texts differ.
func (s String) Equal(other string) bool {
	return subtle.ConstantTimeCompare([]byte(s.text), []byte(other)) == 1
}

// Format implements fmt.Formatter for all verbs.
func (s String) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// String implements fmt.Stringer.
func (s String) String() string { return redacted }

// MarshalText implements encoding.TextMarshaler, and with it JSON.
func (s String) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText implements encoding.TextUnmarshaler, so that settings can be
// read into a String.
func (s *String) UnmarshalText(b []byte) error {
	s.text = string(b)
	return nil
}

// LogValue implements slog.LogValuer.
func (s String) LogValue() slog.Value { return slog.StringValue(redacted) }
