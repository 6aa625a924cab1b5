package llm

import (
	"context"
	"io"
	"iter"
	"math"

	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/secret"
)

// Op is an operation of a dialect. The words are stored.
type Op string

// The operations that generate, named by the dialect's protocol.
const (
	OpChat      Op = "openai.chat"        // POST /v1/chat/completions
	OpResponses Op = "openai.responses"   // POST /v1/responses
	OpMessages  Op = "anthropic.messages" // POST /v1/messages
	OpGenerate  Op = "google.generate"    // POST /v1beta/models/{model}:generateContent and :streamGenerateContent
)

// Operations that are only forwarded.
const (
	OpCompletions    Op = "openai.completions"    // POST /v1/completions
	OpEmbeddings     Op = "openai.embeddings"     // POST /v1/embeddings
	OpImages         Op = "openai.images"         // POST /v1/images/generations
	OpTranscriptions Op = "openai.transcriptions" // POST /v1/audio/transcriptions
	OpSpeech         Op = "openai.speech"         // POST /v1/audio/speech
	OpModerations    Op = "openai.moderations"    // POST /v1/moderations
)

// Google's operations that embed; OpEmbeddings is OpenAI's.
const (
	OpEmbedContent Op = "google.embed"      // POST /v1beta/models/{model}:embedContent
	OpEmbedBatch   Op = "google.embedBatch" // POST /v1beta/models/{model}:batchEmbedContents
)

// Operations that count without generating.
const (
	OpCountMessages Op = "anthropic.count" // POST /v1/messages/count_tokens
	OpCountGenerate Op = "google.count"    // POST /v1beta/models/{model}:countTokens
)

// Timeouts bound the phases of a call; zero fields have the vendor's default.
type Timeouts = egress.Timeouts

// Target is the account and model that one call goes to.
type Target struct {
	BaseURL string // empty for the vendor's own
	Key     secret.String
	Model   string
	// Header has the provider's fixed headers. They cannot replace those that
	// the call itself needs.
	Header map[string]string
	// AllowPrivate permits loopback and private addresses, and http. Metadata
	// addresses of clouds stay refused.
	AllowPrivate bool
	// Issuer and Account say whose opaque state the target takes: the vendor's
	// word, or the provider's name where many speak one protocol, and a tag of
	// the account.
	Issuer, Account string
	Abilities       Abilities
	Options         Options
	Timeouts
}

// Abilities say what the target's model takes beyond text and tools.
type Abilities struct {
	NoReasoning    bool     // does not think
	Levels         []Effort // of reasoning; empty: any
	Adaptive       bool     // Anthropic: the model decides whether it thinks
	Manual         bool     // Anthropic: thinking has a budget
	NoThinkingOff  bool     // cannot be told not to think
	NoSampling     bool     // takes neither temperature nor top_p nor top_k
	Prefill        bool     // goes on with a last message of the assistant
	MidSystem      bool     // takes system messages between the others
	JSONSchema     bool     // gives structured output by itself
	SchemaAndTools bool     // and together with tools
	Breakpoints    bool     // OpenAI: takes marks for its prompt cache
	Responses      bool     // OpenAI: is called by the Responses API
	MaxOutput      int64    // tokens; 0 is not known
}

// Options are what a service with OpenAI's protocol may do differently. The
// zero value fits one that does all as OpenAI does.
type Options struct {
	MaxTokensKey   string // names the output limit; empty is the vendor's usual one
	DeveloperRole  bool   // takes the role developer
	NoStreamUsage  bool   // refuses stream_options
	NoParallel     bool   // refuses parallel_tool_calls
	NoJSONSchema   bool   // refuses response_format json_schema
	ShortIDs       bool   // wants tool ids of nine letters and digits
	ReasoningField string // where thoughts are; empty is reasoning_content
	EchoReasoning  bool   // wants thoughts back, empty ones too
	NoImageURL     bool   // wants images as bytes
	UserKey        string // names the end user; empty is the vendor's usual one
	APIVersion     string // Azure: the dated version, for addresses by deployment; empty is v1
}

// Call is a request in the vendor's own dialect. Parts are the body as slices
// around the edits; they must not change until the reply has begun.
type Call struct {
	Op     Op
	Parts  [][]byte
	Stream bool
	// ContentType of the body; empty is JSON.
	ContentType string
	// Header has the client's headers that the protocol lets through.
	Header []egress.Field
}

// Size returns the length of the body.
func (c Call) Size() int64 {
	var n int64
	for _, p := range c.Parts {
		n += int64(len(p))
	}
	return n
}

// Reply is a successful answer, unread. Length is -1 when unknown. Reading
// Body to its end frees the connection for the next call; closing it earlier
// cancels the call at the vendor. Errors of Body go through Broken.
type Reply struct {
	ContentType     string
	VendorRequestID string
	ProcessingMS    string
	Length          int64
	Body            io.ReadCloser
}

