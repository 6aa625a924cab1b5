package google

import (
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/dialect"
	"github.com/rephlo/rephlo/internal/llm/wire"
	wiregoogle "github.com/rephlo/rephlo/internal/llm/wire/google"
)

// Embed is the dialect of embedContent and, with Batch, of batchEmbedContents.
// It implements llm.EmbedDialect.
//
// Source: https://ai.google.dev/api/embeddings
type Embed struct{ Batch bool }

var _ llm.EmbedDialect = Embed{}

// DecodeEmbed implements llm.EmbedDialect.
func (d Embed) DecodeEmbed(body []byte) (*llm.EmbedRequest, error) {
	r := &llm.EmbedRequest{}
	if !d.Batch {
		return r, embed(r, body, "")
	}
	var in struct {
		Requests []jsontext.Value `json:"requests"`
		Rest     jsontext.Value   `json:",embed"`
	}
	if err := dialect.Read(body, &in, "", names); err != nil {
		return nil, err
	}
	if len(in.Requests) == 0 || len(in.Requests) > llm.MaxEmbedInputs {
		return nil, dialect.Wrong("requests", "has 1 to "+strconv.Itoa(llm.MaxEmbedInputs)+" requests")
	}
	for i, one := range in.Requests {
		if err := embed(r, one, dialect.Index("requests", i)); err != nil {
			return nil, err
		}
	}
	unknownEmbed(r, in.Rest, "")
	return r, nil
}

// embed adds one request to r. All of a batch have the same dimensions.
func embed(r *llm.EmbedRequest, body jsontext.Value, at string) error {
	var in wiregoogle.EmbedRequest
	if err := dialect.Read(body, &in, at, names); err != nil {
		return err
	}
	if in.Content == nil || len(in.Content.Parts) == 0 {
		return dialect.Wrong(dialect.Join(at, "content"), "is missing, or has no parts")
	}
	var text strings.Builder
	for i := range in.Content.Parts {
		p := &in.Content.Parts[i]
		if p.Text == nil {
			return dialect.Unsupported(dialect.Join(at, dialect.Index("content.parts", i)), "this model embeds only text")
		}
		text.WriteString(*p.Text)
	}
	dimensions, err := dialect.ReadWhole(in.OutputDimensionality, dialect.Join(at, "outputDimensionality"))
	switch {
	case err != nil:
		return err
	case len(r.Inputs) > 0 && dimensions != r.Dimensions:
		return dialect.Unsupported(dialect.Join(at, "outputDimensionality"), "with this model all requests of a batch have the same")
	}
	r.Dimensions = dimensions
	r.Inputs = append(r.Inputs, llm.EmbedInput{Text: text.String(), Task: in.TaskType, Title: in.Title})
	unknownEmbed(r, in.Rest, at)
	return nil
}

func unknownEmbed(r *llm.EmbedRequest, rest jsontext.Value, at string) {
	other := llm.Request{Warnings: r.Warnings}
	dialect.Unknown(&other, rest, at)
	r.Warnings = other.Warnings
}

// AppendEmbed implements llm.EmbedDialect.
func (d Embed) AppendEmbed(b []byte, _ string, _ *llm.EmbedRequest, vectors []jsontext.Value, u llm.Usage) []byte {
	b = append(b, '{')
	if d.Batch {
		b = append(wire.Name(b, "embeddings"), '[')
	} else {
		b = wire.Name(b, "embedding")
	}
	for i, v := range vectors {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(wire.Raw(append(b, '{'), "values", v), '}')
	}
	if d.Batch {
		b = append(b, ']')
	}
	return append(wire.Int(append(wire.Name(b, "usageMetadata"), '{'), "promptTokenCount", u.Inputs()), "}}"...)
}
