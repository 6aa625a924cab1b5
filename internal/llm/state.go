package llm

import (
	"encoding/base64"
	"strings"
)

// State is what a vendor wants back byte for byte and nobody else may see: the
// signature of a thought, or a thought in cipher. It belongs to the account
// that made it.
type State struct {
	Vendor  string // anthropic, openai, google, or a provider of the vendor compat
	Account string // tag of the account; empty where it is not known
	Data    string // the exact bytes
}

const envelope = "rx1."

// Wrap returns s as clients of another protocol get it:
// rx1.<vendor>.<account>.<base64url>.
func (s *State) Wrap() string {
	return envelope + s.Vendor + "." + s.Account + "." + base64.RawURLEncoding.EncodeToString([]byte(s.Data))
}

// Wrapped reports whether text looks as Wrap has written it.
func Wrapped(text string) bool { return strings.HasPrefix(text, envelope) }

// Unwrap reads what Wrap has written. Other text is the state of vendor itself,
// as its own protocol carries it. It is nil for empty text and for an envelope
// that is broken.
func Unwrap(text, vendor string) *State {
	rest, ok := strings.CutPrefix(text, envelope)
	switch {
	case text == "":
		return nil
	case !ok:
		if vendor == "" {
			return nil
		}
		return &State{Vendor: vendor, Data: text}
	}
	of, rest, _ := strings.Cut(rest, ".")
	account, data, ok := strings.Cut(rest, ".")
	if !ok || of == "" {
		return nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(data)
	if err != nil {
		return nil
	}
	return &State{Vendor: of, Account: account, Data: string(b)}
}

// For reports whether s may go to this target: only its issuer gets it.
func (s *State) For(to Target) bool {
	return s != nil && s.Vendor == to.Issuer && (s.Account == "" || to.Account == "" || s.Account == to.Account)
}
