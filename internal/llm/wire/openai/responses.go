package openai

import "github.com/go-json-experiment/json/jsontext"

// ResponsesRequest is the body of POST /v1/responses
// (platform.openai.com/docs/api-reference/responses/create). Fields that may
// have more than one type are raw.
type ResponsesRequest struct {
	Model              string              `json:"model"`
	Input              jsontext.Value      `json:"input"` // string or items
	Instructions       *string             `json:"instructions"`
	MaxOutputTokens    jsontext.Value      `json:"max_output_tokens"`
	Temperature        jsontext.Value      `json:"temperature"`
	TopP               jsontext.Value      `json:"top_p"`
	TopLogprobs        jsontext.Value      `json:"top_logprobs"`
	Stream             *bool               `json:"stream"`
	StreamOptions      jsontext.Value      `json:"stream_options"`
	Tools              []ResponsesTool     `json:"tools"`
	ToolChoice         jsontext.Value      `json:"tool_choice"`
	ParallelToolCalls  *bool               `json:"parallel_tool_calls"`
	Text               *ResponsesText      `json:"text"`
	Reasoning          *ResponsesReasoning `json:"reasoning"`
	Include            []string            `json:"include"`
	Truncation         *string             `json:"truncation"`
	Metadata           jsontext.Value      `json:"metadata"`
	Store              jsontext.Value      `json:"store"`
	ServiceTier        *string             `json:"service_tier"`
	User               *string             `json:"user"`
	SafetyIdentifier   *string             `json:"safety_identifier"`
	PromptCacheKey     *string             `json:"prompt_cache_key"`
	PreviousResponseID jsontext.Value      `json:"previous_response_id"`
	Conversation       jsontext.Value      `json:"conversation"`
	Prompt             jsontext.Value      `json:"prompt"`
	Background         jsontext.Value      `json:"background"`
	Rest               jsontext.Value      `json:",embed"`
}

// ResponsesText is which form the text has.
type ResponsesText struct {
	Format    *ResponsesFormat `json:"format"`
	Verbosity *string          `json:"verbosity"`
	Rest      jsontext.Value   `json:",embed"`
}

// ResponsesFormat is text, json_object or json_schema.
type ResponsesFormat struct {
	Type        string         `json:"type"`
	Name        string         `json:"name"`
	Description *string        `json:"description"`
	Schema      jsontext.Value `json:"schema"`
	Strict      *bool          `json:"strict"`
}

// ResponsesReasoning is how the model thinks.
type ResponsesReasoning struct {
	Effort          *string        `json:"effort"`
	Summary         *string        `json:"summary"`
	GenerateSummary *string        `json:"generate_summary"`
	Rest            jsontext.Value `json:",embed"`
}

// ResponsesTool is a function, a free-form tool, or one that the vendor runs.
type ResponsesTool struct {
	Type        string         `json:"type"`
	Name        string         `json:"name"`
	Description *string        `json:"description"`
	Parameters  jsontext.Value `json:"parameters"`
	Strict      *bool          `json:"strict"`
	Format      jsontext.Value `json:"format"`
	Rest        jsontext.Value `json:",embed"`
}

// ResponsesChoice is a tool_choice that is an object.
type ResponsesChoice struct {
	Type  string          `json:"type"`
	Name  string          `json:"name"`
	Mode  string          `json:"mode"`
	Tools []ResponsesTool `json:"tools"`
}

// ResponsesItem is an item of the input.
type ResponsesItem struct {
	Type             string          `json:"type"` // empty is message
	Role             string          `json:"role"`
	Content          jsontext.Value  `json:"content"` // string or parts
	CallID           string          `json:"call_id"`
	Name             string          `json:"name"`
	Arguments        string          `json:"arguments"`
	Input            string          `json:"input"`
	Output           jsontext.Value  `json:"output"` // string or parts
	Summary          []ResponsesPart `json:"summary"`
	EncryptedContent *string         `json:"encrypted_content"`
	Rest             jsontext.Value  `json:",embed"`
}

// ResponsesPart is a part of a content, an output or a summary.
type ResponsesPart struct {
	Type       string         `json:"type"`
	Text       string         `json:"text"`
	Refusal    string         `json:"refusal"`
	ImageURL   *string        `json:"image_url"`
	Detail     *string        `json:"detail"`
	FileID     *string        `json:"file_id"`
	FileData   *string        `json:"file_data"`
	FileURL    *string        `json:"file_url"`
	Filename   string         `json:"filename"`
	InputAudio *InputAudio    `json:"input_audio"`
	Rest       jsontext.Value `json:",embed"`
}
