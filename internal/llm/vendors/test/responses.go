package test

import (
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/llm"
)

// others are the operations beside chat completions, and how each is planned.
var others = map[llm.Op]func(request, []byte) (*answer, error){
	llm.OpResponses:      planResponses,
	llm.OpCompletions:    planCompletion,
	llm.OpEmbeddings:     planEmbeddings,
	llm.OpImages:         planImages,
	llm.OpTranscriptions: planTranscript,
	llm.OpSpeech:         planSpeech,
	llm.OpModerations:    planModeration,
}

func planResponses(r request, raw []byte) (*answer, error) {
	var q struct {
		Input        jsontext.Value `json:"input"`
		Instructions string         `json:"instructions"`
		Max          int            `json:"max_output_tokens"`
	}
	a, err := start(r, raw, &q)
	if err != nil {
		return nil, err
	}
	a.Max, a.N = q.Max, 1
	a.whole = func(a *answer) []byte { return a.response("completed", a.items(), true) }
	a.events = (*answer).responseEvents
	var last string
	size := len(q.Instructions)
	if json.Unmarshal(q.Input, &last) == nil {
		a.say(last, size+len(last))
		return a, nil
	}
	var items []struct {
		Role    string         `json:"role"`
		Content jsontext.Value `json:"content"`
	}
	if json.Unmarshal(q.Input, &items, jsontext.AllowInvalidUTF8(true)) != nil {
		return nil, llm.Refusal{Status: 400, Param: "input", Message: "The input is not a list of items."}.Failure()
	}
	for _, i := range items {
		if i.Content == nil {
			continue
		}
		text := contentText(i.Content)
		size += len(text)
		if i.Role == "user" {
			last = text
		}
	}
	a.say(last, size)
	return a, nil
}

// item is an item of the output and the events that stream it.
type item struct {
	kind, id   string
	begun, all string // as JSON, when it is added and when it is done
	events     func(index string) []string
}

func (a *answer) items() []item {
	var out []item
	if a.reasoning != "" {
		out = append(out, a.reasoningItem())
	}
	if a.text != "" || a.refused != "" {
		out = append(out, a.messageItem())
	}
	for i := range a.script.tools {
		out = append(out, a.callItem(i))
	}
	return out
}

func (a *answer) reasoningItem() item {
	id := "rs_" + a.hash[:24]
	head := `{"id":"` + id + `","type":"reasoning","summary":[`
	part := `{"type":"summary_text","text":`
	all := string(quote([]byte(part), a.reasoning)) + "}"
	return item{kind: "reasoning", id: id, begun: head + "]}", all: head + all + "]}", events: func(at string) []string {
		in := `"item_id":"` + id + `","output_index":` + at + `,"summary_index":0`
		events := []string{`"type":"response.reasoning_summary_part.added",` + in + `,"part":` + part + `""}`}
		for _, p := range pieces(a.reasoning, 4) {
			events = append(events, `"type":"response.reasoning_summary_text.delta",`+in+`,"delta":`+quoted(p))
		}
		return append(events, `"type":"response.reasoning_summary_text.done",`+in+`,"text":`+quoted(a.reasoning),
			`"type":"response.reasoning_summary_part.done",`+in+`,"part":`+all)
	}}
}

func (a *answer) messageItem() item {
	id := "msg_" + a.hash[:24]
	kind, field, text, logprobs := "output_text", "text", a.text, `,"logprobs":[]`
	if a.refused != "" {
		kind, field, text, logprobs = "refusal", "refusal", a.refused, ""
	}
	part := func(text string) string {
		p := `{"type":"` + kind + `","` + field + `":` + quoted(text)
		if kind == "output_text" {
			p += `,"annotations":[],"logprobs":[]`
		}
		return p + "}"
	}
	whole := func(status, content string) string {
		return `{"id":"` + id + `","type":"message","status":"` + status + `","role":"assistant","content":[` + content + `]}`
	}
	return item{kind: "message", id: id, begun: whole("in_progress", ""), all: whole("completed", part(text)), events: func(at string) []string {
		in := `"item_id":"` + id + `","output_index":` + at + `,"content_index":0`
		events := []string{`"type":"response.content_part.added",` + in + `,"part":` + part("")}
		for _, p := range pieces(text, 4) {
			events = append(events, `"type":"response.`+kind+`.delta",`+in+`,"delta":`+quoted(p)+logprobs)
		}
		return append(events, `"type":"response.`+kind+`.done",`+in+`,"`+field+`":`+quoted(text)+logprobs,
			`"type":"response.content_part.done",`+in+`,"part":`+part(text))
	}}
}

