package web

import (
	"io"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/rephlo/rephlo/internal/fault"
)

// MaxDepth is how deep JSON from outside may be nested.
const MaxDepth = 64

// Unmarshal reads strict JSON into v: no duplicate names, valid UTF-8, no
// trailing data, at most MaxDepth levels. Names are matched by case.
func Unmarshal(data []byte, v any) error {
	if Depth(data) > MaxDepth {
		return errMalformed.Saying("The body is nested deeper than %d levels.", MaxDepth)
	}
	return json.Unmarshal(data, v)
}

// Depth returns how deep the brackets of data are nested outside of strings.
func Depth(data []byte) int {
	depth, deepest, inString := 0, 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}

// Decode reads the JSON body of a plain handler into a T. A field that T does
// not have is an error.
func Decode[T any](r *http.Request) (T, error) {
	var v T
	if !acceptable(r) {
		return v, errMedia
	}
	data, err := ReadBody(r)
	if err != nil {
		return v, err
	}
	if Depth(data) > MaxDepth {
		return v, errMalformed.Saying("The body is nested deeper than %d levels.", MaxDepth)
	}
	if err := json.Unmarshal(data, &v, json.RejectUnknownMembers(true)); err != nil {
		return v, errMalformed.Saying("The body is not what this endpoint takes: %s.", cause(err))
	}
	return v, nil
}

// ReadBody reads the whole body of r.
func ReadBody(r *http.Request) ([]byte, error) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, readError(err)
	}
	return data, nil
}

// cause describes a decoding error without the text that was sent.
func cause(err error) string {
	if s, ok := err.(*json.SemanticError); ok { //nolint:errorlint // returned unwrapped by the package
		return "wrong or unknown value at " + string(s.JSONPointer)
	}
	return "the JSON is malformed"
}

func readError(err error) error {
	if f := Classify(err); f.Kind != fault.Internal {
		return f
	}
	return errMalformed.Saying("The body ended too early.").Because(err)
}
