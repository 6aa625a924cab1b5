package openai

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ErrorBody is an error as we write it; all seven fields are always there.
type ErrorBody struct {
	Error ErrorFields `json:"error"`
}

// ErrorFields are the fields of an ErrorBody.
type ErrorFields struct {
	Code      string         `json:"code"`
	Message   string         `json:"message"`
	Type      string         `json:"type"`
	Param     *string        `json:"param"`
	Details   map[string]any `json:"details" nullable:"true"`
	DocURL    string         `json:"doc_url"`
	RequestID string         `json:"request_id"`
}

// ErrorEvent is the event with which a stream of typed events breaks off.
type ErrorEvent struct {
	Type           string      `json:"type"`
	Code           string      `json:"code"`
	Message        string      `json:"message"`
	Param          *string     `json:"param"`
	SequenceNumber int64       `json:"sequence_number"`
	Error          ErrorFields `json:"error"`
}

// Said is an error as vendors write it. Fields may be empty.
type Said struct{ Code, Type, Param, Message string }

// ReadError reads the error of an answer in any of the shapes that services
// with OpenAI's protocol use:
//
//	{"error":{"message","type","param","code"}}   most; code may be a number
//	{"error":"…"}                                 Ollama
//	{"message","type","code"}                     Mistral, older vLLM
//	{"detail":"…"}                                services on FastAPI
//	[{"error":{…}}]                               Google's OpenAI endpoint
//
// It reports false when body is none of them.
func ReadError(body []byte) (Said, bool) {
	body = bytes.TrimSpace(body)
	if len(body) > 0 && body[0] == '[' {
		var list []jsontext.Value
		if json.Unmarshal(body, &list, lenient) != nil || len(list) == 0 {
			return Said{}, false
		}
		body = list[0]
	}
	var outer fields
	if json.Unmarshal(body, &outer, lenient) != nil {
		return Said{}, false
	}
	switch outer.Error.Kind() {
	case '{':
		return ReadErrorObject(outer.Error)
	case '"':
		return Said{Message: text(outer.Error)}, true
	}
	said := outer.said()
	return said, said != Said{}
}

// ReadErrorObject reads the value of the field error.
func ReadErrorObject(object []byte) (Said, bool) {
	var inner fields
	if json.Unmarshal(object, &inner, lenient) != nil {
		return Said{Message: text(object)}, jsontext.Value(object).Kind() == '"'
	}
	return inner.said(), true
}

var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

type fields struct {
	Error   jsontext.Value `json:"error"`
	Code    jsontext.Value `json:"code"`
	Type    jsontext.Value `json:"type"`
	Param   jsontext.Value `json:"param"`
	Message jsontext.Value `json:"message"`
	Detail  jsontext.Value `json:"detail"`
}

func (f fields) said() Said {
	s := Said{Code: text(f.Code), Type: text(f.Type), Param: text(f.Param), Message: text(f.Message)}
	if s.Message == "" {
		s.Message = text(f.Detail)
	}
	return s
}

// text returns a string's text or a number's digits; other values have none.
func text(v jsontext.Value) string {
	switch v.Kind() {
	case '"':
		b, _ := jsontext.AppendUnquote([]byte(nil), []byte(v)) // what is invalid becomes U+FFFD
		return string(b)
	case '0':
		return strings.TrimSpace(string(v))
	}
	return ""
}
