package anthropic

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// ReadError reads the body of an error, {"type":"error","error":{"type",
// "message"}}. It is false when body is none.
func ReadError(body []byte) (kind, message string, ok bool) {
	var outer struct {
		Error jsontext.Value `json:"error"`
	}
	if json.Unmarshal(body, &outer, lenient) != nil || outer.Error.Kind() != '{' {
		return "", "", false
	}
	kind, message = ReadErrorObject(outer.Error)
	return kind, message, true
}

// ReadErrorObject reads the value of the field error.
func ReadErrorObject(object []byte) (kind, message string) {
	var e struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	}
	_ = json.Unmarshal(object, &e, lenient) // what is there is used
	return e.Type, e.Message
}

// statuses of the types of errors (docs.claude.com/en/api/errors).
var statuses = map[string]int{
	"invalid_request_error": 400, "authentication_error": 401, "billing_error": 402, "permission_error": 403, "not_found_error": 404,
	"request_too_large": 413, "rate_limit_error": 429, "api_error": 500, "timeout_error": 504, "overloaded_error": 529,
}

// Status returns the status that an error of this type has outside of a stream;
// 500 for others.
func Status(kind string) int {
	if s, ok := statuses[kind]; ok {
		return s
	}
	return 500
}

// Type returns the type of an error with a status.
func Type(status int) string {
	switch status {
	case 401:
		return "authentication_error"
	case 402:
		return "billing_error"
	case 403:
		return "permission_error"
	case 404:
		return "not_found_error"
	case 413:
		return "request_too_large"
	case 429:
		return "rate_limit_error"
	case 503, 529:
		return "overloaded_error"
	case 504:
		return "timeout_error"
	}
	if status < 500 {
		return "invalid_request_error"
	}
	return "api_error"
}
