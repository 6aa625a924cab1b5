package upstream

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
)

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

// Protocol is what differs between vendors.
type Protocol struct {
	// BaseURL is where a target names none; empty refuses it.
	BaseURL string
	// Credential names the header of the key and what precedes the key in it.
	Credential, Prefix string
	// Header are fields that every request has, unless its call brings them.
	Header []egress.Field
	// RequestID names the header with the vendor's id of a request.
	RequestID string
	// ReadRefusal reads the body of an error: Code, Type, Param and Message. It
	// is false when there is none in body.
	ReadRefusal func(body []byte) (llm.Refusal, bool)
}

// Client sends the calls of one vendor. It is safe for concurrent use.
type Client struct {
	client   *egress.Client
	now      func() time.Time
	protocol Protocol

	mu        sync.RWMutex
	templates map[endpoint]*egress.Template // guarded by mu
}

// endpoint is what a prepared request is for. It has no credentials.
type endpoint struct {
	baseURL, path string
	form          form
	private       bool
}

// form is what is sent and what must come back.
type form uint8

const (
	formJSON form = iota
	formStream
	formSound  // JSON for sound
	formUpload // a form for a text
	formUploadStream
)

func formOf(call llm.Call) form {
	switch {
	case call.Stream && call.Op == llm.OpTranscriptions:
		return formUploadStream
	case call.Stream:
		return formStream
	case call.Op == llm.OpSpeech:
		return formSound
	case call.Op == llm.OpTranscriptions:
		return formUpload
	}
	return formJSON
}

// New returns a Client.
func New(p Protocol, client *egress.Client, now func() time.Time) *Client {
	return &Client{client: client, now: now, protocol: p, templates: map[endpoint]*egress.Template{}}
}

var (
	errNoBase = errors.New("the provider has no base URL")
	errForm   = errors.New("answer is not in the announced form")
	errStatus = errors.New("unexpected status")
)

// Send posts call to path, which may have a query, behind the target's base URL and returns when the
// answer's head is there. The answer of a call without a stream is at most
// 64 MiB. An error is a *llm.Failure.
func (c *Client) Send(ctx context.Context, to llm.Target, path string, call llm.Call) (llm.Reply, error) {
	t, err := c.template(to, path, formOf(call))
	if err != nil {
		return llm.Reply{}, llm.Fail(llm.UnknownModel, err)
	}
	req := egress.Request{Template: t, Header: c.header(to, call), Body: call.Parts, Timeouts: timeouts(to.Timeouts, call.Stream)}
	if !call.Stream {
		req.MaxBody = maxAnswer
	}
	res, err := c.client.Do(ctx, req)
	if err != nil {
		return llm.Reply{}, llm.Broken(err)
	}
	reply := llm.Reply{
		ContentType: res.Header("content-type"), VendorRequestID: res.Header(c.protocol.RequestID),
		ProcessingMS: res.Header("openai-processing-ms"), Length: res.Length, Body: res.Body,
	}
	if res.Status == 200 && announced(reply.ContentType, formOf(call)) {
		return reply, nil
	}
	return llm.Reply{}, c.refused(to, t, res, reply.VendorRequestID)
}

// refused reads why there is no answer.
func (c *Client) refused(to llm.Target, t *egress.Template, res *egress.Response, requestID string) error {
	after := retryAfter(res.Header, c.now())
	res.Within(errorTime)
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxError)) // what came is enough to classify
	_ = res.Body.Close()                                      // its only failure is that it was closed
	r, ok := c.protocol.ReadRefusal(body)
	if res.Status == 200 && !ok {
		return llm.Fail(llm.Protocol, errForm)
	}
	r.Status, r.VendorRequestID = res.Status, requestID
	if after > 0 { // else the body may say it
		r.RetryAfter = after
	}
	r.Hide = append(r.Hide, to.Key.Reveal(), to.Model, t.Host())
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
func (c *Client) header(to llm.Target, call llm.Call) []egress.Field {
	fields := make([]egress.Field, 0, 3+len(call.Header)+len(to.Header))
	if call.Op == llm.OpTranscriptions { // whose boundary is its own
		fields = append(fields, egress.Field{Name: "Content-Type", Value: call.ContentType})
	}
	if !to.Key.Empty() {
		fields = append(fields, egress.Field{Name: c.protocol.Credential, Value: c.protocol.Prefix + to.Key.Reveal()})
	}
	fields = append(fields, call.Header...)
	for _, f := range c.protocol.Header {
		if !has(call.Header, f.Name) {
			fields = append(fields, f)
		}
	}
	for name, value := range to.Header {
		if !reserved[strings.ToLower(name)] && !strings.EqualFold(name, c.protocol.Credential) && !has(call.Header, name) && !has(c.protocol.Header, name) {
			fields = append(fields, egress.Field{Name: name, Value: value})
		}
	}
	return fields
}

func has(fields []egress.Field, name string) bool {
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			return true
		}
	}
	return false
}

// reserved headers belong to the call or to the connection.
var reserved = map[string]bool{
	"authorization": true, "host": true, "content-length": true, "transfer-encoding": true, "connection": true,
	"content-type": true, "content-encoding": true, "accept": true, "accept-encoding": true, "user-agent": true,
	"te": true, "trailer": true, "upgrade": true, "expect": true, "keep-alive": true, "proxy-connection": true,
}

func (c *Client) template(to llm.Target, path string, f form) (*egress.Template, error) {
	key := endpoint{to.BaseURL, path, f, to.AllowPrivate}
	if key.baseURL == "" {
		key.baseURL = c.protocol.BaseURL
	}
	c.mu.RLock()
	t := c.templates[key]
	c.mu.RUnlock()
	if t != nil {
		return t, nil
	}
	u, err := address(key.baseURL, path)
	if err != nil {
		return nil, err
	}
	accept := [...]string{formJSON: "application/json", formStream: "text/event-stream", formSound: "*/*", formUpload: "*/*", formUploadStream: "text/event-stream"}
	fields := []egress.Field{
		{Name: "User-Agent", Value: agent},
		{Name: "Accept", Value: accept[f]},
		{Name: "Accept-Encoding", Value: "identity"},
	}
	if f != formUpload && f != formUploadStream {
		fields = append(fields, egress.Field{Name: "Content-Type", Value: "application/json"})
	}
	t, err = egress.NewTemplate("POST", u, key.private, fields...)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.templates) >= maxTemplates {
		clear(c.templates)
	}
	c.templates[key] = t
	return t, nil
}

// address is path, which may have a query, behind a base URL.
func address(base, path string) (string, error) {
	path, query, _ := strings.Cut(path, "?")
	u, err := url.JoinPath(base, path)
	if err != nil || base == "" {
		return "", errNoBase
	}
	if query != "" {
		u += "?" + query
	}
	return u, nil
}

// announced reports whether the answer has the form that was asked for.
func announced(contentType string, f form) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	switch f {
	case formStream, formUploadStream:
		return media == "text/event-stream"
	case formSound:
		return strings.HasPrefix(media, "audio/") || media == "application/octet-stream"
	case formUpload:
		return media == "application/json" || media == "text/plain" || media == "text/vtt" || media == "application/x-subrip"
	case formJSON:
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
