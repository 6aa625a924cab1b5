package gateway

import (
	"net/http"

	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/dialect"
	"github.com/rephlo/rephlo/internal/llm/dialect/anthropic"
	"github.com/rephlo/rephlo/internal/llm/dialect/openai"
	"github.com/rephlo/rephlo/internal/llm/relay"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/web"
)

// ErrOperation answers a model that cannot do what the path is for.
var ErrOperation = fault.New(fault.Invalid, "operation_unsupported", "This model does not serve this path. GET /v1/models lists the models and what they can do.").At("model").Final()

// operation is what one path has apart from the others.
type operation struct {
	op   llm.Op
	path string
	word string // what usage records call it
	// scan reads the body into c.scan.
	scan func(c *call) error
	// limitKey is the parameter of the output limit; empty where a request
	// cannot say how much it wants. Chat completions ask the provider's options.
	limitKey string
	// fixed is how much one choice can write where there is no limitKey. Nil
	// writes no tokens.
	fixed func(c *call) int64
	// meter is how such calls are counted by the prices p; nil is in tokens.
	meter func(c *call, p *pricing.Prices) (meter, error)
	// read takes the answer, whose usage it returns; nil is JSON.
	read func(c *call, head llm.Reply, body []byte) (llm.Usage, error)
	// streamError is the event that ends a stream that has begun; nil is that of
	// chat completions.
	streamError func(c *call, f *fault.Error) []byte
	// embed translates requests for embeddings that no vendor takes as they are.
	embed llm.EmbedDialect
	// dialect translates what no vendor takes as it is; nil has only the same
	// lane.
	dialect llm.Dialect
	// headers are those of the client that go on in the same lane.
	headers func(h http.Header) []egress.Field
	// maxLine is how long a line of a stream may be; 0 is the usual.
	maxLine int
}

// Media in events makes long lines.
const mediaLine = 32 << 20

var (
	opChat = &operation{op: llm.OpChat, path: "/v1/chat/completions", word: "chat", scan: scanChat, dialect: openai.Chat{}}

	opMessages = &operation{
		op: llm.OpMessages, path: "/v1/messages", word: "message", scan: scanJSON, limitKey: "max_tokens",
		dialect: anthropic.Messages{}, streamError: messagesError, headers: anthropicHeaders,
	}

	operations = []*operation{
		opChat,
		{op: llm.OpResponses, path: "/v1/responses", word: "response", scan: scanJSON, limitKey: "max_output_tokens", dialect: openai.Responses{}, streamError: typedError},
		opMessages,
		opGemini,
		{op: llm.OpCompletions, path: "/v1/completions", word: "completion", scan: scanCompletion, limitKey: "max_tokens"},
		opEmbeddings,
		{op: llm.OpImages, path: "/v1/images/generations", word: "image", scan: scanImages, fixed: imageOutput, meter: meterImages, streamError: typedError, maxLine: mediaLine},
		{op: llm.OpTranscriptions, path: "/v1/audio/transcriptions", word: "transcription", scan: scanUpload, fixed: modelOutput, meter: meterSound, read: readTranscript, streamError: typedError},
		{op: llm.OpSpeech, path: "/v1/audio/speech", word: "speech", scan: scanSpeech, meter: meterSpeech, read: readSpeech, streamError: typedError, maxLine: mediaLine},
		{op: llm.OpModerations, path: "/v1/moderations", word: "moderation", scan: scanJSON},
	}
)

func scanChat(c *call) (err error) {
	c.scan, err = relay.ScanChat(c.body.b)
	return err
}

func scanJSON(c *call) (err error) {
	c.scan, err = relay.ScanRequest(c.op.op, c.body.b)
	return err
}

// scanCompletion: each prompt has its own choices.
func scanCompletion(c *call) error {
	err := scanJSON(c)
	c.scan.N *= int64(max(c.scan.Messages, 1))
	return err
}

func scanImages(c *call) error {
	if err := scanJSON(c); err != nil {
		return err
	}
	if c.scan.Stream && c.scan.N > 1 { // such a stream has an end for each image
		return ErrUnsupported.At("n").Saying("A stream makes one image. Leave n out, or do not stream.")
	}
	return nil
}

const maxSpoken = 4096

func scanSpeech(c *call) error {
	if err := scanJSON(c); err != nil {
		return err
	}
	if c.scan.Characters < 1 || c.scan.Characters > maxSpoken {
		return ErrRange.At("input").Saying("The field input must be a text of 1 to %d characters.", maxSpoken)
	}
	return nil
}

func scanUpload(c *call) error {
	u, err := relay.ScanUpload(c.r.Header.Get("Content-Type"), c.body.b)
	c.upload, c.scan = &u, u.Scan
	return err
}

// modelOutput is all that a model can write.
func modelOutput(c *call) int64 { return c.model.MaxOutput }

// typedError is the error event of streams whose events have a type.
func typedError(c *call, f *fault.Error) []byte {
	var next int64
	if c.last != nil {
		next = c.last.Sequence() + 1
	}
	return openai.TypedStreamError(f, c.errorMeta(), next)
}

// messagesError is the error event of Anthropic's streams.
func messagesError(c *call, f *fault.Error) []byte {
	return anthropic.Errors{}.AppendStreamError(nil, f, c.errorMeta())
}

// errorsOf is how the failures of an operation are written.
func errorsOf(op *operation, docURL string) web.ErrorWriter {
	if op.dialect != nil {
		return dialect.WriteError(op.dialect, docURL)
	}
	return openai.WriteError(docURL)
}

// parts returns the request as it goes to a vendor's model.
func (c *call) parts(to string, includeUsage bool, limitKey string) [][]byte {
	if c.op.op == llm.OpTranscriptions {
		return c.upload.ApplyUpload(c.body.b, to)
	}
	if c.op == opEmbedContent || c.op == opEmbedBatch {
		return c.embeds.Apply(c.body.b, to)
	}
	if c.op == opGemini { // the model is in the path
		return c.scan.ApplyGemini(c.body.b, c.output)
	}
	edit := relay.Edit{Model: to, IncludeUsage: includeUsage, Forget: c.op.op == llm.OpResponses}
	if c.scan.MaxTokens == 0 && limitKey != "" {
		edit.MaxTokens, edit.MaxTokensKey = c.output, limitKey
	}
	return c.scan.Apply(c.body.b, edit)
}
