package gateway

import (
	"encoding/json"
	"net/http"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/llm/wire/openai"
	"github.com/rephlo/rephlo/internal/web"
)

// What the model calls take and give, for their description: the parts that are
// priced, limited or translated here. The rest is the vendor's to judge, so all
// of it is open. Nothing is checked by these types.

// Failure and GoogleFailure are values of the types of the errors of OpenAI's
// and Google's dialects.
var (
	Failure       any = openai.ErrorBody{}
	GoogleFailure any = googleFailure{}
)

type anthropicFailure struct {
	Type      string          `json:"type" enum:"error"`
	Error     anthropicFields `json:"error"`
	RequestID string          `json:"request_id"`
}

type anthropicFields struct {
	Type    string `json:"type"`
	Message string `json:"message"`
	Code    string `json:"code"`
	Param   string `json:"param,omitempty"`
	Details object `json:"details,omitempty"`
	DocURL  string `json:"doc_url,omitempty"`
}

type googleFailure struct {
	Error googleFields `json:"error"`
}

type googleFields struct {
	Code    int      `json:"code" doc:"The HTTP status"`
	Message string   `json:"message"`
	Status  string   `json:"status"`
	Details []object `json:"details"`
}

const tagCalls = "Model calls"

type object = map[string]any

type chatBody struct {
	_                   struct{} `additionalProperties:"true"`
	Model               string   `json:"model" doc:"Id or alias of a model"`
	Messages            []object `json:"messages" nullable:"false" minItems:"1" doc:"Messages with role and content, as OpenAI defines them"`
	MaxTokens           *int64   `json:"max_tokens,omitempty" minimum:"1"`
	MaxCompletionTokens *int64   `json:"max_completion_tokens,omitempty" minimum:"1"`
	Temperature         *float64 `json:"temperature,omitempty" minimum:"0" maximum:"2"`
	TopP                *float64 `json:"top_p,omitempty" minimum:"0" maximum:"1"`
	N                   *int64   `json:"n,omitempty" minimum:"1" maximum:"10"`
	Stop                any      `json:"stop,omitempty" doc:"A text or a list of texts"`
	Stream              *bool    `json:"stream,omitempty"`
	StreamOptions       object   `json:"stream_options,omitempty"`
	Seed                *int64   `json:"seed,omitempty"`
	Tools               []object `json:"tools,omitempty"`
	ToolChoice          any      `json:"tool_choice,omitempty"`
	ResponseFormat      object   `json:"response_format,omitempty"`
	ReasoningEffort     *string  `json:"reasoning_effort,omitempty"`
}

type usageBody struct {
	_          struct{} `additionalProperties:"true"`
	Prompt     int64    `json:"prompt_tokens"`
	Completion int64    `json:"completion_tokens,omitempty"`
	Total      int64    `json:"total_tokens"`
}

type chatAnswer struct {
	_       struct{}   `additionalProperties:"true"`
	ID      string     `json:"id"`
	Object  string     `json:"object"`
	Created int64      `json:"created"`
	Model   string     `json:"model"`
	Choices []object   `json:"choices" nullable:"false"`
	Usage   *usageBody `json:"usage,omitempty"`
}

type responsesBody struct {
	_               struct{} `additionalProperties:"true"`
	Model           string   `json:"model" doc:"Id or alias of a model"`
	Input           any      `json:"input" doc:"A text or a list of items"`
	Instructions    *string  `json:"instructions,omitempty"`
	MaxOutputTokens *int64   `json:"max_output_tokens,omitempty" minimum:"1"`
	Temperature     *float64 `json:"temperature,omitempty" minimum:"0" maximum:"2"`
	Stream          *bool    `json:"stream,omitempty"`
	Tools           []object `json:"tools,omitempty"`
	Text            object   `json:"text,omitempty"`
	Reasoning       object   `json:"reasoning,omitempty"`
	Store           *bool    `json:"store,omitempty" doc:"Nothing is kept; it is answered as false"`
}

type responsesAnswer struct {
	_      struct{} `additionalProperties:"true"`
	ID     string   `json:"id"`
	Object string   `json:"object"`
	Status string   `json:"status,omitempty"`
	Model  string   `json:"model"`
	Output []object `json:"output" nullable:"false"`
	Usage  object   `json:"usage,omitempty"`
}

type messagesBody struct {
	_             struct{} `additionalProperties:"true"`
	Model         string   `json:"model" doc:"Id or alias of a model"`
	MaxTokens     int64    `json:"max_tokens" minimum:"1"`
	Messages      []object `json:"messages" nullable:"false" minItems:"1"`
	System        any      `json:"system,omitempty" doc:"A text or a list of blocks"`
	Temperature   *float64 `json:"temperature,omitempty" minimum:"0" maximum:"1"`
	StopSequences []string `json:"stop_sequences,omitempty"`
	Stream        *bool    `json:"stream,omitempty"`
	Tools         []object `json:"tools,omitempty"`
	ToolChoice    object   `json:"tool_choice,omitempty"`
	Thinking      object   `json:"thinking,omitempty"`
}

type countBody struct {
	_        struct{} `additionalProperties:"true"`
	Model    string   `json:"model"`
	Messages []object `json:"messages" nullable:"false"`
	System   any      `json:"system,omitempty"`
	Tools    []object `json:"tools,omitempty"`
}

type countAnswer struct {
	_     struct{} `additionalProperties:"true"`
	Input int64    `json:"input_tokens"`
}

