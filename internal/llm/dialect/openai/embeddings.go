package openai

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/dialect"
	"github.com/rephlo/rephlo/internal/llm/wire"
)

// Embeddings is the dialect of POST /v1/embeddings. It implements
// llm.EmbedDialect.
//
// Source: https://platform.openai.com/docs/api-reference/embeddings
type Embeddings struct{ Errors }

var _ llm.EmbedDialect = Embeddings{}

// DecodeEmbed implements llm.EmbedDialect.
func (Embeddings) DecodeEmbed(body []byte) (*llm.EmbedRequest, error) {
	var in struct {
		Model      string         `json:"model"`
		Input      jsontext.Value `json:"input"`
		Dimensions jsontext.Value `json:"dimensions"`
		Format     *string        `json:"encoding_format"`
		User       *string        `json:"user"`
		Rest       jsontext.Value `json:",embed"`
	}
	if err := dialect.Read(body, &in, ""); err != nil {
		return nil, err
	}
	r := &llm.EmbedRequest{}
	if in.User != nil {
		r.User = *in.User
	}
	var err error
	if r.Dimensions, err = dialect.ReadWhole(in.Dimensions, "dimensions"); err != nil {
		return nil, err
	}
	switch format := in.Format; {
	case format == nil || *format == "float":
	case *format == "base64":
		r.Base64 = true
	default:
		return nil, dialect.Wrong("encoding_format", "must be float or base64")
	}
	if r.Inputs, err = embedInputs(in.Input); err != nil {
		return nil, err
	}
	other := llm.Request{}
	dialect.Unknown(&other, in.Rest, "")
	r.Warnings = other.Warnings
	return r, nil
}

// embedInputs reads a text, a list of texts, the tokens of one or a list of
// those.
func embedInputs(v jsontext.Value) ([]llm.EmbedInput, error) {
	const at = "input"
	if text, ok := wire.Text(v); ok {
		return []llm.EmbedInput{{Text: text}}, nil
	}
	var list []jsontext.Value
	if v.Kind() != '[' {
		return nil, dialect.Wrong(at, "must be a text or a list")
	}
	if err := dialect.Read(v, &list, at); err != nil {
		return nil, err
	}
	switch {
	case len(list) == 0 || len(list) > llm.MaxEmbedInputs && list[0].Kind() != '0':
		return nil, dialect.Wrong(at, "has 1 to "+strconv.Itoa(llm.MaxEmbedInputs)+" texts")
	case list[0].Kind() == '0':
		return []llm.EmbedInput{{Tokens: v}}, nil
	}
	out := make([]llm.EmbedInput, 0, len(list))
	for i, e := range list {
		text, ok := wire.Text(e)
		switch {
		case ok:
			out = append(out, llm.EmbedInput{Text: text})
		case e.Kind() == '[':
			out = append(out, llm.EmbedInput{Tokens: e})
		default:
			return nil, dialect.Wrong(dialect.Index(at, i), "must be a text or a list of tokens")
		}
	}
	return out, nil
}

// AppendEmbed implements llm.EmbedDialect.
func (Embeddings) AppendEmbed(b []byte, model string, r *llm.EmbedRequest, vectors []jsontext.Value, u llm.Usage) []byte {
	b = append(b, `{"object":"list","data":[`...)
	for i, v := range vectors {
		b = append(wire.Next(b), `{"object":"embedding","index":`...)
		b = append(strconv.AppendInt(b, int64(i), 10), `,"embedding":`...)
		if r.Base64 {
			b = append(llm.AppendBase64Vector(append(b, '"'), v), '"')
		} else {
			b = append(b, v...)
		}
		b = append(b, '}')
	}
	b = wire.String(append(b, ']'), "model", model)
	b = wire.Int(append(wire.Name(b, "usage"), '{'), "prompt_tokens", u.Inputs())
	return append(wire.Int(b, "total_tokens", u.Inputs()), "}}"...)
}
