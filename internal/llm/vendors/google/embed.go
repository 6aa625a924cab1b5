package google

import (
	"context"
	"errors"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/relay"
	"github.com/rephlo/rephlo/internal/llm/upstream"
	"github.com/rephlo/rephlo/internal/llm/wire"
)

var _ llm.Embedder = (*Vendor)(nil)

var errVectors = errors.New("an answer has not a vector for each input")

// maxBatch is how many contents one batchEmbedContents takes.
const maxBatch = 100

// Embed implements llm.Embedder by batchEmbedContents, as often as the inputs
// need.
//
// Source: https://ai.google.dev/api/embeddings
func (v *Vendor) Embed(ctx context.Context, to llm.Target, req *llm.EmbedRequest) (llm.EmbedAnswer, error) {
	out := llm.EmbedAnswer{Usage: llm.Usage{Reported: true}}
	for _, in := range req.Inputs {
		if in.Tokens != nil {
			notes := llm.EmbedNotes(req)
			notes.Refuse("input", "This model takes texts, not the tokens of another. Send the texts.")
			_, err := notes.Done()
			return out, err
		}
	}
	for inputs := range slices.Chunk(req.Inputs, maxBatch) {
		reply, err := v.client.Send(ctx, to, endpoint(to, llm.OpEmbedBatch, false), llm.Call{Op: llm.OpEmbedBatch, Parts: [][]byte{encodeEmbed(to, req, inputs)}})
		if err != nil {
			return out, err
		}
		b, err := upstream.Body(reply)
		if err != nil {
			return out, err
		}
		vectors, usage, err := decodeEmbed(b, len(inputs))
		if err != nil {
			return out, err
		}
		out.Head = llm.Head{VendorRequestID: reply.VendorRequestID, ProcessingMS: reply.ProcessingMS}
		out.Vectors = append(out.Vectors, vectors...)
		out.Usage = out.Usage.Plus(usage)
	}
	return out, nil
}

func encodeEmbed(to llm.Target, req *llm.EmbedRequest, inputs []llm.EmbedInput) []byte {
	b := append(wire.Name([]byte{'{'}, "requests"), '[')
	for _, in := range inputs {
		b = wire.String(append(wire.Next(b), '{'), "model", "models/"+to.Model)
		b = append(wire.Name(b, "content"), `{"parts":[{`...)
		b = append(wire.String(b, "text", in.Text), "}]}"...)
		b = wire.OptString(wire.OptString(b, "taskType", in.Task), "title", in.Title)
		b = append(wire.OptInt(b, "outputDimensionality", req.Dimensions), '}')
	}
	return append(b, "]}"...)
}

// decodeEmbed reads the vectors of n contents. A service that does not state
// its usage leaves it to be counted.
func decodeEmbed(body []byte, n int) ([]jsontext.Value, llm.Usage, error) {
	usage, err := relay.ScanAnswer(llm.OpEmbedBatch, body)
	if err != nil {
		return nil, usage, err
	}
	var in struct {
		Embeddings []struct {
			Values jsontext.Value `json:"values"`
		} `json:"embeddings"`
	}
	if json.Unmarshal(body, &in, lenient) != nil || len(in.Embeddings) != n {
		return nil, usage, llm.Fail(llm.Protocol, errVectors)
	}
	out := make([]jsontext.Value, n)
	for i, e := range in.Embeddings {
		if !llm.IsVector(e.Values) {
			return nil, usage, llm.Fail(llm.Protocol, errVectors)
		}
		out[i] = e.Values
	}
	return out, usage, nil
}
