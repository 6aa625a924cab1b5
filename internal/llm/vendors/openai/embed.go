package openai

import (
	"context"
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/relay"
	"github.com/rephlo/rephlo/internal/llm/upstream"
	"github.com/rephlo/rephlo/internal/llm/wire"
)

var _ llm.Embedder = (*Vendor)(nil)

var errVectors = errors.New("an answer has not a vector for each input")

// Embed implements llm.Embedder.
func (v *Vendor) Embed(ctx context.Context, to llm.Target, req *llm.EmbedRequest) (llm.EmbedAnswer, error) {
	return Embed(ctx, to, req, v.Forward)
}

// Embed is llm.Embedder for a service whose embeddings are sent with send.
//
// Source: https://platform.openai.com/docs/api-reference/embeddings
func Embed(
	ctx context.Context, to llm.Target, req *llm.EmbedRequest, send func(context.Context, llm.Target, llm.Call) (llm.Reply, error),
) (llm.EmbedAnswer, error) {
	notes := llm.EmbedNotes(req)
	body := encodeEmbed(to, req, notes)
	warnings, err := notes.Done()
	if err != nil {
		return llm.EmbedAnswer{}, err
	}
	reply, err := send(ctx, to, llm.Call{Op: llm.OpEmbeddings, Parts: [][]byte{body}})
	if err != nil {
		return llm.EmbedAnswer{}, err
	}
	b, err := upstream.Body(reply)
	if err != nil {
		return llm.EmbedAnswer{}, err
	}
	out := llm.EmbedAnswer{Head: llm.Head{VendorRequestID: reply.VendorRequestID, ProcessingMS: reply.ProcessingMS, Warnings: warnings}}
	out.Vectors, out.Usage, err = decodeEmbed(b, len(req.Inputs))
	return out, err
}

func encodeEmbed(to llm.Target, req *llm.EmbedRequest, notes *llm.Notes) []byte {
	b := wire.String([]byte{'{'}, "model", to.Model)
	b = append(wire.Name(b, "input"), '[')
	for _, in := range req.Inputs {
		if in.Tokens != nil {
			b = append(wire.Next(b), in.Tokens...)
		} else {
			b = wire.Quote(wire.Next(b), in.Text)
		}
		if in.Task != "" {
			notes.Lacks(llm.Tuning, "taskType")
		}
		if in.Title != "" {
			notes.Lacks(llm.Tuning, "title")
		}
	}
	b = append(b, ']')
	b = wire.OptInt(b, "dimensions", req.Dimensions)
	return append(wire.OptString(wire.String(b, "encoding_format", "float"), "user", req.User), '}')
}

// decodeEmbed reads the vectors of n inputs by their indices.
func decodeEmbed(body []byte, n int) ([]jsontext.Value, llm.Usage, error) {
	usage, err := relay.ScanAnswer(llm.OpEmbeddings, body)
	if err != nil {
		return nil, usage, err
	}
	var in struct {
		Data []struct {
			Index     *int           `json:"index"`
			Embedding jsontext.Value `json:"embedding"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &in, lenient) != nil || len(in.Data) != n {
		return nil, usage, llm.Fail(llm.Protocol, errVectors)
	}
	out := make([]jsontext.Value, n)
	for i, d := range in.Data {
		if d.Index != nil {
			i = *d.Index
		}
		if i < 0 || i >= n || out[i] != nil || !llm.IsVector(d.Embedding) {
			return nil, usage, llm.Fail(llm.Protocol, errVectors)
		}
		out[i] = d.Embedding
	}
	return out, usage, nil
}
