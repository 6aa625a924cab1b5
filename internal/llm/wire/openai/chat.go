package openai

import "github.com/go-json-experiment/json/jsontext"

// ChatRequest is the body of POST /v1/chat/completions as clients send it
// (platform.openai.com/docs/api-reference/chat/create). Fields that may have
// more than one type are raw.
type ChatRequest struct {
	Model               string          `json:"model"`
	Messages            []ChatMessage   `json:"messages"`
	MaxTokens           jsontext.Value  `json:"max_tokens"`
	MaxCompletionTokens jsontext.Value  `json:"max_completion_tokens"`
	Temperature         jsontext.Value  `json:"temperature"`
	TopP                jsontext.Value  `json:"top_p"`
	TopK                jsontext.Value  `json:"top_k"`
	PresencePenalty     jsontext.Value  `json:"presence_penalty"`
	FrequencyPenalty    jsontext.Value  `json:"frequency_penalty"`
	Seed                jsontext.Value  `json:"seed"`
	Stop                jsontext.Value  `json:"stop"`
	N                   jsontext.Value  `json:"n"`
	Stream              *bool           `json:"stream"`
	StreamOptions       *StreamOptions  `json:"stream_options"`
	Tools               []ChatTool      `json:"tools"`
	ToolChoice          jsontext.Value  `json:"tool_choice"`
	ParallelToolCalls   *bool           `json:"parallel_tool_calls"`
	Functions           []ChatFunction  `json:"functions"`
	FunctionCall        jsontext.Value  `json:"function_call"`
	ResponseFormat      *ResponseFormat `json:"response_format"`
	ReasoningEffort     *string         `json:"reasoning_effort"`
	Verbosity           *string         `json:"verbosity"`
	ServiceTier         *string         `json:"service_tier"`
	User                *string         `json:"user"`
	SafetyIdentifier    *string         `json:"safety_identifier"`
	PromptCacheKey      *string         `json:"prompt_cache_key"`
	Metadata            jsontext.Value  `json:"metadata"`
	Store               jsontext.Value  `json:"store"`
	Rest                jsontext.Value  `json:",embed"`
}

// StreamOptions are stream_options.
type StreamOptions struct {
	IncludeUsage *bool          `json:"include_usage"`
	Rest         jsontext.Value `json:",embed"`
}

// ChatMessage is a message of any role.
type ChatMessage struct {
	Role             string            `json:"role"`
	Content          jsontext.Value    `json:"content"` // string, null or parts
	Name             *string           `json:"name"`
	ToolCalls        []ChatToolCall    `json:"tool_calls"`
	ToolCallID       *string           `json:"tool_call_id"`
	FunctionCall     *ChatFunctionCall `json:"function_call"`
	Refusal          *string           `json:"refusal"`
	ReasoningContent *string           `json:"reasoning_content"`
	ReasoningDetails []ReasoningDetail `json:"reasoning_details"`
	CacheControl     *CacheControl     `json:"cache_control"`
	Rest             jsontext.Value    `json:",embed"`
}

// ChatPart is a part of a message's content.
type ChatPart struct {
	Type         string         `json:"type"`
	Text         string         `json:"text"`
	Refusal      string         `json:"refusal"`
	ImageURL     *ImageURL      `json:"image_url"`
	InputAudio   *InputAudio    `json:"input_audio"`
	File         *File          `json:"file"`
	CacheControl *CacheControl  `json:"cache_control"`
	Breakpoint   jsontext.Value `json:"prompt_cache_breakpoint"`
	Rest         jsontext.Value `json:",embed"`
}

// ImageURL is where an image is, or a data URL of it.
type ImageURL struct {
	URL    string  `json:"url"`
	Detail *string `json:"detail"`
}

// InputAudio is sound: base64 and wav or mp3.
type InputAudio struct {
	Data   string `json:"data"`
	Format string `json:"format"`
}

// File is a document as a data URL.
type File struct {
	FileID   *string `json:"file_id"`
	FileData string  `json:"file_data"`
	Filename string  `json:"filename"`
}

// CacheControl marks how far a prompt is to be kept.
type CacheControl struct {
	Type string  `json:"type"`
	TTL  *string `json:"ttl"`
}

// ChatToolCall is a call that the model made.
type ChatToolCall struct {
	ID           string            `json:"id"`
	Type         string            `json:"type"`
	Function     *ChatFunctionCall `json:"function"`
	Custom       *CustomCall       `json:"custom"`
	ExtraContent *ExtraContent     `json:"extra_content"`
	Index        *int              `json:"index"` // in a stream; clients echo it
	Rest         jsontext.Value    `json:",embed"`
}

// ChatFunctionCall is the function that is called.
type ChatFunctionCall struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// CustomCall is the free-form tool that is called.
type CustomCall struct {
	Name  string `json:"name"`
	Input string `json:"input"`
}

// ExtraContent is where Google's endpoint with OpenAI's protocol has the
// signature of a call (ai.google.dev/gemini-api/docs/thought-signatures).
type ExtraContent struct {
	Google *struct {
		ThoughtSignature string `json:"thought_signature"`
	} `json:"google"`
}

// ReasoningDetail is a block of thoughts, in the form that OpenRouter made
// common (openrouter.ai/docs/use-cases/reasoning-tokens).
type ReasoningDetail struct {
	Type      string         `json:"type"` // reasoning.text, reasoning.summary, reasoning.encrypted
	Text      *string        `json:"text"`
	Summary   *string        `json:"summary"`
	Signature *string        `json:"signature"`
	Data      *string        `json:"data"`
	Rest      jsontext.Value `json:",embed"`
}

// ChatTool is a tool: a function, a free-form one or one that the vendor runs.
type ChatTool struct {
	Type         string         `json:"type"`
	Function     *ChatFunction  `json:"function"`
	Custom       *CustomTool    `json:"custom"`
	CacheControl *CacheControl  `json:"cache_control"`
	Rest         jsontext.Value `json:",embed"`
}

// ChatFunction is a function's definition.
type ChatFunction struct {
	Name        string         `json:"name"`
	Description *string        `json:"description"`
	Parameters  jsontext.Value `json:"parameters"`
	Strict      *bool          `json:"strict"`
}

// CustomTool is a free-form tool's definition.
type CustomTool struct {
	Name        string         `json:"name"`
	Description *string        `json:"description"`
	Format      jsontext.Value `json:"format"`
}

// ResponseFormat is the form of the answer.
type ResponseFormat struct {
	Type       string `json:"type"`
	JSONSchema *struct {
		Name        string         `json:"name"`
		Description *string        `json:"description"`
		Schema      jsontext.Value `json:"schema"`
		Strict      *bool          `json:"strict"`
	} `json:"json_schema"`
}

// ToolChoice is tool_choice or function_call when it is no word.
type ToolChoice struct {
	Type     string `json:"type"`
	Name     string `json:"name"` // of function_call
	Function *struct {
		Name string `json:"name"`
	} `json:"function"`
	Custom *struct {
		Name string `json:"name"`
	} `json:"custom"`
	AllowedTools *struct {
		Mode  string `json:"mode"`
		Tools []struct {
			Type     string `json:"type"`
			Function struct {
				Name string `json:"name"`
			} `json:"function"`
		} `json:"tools"`
	} `json:"allowed_tools"`
}
