package openai

import (
	"context"
	"errors"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/llm"
	wire "github.com/rephlo/rephlo/internal/llm/wire/openai"
)

// BaseURL is OpenAI's own address.
const BaseURL = "https://api.openai.com/v1"

const (
	agent     = "Rephlo"
	maxAnswer = 64 << 20
	maxError  = 64 << 10
	// errorTime is how long the body of an error may take.
	errorTime = 5 * time.Second
	// maxTemplates bounds the endpoints that are kept prepared; above, all are
	// prepared anew.
	maxTemplates = 1024
)

// paths of the operations that are forwarded.
var paths = map[llm.Op]string{
	llm.OpChat:           "/chat/completions",
	llm.OpResponses:      "/responses",
	llm.OpCompletions:    "/completions",
	llm.OpEmbeddings:     "/embeddings",
	llm.OpImages:         "/images/generations",
	llm.OpTranscriptions: "/audio/transcriptions",
	llm.OpSpeech:         "/audio/speech",
	llm.OpModerations:    "/moderations",
}

// Vendor forwards calls. It implements llm.Vendor.
type Vendor struct {
	client  *egress.Client
	now     func() time.Time
	baseURL string // where a target names none; empty refuses it

	mu        sync.RWMutex
	templates map[endpoint]*egress.Template // guarded by mu
}

// endpoint is what a prepared request is for. It has no credentials.
type endpoint struct {
	baseURL string
	op      llm.Op
	stream  bool
	private bool
}

var _ llm.Vendor = (*Vendor)(nil)

// New returns the vendor for OpenAI itself.
func New(client *egress.Client, now func() time.Time) *Vendor { return NewAt(BaseURL, client, now) }

// NewAt returns a vendor whose targets are at baseURL unless they name
// another. With an empty one they must.
func NewAt(baseURL string, client *egress.Client, now func() time.Time) *Vendor {
	return &Vendor{client: client, now: now, baseURL: baseURL, templates: map[endpoint]*egress.Template{}}
}

// Native implements llm.Vendor.
func (v *Vendor) Native(op llm.Op) bool { return paths[op] != "" }

var (
	errOp     = errors.New("operation is not forwarded")
	errNoBase = errors.New("the provider has no base URL")
	errForm   = errors.New("answer is not in the announced form")
	errStatus = errors.New("unexpected status")
)

// Forward implements llm.Vendor. The answer of a call without a stream is at
// most 64 MiB.
func (v *Vendor) Forward(ctx context.Context, to llm.Target, call llm.Call) (llm.Reply, error) {
	t, err := v.template(to, call)
	if err != nil {
		return llm.Reply{}, llm.Fail(llm.UnknownModel, err)
	}
	req := egress.Request{Template: t, Header: header(to, call), Body: call.Parts, Timeouts: timeouts(to.Timeouts, call.Stream)}
	if !call.Stream {
		req.MaxBody = maxAnswer
	}
	res, err := v.client.Do(ctx, req)
	if err != nil {
		return llm.Reply{}, llm.Broken(err)
	}
	reply := llm.Reply{
		ContentType: res.Header("content-type"), VendorRequestID: res.Header("x-request-id"),
		ProcessingMS: res.Header("openai-processing-ms"), Length: res.Length, Body: res.Body,
	}
	if res.Status == 200 && announced(reply.ContentType, call) {
		return reply, nil
	}
	return llm.Reply{}, v.refused(to, t, res, reply.VendorRequestID)
}

// refused reads why there is no answer.
func (v *Vendor) refused(to llm.Target, t *egress.Template, res *egress.Response, requestID string) error {
	after := retryAfter(res.Header, v.now())
	res.Within(errorTime)
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxError)) // what came is enough to classify
	_ = res.Body.Close()                                      // its only failure is that it was closed
	said, ok := wire.ReadError(body)
	if res.Status == 200 && !ok {
		return llm.Fail(llm.Protocol, errForm)
	}
	r := llm.Refusal{
		Status: res.Status, Code: said.Code, Type: said.Type, Param: said.Param, Message: said.Message,
		RetryAfter: after, VendorRequestID: requestID, Hide: []string{to.Key.Reveal(), to.Model, t.Host()},
	}
	if res.Status == 200 {
		r.Status = 0
	}
	if res.Status < 400 && res.Status != 200 { // a redirect, or a success without content
		return llm.Fail(llm.Protocol, errStatus)
	}
	return r.Failure()
}

