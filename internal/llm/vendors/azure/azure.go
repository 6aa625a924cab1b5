package azure

import (
	"context"
	"errors"
	"iter"
	"net/url"
	"time"

	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/upstream"
	"github.com/rephlo/rephlo/internal/llm/vendors/openai"
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
}

// Vendor forwards calls. It implements llm.Vendor and llm.Streamer.
type Vendor struct{ client *upstream.Client }

var (
	_ llm.Vendor   = (*Vendor)(nil)
	_ llm.Streamer = (*Vendor)(nil)
	_ llm.Embedder = (*Vendor)(nil)
	_ llm.Pinger   = (*Vendor)(nil)
)

// New returns the vendor. A target without a base URL is a failure: every
// resource has its own.
func New(client *egress.Client, now func() time.Time) *Vendor {
	return &Vendor{upstream.New(upstream.Protocol{Credential: "api-key", RequestID: "apim-request-id", ReadRefusal: readRefusal}, client, now)}
}

// Native implements llm.Vendor.
func (*Vendor) Native(op llm.Op) bool { return paths[op] != "" }

// Ping implements llm.Pinger by the list of models, which both ways have.
func (v *Vendor) Ping(ctx context.Context, to llm.Target) error {
	return v.client.Ping(ctx, to, "/models"+query(to))
}

func query(to llm.Target) string {
	if to.Options.APIVersion == "" {
		return ""
	}
	return "?api-version=" + url.QueryEscape(to.Options.APIVersion)
}

var errOp = errors.New("operation is not forwarded")

// Forward implements llm.Vendor. The answer of a call without a stream is at
// most 64 MiB.
func (v *Vendor) Forward(ctx context.Context, to llm.Target, call llm.Call) (llm.Reply, error) {
	path := paths[call.Op]
	byVersion := to.Options.APIVersion != ""
	if path == "" || byVersion && call.Op == llm.OpResponses {
		return llm.Reply{}, llm.Fail(llm.UnknownModel, errOp)
	}
	if byVersion {
		path = "/deployments/" + url.PathEscape(to.Model) + path + query(to)
	}
	return v.client.Send(ctx, to, path, call)
}

// Embed implements llm.Embedder.
func (v *Vendor) Embed(ctx context.Context, to llm.Target, req *llm.EmbedRequest) (llm.EmbedAnswer, error) {
	return openai.Embed(ctx, to, req, v.Forward)
}

// Stream implements llm.Streamer by chat completions.
func (v *Vendor) Stream(ctx context.Context, to llm.Target, req *llm.Request) iter.Seq2[llm.Event, error] {
	to.Options.UserKey = "user"
	if to.Options.APIVersion != "" && req.CacheKey != "" { // what dated versions do not know they refuse
		plain := *req
		plain.CacheKey = ""
		req = &plain
	}
	return openai.StreamChat(ctx, to, req, true, v.Forward)
}