type messagesAnswer struct {
	_          struct{} `additionalProperties:"true"`
	ID         string   `json:"id"`
	Type       string   `json:"type" enum:"message"`
	Role       string   `json:"role"`
	Model      string   `json:"model"`
	Content    []object `json:"content" nullable:"false"`
	StopReason *string  `json:"stop_reason"`
	Usage      object   `json:"usage"`
}

type completionBody struct {
	_           struct{} `additionalProperties:"true"`
	Model       string   `json:"model"`
	Prompt      any      `json:"prompt" doc:"A text or a list of texts"`
	MaxTokens   *int64   `json:"max_tokens,omitempty" minimum:"1"`
	N           *int64   `json:"n,omitempty" minimum:"1"`
	Stream      *bool    `json:"stream,omitempty"`
	Temperature *float64 `json:"temperature,omitempty" minimum:"0" maximum:"2"`
}

type embeddingBody struct {
	_          struct{} `additionalProperties:"true"`
	Model      string   `json:"model"`
	Input      any      `json:"input" doc:"A text, a list of texts, or tokens; at most 2,048"`
	Dimensions *int64   `json:"dimensions,omitempty" minimum:"1"`
	Format     string   `json:"encoding_format,omitempty" enum:"float,base64"`
}

type listAnswer struct {
	_      struct{}   `additionalProperties:"true"`
	Object string     `json:"object"`
	Data   []object   `json:"data" nullable:"false"`
	Model  string     `json:"model"`
	Usage  *usageBody `json:"usage,omitempty"`
}

type imageBody struct {
	_       struct{} `additionalProperties:"true"`
	Model   string   `json:"model"`
	Prompt  string   `json:"prompt"`
	N       *int64   `json:"n,omitempty" minimum:"1"`
	Size    *string  `json:"size,omitempty"`
	Quality *string  `json:"quality,omitempty"`
	Stream  *bool    `json:"stream,omitempty"`
}

type imageAnswer struct {
	_       struct{} `additionalProperties:"true"`
	Created int64    `json:"created"`
	Data    []object `json:"data" nullable:"false" doc:"b64_json or url"`
}

type transcriptionBody struct {
	_        struct{} `additionalProperties:"true"`
	File     string   `json:"file" format:"binary"`
	Model    string   `json:"model"`
	Language string   `json:"language,omitempty"`
	Prompt   string   `json:"prompt,omitempty"`
	Format   string   `json:"response_format,omitempty"`
}

type speechBody struct {
	_      struct{} `additionalProperties:"true"`
	Model  string   `json:"model"`
	Input  string   `json:"input"`
	Voice  any      `json:"voice"`
	Format string   `json:"response_format,omitempty"`
}

type moderationBody struct {
	_     struct{} `additionalProperties:"true"`
	Model string   `json:"model"`
	Input any      `json:"input"`
}

type open struct {
	_ struct{} `additionalProperties:"true"`
}

type generateBody struct {
	_                 struct{} `additionalProperties:"true"`
	Contents          []object `json:"contents,omitempty"`
	SystemInstruction object   `json:"systemInstruction,omitempty"`
	Config            object   `json:"generationConfig,omitempty"`
	Tools             []object `json:"tools,omitempty"`
}

const events = "text/event-stream"

// described describes the call at path.
func described(path string) web.Option {
	gives := func(what string, body, answer any, more ...web.Option) web.Option {
		return web.All(append(more, web.Tag(tagCalls), web.Scopes(access.ScopeInference), web.Doc(what), web.Takes("", body), web.Gives(http.StatusOK, "", answer))...)
	}
	streams := web.Gives(http.StatusOK, events, nil)
	failure, anthropic := web.Failures(Failure), web.Failures(anthropicFailure{})
	switch path {
	case "/v1/chat/completions":
		return gives("Call a model by OpenAI's chat completions", chatBody{}, chatAnswer{}, streams, failure)
	case "/v1/responses":
		return gives("Call a model by OpenAI's responses", responsesBody{}, responsesAnswer{}, streams, failure)
	case "/v1/messages":
		return gives("Call a model by Anthropic's messages", messagesBody{}, messagesAnswer{}, streams, anthropic)
	case "/v1/messages/count_tokens":
		return gives("Count the tokens of messages, for free", countBody{}, countAnswer{}, anthropic)
	case "/v1/completions":
		return gives("Complete a text", completionBody{}, chatAnswer{}, streams, failure)
	case "/v1/embeddings":
		return gives("Turn texts into vectors", embeddingBody{}, listAnswer{}, failure)
	case "/v1/images/generations":
		return gives("Make images", imageBody{}, imageAnswer{}, streams, failure)
	case "/v1/audio/transcriptions":
		return web.All(web.Tag(tagCalls), web.Scopes(access.ScopeInference), web.Doc("Write down what is said"), failure, streams,
			web.Takes("multipart/form-data", transcriptionBody{}), web.Gives(http.StatusOK, "", open{}), web.Gives(http.StatusOK, "text/plain", nil))
	case "/v1/audio/speech":
		return web.All(web.Tag(tagCalls), web.Scopes(access.ScopeInference), web.Doc("Read a text out"), failure, streams,
			web.Takes("", speechBody{}), web.Gives(http.StatusOK, "audio/*", nil))
	case "/v1/moderations":
		return gives("Judge a text", moderationBody{}, open{}, failure)
	}
	return gives("Call a model by Google's methods", generateBody{}, json.RawMessage{}, // a stream without alt=sse is an array
		streams, web.Failures(GoogleFailure), web.As(
			"/v1beta/models/{model}:generateContent", "/v1beta/models/{model}:streamGenerateContent", "/v1beta/models/{model}:countTokens",
			"/v1beta/models/{model}:embedContent", "/v1beta/models/{model}:batchEmbedContents",
		))
}
