package google

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
)

// Said is an error as Google writes it. Fields may be empty.
type Said struct {
	Code            int64 // the HTTP status
	Status, Message string
	Reasons         []string // of ErrorInfo
	Quotas          []string // the ids of the quotas that are used up
	RetryAfter      time.Duration
}

var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// ReadError reads {"error":{"code","message","status","details"}}, or a list
// with it, as streams without alt=sse send it. It reports false when body is
// neither.
func ReadError(body []byte) (Said, bool) {
	body = bytes.TrimSpace(body)
	if len(body) > 0 && body[0] == '[' {
		var list []jsontext.Value
		if json.Unmarshal(body, &list, lenient) != nil || len(list) == 0 {
			return Said{}, false
		}
		body = list[0]
	}
	var outer struct {
		Error jsontext.Value `json:"error"`
	}
	if json.Unmarshal(body, &outer, lenient) != nil || outer.Error.Kind() != '{' {
		return Said{}, false
	}
	return ReadErrorObject(outer.Error)
}

// ReadErrorObject reads the value of the field error.
func ReadErrorObject(object []byte) (Said, bool) {
	var in struct {
		Code    jsontext.Value   `json:"code"`
		Status  jsontext.Value   `json:"status"`
		Message jsontext.Value   `json:"message"`
		Details []jsontext.Value `json:"details"`
	}
	if err := json.Unmarshal(object, &in, lenient); err != nil {
		return Said{}, false
	}
	said := Said{Status: text(in.Status), Message: text(in.Message)}
	said.Code, _ = strconv.ParseInt(string(bytes.TrimSpace(in.Code)), 10, 32) // 0 when it is no number
	for _, d := range in.Details {
		said.detail(d)
	}
	return said, true
}

// detail reads google.rpc.ErrorInfo, QuotaFailure and RetryInfo.
func (s *Said) detail(v jsontext.Value) {
	var in struct {
		Reason     string `json:"reason"`
		RetryDelay string `json:"retryDelay"`
		Violations []struct {
			QuotaID string `json:"quotaId"`
		} `json:"violations"`
	}
	if json.Unmarshal(v, &in, lenient) != nil {
		return
	}
	if in.Reason != "" {
		s.Reasons = append(s.Reasons, in.Reason)
	}
	for _, q := range in.Violations {
		s.Quotas = append(s.Quotas, q.QuotaID)
	}
	if d, err := time.ParseDuration(in.RetryDelay); err == nil && d > 0 && strings.HasSuffix(in.RetryDelay, "s") {
		s.RetryAfter = min(d, 24*time.Hour)
	}
}

func text(v jsontext.Value) string {
	if v.Kind() != '"' {
		return ""
	}
	b, _ := jsontext.AppendUnquote([]byte(nil), []byte(v)) // what is invalid becomes U+FFFD
	return string(b)
}

// Refusal returns what s means, to be classified.
func (s Said) Refusal() llm.Refusal {
	r := llm.Refusal{Status: int(s.Code), Code: strings.ToLower(s.Status), Message: s.Message, RetryAfter: s.RetryAfter}
	message := strings.ToLower(s.Message)
	for _, reason := range s.Reasons {
		if reason == "API_KEY_INVALID" || reason == "API_KEY_SERVICE_BLOCKED" {
			r.As = llm.Auth // with the status 400
		}
	}
	for _, q := range s.Quotas {
		if strings.Contains(q, "PerDay") {
			r.As = llm.Quota
		}
	}
	switch {
	case r.As != 0 || s.Code != 400 && s.Status != "INVALID_ARGUMENT":
	case strings.Contains(message, "token count") && strings.Contains(message, "exceeds"):
		r.As = llm.Context
	case strings.Contains(message, "image"):
		r.As = llm.Image
	}
	return r
}
