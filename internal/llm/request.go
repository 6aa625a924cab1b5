package llm

import "github.com/go-json-experiment/json/jsontext"

// Request is what a client asks for, in no dialect. Decoders of dialects make
// it and vendors read it; neither changes it afterwards, because another
// deployment may be asked the same.
//
// Text is as the client wrote it. Numbers and the arguments of tools are the
// raw bytes, so nothing is rounded on the way.
type Request struct {
	Model        string // as the client named it; vendors send Target.Model
	Stream       bool
	IncludeUsage bool // a chat stream is to end with its usage
	Strict       bool // every warning is an error

	Messages []Message
	Tools    []Tool
	Choice   Choice
	// Parallel says whether several tools may be called at once; nil is unsaid.
	Parallel  *bool
	Reasoning Reasoning
	Format    Format
	Cache     Cache // on the request as a whole

	MaxOutput        int64 // tokens per choice; 0 is unsaid
	Temperature      Number
	TopP             Number
	TopK             Number
	PresencePenalty  Number
	FrequencyPenalty Number
	Seed             Number
	Stop             []string
	N                int64 // choices; 0 and 1 are one
	Verbosity        string
	ServiceTier      string
	User             string         // end-user id
	CacheKey         string         // routes to a vendor's prompt cache
	Metadata         jsontext.Value // an object of strings
	// LegacyCalls says that the client knows only OpenAI's older form of calls:
	// one per answer, without an id.
	LegacyCalls bool
	// Extra is what only one protocol or two have, under the name in that
	// protocol. A vendor takes what it knows and calls Notes.Rest for the others.
	Extra []Extra

	// Warnings are what decoding has dropped or adjusted.
	Warnings []Warning
	// Spelling maps a concept's chat name (max_completion_tokens, top_p) to what
	// the client called it; missing ones are called the same. It is shared.
	Spelling map[string]string
}

// At returns how the client spells a concept, for errors and warnings.
func (r *Request) At(concept string) string {
	if s, ok := r.Spelling[concept]; ok {
		return s
	}
	return concept
}

// Number is a JSON number as it was written; empty is unsaid.
type Number string

// Extra is a field that the hub has no concept for.
type Extra struct {
	Name  string
	Class Class
	Value jsontext.Value
}

// Class is what becomes of a field that a target lacks.
type Class uint8

// The classes of fields: without the first the answer is another one, so the
// call is refused; the second is dropped with a warning; the third, such as
// caching and metadata, never changes the answer and is dropped without a word.
const (
	Meaning Class = iota
	Tuning
	Hint
)

// Role is who speaks in a message.
type Role uint8

// The roles. System messages may stand anywhere; RoleDeveloper is what OpenAI's
// dialects call the operator of an application. A message of RoleTool has only
// results, and results stand nowhere else.
const (
	RoleSystem Role = iota + 1
	RoleDeveloper
	RoleUser
	RoleAssistant
	RoleTool
)

// Message is one turn, or a part of one: neighbours may have the same role.
type Message struct {
	Role  Role
	Name  string // of the speaker, in chat
	Parts []Part
}

// PartKind says which fields of a Part count.
type PartKind uint8

// The kinds of parts.
const (
	PartText       PartKind = iota + 1 // Text
	PartRefusal                        // Text
	PartImage                          // Media
	PartDocument                       // Media, Text is the title
	PartAudio                          // Media
	PartVideo                          // Media
	PartReasoning                      // Text, State; one without Text is redacted
	PartToolCall                       // Call, State
	PartToolResult                     // Result
	PartOther                          // Other: what one protocol has, such as search_result
)

// Part is a piece of content.
type Part struct {
	Kind   PartKind
	Text   string
	Media  *Media
	Call   *ToolCall
	Result *ToolResult
	// State is what the vendor wants back unread: the signature of a thought or
	// of a call, or a whole thought in cipher.
	State     *State
	Redacted  bool       // the thought is only in State
	Citations []Citation // of a text
	Cache     Cache
	Other     *Extra
}

// Media is bytes or where they are. Exactly one of Data, URL and Text is set.
type Media struct {
	Type   string // image/png; empty where the client did not say
	Data   string // base64, as the client wrote it
	URL    string
	Text   string // of a document that is plain text
	Name   string // of a file
	Detail string // low, high, auto; empty is unsaid
}

// ToolCall is a call that the model made.
type ToolCall struct {
	ID, Name string
	// Arguments are the bytes of a JSON object, or whatever the model wrote
	// instead. Of a custom tool they are its free text.
	Arguments string
	Custom    bool
}

// ToolResult answers a call.
type ToolResult struct {
	ID      string
	Name    string // only where the dialect says it
	Parts   []Part // text, images, documents
	IsError bool
}

// Tool is what the model may call.
type Tool struct {
	Name, Description string
	Parameters        jsontext.Value // JSON Schema; nil takes nothing
	Strict            *bool
	Custom            bool           // takes free text
	Format            jsontext.Value // of a custom tool: its grammar
	// Hosted is the whole definition of a tool that the vendor runs; then only
	// Name, its type, is set beside it.
	Hosted jsontext.Value
	Cache  Cache
}

// Mode is how free the model is to call tools.
type Mode uint8

// The modes; zero is unsaid.
const (
	ToolsAuto Mode = iota + 1
	ToolsNone
	ToolsAny
	ToolsNamed // exactly Choice.Name
)

// Choice is which tools are called.
type Choice struct {
	Mode    Mode
	Name    string   // for ToolsNamed
	Allowed []string // the only ones; empty allows all
}

// Format is which form the answer must have.
type Format struct {
	Kind   FormatKind
	Name   string
	Schema jsontext.Value
	Strict *bool
	// Description is for the model.
	Description string
}

// FormatKind is a form of the answer.
type FormatKind uint8

// The forms; zero is unsaid.
const (
	FormatText FormatKind = iota + 1
	FormatJSON            // any object
	FormatSchema
)

// Cache is a mark up to which a vendor is asked to keep the prompt.
type Cache struct {
	On   bool
	Long bool // for an hour
}

// Citation says where a text is from.
type Citation struct {
	URL, Title string
	Start, End int // in characters of the text, when URL is set
	// Raw is a citation of another kind, in its vendor's form.
	Raw jsontext.Value
}
