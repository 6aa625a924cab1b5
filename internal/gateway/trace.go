package gateway

import (
	"net/http"
	"time"

	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/obs"
	"github.com/rephlo/rephlo/internal/usage"
	"github.com/rephlo/rephlo/internal/web"
)

// traced is what is kept of a call for its spans; calls that are not traced have
// none. Names are those of OpenTelemetry's conventions for GenAI, schema 1.42.
type traced struct {
	*obs.Trace
	tries   []try
	settled usage.Entry // its ID is empty until then
}

// try is an attempt at one deployment.
type try struct {
	model      string
	route      *catalog.Route
	lane       lane
	start, end time.Time
	err        error
}

// timed are how long calls take.
type timed struct{ whole, first obs.Histogram }

// Observe shows how long calls take. Call it before the first.
func (s *Service) Observe(m *obs.Metrics) {
	s.timed.whole = m.Histogram("llm_request_seconds", "How long a model call took, from its head to its end.", callSeconds)
	s.timed.first = m.Histogram("llm_first_token_seconds", "How long a model call took to its first output.", callSeconds)
	s.replays.observe(m)
	s.tally.observe(m, s)
	s.needs.Tracer.Observe(m)
}

// callSeconds are the bounds that the conventions advise for calls.
var callSeconds = []float64{.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}

// observe counts the time of a call that ended with err, and sends its spans.
func (t *timed) observe(c *call, err error) {
	trace := ""
	if c.traced != nil {
		trace = c.traced.ID()
		c.traced.finish(c, err)
	}
	if t.whole.Observer == nil || c.entry.ID == "" {
		return
	}
	t.whole.Exemplar(c.s.needs.Now().Sub(c.began), trace)
	if c.firstByte > 0 {
		t.first.Exemplar(c.firstByte, trace)
	}
}

// operationNames are the words of the conventions for ours.
var operationNames = map[string]string{
	"chat": "chat", "response": "chat", "message": "chat", "generation": "generate_content", "completion": "text_completion", "embedding": "embeddings",
}

// providerNames are the words of the conventions for vendors, and for providers
// with OpenAI's protocol.
var providerNames = map[string]string{
	"azure": "azure.ai.openai", "google": "gcp.gemini", "xai": "x_ai", "mistral": "mistral_ai",
}

func providerName(p *catalog.Provider) string {
	name := p.Vendor
	if name == "compat" {
		name = p.Name
	}
	if known := providerNames[name]; known != "" {
		return known
	}
	return name
}

// tried remembers an attempt that began at start.
func (t *traced) tried(c *call, start time.Time, err error) {
	t.tries = append(t.tries, try{c.model.ID, c.route, c.laneOf(c.route), start, c.s.needs.Now(), err})
}

// finish makes the spans of c, which ended with err.
func (t *traced) finish(c *call, err error) {
	operation := operationNames[c.op.word]
	if operation == "" {
		operation = c.op.word
	}
	for i, a := range t.tries {
		s := obs.Span{Name: operation + " " + a.model, Start: a.start, End: a.end, Attrs: []obs.Attr{
			obs.Text("gen_ai.operation.name", operation), obs.Text("gen_ai.provider.name", providerName(a.route.Provider)),
			obs.Text("gen_ai.request.model", a.model), obs.Text("gen_ai.response.model", a.route.VendorModel),
			obs.Number("gen_ai.request.choice.count", max(c.scan.N, 1)), obs.Truth("gen_ai.request.stream", c.scan.Stream),
			obs.Number("rephlo.attempt", int64(i+1)), obs.Text("rephlo.lane", a.lane.String()),
		}}
		if c.output > 0 {
			s.Attrs = append(s.Attrs, obs.Number("gen_ai.request.max_tokens", c.output))
		}
		if a.err != nil {
			s.Failed = llm.KindOf(a.err).String()
		}
		if i == len(t.tries)-1 {
			s.Attrs = append(s.Attrs, t.counts(c)...)
		}
		t.Add(s)
	}
	status := http.StatusOK
	s := obs.Span{Name: "POST " + c.op.path, End: c.s.needs.Now()}
	if err != nil {
		f := fault.From(err)
		if status = f.Kind.Status(); status >= http.StatusInternalServerError {
			s.Failed = f.Code
		}
	}
	s.Attrs = []obs.Attr{
		obs.Text("http.request.method", http.MethodPost), obs.Text("http.route", c.op.path), obs.Number("http.response.status_code", int64(status)),
		obs.Text("rephlo.request_id", web.RequestID(c.w)), obs.Number("rephlo.attempts", int64(len(t.tries))),
	}
	if t.settled.ID != "" {
		s.Attrs = append(s.Attrs, obs.Text("rephlo.charge", t.settled.Charged.String()))
	}
	t.End(s)
}

// counts are what the vendor that answered was used for.
func (t *traced) counts(c *call) []obs.Attr {
	if t.settled.ID == "" {
		return nil
	}
	n := &t.settled.Counts
	out := []obs.Attr{
		obs.Number("gen_ai.usage.input_tokens", n.TotalInput()), obs.Number("gen_ai.usage.output_tokens", n.TotalOutput()),
		obs.Number("gen_ai.usage.cache_read.input_tokens", n.CacheRead), obs.Number("gen_ai.usage.cache_creation.input_tokens", n.CacheWrite+n.CacheWriteLong),
		obs.Number("gen_ai.usage.reasoning.output_tokens", n.Reasoning),
		obs.Text("rephlo.charge", t.settled.Charged.String()),
	}
	if c.firstByte > 0 {
		out = append(out, obs.Fraction("gen_ai.response.time_to_first_chunk", c.firstByte.Seconds()))
	}
	return out
}
