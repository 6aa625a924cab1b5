package google

import "github.com/go-json-experiment/json/jsontext"

// Request is the body of generateContent. The model stands in the path.
type Request struct {
	Contents          []Content      `json:"contents"`
	SystemInstruction *Content       `json:"systemInstruction"`
	Tools             []Tool         `json:"tools"`
	ToolConfig        *ToolConfig    `json:"toolConfig"`
	GenerationConfig  *Config        `json:"generationConfig"`
	SafetySettings    jsontext.Value `json:"safetySettings"`
	CachedContent     jsontext.Value `json:"cachedContent"`
	Labels            jsontext.Value `json:"labels"`
	ServiceTier       string         `json:"serviceTier"`
	Model             jsontext.Value `json:"model"` // some clients repeat it
	Rest              jsontext.Value `json:",embed"`
}

// Content is one turn.
type Content struct {
	Role  string         `json:"role"` // user, model, function; empty is user
	Parts []Part         `json:"parts"`
	Rest  jsontext.Value `json:",embed"`
}

// Part is a piece of a turn.
type Part struct {
	Text             *string           `json:"text"`
	Thought          bool              `json:"thought"`
	ThoughtSignature string            `json:"thoughtSignature"`
	InlineData       *Blob             `json:"inlineData"`
	FileData         *FileData         `json:"fileData"`
	FunctionCall     *FunctionCall     `json:"functionCall"`
	FunctionResponse *FunctionResponse `json:"functionResponse"`
	MediaResolution  *MediaResolution  `json:"mediaResolution"`
	ExecutableCode   jsontext.Value    `json:"executableCode"`
	CodeResult       jsontext.Value    `json:"codeExecutionResult"`
	Rest             jsontext.Value    `json:",embed"`
}

// MediaResolution is how closely a part is looked at.
type MediaResolution struct {
	Level string `json:"level"`
}

// Blob is bytes in base64.
type Blob struct {
	MimeType    string `json:"mimeType"`
	Data        string `json:"data"`
	DisplayName string `json:"displayName"`
}

// FileData is where bytes are.
type FileData struct {
	MimeType string `json:"mimeType"`
	FileURI  string `json:"fileUri"`
}

// FunctionCall is a call that the model made.
type FunctionCall struct {
	ID   string         `json:"id"`
	Name string         `json:"name"`
	Args jsontext.Value `json:"args"`
}

// FunctionResponse answers it.
type FunctionResponse struct {
	ID       string         `json:"id"`
	Name     string         `json:"name"`
	Response jsontext.Value `json:"response"`
	Parts    []Part         `json:"parts"`
	Rest     jsontext.Value `json:",embed"`
}

// Tool is a list of functions, or something that Google runs.
type Tool struct {
	FunctionDeclarations []Function     `json:"functionDeclarations"`
	Rest                 jsontext.Value `json:",embed"`
}

// Function is a definition. Parameters is Google's own form of a schema,
// ParametersJSONSchema the usual one.
type Function struct {
	Name                 string         `json:"name"`
	Description          string         `json:"description"`
	Parameters           jsontext.Value `json:"parameters"`
	ParametersJSONSchema jsontext.Value `json:"parametersJsonSchema"`
	Rest                 jsontext.Value `json:",embed"`
}

// ToolConfig says which functions are called.
type ToolConfig struct {
	FunctionCallingConfig *CallingConfig `json:"functionCallingConfig"`
	Rest                  jsontext.Value `json:",embed"`
}

// CallingConfig is AUTO, ANY, NONE or VALIDATED.
type CallingConfig struct {
	Mode                 string         `json:"mode"`
	AllowedFunctionNames []string       `json:"allowedFunctionNames"`
	Rest                 jsontext.Value `json:",embed"`
}

// Config is generationConfig.
type Config struct {
	MaxOutputTokens    jsontext.Value  `json:"maxOutputTokens"`
	CandidateCount     jsontext.Value  `json:"candidateCount"`
	Temperature        jsontext.Value  `json:"temperature"`
	TopP               jsontext.Value  `json:"topP"`
	TopK               jsontext.Value  `json:"topK"`
	Seed               jsontext.Value  `json:"seed"`
	PresencePenalty    jsontext.Value  `json:"presencePenalty"`
	FrequencyPenalty   jsontext.Value  `json:"frequencyPenalty"`
	StopSequences      []string        `json:"stopSequences"`
	ResponseMimeType   string          `json:"responseMimeType"`
	ResponseSchema     jsontext.Value  `json:"responseSchema"`
	ResponseJSONSchema jsontext.Value  `json:"responseJsonSchema"`
	ThinkingConfig     *ThinkingConfig `json:"thinkingConfig"`
	MediaResolution    string          `json:"mediaResolution"`
	Rest               jsontext.Value  `json:",embed"`
}

// ThinkingConfig is how the model thinks.
type ThinkingConfig struct {
	IncludeThoughts *bool          `json:"includeThoughts"`
	ThinkingBudget  *int64         `json:"thinkingBudget"`
	ThinkingLevel   string         `json:"thinkingLevel"`
	Rest            jsontext.Value `json:",embed"`
}

// Answer is an answer or an event of a stream.
type Answer struct {
	Candidates     []Candidate     `json:"candidates"`
	PromptFeedback *PromptFeedback `json:"promptFeedback"`
	UsageMetadata  jsontext.Value  `json:"usageMetadata"`
	Error          jsontext.Value  `json:"error"`
}

// PromptFeedback says that a prompt was refused.
type PromptFeedback struct {
	BlockReason string `json:"blockReason"`
}

// Candidate is one of the answers.
type Candidate struct {
	Index        int      `json:"index"`
	Content      *Content `json:"content"`
	FinishReason string   `json:"finishReason"`
}
