package anthropic

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/upstream"
	"github.com/rephlo/rephlo/internal/llm/wire"
	wireanthropic "github.com/rephlo/rephlo/internal/llm/wire/anthropic"
)

// BaseURL is Anthropic's own address.
const BaseURL = "https://api.anthropic.com/v1"

// Version is the API's version where the client names none.
const Version = "2023-06-01"

var paths = map[llm.Op]string{llm.OpMessages: "/messages", llm.OpCountMessages: "/messages/count_tokens"}

// Vendor implements llm.Vendor, llm.Streamer and llm.TokenCounter.
type Vendor struct{ client *upstream.Client }

var (
	_ llm.Vendor       = (*Vendor)(nil)
	_ llm.Streamer     = (*Vendor)(nil)
	_ llm.TokenCounter = (*Vendor)(nil)
	_ llm.Pinger       = (*Vendor)(nil)
)

// New returns the vendor.
func New(client *egress.Client, now func() time.Time) *Vendor {
	return &Vendor{client: upstream.New(upstream.Protocol{
		BaseURL: BaseURL, Credential: "x-api-key", RequestID: "request-id", ReadRefusal: readRefusal,
		Header: []egress.Field{{Name: "anthropic-version", Value: Version}},
	}, client, now)}
}

func readRefusal(body []byte) (llm.Refusal, bool) {
	kind, message, ok := wireanthropic.ReadError(body)
	return llm.Refusal{Type: kind, Message: message}, ok
}

// Native implements llm.Vendor.
func (v *Vendor) Native(op llm.Op) bool { return paths[op] != "" }

var (
	errOp    = errors.New("operation is not forwarded")
	errCount = errors.New("the answer has no count")
)

// Forward implements llm.Vendor.
func (v *Vendor) Forward(ctx context.Context, to llm.Target, call llm.Call) (llm.Reply, error) {
	path := paths[call.Op]
	if path == "" {
		return llm.Reply{}, llm.Fail(llm.UnknownModel, errOp)
	}
	return v.client.Send(ctx, to, path, call)
}

// Ping implements llm.Pinger.
func (v *Vendor) Ping(ctx context.Context, to llm.Target) error {
	return v.client.Ping(ctx, to, "/models")
}

// Stream implements llm.Streamer.
func (v *Vendor) Stream(ctx context.Context, to llm.Target, req *llm.Request) iter.Seq2[llm.Event, error] {
	return func(yield func(llm.Event, error) bool) {
		out, err := encode(to, req, true)
		if err != nil {
			yield(llm.Event{}, err)
			return
		}
		reply, err := v.Forward(ctx, to, llm.Call{Op: llm.OpMessages, Parts: [][]byte{out.body}, Stream: req.Stream})
		if err != nil {
			yield(llm.Event{}, err)
			return
		}
		upstream.Read(reply, req.Stream, out.warnings, newDecoder(to, out), yield)
	}
}

// CountTokens implements llm.TokenCounter.
func (v *Vendor) CountTokens(ctx context.Context, to llm.Target, req *llm.Request) (int64, error) {
	out, err := encode(to, req, false)
	if err != nil {
		return 0, err
	}
	reply, err := v.Forward(ctx, to, llm.Call{Op: llm.OpCountMessages, Parts: [][]byte{out.body}})
	if err != nil {
		return 0, err
	}
	defer reply.Body.Close()
	const most = 1 << 16
	body, err := io.ReadAll(io.LimitReader(reply.Body, most))
	if err != nil {
		return 0, llm.Broken(err)
	}
	var in struct {
		InputTokens *int64 `json:"input_tokens"`
	}
	if json.Unmarshal(body, &in) != nil || in.InputTokens == nil {
		return 0, llm.Fail(llm.Protocol, errCount)
	}
	return max(*in.InputTokens, 0), nil
}

// encoded is a request in Anthropic's form.
type encoded struct {
	body     []byte
	warnings []llm.Warning
	names    llm.Names
	forced   string // the tool whose arguments are the answer
	fenced   bool   // the answer is JSON that may stand between code fences
}

// messages is a request that is being encoded.
type messages struct {
	to     llm.Target
	req    *llm.Request
	notes  *llm.Notes
	names  llm.Names
	marks  int // cache marks that are still to be left out
	forced string
	fenced bool
	think  bool
	limit  int64 // of the output
	turns  []turn
	system []llm.Part
}

// encode writes req as the body of POST /v1/messages, or, unless it is to be
// answered, of count_tokens. The order of fields is fixed.
func encode(to llm.Target, req *llm.Request, answered bool) (*encoded, error) {
	m := &messages{to: to, req: req, notes: llm.NewNotes(req)}
	m.limit = req.MaxOutput
	if m.limit == 0 {
		if m.limit = to.Abilities.MaxOutput; m.limit == 0 {
			m.limit = defaultLimit
		}
	}
	m.arrange()
	m.form()
	thinking := m.thinking()
	m.countMarks()
	b := make([]byte, 0, 1024)
	b = wire.String(append(b, '{'), "model", to.Model)
	if answered {
		b = wire.Int(b, "max_tokens", m.limit)
	}
	b = m.appendSystem(b)
	b = m.appendTools(b)
	b = m.appendTurns(b)
	b = append(b, thinking...)
	b = m.appendOutput(b)
	if answered {
		b = m.appendRest(b)
	}
	if req.Cache.On {
		b = appendMark(b, req.Cache)
	}
	b = append(b, '}')
	warnings, err := m.notes.Done()
	return &encoded{b, warnings, m.names, m.forced, m.fenced}, err
}

// defaultLimit is the output limit of a request that states none, for a model
// of which none is known.
const defaultLimit = 4096

// appendRest appends what steers the generation.
func (m *messages) appendRest(b []byte) []byte {
	r := m.req
	if len(r.Stop) > 0 {
		b = append(wire.Name(b, "stop_sequences"), '[')
		for i, s := range r.Stop {
			if blank(s) {
				m.notes.Refuse(index("stop", i), "This model takes no stop sequence that is only white space.")
			}
			b = wire.Quote(wire.Next(b), s)
		}
		b = append(b, ']')
	}
	b = m.appendSampling(b)
	if r.N > 1 {
		m.notes.Lacks(llm.Meaning, "n")
	}
	m.notes.LacksNumber(llm.Tuning, "seed", r.Seed)
	if !zero(r.PresencePenalty) {
		m.notes.Lacks(llm.Tuning, "presence_penalty")
	}
	if !zero(r.FrequencyPenalty) {
		m.notes.Lacks(llm.Tuning, "frequency_penalty")
	}
	if r.Verbosity != "" {
		m.notes.Lacks(llm.Tuning, "verbosity")
	}
	if r.ServiceTier != "" {
		m.notes.Lacks(llm.Meaning, "service_tier")
	}
	m.notes.Rest()
	if r.User != "" {
		b = append(wire.Name(b, "metadata"), '{')
		b = append(wire.String(b, "user_id", r.User), '}')
	}
	if r.Stream {
		b = wire.Bool(b, "stream", true)
	}
	return b
}
