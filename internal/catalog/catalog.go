package catalog

import (
	"slices"
	"strings"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/secret"
)

// TestProvider is the name and the vendor of the provider that is built in.
const TestProvider = "test"

// Changed is the kind of the bus message after which every process reloads.
const Changed = "catalog.changed"

// State says whether a model is offered.
type State string

// The states of a model. Legacy ones can be called; draft ones are hidden.
const (
	StateDraft    State = "draft"
	StateActive   State = "active"
	StateLegacy   State = "legacy"
	StateArchived State = "archived"
)

// Faults of a model that somebody asked for by name.
var (
	ErrNotFound = fault.New(fault.NotFound, "model_not_found", "There is no model of this name. GET /v1/models lists the models.").At("model")
	ErrRetired  = fault.New(fault.NotFound, "model_retired", "This model is no longer offered. GET /v1/models lists the models.").At("model")
)

// Provider is a configured account at a vendor. It is immutable.
type Provider struct {
	Name, Vendor, BaseURL string
	KeyID                 string        // names the key; empty where the service wants none
	Key                   secret.String // empty where the service wants none
	AllowPrivate          bool
	Options               Options
	Timeouts              Timeouts
	// Credential tells this key from another of the provider; it is no secret.
	Credential uint64
}

// Options are what a provider may do differently from others of its vendor,
// mostly of the vendor compat. The zero value fits a service that does all as
// OpenAI does.
type Options struct {
	// Headers are sent with every call.
	Headers map[string]string `json:"headers,omitempty"`
	// NoStreamUsage says that the service refuses stream_options.
	NoStreamUsage bool `json:"noStreamUsage,omitempty"`
	// Drain reads a stream on for a while when its client has left, because the
	// service bills it to its end anyway; else it is cancelled at once.
	Drain bool `json:"drain,omitempty"`
	// NoImageURL says that the service wants images as bytes.
	NoImageURL bool `json:"noImageUrl,omitempty"`
	// MaxTokensKey names the parameter of the output limit; empty is the
	// vendor's usual one.
	MaxTokensKey string `json:"maxTokensKey,omitempty"`
	// Native are the operations beside chat completions that a service of the
	// vendor compat takes as OpenAI does: words of Natives.
	Native []string `json:"native,omitempty"`
	// APIVersion is the dated version of Azure's interface, such as 2024-10-21:
	// models are then addressed by their deployments. Empty is v1.
	APIVersion string `json:"apiVersion,omitempty"`
}

// Natives are the words of Options.Native, and what they stand for.
var Natives = map[string][]llm.Op{
	"responses":   {llm.OpResponses},
	"completions": {llm.OpCompletions},
	"embeddings":  {llm.OpEmbeddings},
	"images":      {llm.OpImages},
	"audio":       {llm.OpTranscriptions, llm.OpSpeech},
	"moderations": {llm.OpModerations},
}

// Takes reports whether the provider takes an operation as it is, as far as its
// vendor's protocol has it.
func (p *Provider) Takes(op llm.Op) bool {
	switch {
	case p.Vendor == "azure":
		return op != llm.OpResponses || p.Options.APIVersion == ""
	case p.Vendor != "compat", op == llm.OpChat:
		return true
	}
	for _, word := range p.Options.Native {
		if slices.Contains(Natives[word], op) {
			return true
		}
	}
	return false
}

// Timeouts bound the phases of a call at a provider; zero fields have the
// defaults. In JSON they are milliseconds.
type Timeouts struct {
	FirstByteMS int64 `json:"firstByteMs,omitempty"`
	IdleMS      int64 `json:"idleMs,omitempty"`
	TotalMS     int64 `json:"totalMs,omitempty"`
}

// KeyState says whether a key of a provider takes calls.
type KeyState string

// The states of a key. A draining one gets no new calls; a disabled one was
// refused by the vendor, or switched off.
const (
	KeyActive   KeyState = "active"
	KeyDraining KeyState = "draining"
	KeyDisabled KeyState = "disabled"
)

// Route is a deployment: a vendor's model at a provider, called with one of the
// provider's keys.
type Route struct {
	Provider         *Provider // with the key
	VendorModel      string
	Priority, Weight int64 // lower priorities first, then larger weights
	Limits           RouteLimits
	Subject          string // names the deployment where its limits are kept; empty without any
	rows             []priceRow
}

