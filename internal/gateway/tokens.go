package gateway

import (
	"context"
	"net/http"
	"strconv"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/relay"
	"github.com/rephlo/rephlo/internal/llm/wire"
)

// countMessages is POST /v1/messages/count_tokens. Anthropic counts for its own
// models; for others it is our estimate, which X-Rephlo-Estimated says. It is
// free, and makes no record.
func (s *Service) countMessages(w http.ResponseWriter, r *http.Request) error {
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
	c := &call{s: s, op: opMessages, w: w, r: r, actor: actor, began: s.needs.Now()}
	c.ctx, c.cancel = context.WithCancel(r.Context())
	defer c.cancel()
	if !s.open.add(c) {
		return ErrShutdown
	}
	defer c.leave()
	if err := s.readBody(c, r); err != nil {
		return err
	}
	if c.scan, err = relay.ScanRequest(llm.OpMessages, c.body.b); err != nil {
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
	body := append(wire.Int([]byte{'{'}, "input_tokens", n), '}')
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
