package llm

import (
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// Refusal is what an OpenAI-like vendor says when it does not answer, in an
// error body or in an event of a stream.
type Refusal struct {
	Status                     int // 0 in a stream
	Code, Type, Param, Message string
	// As is what the protocol knows it to be; else it is told by the others.
	As              Kind
	RetryAfter      time.Duration
	VendorRequestID string
	// Hide are texts that must not reach a client: the target's key, host and
	// model.
	Hide []string
}

// Failure classifies r. The vendor's sentence follows ours, redacted, only
// when it tells the client how to correct the request.
func (r Refusal) Failure() *Failure {
	f := Fail(r.kind(), nil)
	f.Status, f.VendorRequestID, f.RetryAfter = r.Status, r.VendorRequestID, r.RetryAfter
	switch f.Kind {
	case Invalid, Context, Image, Size:
		if said := Redact(r.Message, r.Hide...); said != "" {
			f.Fault = f.Fault.Saying("%s Provider says: %s", f.Fault.Message, said)
		}
		if paramShape.MatchString(r.Param) {
			f.Fault = f.Fault.At(r.Param)
		}
	case Rate, Quota:
		if r.RetryAfter > 0 {
			f.Fault = f.Fault.After(r.RetryAfter)
		}
	}
	return f
}

var paramShape = regexp.MustCompile(`^[a-z][a-zA-Z0-9_.\[\]]{0,99}$`)

func (r Refusal) kind() Kind {
	if r.As != 0 {
		return r.As
	}
	status, code := r.Status, strings.ToLower(r.Code)
	message := strings.ToLower(r.Message)
	if status == 0 {
		status = r.impliedStatus()
	}
	switch has := func(words ...string) bool {
		return containsAny(code, words) || containsAny(strings.ToLower(r.Type), words)
	}; {
	case strings.Contains(message, "credit balance"), status == http.StatusPaymentRequired, has("insufficient_quota", "billing_hard_limit", "insufficient_balance"):
		return Quota
	case status != 400 && status != 413 && status != 422:
	case has("context_length_exceeded"), containsAny(message, []string{"maximum context", "context length", "context window", "prompt is too long", "token count exceeds"}):
		return Context
	case has("content_filter", "content_policy", "responsible_ai", "moderation_blocked"):
		return Policy
	case has("invalid_image", "image_parse", "unsupported_image", "image_too"), containsAny(message, []string{"invalid image"}):
		return Image
	}
	switch {
	case status == 400, status == 422:
		return Invalid
	case status == 401, status == 403:
		return Auth
	case status == 404:
		return UnknownModel
	case status == 408, status == 504:
		return Timeout
	case status == 413:
		return Size
	case status == 429:
		return Rate
	case status == 409, status >= 500:
		return Server
	default:
		return Protocol
	}
}

// impliedStatus guesses what the status of an error in a stream would have
// been.
func (r Refusal) impliedStatus() int {
	if len(r.Code) == 3 && r.Code >= "400" && r.Code <= "599" {
		return int(r.Code[0]-'0')*100 + int(r.Code[1]-'0')*10 + int(r.Code[2]-'0')
	}
	words := strings.ToLower(r.Type + " " + r.Code)
	for _, w := range []struct {
		word   string
		status int
	}{
		{"rate_limit", 429},
		{"insufficient_quota", 402},
		{"authentication", 401},
		{"permission", 403},
		{"invalid_api_key", 401},
		{"not_found", 404},
		{"timeout", 504},
		{"overloaded", 503},
		{"server_error", 500},
		{"context_length", 400},
		{"content_", 400},
		{"invalid_", 400},
	} {
		if strings.Contains(words, w.word) {
			return w.status
		}
	}
	return 500
}

func containsAny(text string, words []string) bool {
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

// maxSaid is how many characters of a vendor's sentence a client may see.
const maxSaid = 300

var redactions = []struct {
	shape *regexp.Regexp
	with  string
}{
	{regexp.MustCompile(`\b((?i:bearer))\s+[^\s"',;]{6,}`), "$1 [redacted]"},
	{regexp.MustCompile(`\b((?i:basic))\s+[A-Za-z0-9+/]*[A-Z0-9][A-Za-z0-9+/=]*`), "$1 [redacted]"},
	{regexp.MustCompile(`(?i)\b(api[-_ ]?key|token|secret|password)["']?\s*[:=]\s*["']?[^\s"',;]+`), "$1 [redacted]"},
	{regexp.MustCompile(`\beyJ[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*){1,4}`), "[redacted]"},
	{regexp.MustCompile(`(?i)\b(sk|pk|rk|ak|xai|gsk|key|rph)[-_][A-Za-z0-9_*.-]{3,}`), "[redacted]"},
	{regexp.MustCompile(`(?i)\b(org|organization|proj|project|user|acct|account|team|tenant|req|resp|file|sess)[-_][A-Za-z0-9_-]*[0-9][A-Za-z0-9_-]*`), "[redacted]"},
	{regexp.MustCompile(`(?i)\b(org|proj)[-_][A-Za-z0-9]{6,}`), "[redacted]"},
	{regexp.MustCompile(`(?i)\b[a-z][a-z0-9+.-]*://[^\s"'<>]+`), "[address]"},
	{regexp.MustCompile(`[^\s@"'<>]+@[^\s@"'<>]+\.[A-Za-z]{2,}`), "[e-mail]"},
	{regexp.MustCompile(`(?i)\b([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+(com|net|org|io|ai|dev|app|cloud|co|local|localhost|internal|lan|corp|intra|home|info|biz|eu|us|uk|de|fr|nl|ch|cn|jp|in|ru|xyz|tech|sh|run|me|gov|edu|svc)\b(:\d+)?`), "[address]"},
	{regexp.MustCompile(`\b\d{1,3}(\.\d{1,3}){3}\b(:\d+)?`), "[address]"},
	{regexp.MustCompile(`(?i)\[?\b[0-9a-f]{0,4}(:[0-9a-f]{0,4}){3,7}\b\]?(:\d+)?`), "[address]"},
	{regexp.MustCompile(`(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "[redacted]"},
	{regexp.MustCompile(`[A-Za-z0-9_+/=-]{32,}`), "[redacted]"},
}

// Redact takes out of a vendor's sentence what may identify the operator's
// account: keys, tokens, organisation and project ids, hosts, e-mail addresses,
// and the texts of hide. It returns at most 300 characters on one line.
func Redact(said string, hide ...string) string {
	if len(said) > 64*maxSaid { // an error page; its end is of no use
		said = said[:64*maxSaid]
	}
	said = strings.ToValidUTF8(said, "")
	for _, h := range hide {
		if len(h) >= 3 {
			said = strings.ReplaceAll(said, h, "[redacted]")
		}
	}
	for _, r := range redactions {
		said = r.shape.ReplaceAllString(said, r.with)
	}
	said = strings.Join(strings.FieldsFunc(said, func(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) }), " ")
	n := 0
	for i := range said {
		if n++; n > maxSaid {
			return strings.TrimSpace(said[:i])
		}
	}
	return said
}