// RouteLimits bound what is sent to a deployment; 0 is no bound.
type RouteLimits struct {
	RequestsPerMinute  int64 `json:"requestsPerMinute,omitempty"`
	TokensPerMinute    int64 `json:"tokensPerMinute,omitempty"`
	ConcurrentRequests int64 `json:"concurrentRequests,omitempty"`
}

// priceRow is a row of prices and when it is valid.
type priceRow struct {
	from, until time.Time // until is zero while nothing follows
	prices      pricing.Prices
}

// Prices returns the row that is valid at now, or nil.
func (r *Route) Prices(now time.Time) *pricing.Prices {
	for i := range r.rows {
		row := &r.rows[i]
		if !now.Before(row.from) && (row.until.IsZero() || now.Before(row.until)) {
			return &row.prices
		}
	}
	return nil
}

// Model is what people call by its id. It is immutable and shared.
type Model struct {
	ID, Name      string
	Description   string
	Aliases       []string // other names, resolved like the id
	State         State
	ContextLength int64 // tokens; 0 is not known
	MaxOutput     int64 // tokens
	Capabilities  Capabilities
	Constraints   Constraints
	Access        Access
	CreatedAt     time.Time
	DeprecatedAt  time.Time // zero while it is not
	SunsetAt      time.Time // when it is archived; zero is never
	Replacement   string    // the id of the model to use instead
	Routes        []Route   // that take calls, best first
	Fallbacks     []Fallback
	// CacheFor is how long whole answers are kept for those who want it; 0: not
	// at all.
	CacheFor time.Duration

	first Route // the primary route, also while it takes no calls
}

// Fallback is another model that may answer when a model cannot.
type Fallback struct {
	Model string `json:"model"`
	// On says after which failures; empty: overloaded, server, timeout, rate.
	On []Cause `json:"on,omitempty"`
}

// Cause is a kind of failure after which a fallback may answer.
type Cause string

// The causes. Context and policy are the request's own, so they are followed
// only when they are named.
const (
	CauseOverloaded Cause = "overloaded"
	CauseServer     Cause = "server"
	CauseTimeout    Cause = "timeout"
	CauseRate       Cause = "rate"
	CauseContext    Cause = "context"
	CausePolicy     Cause = "policy"
)

// Causes are all of them.
var Causes = []Cause{CauseOverloaded, CauseServer, CauseTimeout, CauseRate, CauseContext, CausePolicy}

// After reports whether the fallback may answer after a failure of this cause.
// An empty cause is one that no fallback follows.
func (f Fallback) After(c Cause) bool {
	if len(f.On) == 0 {
		return c != "" && c != CauseContext && c != CausePolicy
	}
	return slices.Contains(f.On, c)
}

// Capabilities say what a model can do, in the words of the public list.
type Capabilities struct {
	Words      []string `json:"words"` // text, vision, function_calling, reasoning, json_schema, …
	Parameters []string `json:"parameters,omitempty"`
}

// Test reports whether the model is one of the built-in test models, which a
// test key may call for nothing.
func (m *Model) Test() bool {
	return m.first.Provider != nil && m.first.Provider.Vendor == TestProvider
}

// Prices returns the vendor's prices that a call is charged by, or nil when the
// model cannot be called. They are those of the primary route, whichever serves
// the call: neither a failure nor a drained provider changes what people pay.
func (m *Model) Prices(now time.Time) *pricing.Prices {
	if len(m.Routes) == 0 {
		return nil
	}
	return m.first.Prices(now)
}

// snapshot is everything at one moment. It is never changed.
type snapshot struct {
	models map[string]*Model // by id and by alias
	sorted []*Model          // by id
	keys   map[credentialOf]*Provider
}

// credentialOf is how routing knows a key.
type credentialOf struct {
	provider   string
	credential uint64
}

func compareRoutes(a, b Route) int {
	switch {
	case a.Priority != b.Priority:
		return int(a.Priority - b.Priority)
	case a.Weight != b.Weight:
		return int(b.Weight - a.Weight)
	case a.Provider.Name != b.Provider.Name:
		return strings.Compare(a.Provider.Name, b.Provider.Name)
	case a.VendorModel != b.VendorModel:
		return strings.Compare(a.VendorModel, b.VendorModel)
	default:
		return strings.Compare(a.Provider.KeyID, b.Provider.KeyID)
	}
}

// listed returns the models that people may see.
func (s *snapshot) listed() []*Model {
	out := make([]*Model, 0, len(s.sorted))
	for _, m := range s.sorted {
		if m.State == StateActive || m.State == StateLegacy {
			out = append(out, m)
		}
	}
	return out
}
