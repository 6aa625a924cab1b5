package openai

import "github.com/go-json-experiment/json/jsontext"

// ChatAnswer is a chat completion or a chunk of one, as vendors write it.
// Fields of the wrong type are only raw, so that one does not spoil the others.
type ChatAnswer struct {
	Choices []ChatChoice   `json:"choices"`
	Usage   jsontext.Value `json:"usage"`
	XGroq   *struct {
		Usage jsontext.Value `json:"usage"`
	} `json:"x_groq"`
	Error jsontext.Value `json:"error"`
}

// ChatChoice is a choice; a chunk has a Delta, an answer a Message.
type ChatChoice struct {
	Index        int            `json:"index"`
	Delta        *ChatDelta     `json:"delta"`
	Message      *ChatDelta     `json:"message"`
	FinishReason *string        `json:"finish_reason"`
	Logprobs     *ChatLogprobs  `json:"logprobs"`
	Rest         jsontext.Value `json:",embed"`
}

// ChatLogprobs are the probabilities of a text's tokens.
type ChatLogprobs struct {
	Content jsontext.Value `json:"content"`
}

// ChatDelta is what a chunk adds, or the whole message.
type ChatDelta struct {
	Content          jsontext.Value    `json:"content"` // string, null or parts
	Refusal          *string           `json:"refusal"`
	ReasoningContent *string           `json:"reasoning_content"`
	Reasoning        *string           `json:"reasoning"`
	ReasoningDetails []ReasoningDetail `json:"reasoning_details"`
	ToolCalls        []ChatToolDelta   `json:"tool_calls"`
	FunctionCall     *ChatCallDelta    `json:"function_call"`
	Annotations      []ChatAnnotation  `json:"annotations"`
}

// ChatToolDelta is a piece of a tool call.
type ChatToolDelta struct {
	Index        *int           `json:"index"`
	ID           *string        `json:"id"`
	Function     *ChatCallDelta `json:"function"`
	Custom       *ChatCallDelta `json:"custom"`
	ExtraContent *ExtraContent  `json:"extra_content"`
}

// ChatCallDelta is a piece of what is called. Some services write arguments as
// an object.
type ChatCallDelta struct {
	Name      *string        `json:"name"`
	Arguments jsontext.Value `json:"arguments"`
	Input     *string        `json:"input"`
}

// ChatAnnotation is a citation.
type ChatAnnotation struct {
	URLCitation *struct {
		URL        string `json:"url"`
		Title      string `json:"title"`
		StartIndex int    `json:"start_index"`
		EndIndex   int    `json:"end_index"`
	} `json:"url_citation"`
}
