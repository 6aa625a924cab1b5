package google

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/upstream"
	"github.com/rephlo/rephlo/internal/llm/wire"
	wiregoogle "github.com/rephlo/rephlo/internal/llm/wire/google"
)

// BaseURL is Google's own address.
const BaseURL = "https://generativelanguage.googleapis.com/v1beta"

// Vendor calls Google. It implements llm.Vendor, llm.Streamer and
// llm.TokenCounter.
type Vendor struct{ client *upstream.Client }

var (
	_ llm.Vendor       = (*Vendor)(nil)
	_ llm.Streamer     = (*Vendor)(nil)
	_ llm.TokenCounter = (*Vendor)(nil)
	_ llm.Pinger       = (*Vendor)(nil)
)

// New returns the vendor.
func New(client *egress.Client, now func() time.Time) *Vendor {
	return &Vendor{client: upstream.New(upstream.Protocol{ //nolint:gosec // the name of a header, not a credential
		BaseURL: BaseURL, Credential: "X-Goog-Api-Key", RequestID: "x-goog-request-id", ReadRefusal: readRefusal,
	}, client, now)}
}

func readRefusal(body []byte) (llm.Refusal, bool) {
	said, ok := wiregoogle.ReadError(body)
	return said.Refusal(), ok
}

// Native implements llm.Vendor.
func (*Vendor) Native(op llm.Op) bool {
	switch op {
	case llm.OpGenerate, llm.OpCountGenerate, llm.OpEmbedContent, llm.OpEmbedBatch:
		return true
	default:
		return false
	}
}

var errOp = errors.New("operation is not forwarded")

// endpoint returns the path of a method of the target's model.
func endpoint(to llm.Target, op llm.Op, stream bool) string {
	path := "/models/" + url.PathEscape(to.Model)
	switch {
	case op == llm.OpCountGenerate:
		return path + ":countTokens"
	case op == llm.OpEmbedContent:
		return path + ":embedContent"
	case op == llm.OpEmbedBatch:
		return path + ":batchEmbedContents"
	case stream:
		return path + ":streamGenerateContent?alt=sse"
	}
	return path + ":generateContent"
}

// Forward implements llm.Vendor. The answer of a call without a stream is at
// most 64 MiB.
func (v *Vendor) Forward(ctx context.Context, to llm.Target, call llm.Call) (llm.Reply, error) {
	if !v.Native(call.Op) {
		return llm.Reply{}, llm.Fail(llm.UnknownModel, errOp)
	}
	return v.client.Send(ctx, to, endpoint(to, call.Op, call.Stream), call)
}

// Ping implements llm.Pinger by the list of models
// (https://ai.google.dev/api/models#method:-models.list).
func (v *Vendor) Ping(ctx context.Context, to llm.Target) error {
	return v.client.Ping(ctx, to, "/models?pageSize=1")
}

// Stream implements llm.Streamer.
func (v *Vendor) Stream(ctx context.Context, to llm.Target, req *llm.Request) iter.Seq2[llm.Event, error] {
	return func(yield func(llm.Event, error) bool) {
		out, err := encode(to, req)
		if err != nil {
			yield(llm.Event{}, err)
			return
		}
		call := llm.Call{Op: llm.OpGenerate, Parts: [][]byte{out.body}, Stream: req.Stream}
		reply, err := v.client.Send(ctx, to, endpoint(to, call.Op, call.Stream), call)
		if err != nil {
			yield(llm.Event{}, err)
			return
		}
		upstream.Read(reply, req.Stream, out.warnings, &decoder{to: to, names: &out.names}, yield)
	}
}

// CountTokens implements llm.TokenCounter. It counts the whole request, its
// system text and tools included.
func (v *Vendor) CountTokens(ctx context.Context, to llm.Target, req *llm.Request) (int64, error) {
	out, err := encode(to, req)
	if err != nil {
		return 0, err
	}
	// generateContentRequest repeats the model.
	body := wire.String([]byte(`{"generateContentRequest":{`), "model", "models/"+to.Model)
	body = append(append(append(body, ','), out.body[1:]...), '}')
	call := llm.Call{Op: llm.OpCountGenerate, Parts: [][]byte{body}}
	reply, err := v.client.Send(ctx, to, endpoint(to, call.Op, false), call)
	if err != nil {
		return 0, err
	}
	defer reply.Body.Close()
	b, err := io.ReadAll(io.LimitReader(reply.Body, 1<<20))
	if err != nil {
		return 0, llm.Broken(err)
	}
	var in struct {
		TotalTokens *int64 `json:"totalTokens"`
	}
	if json.Unmarshal(b, &in, lenient) != nil || in.TotalTokens == nil || *in.TotalTokens < 0 {
		return 0, llm.Fail(llm.Protocol, errObject)
	}
	return *in.TotalTokens, nil
}
