package llm

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// EmbedRequest asks for embeddings, in no dialect.
type EmbedRequest struct {
	Inputs     []EmbedInput
	Dimensions int64 // 0: as many as the model has
	Base64     bool  // the client wants vectors as OpenAI encodes them
	User       string
	Strict     bool
	Warnings   []Warning
}

// EmbedInput becomes one vector.
type EmbedInput struct {
	Text string
	// Tokens is an array of OpenAI's tokens instead of a text.
	Tokens jsontext.Value
	// Task and Title are Google's, in its words; empty where unsaid.
	Task, Title string
}

// EmbedAnswer has a vector for each input, in their order.
type EmbedAnswer struct {
	Vectors []jsontext.Value // arrays of numbers, as the vendor wrote them
	Usage   Usage
	Head    Head
}

// EmbedDialect is a protocol that clients ask for embeddings in.
type EmbedDialect interface {
	// DecodeEmbed reads a request strictly, as Dialect.Decode does.
	DecodeEmbed(body []byte) (*EmbedRequest, error)
	// AppendEmbed appends the answer to r, which used u. model is the name that
	// the client gave.
	AppendEmbed(dst []byte, model string, r *EmbedRequest, vectors []jsontext.Value, u Usage) []byte
}

// Embedder is a Vendor that also takes requests for embeddings of other
// dialects.
type Embedder interface {
	// Embed translates req and sends it. An error is a *Failure, of kind Unable
	// when the vendor's protocol cannot express req.
	Embed(ctx context.Context, to Target, req *EmbedRequest) (EmbedAnswer, error)
}

// EmbedNotes returns notes about a request for embeddings.
func EmbedNotes(r *EmbedRequest) *Notes { return NewNotes(&Request{Strict: r.Strict}) }

// MaxEmbedInputs is how many inputs a request has at most.
//
// Source: https://platform.openai.com/docs/api-reference/embeddings/create
const MaxEmbedInputs = 2048

// IsVector reports whether a valid JSON value is an array of nothing but
// numbers.
func IsVector(v jsontext.Value) bool {
	if len(v) < 2 || v[0] != '[' {
		return false
	}
	for _, c := range v[1 : len(v)-1] {
		switch {
		case c >= '0' && c <= '9', c == ',', c == '.', c == '-', c == '+', c == 'e', c == 'E', c <= ' ':
		default:
			return false
		}
	}
	return true
}

// AppendBase64Vector appends a vector as OpenAI encodes it: the base64 of
// little-endian numbers of 32 bits.
func AppendBase64Vector(dst []byte, v jsontext.Value) []byte {
	raw := make([]byte, 0, len(v)/2)
	for number := range bytes.SplitSeq(v[1:len(v)-1], []byte{','}) {
		if number = bytes.TrimSpace(number); len(number) == 0 {
			continue // of an empty one
		}
		n, _ := strconv.ParseFloat(string(number), 32) // what is too large is infinite
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(n)))
	}
	return base64.StdEncoding.AppendEncode(dst, raw)
}
