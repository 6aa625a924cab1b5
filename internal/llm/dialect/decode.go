package dialect

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
)

// ErrInvalid is a request that cannot be read.
var ErrInvalid = fault.New(fault.Invalid, "invalid_request", "The request cannot be read. Correct it and send it again.").Final()

// Read decodes a value strictly: one JSON value in valid UTF-8 whose objects
// have unique names. at is where it stands in the request, as in messages[2];
// empty for the whole. Names that to does not have go to its embedded field.
func Read(v []byte, to any, at string, how ...json.Options) error {
	err := json.Unmarshal(v, to, how...)
	if err == nil {
		return nil
	}
	if s, ok := errors.AsType[*json.SemanticError](err); ok {
		return Wrong(Join(at, path(s.JSONPointer)), "has a value of the wrong type").Because(err)
	}
	f := ErrInvalid.Because(err)
	if s, ok := errors.AsType[*jsontext.SyntacticError](err); ok && errors.Is(s.Err, jsontext.ErrDuplicateName) {
		f = Wrong(Join(at, path(s.JSONPointer)), "occurs twice").Because(err)
	} else if at != "" {
		f = f.At(at)
	}
	return f
}

// Wrong is ErrInvalid that names the field and says what is wrong with it.
func Wrong(at, what string) *fault.Error {
	if at == "" {
		return ErrInvalid
	}
	return ErrInvalid.At(at).Saying("The field %s %s.", at, what)
}

// Unsupported is a field that can never be carried out here, and why.
func Unsupported(at, why string) error {
	return llm.ErrUnsupported.At(at).Saying("The field %s is not possible here: %s.", at, why)
}

// path makes messages[2].content of /messages/2/content.
func path(p jsontext.Pointer) string {
	var b strings.Builder
	for t := range p.Tokens() {
		if _, err := strconv.ParseUint(t, 10, 32); err == nil {
			b.WriteString("[" + t + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(t)
	}
	const most = 200
	if b.Len() > most {
		return b.String()[:most]
	}
	return b.String()
}

// Join puts a place behind another.
func Join(at, rest string) string {
	if at == "" || rest == "" || rest[0] == '[' {
		return at + rest
	}
	return at + "." + rest
}

// Index is the place of an element.
func Index(at string, i int) string { return at + "[" + strconv.Itoa(i) + "]" }

// maxUnknown bounds how many fields are named that nobody knows.
const maxUnknown = 50

// Unknown notes a warning for each name of rest, which is what a struct's
// embedded field got. The names in quiet are passed over: they change nothing.
func Unknown(r *llm.Request, rest jsontext.Value, at string, quiet ...string) {
	if len(rest) == 0 {
		return
	}
	d := jsontext.NewDecoder(bytes.NewReader(rest))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return
	}
next:
	for d.PeekKind() == '"' && len(r.Warnings) < maxUnknown {
		t, err := d.ReadToken()
		if err != nil {
			return
		}
		name := t.String()
		if d.SkipValue() != nil {
			return
		}
		for _, q := range quiet {
			if q == name {
				continue next
			}
		}
		r.Warnings = append(r.Warnings, llm.Warning{Kind: llm.Unknown, Param: Join(at, name)})
	}
}

// Said reports whether v is there and not null.
func Said(v jsontext.Value) bool { return len(v) > 0 && v.Kind() != 'n' }

// ReadNumber returns a number as it was written; null is unsaid.
func ReadNumber(v jsontext.Value, at string) (llm.Number, error) {
	switch {
	case !Said(v):
		return "", nil
	case v.Kind() != '0':
		return "", Wrong(at, "must be a number")
	}
	return llm.Number(v), nil
}

// ReadWhole returns a whole number of at most 32 bits that is not negative;
// null is 0.
func ReadWhole(v jsontext.Value, at string) (int64, error) {
	if !Said(v) {
		return 0, nil
	}
	n, err := strconv.ParseUint(string(v), 10, 31)
	if err != nil {
		return 0, Wrong(at, "must be a whole number that is not negative")
	}
	return int64(n), nil
}
