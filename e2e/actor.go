package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Actor is a vendor that speaks every protocol and plays the same part in each:
// what it answers follows from what it was asked, so that every client must get
// the same from every vendor. Asked to "look" with tools at hand it calls
// look twice; told their results it repeats them; wanted as JSON by a schema it
// says where it is warm; shown an image it tells its size; else it says back
// what it was told. Models whose names begin with "busy" refuse with 429, those
// with "broken" break off in the middle of a stream.
type Actor struct {
	server *httptest.Server
}

// NewActor starts one.
func NewActor(t testing.TB) *Actor {
	t.Helper()
	a := &Actor{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /openai/v1/chat/completions", a.chat)
	mux.HandleFunc("POST /anthropic/v1/messages", a.messages)
	mux.HandleFunc("POST /google/v1beta/models/{call}", a.generate)
	a.server = httptest.NewServer(mux)
	t.Cleanup(a.server.Close)
	return a
}

// Vendors are the protocols that an actor speaks, and the columns of the table
// of clients.
var Vendors = []string{"openai", "anthropic", "google"}

// Providers are entries of a providers file.
func (a *Actor) Providers() []string {
	models := func(names ...string) string {
		var out []string
		for _, n := range names {
			out = append(out, fmt.Sprintf(`{"id":%q,"context_length":128000,"max_output_tokens":128000,
				"capabilities":["vision","tools","structuredOutput","reasoning"],"input_usd_per_million":"1","output_usd_per_million":"2"}`, n))
		}
		return "[" + strings.Join(out, ",") + "]"
	}
	entry := func(id, vendor, path string, names ...string) string {
		return fmt.Sprintf(`{"id":%q,"name":%q,"vendor":%q,"base_url":"%s%s","api_key":%q,"allow_private":true,"models":%s}`,
			id, id, vendor, a.server.URL, path, VendorKey, models(names...))
	}
	return []string{
		entry("actor-openai", "", "/openai/v1", "gpt-actor", "busy-gpt", "broken-gpt"),
		entry("actor-anthropic", "anthropic", "/anthropic/v1", "claude-actor", "busy-claude", "broken-claude"),
		entry("actor-google", "google", "/google/v1beta", "gemini-actor", "busy-gemini", "broken-gemini"),
	}
}

// scene is what an actor is asked, in any protocol.
type scene struct {
	model, ask    string
	results       []string // what tools gave, when they are what came last
	tools         []string // their names
	image         int      // bytes
	schema, think bool
	force         bool // it has to call a tool
	forged        bool // a thought in the history is not as the actor gave it
	stream        bool
}

// part is what it answers.
type part struct {
	thought, text string
	tool          string
	calls         []string // arguments of calls of tool
}

const (
	thought   = "I should think about this."
	signature = "c2lnbmVkIGJ5IHRoZSBhY3Rvcg=="
	warm      = `{"city":"Lisbon","degrees":21}`
)

func (s *scene) play() part {
	var p part
	if s.think {
		p.thought = thought
	}
	switch {
	case len(s.results) > 0:
		p.text = "the tools say " + strings.Join(s.results, " and ")
	case len(s.tools) > 0 && strings.Contains(s.ask, "look"):
		p.tool, p.calls = "look", []string{`{"x":1}`, `{"x":2}`}
	case len(s.tools) > 0 && s.force: // JSON by way of a tool
		p.tool, p.calls = s.tools[0], []string{warm}
	case s.schema:
		p.text = warm
	case s.image > 0:
		p.text = fmt.Sprintf("an image of %d bytes", s.image)
	default:
		p.text = "you said: " + s.ask
	}
	return p
}

// words are the pieces in which a text is streamed.
func words(text string) []string { return strings.SplitAfter(text, " ") }

// base64Size is how many bytes text says, without what stands before a comma.
func base64Size(text string) int {
	b, err := base64.StdEncoding.DecodeString(text[strings.Index(text, ",")+1:])
	if err != nil {
		return -1
	}
	return len(b)
}

// begin reads a request into v, or refuses it.
func (a *Actor) begin(w http.ResponseWriter, r *http.Request, key string, v any) bool {
	if key != VendorKey {
		http.Error(w, `{"error":{"message":"wrong key"}}`, http.StatusUnauthorized)
		return false
	}
	if err := json.NewDecoder(r.Body).Decode(v); err != nil {
		http.Error(w, fmt.Sprintf(`{"error":{"type":"invalid_request_error","message":%q}}`, err), http.StatusBadRequest)
		return false
	}
	return true
}

// stage writes events of a stream; a model that is broken breaks off in it.
type stage struct {
	w    http.ResponseWriter
	left int // events until it breaks; below 0: never
}

func newStage(w http.ResponseWriter, model string) *stage {
	w.Header().Set("Content-Type", "text/event-stream")
	s := &stage{w: w, left: -1}
	if strings.HasPrefix(model, "broken") {
		s.left = 6
	}
	return s
}

// event writes one, with its name or "".
func (s *stage) event(name string, data any) {
	if s.left == 0 {
		panic(http.ErrAbortHandler)
	}
	s.left--
	if name != "" {
		fmt.Fprintf(s.w, "event: %s\n", name)
	}
	text, ok := data.(string)
	if !ok {
		b, _ := json.Marshal(data)
		text = string(b)
	}
	fmt.Fprintf(s.w, "data: %s\n\n", text)
	_ = http.NewResponseController(s.w).Flush()
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// object is JSON.
type object = map[string]any
