package gateway

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/relay"
	"github.com/rephlo/rephlo/internal/llm/wire"
	"github.com/rephlo/rephlo/internal/web"
)

// countForm is how a dialect asks for the tokens of a request and is answered.
type countForm struct {
	op *operation
	// scan reads the body into c.scan, and leaves the request that is counted in
	// c.body.
	scan func(c *call) error
	// field is where the answer has the number.
	field string
}

var (
	// https://docs.anthropic.com/en/api/messages-count-tokens
	countMessages = countForm{op: opMessages, scan: scanJSON, field: "input_tokens"}
	// https://ai.google.dev/api/tokens#method:-models.counttokens
	countGemini = countForm{op: opGemini, scan: scanGeminiCount, field: "totalTokens"}
)

const countMethod = ":countTokens"

// scanGeminiCount takes contents alone or a whole generateContentRequest, whose
// model is that of the path.
func scanGeminiCount(c *call) (err error) {
	var in struct {
		Contents jsontext.Value `json:"contents"`
		Whole    jsontext.Value `json:"generateContentRequest"`
	}
	if json.Unmarshal(c.body.b, &in) == nil && in.Whole != nil {
		if in.Contents != nil {
			return ErrUnsupported.At("contents").Saying("Send either contents or generateContentRequest.")
		}
		c.body.b = append(c.body.b[:0], in.Whole...)
	}
	c.scan, err = relay.ScanGemini(c.body.b)
	c.scan.Model = strings.TrimSuffix(c.r.PathValue("call"), countMethod)
	return err
}

// gemini is the path whose end says what is wanted.
func (s *Service) gemini() web.Handler {
	generate, embed, batch := s.handler(opGemini), s.handler(opEmbedContent), s.handler(opEmbedBatch)
	return func(w http.ResponseWriter, r *http.Request) error {
		path := r.PathValue("call")
		switch path[max(strings.LastIndexByte(path, ':'), 0):] {
		case countMethod:
			return s.count(countGemini, w, r)
		case embedMethod:
			return embed(w, r)
		case batchMethod:
			return batch(w, r)
		}
		return generate(w, r)
	}
}

// count answers how many tokens a request has. A vendor that counts does so for
// its own models; for others it is our estimate, which X-Rephlo-Estimated says.
// It is free, and makes no record.
func (s *Service) count(form countForm, w http.ResponseWriter, r *http.Request) error {
	s.begin.Do(s.startPulse)
	actor, err := s.needs.Auth.Authenticate(r)
	if err != nil {
		return err
	}
	if !actor.Has(access.ScopeInference) {
		return access.Check(actor, access.ScopeInference)
	}
	if !actor.Verified {
		return ErrUnverified
	}
	c := &call{s: s, op: form.op, w: w, r: r, actor: actor, began: s.needs.Now(), terms: s.needs.Terms()}
	c.ctx, c.cancel = context.WithCancel(r.Context())
	defer c.cancel()
	if !s.open.add(c) {
		return ErrShutdown
	}
	defer c.leave()
	if err := s.readBody(c, r); err != nil {
		return err
	}
	if err := form.scan(c); err != nil {
		return err
	}
	m, err := s.needs.Models.Model(c.scan.Model)
	if err != nil {
		return err
	}
	c.tier = c.plan()
	if err := c.permitted(m); err != nil {
		return err
	}
	req, err := c.request()
	if err != nil {
		return err
	}
	n, counted := int64(0), false
	for i := range m.Routes {
		if n, counted = c.vendorCount(m, &m.Routes[i], req); counted {
			break
		}
	}
	if !counted {
		n = estimateTokens(req)
		w.Header().Set("X-Rephlo-Estimated", "true")
	}
	body := append(wire.Int([]byte{'{'}, form.field, n), '}')
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a client that left does not want it
	return nil
}

// vendorCount asks the vendor of a route, if it counts. A vendor that fails to
// does not keep us from estimating.
func (c *call) vendorCount(m *catalog.Model, r *catalog.Route, req *llm.Request) (int64, bool) {
	v, ok := c.s.needs.Vendors[r.Provider.Vendor].(llm.TokenCounter)
	if !ok {
		return 0, false
	}
	c.model, c.route = m, r
	defer func() { c.model = nil }() // there is nothing to settle
	c.enter(phaseBusy)
	n, err := v.CountTokens(c.ctx, c.target(), req)
	if err != nil {
		c.s.needs.Log.InfoContext(c.ctx, "vendor did not count", "provider", r.Provider.Name, "err", err)
		return 0, false
	}
	return n, true
}

// estimateTokens counts the whole request by our own tokenizer: system, tools,
// schema and messages, and what is around them.
func estimateTokens(r *llm.Request) int64 {
	var text []byte
	n := int64(perMessage * (len(r.Messages) + 1))
	var parts func(all []llm.Part)
	parts = func(all []llm.Part) {
		for i := range all {
			p := &all[i]
			text = append(append(text, p.Text...), '\n')
			switch {
			case p.Call != nil:
				text = append(append(text, p.Call.Name...), p.Call.Arguments...)
				n += perMessage
			case p.Result != nil:
				n += perMessage
				parts(p.Result.Parts)
			case p.Media != nil && p.Media.Text != "":
				text = append(text, p.Media.Text...)
			case p.Media != nil && p.Kind == llm.PartImage:
				n += imageTokens
			case p.Media != nil:
				n += max(fileTokens, int64(len(p.Media.Data))/20)
			}
		}
	}
	for i := range r.Messages {
		parts(r.Messages[i].Parts)
	}
	for _, t := range r.Tools {
		text = append(append(append(append(text, t.Name...), ' '), t.Description...), t.Parameters...)
		n += perMessage
	}
	text = append(text, r.Format.Schema...)
	return n + countTokens(text)
}
