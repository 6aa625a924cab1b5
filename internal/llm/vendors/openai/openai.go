package openai

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/upstream"
	wire "github.com/rephlo/rephlo/internal/llm/wire/openai"
)

// BaseURL is OpenAI's own address.
const BaseURL = "https://api.openai.com/v1"

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

// Vendor forwards calls. It implements llm.Vendor and llm.Streamer.
type Vendor struct {
	client *upstream.Client
	own    bool // the service is OpenAI's own
}

var (
	_ llm.Vendor   = (*Vendor)(nil)
	_ llm.Streamer = (*Vendor)(nil)
	_ llm.Pinger   = (*Vendor)(nil)
)

// New returns the vendor for OpenAI itself.
func New(client *egress.Client, now func() time.Time) *Vendor {
	v := NewAt(BaseURL, client, now)
	v.own = true
	return v
}

// NewAt returns a vendor whose targets are at baseURL unless they name
// another. With an empty one they must.
func NewAt(baseURL string, client *egress.Client, now func() time.Time) *Vendor {
	return &Vendor{client: upstream.New(upstream.Protocol{
		BaseURL: baseURL, Credential: "Authorization", Prefix: "Bearer ", RequestID: "x-request-id", ReadRefusal: readRefusal,
	}, client, now)}
}

func readRefusal(body []byte) (llm.Refusal, bool) {
	said, ok := wire.ReadError(body)
	return llm.Refusal{Code: said.Code, Type: said.Type, Param: said.Param, Message: said.Message}, ok
}

// Native implements llm.Vendor.
func (v *Vendor) Native(op llm.Op) bool { return paths[op] != "" }

// Ping implements llm.Pinger by the list of models
// (https://platform.openai.com/docs/api-reference/models/list).
func (v *Vendor) Ping(ctx context.Context, to llm.Target) error {
	return v.client.Ping(ctx, to, "/models")
}

var errOp = errors.New("operation is not forwarded")

// Forward implements llm.Vendor. The answer of a call without a stream is at
// most 64 MiB.
func (v *Vendor) Forward(ctx context.Context, to llm.Target, call llm.Call) (llm.Reply, error) {
	path := paths[call.Op]
	if path == "" {
		return llm.Reply{}, llm.Fail(llm.UnknownModel, errOp)
	}
	return v.client.Send(ctx, to, path, call)
}

// Stream implements llm.Streamer by chat completions.
func (v *Vendor) Stream(ctx context.Context, to llm.Target, req *llm.Request) iter.Seq2[llm.Event, error] {
	return StreamChat(ctx, to, req, v.own, v.Forward)
}

// StreamChat is llm.Streamer for a service whose chat completions are sent with
// send. own says that it takes what only OpenAI has.
func StreamChat(
	ctx context.Context, to llm.Target, req *llm.Request, own bool, send func(context.Context, llm.Target, llm.Call) (llm.Reply, error),
) iter.Seq2[llm.Event, error] {
	return func(yield func(llm.Event, error) bool) {
		out, err := encodeChat(to, req, own)
		if err != nil {
			yield(llm.Event{}, err)
			return
		}
		reply, err := send(ctx, to, llm.Call{Op: llm.OpChat, Parts: [][]byte{out.body}, Stream: req.Stream})
		if err != nil {
			yield(llm.Event{}, err)
			return
		}
		upstream.Read(reply, req.Stream, out.warnings, &chatDecoder{to: to, names: &out.names}, yield)
	}
}