func (a *answer) callItem(i int) item {
	t, n := a.script.tools[i], strconv.Itoa(i)
	id := "fc_" + a.hash[:22] + n
	whole := func(status, arguments string) string {
		return `{"id":"` + id + `","type":"function_call","status":"` + status + `","arguments":` + quoted(arguments) +
			`,"call_id":"call_` + a.hash[:20] + n + `","name":` + quoted(t.name) + `}`
	}
	return item{kind: "function_call", id: id, begun: whole("in_progress", ""), all: whole("completed", t.arguments), events: func(at string) []string {
		in := `"item_id":"` + id + `","output_index":` + at
		var events []string
		for _, p := range pieces(t.arguments, 16) {
			events = append(events, `"type":"response.function_call_arguments.delta",`+in+`,"delta":`+quoted(p))
		}
		return append(events, `"type":"response.function_call_arguments.done",`+in+`,"name":`+quoted(t.name)+`,"arguments":`+quoted(t.arguments))
	}}
}

// response returns the object of an answer with these items.
func (a *answer) response(status string, items []item, ended bool) []byte {
	incomplete := "null"
	if ended && a.finish == "length" {
		status, incomplete = "incomplete", `{"reason":"max_output_tokens"}`
	}
	o := []byte(`{"id":"resp_` + a.hash[:32] + `","object":"response","created_at":` + created + `,"status":"` + status +
		`","background":false,"error":null,"incomplete_details":` + incomplete + `,"instructions":null,"max_output_tokens":null,"model":` + quoted(a.Model) + `,"output":[`)
	for i, it := range items {
		if i > 0 {
			o = append(o, ',')
		}
		o = append(o, it.all...)
	}
	o = append(o, `],"parallel_tool_calls":true,"previous_response_id":null,"reasoning":{"effort":null,"summary":null},"store":false,"temperature":1,`+
		`"text":{"format":{"type":"text"}},"tool_choice":"auto","tools":[],"top_p":1,"truncation":"disabled","usage":`...)
	if !ended || a.script.usage == "none" {
		o = append(o, "null"...)
	} else {
		o = a.usageObject(o, "input", "output")
	}
	return append(o, `,"user":null,"metadata":{}}`...)
}

func (a *answer) responseEvents() [][]byte {
	items := a.items()
	events := []string{
		`"type":"response.created","response":` + string(a.response("in_progress", nil, false)),
		`"type":"response.in_progress","response":` + string(a.response("in_progress", nil, false)),
	}
	for i, it := range items {
		at := strconv.Itoa(i)
		events = append(events, `"type":"response.output_item.added","output_index":`+at+`,"item":`+it.begun)
		events = append(events, it.events(at)...)
		events = append(events, `"type":"response.output_item.done","output_index":`+at+`,"item":`+it.all)
	}
	end := "completed"
	if a.finish == "length" {
		end = "incomplete"
	}
	return typedEvents(append(events, `"type":"response.`+end+`","response":`+string(a.response("completed", items, true))))
}

// typedEvents makes events of the members of their objects, of which the first
// is the type. They are numbered.
func typedEvents(members []string) [][]byte {
	out := make([][]byte, len(members))
	for i, m := range members {
		var kind struct {
			Type string `json:"type"`
		}
		object := "{" + m + `,"sequence_number":` + strconv.Itoa(i) + "}"
		_ = json.Unmarshal([]byte(object), &kind) // an event without a name is one too
		out[i] = []byte("event: " + kind.Type + "\ndata: " + object + "\n\n")
	}
	return out
}

func pieces(text string, size int) (out []string) {
	for text != "" {
		p := piece(text, size)
		out, text = append(out, p), text[len(p):]
	}
	return out
}

func quoted(text string) string { return string(quote(nil, text)) }