// header returns the fields of one target. A provider's own do not replace
// those that the call needs.
func header(to llm.Target, call llm.Call) []egress.Field {
	fields := make([]egress.Field, 0, 2+len(to.Header))
	if call.Op == llm.OpTranscriptions {
		fields = append(fields, egress.Field{Name: "Content-Type", Value: call.ContentType})
	}
	if !to.Key.Empty() {
		fields = append(fields, egress.Field{Name: "Authorization", Value: "Bearer " + to.Key.Reveal()})
	}
	for name, value := range to.Header {
		if !reserved[strings.ToLower(name)] {
			fields = append(fields, egress.Field{Name: name, Value: value})
		}
	}
	return fields
}

// reserved headers belong to the call or to the connection.
var reserved = map[string]bool{
	"authorization": true, "host": true, "content-length": true, "transfer-encoding": true, "connection": true,
	"content-type": true, "content-encoding": true, "accept": true, "accept-encoding": true, "user-agent": true,
	"te": true, "trailer": true, "upgrade": true, "expect": true, "keep-alive": true, "proxy-connection": true,
}

func (v *Vendor) template(to llm.Target, call llm.Call) (*egress.Template, error) {
	key := endpoint{to.BaseURL, call.Op, call.Stream, to.AllowPrivate}
	if key.baseURL == "" {
		key.baseURL = v.baseURL
	}
	v.mu.RLock()
	t := v.templates[key]
	v.mu.RUnlock()
	if t != nil {
		return t, nil
	}
	path := paths[call.Op]
	if path == "" {
		return nil, errOp
	}
	if key.baseURL == "" {
		return nil, errNoBase
	}
	u, err := url.JoinPath(key.baseURL, path)
	if err != nil {
		return nil, errNoBase
	}
	accept := "application/json"
	switch {
	case call.Stream:
		accept = "text/event-stream"
	case call.Op == llm.OpSpeech, call.Op == llm.OpTranscriptions: // sound, and text in several forms
		accept = "*/*"
	}
	fields := []egress.Field{
		{Name: "User-Agent", Value: agent},
		{Name: "Accept", Value: accept},
		{Name: "Accept-Encoding", Value: "identity"},
	}
	if call.Op != llm.OpTranscriptions { // whose boundary is its own
		fields = append(fields, egress.Field{Name: "Content-Type", Value: "application/json"})
	}
	t, err = egress.NewTemplate("POST", u, key.private, fields...)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.templates) >= maxTemplates {
		clear(v.templates)
	}
	v.templates[key] = t
	return t, nil
}

// announced reports whether the answer has the form that was asked for.
func announced(contentType string, call llm.Call) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	switch {
	case call.Stream:
		return media == "text/event-stream"
	case call.Op == llm.OpSpeech:
		return strings.HasPrefix(media, "audio/") || media == "application/octet-stream"
	case call.Op == llm.OpTranscriptions:
		return media == "application/json" || media == "text/plain" || media == "text/vtt" || media == "application/x-subrip"
	}
	return media == "application/json"
}

// timeouts fills in the defaults: a stream has limits for its first byte and
// its silence, an answer in one piece only one for all of it.
func timeouts(t llm.Timeouts, stream bool) llm.Timeouts {
	set := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	if !stream {
		set(&t.Total, 10*time.Minute)
		return t
	}
	set(&t.FirstByte, 30*time.Second)
	set(&t.Idle, time.Minute)
	set(&t.Total, time.Hour)
	return t
}
