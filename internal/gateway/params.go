package gateway

import (
	"slices"

	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/relay"
)

// ErrConflict answers two parameters that exclude each other.
var ErrConflict = fault.New(fault.Invalid, "parameter_conflict", "Two parameters exclude each other. Send one of them.").Final()

// constrain applies what the model of the call takes of each parameter to the
// body: it refuses the call, or changes the body and scans it again.
func (c *call) constrain() error {
	if c.op.op == llm.OpTranscriptions { // a form, whose parts are not counted among the parameters
		return nil
	}
	body, warnings, err := constrained(c.model.Constraints, c.body.b)
	if err != nil || body == nil {
		return err
	}
	if err := c.replaceBody(body); err != nil {
		return err
	}
	c.warn(warnings)
	return c.rescan()
}

func (c *call) rescan() error {
	return c.op.scan(c)
}

// replaceBody makes body what is sent. It counts in the budget like the first;
// that is kept for as long as a fallback may need it as it came.
func (c *call) replaceBody(body []byte) error {
	n := int64(len(body))
	if !c.s.bodies.try(n) {
		return ErrOverloaded
	}
	c.counted += n
	if c.came == nil {
		c.came = c.body
	}
	c.body = &buffer{b: body}
	return nil
}

// fits reports whether m takes the parameters of the request as it came.
func (c *call) fits(m *catalog.Model) bool {
	if len(m.Constraints) == 0 {
		return true
	}
	_, _, err := constrained(m.Constraints, c.asItCame())
	return err == nil
}

func (c *call) asItCame() []byte {
	if c.came != nil {
		return c.came.b
	}
	return c.body.b
}

// adapt gives the body the form that m takes, after another model had its own.
func (c *call) adapt(m *catalog.Model) error {
	if len(m.Constraints) == 0 && c.came == nil {
		return nil
	}
	body, warnings, err := constrained(m.Constraints, c.asItCame())
	if err != nil {
		return err
	}
	if body == nil {
		body = slices.Clone(c.asItCame())
	}
	if err := c.replaceBody(body); err != nil {
		return err
	}
	c.warn(warnings)
	return c.rescan()
}

// constrained returns the body as the constraints want it, or nil when it is so
// already. The order of the checks is part of the contract.
func constrained(all catalog.Constraints, body []byte) ([]byte, []llm.Warning, error) {
	if len(all) == 0 {
		return nil, nil, nil
	}
	p := parameters{all: all}
	relay.Members(body, func(m relay.Member) bool {
		p.sent = append(p.sent, m)
		return true
	})
	for _, step := range []func() error{p.unsupported, p.conflicts, p.ranges, p.defaults, p.renames} {
		if err := step(); err != nil {
			return nil, nil, err
		}
	}
	if len(p.changes) == 0 && len(p.add) == 0 {
		return nil, nil, nil
	}
	slices.SortFunc(p.changes, func(a, b relay.Change) int { return a.Start - b.Start })
	return relay.Rewrite(body, p.changes, p.add), p.warnings, nil
}

// parameters are the fields of a request while constraints are applied.
type parameters struct {
	all      catalog.Constraints
	sent     []relay.Member // those that are left
	changes  []relay.Change
	add      []byte
	filled   []string // by defaults
	warnings []llm.Warning
}

func (p *parameters) unsupported() error {
	left := p.sent[:0]
	for _, m := range p.sent {
		c, ok := p.all[string(m.Name)]
		switch {
		case !ok || c.Unsupported == "":
			left = append(left, m)
		case c.Unsupported == catalog.Reject && !null(m):
			return ErrUnsupported.At(string(m.Name)).Saying("This model does not take the parameter %s. Leave it out, or use another model.", m.Name)
		default:
			p.changes = append(p.changes, relay.Change{Start: m.Start})
			if !null(m) {
				p.warnings = append(p.warnings, llm.Warning{Kind: llm.Dropped, Param: string(m.Name)})
			}
		}
	}
	p.sent = left
	return nil
}

func null(m relay.Member) bool { return string(m.Value) == "null" }

// has reports whether a parameter was sent with a value.
func (p *parameters) has(name string) bool {
	return slices.ContainsFunc(p.sent, func(m relay.Member) bool { return string(m.Name) == name && !null(m) })
}

func (p *parameters) conflicts() error {
	for _, m := range p.sent {
		if null(m) {
			continue
		}
		for _, other := range p.all[string(m.Name)].Excludes {
			if p.has(other) {
				return ErrConflict.At(string(m.Name)).Saying("This model does not take %s and %s together. Send one of them.", m.Name, other)
			}
		}
	}
	return nil
}

func (p *parameters) ranges() error {
	for _, m := range p.sent {
		c, ok := p.all[string(m.Name)]
		if !ok {
			continue
		}
		if problem := c.Refuses(m.Value); problem != "" {
			f := ErrRange.At(string(m.Name)).Saying("The parameter %s is not possible with this model: %s.", m.Name, problem)
			if c.Min != nil {
				f = f.With("minimum", *c.Min)
			}
			if c.Max != nil {
				f = f.With("maximum", *c.Max)
			}
			return f
		}
	}
	return nil
}

// defaults fills what was not sent, unless a parameter is there that excludes
// it, in the order of the names.
func (p *parameters) defaults() error {
	for _, name := range p.all.Defaults() {
		c := p.all[name]
		if slices.ContainsFunc(p.sent, func(m relay.Member) bool { return string(m.Name) == name }) {
			continue
		}
		excluded := func(other string) bool { return p.has(other) || slices.Contains(p.filled, other) }
		if slices.ContainsFunc(c.Excludes, excluded) || slices.ContainsFunc(p.sent, func(m relay.Member) bool {
			return !null(m) && slices.Contains(p.all[string(m.Name)].Excludes, name)
		}) {
			continue
		}
		p.filled = append(p.filled, name)
		if c.Rename != "" {
			if p.has(c.Rename) {
				continue // the client says it in the vendor's words
			}
			name = c.Rename
		}
		if len(p.add) > 0 {
			p.add = append(p.add, ',')
		}
		p.add = append(append(append(p.add, '"'), name...), `":`...)
		p.add = append(p.add, c.Default...)
	}
	return nil
}

func (p *parameters) renames() error {
	for _, m := range p.sent {
		to := p.all[string(m.Name)].Rename
		if to == "" {
			continue
		}
		if slices.ContainsFunc(p.sent, func(o relay.Member) bool { return string(o.Name) == to }) {
			return ErrConflict.At(string(m.Name)).Saying("%s and %s are the same for this model. Send one of them.", m.Name, to)
		}
		p.changes = append(p.changes, relay.Change{Start: m.Start, Name: to})
	}
	return nil
}
