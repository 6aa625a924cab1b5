package anthropic

import "github.com/go-json-experiment/json/jsontext"

// Request is the body of POST /v1/messages. Fields that may have more than one
// type are raw.
type Request struct {
	Model         string         `json:"model"`
	MaxTokens     jsontext.Value `json:"max_tokens"`
	System        jsontext.Value `json:"system"` // string or text blocks
	Messages      []Message      `json:"messages"`
	Metadata      *Metadata      `json:"metadata"`
	StopSequences []string       `json:"stop_sequences"`
	Stream        *bool          `json:"stream"`
	Temperature   jsontext.Value `json:"temperature"`
	TopP          jsontext.Value `json:"top_p"`
	TopK          jsontext.Value `json:"top_k"`
	Tools         []Tool         `json:"tools"`
	ToolChoice    *ToolChoice    `json:"tool_choice"`
	Thinking      *Thinking      `json:"thinking"`
	OutputConfig  *OutputConfig  `json:"output_config"`
	ServiceTier   *string        `json:"service_tier"`
	CacheControl  *CacheControl  `json:"cache_control"`
	Container     jsontext.Value `json:"container"`
	MCPServers    jsontext.Value `json:"mcp_servers"`
	Speed         *string        `json:"speed"`
	InferenceGeo  *string        `json:"inference_geo"`
	Rest          jsontext.Value `json:",embed"`
}

// Metadata has the end user's id.
type Metadata struct {
	UserID *string        `json:"user_id"`
	Rest   jsontext.Value `json:",embed"`
}

// Message is a turn.
type Message struct {
	Role    string         `json:"role"`
	Content jsontext.Value `json:"content"` // string or blocks
	Rest    jsontext.Value `json:",embed"`
}

// Block is a piece of content of any type.
type Block struct {
	Type         string         `json:"type"`
	Text         string         `json:"text"`
	Thinking     string         `json:"thinking"`
	Signature    string         `json:"signature"`
	Data         string         `json:"data"` // of redacted_thinking
	ID           string         `json:"id"`
	Name         string         `json:"name"`
	Input        jsontext.Value `json:"input"`
	ToolUseID    string         `json:"tool_use_id"`
	Content      jsontext.Value `json:"content"` // of a tool_result: string or blocks
	IsError      *bool          `json:"is_error"`
	Source       jsontext.Value `json:"source"`
	Title        *string        `json:"title"`
	Context      *string        `json:"context"`
	Citations    jsontext.Value `json:"citations"`
	CacheControl *CacheControl  `json:"cache_control"`
	Rest         jsontext.Value `json:",embed"`
}

// Source is where an image or a document is.
type Source struct {
	Type      string         `json:"type"` // base64, url, text, content, file
	MediaType string         `json:"media_type"`
	Data      string         `json:"data"`
	URL       string         `json:"url"`
	Rest      jsontext.Value `json:",embed"`
}

// CacheControl marks how far a prompt is to be kept.
type CacheControl struct {
	Type string  `json:"type"`
	TTL  *string `json:"ttl"`
}

// Tool is a client's tool, or one that Anthropic runs.
type Tool struct {
	Type         *string        `json:"type"`
	Name         string         `json:"name"`
	Description  *string        `json:"description"`
	InputSchema  jsontext.Value `json:"input_schema"`
	Strict       *bool          `json:"strict"`
	CacheControl *CacheControl  `json:"cache_control"`
	Rest         jsontext.Value `json:",embed"`
}

// ToolChoice is which tools are called.
type ToolChoice struct {
	Type            string `json:"type"`
	Name            string `json:"name"`
	DisableParallel *bool  `json:"disable_parallel_tool_use"`
}

// Thinking is how the model thinks.
type Thinking struct {
	Type         string         `json:"type"` // enabled, disabled, adaptive
	BudgetTokens jsontext.Value `json:"budget_tokens"`
	Display      *string        `json:"display"`
}

// OutputConfig is the effort and the form of the answer.
type OutputConfig struct {
	Effort *string `json:"effort"`
	Format *struct {
		Type   string         `json:"type"`
		Schema jsontext.Value `json:"schema"`
	} `json:"format"`
	Rest jsontext.Value `json:",embed"`
}

// Answer is a message as the vendor writes it.
type Answer struct {
	Type         string         `json:"type"`
	Content      []Block        `json:"content"`
	StopReason   *string        `json:"stop_reason"`
	StopSequence *string        `json:"stop_sequence"`
	Usage        jsontext.Value `json:"usage"`
	Error        jsontext.Value `json:"error"`
}

// Event is an event of a stream.
type Event struct {
	Type    string `json:"type"`
	Index   int    `json:"index"`
	Message *struct {
		Usage jsontext.Value `json:"usage"`
	} `json:"message"`
	ContentBlock *Block         `json:"content_block"`
	Delta        *Delta         `json:"delta"`
	Usage        jsontext.Value `json:"usage"`
	Error        jsontext.Value `json:"error"`
}

// Delta is what an event adds to a block or to the message.
type Delta struct {
	Type         string         `json:"type"`
	Text         string         `json:"text"`
	Thinking     string         `json:"thinking"`
	Signature    string         `json:"signature"`
	PartialJSON  string         `json:"partial_json"`
	Citation     jsontext.Value `json:"citation"`
	StopReason   *string        `json:"stop_reason"`
	StopSequence *string        `json:"stop_sequence"`
}