// Vendor forwards calls in its own dialect. Implementations are safe for
// concurrent use. An error is a *Failure and never has the vendor's text,
// except what Refusal lets through.
type Vendor interface {
	// Native reports whether op may be forwarded as it is.
	Native(op Op) bool
	// Forward sends call and returns when the answer's head is there. It must
	// be a success in the announced form: a stream is text/event-stream.
	// Ending ctx cancels the call, also while the body is read.
	Forward(ctx context.Context, to Target, call Call) (Reply, error)
}

// Streamer is a Vendor that also takes requests of other dialects.
type Streamer interface {
	// Stream translates req, sends it and yields the events of the answer. With
	// Request.Stream the vendor is asked for a stream, else for an answer in one
	// piece, whose events come at once. The first event is EventStart; an error
	// before it says that the vendor has not begun to answer. An error is the
	// last that is yielded: a *Failure, of kind Unable when the vendor's protocol
	// cannot express req. Without one the answer is complete. Breaking off the
	// iteration, or ending ctx, cancels the call.
	Stream(ctx context.Context, to Target, req *Request) iter.Seq2[Event, error]
}

// TokenCounter is a Vendor that counts a request's tokens without answering it.
type TokenCounter interface {
	CountTokens(ctx context.Context, to Target, req *Request) (int64, error)
}

// Pinger is a Vendor that can tell for nothing whether an account works, by the
// list of models. An error is a *Failure.
type Pinger interface {
	Ping(ctx context.Context, to Target) error
}

// Usage is what a vendor says a call used, in disjoint classes: cached input
// is not in Input, reasoning is not in Output.
type Usage struct {
	Input, CacheRead, CacheWrite, CacheWriteLong, ImageInput, AudioInput int64
	Output, Reasoning, AudioOutput, ImageOutput                          int64

	// What is not counted in tokens. AudioSeconds are rounded up.
	Images, AudioSeconds int64

	Reported bool // the vendor stated all that this kind of call uses
	Suspect  bool // a number was impossible and has been bounded
}

// Inputs returns the tokens of all input classes.
func (u Usage) Inputs() int64 {
	return sum(u.Input, u.CacheRead, u.CacheWrite, u.CacheWriteLong, u.ImageInput, u.AudioInput)
}

// Outputs returns the tokens of all output classes.
func (u Usage) Outputs() int64 {
	return sum(u.Output, u.Reasoning, u.AudioOutput, u.ImageOutput)
}

func sum(ns ...int64) int64 {
	var total int64
	for _, n := range ns {
		if n > math.MaxInt64-total {
			return math.MaxInt64
		}
		total += n
	}
	return total
}

// Plus returns what two calls used together.
func (u Usage) Plus(v Usage) Usage {
	for _, f := range [...]struct{ to, n *int64 }{
		{&u.Input, &v.Input},
		{&u.CacheRead, &v.CacheRead},
		{&u.CacheWrite, &v.CacheWrite},
		{&u.CacheWriteLong, &v.CacheWriteLong},
		{&u.ImageInput, &v.ImageInput},
		{&u.AudioInput, &v.AudioInput},
		{&u.Output, &v.Output},
		{&u.Reasoning, &v.Reasoning},
		{&u.AudioOutput, &v.AudioOutput},
		{&u.ImageOutput, &v.ImageOutput},
		{&u.Images, &v.Images},
		{&u.AudioSeconds, &v.AudioSeconds},
	} {
		*f.to = sum(*f.to, *f.n)
	}
	u.Reported, u.Suspect = u.Reported && v.Reported, u.Suspect || v.Suspect
	return u
}

// Bounded returns u with no more input than the model's context plus 20 % and
// no more output than 1.2 times the limit that was sent. A bound of 0 is none.
// What is above goes from the largest class.
func (u Usage) Bounded(contextTokens, outputSent int64) Usage {
	u.Suspect = clamp(fifthMore(contextTokens), &u.Input, &u.CacheRead, &u.CacheWrite, &u.CacheWriteLong, &u.ImageInput, &u.AudioInput) || u.Suspect
	u.Suspect = clamp(fifthMore(outputSent), &u.Output, &u.Reasoning, &u.AudioOutput, &u.ImageOutput) || u.Suspect
	return u
}

func fifthMore(n int64) int64 {
	if n <= 0 || n > math.MaxInt64/6 {
		return math.MaxInt64
	}
	return n * 6 / 5
}

// clamp takes from the largest class until the sum is within bound.
func clamp(bound int64, classes ...*int64) bool {
	var total, clamped int64
	for _, c := range classes {
		total = sum(total, *c)
	}
	for total > bound {
		largest := classes[0]
		for _, c := range classes {
			if *c > *largest {
				largest = c
			}
		}
		rest := total - *largest
		if total == math.MaxInt64 { // saturated: add up what is left
			rest = 0
			for _, c := range classes {
				if c != largest {
					rest = sum(rest, *c)
				}
			}
		}
		*largest = max(0, bound-rest)
		clamped, total = clamped+1, sum(rest, *largest)
	}
	return clamped > 0
}
