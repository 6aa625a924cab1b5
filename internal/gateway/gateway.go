package gateway

import (
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/cache"
	"github.com/rephlo/rephlo/internal/capture"
	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/gateway/route"
	"github.com/rephlo/rephlo/internal/gateway/turn"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/obs"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/tier"
	"github.com/rephlo/rephlo/internal/usage"
)

// Faults of model calls.
var (
	ErrUnverified  = fault.New(fault.Forbidden, "email_not_verified", "Confirm your e-mail address first: follow the link that was sent to it, or ask for a new one.").Final()
	ErrTestKey     = fault.New(fault.Forbidden, "model_not_allowed_for_key", "A test key can only call the test models, such as test-echo. Use a live key for this model.").At("model").Final()
	ErrRange       = fault.New(fault.Invalid, "parameter_out_of_range", "A parameter is out of its range.").Final()
	ErrUnsupported = llm.ErrUnsupported
	ErrContext     = fault.New(fault.Invalid, "context_length_exceeded", "The request is longer than the model's context. Send less.").At("messages").Final()
	ErrMedia       = fault.New(fault.UnsupportedMedia, "unsupported_media_type", "Send the body uncompressed with Content-Type: application/json.")
	ErrSlowBody    = fault.New(fault.Invalid, "invalid_request", "The body did not arrive in time, or ended too early. Send it again.")
	ErrOverloaded  = fault.New(fault.Unavailable, "overloaded", "The server is handling as much as it can. Try again in a moment.").After(2 * time.Second)
	ErrShutdown    = fault.New(fault.Unavailable, "server_shutting_down", "The server is restarting. Try again in a few seconds.").After(5 * time.Second)
)

// Authenticator says who sent a request, from its head alone.
type Authenticator interface {
	Authenticate(r *http.Request) (access.Actor, error)
}

// Needs is what a Service works with.
type Needs struct {
	Auth    Authenticator
	Models  *catalog.Service
	Credits *credit.Service
	Usage   *usage.Service
	Vendors map[string]llm.Vendor // by name
	Routes  *route.Table          // how the deployments do
	Terms   func() money.Terms    // how vendor prices become credits, of a call that begins now
	Tiers   *tier.Table           // what there is to buy; nil: nothing
	Plans   Plans                 // who has what; nil: all have tier.Unlimited
	// Margin is by what a vendor's prices are multiplied, in basis points, for a
	// call of a tier that begins at a moment, whichever Terms say; nil: by those.
	Margin func(tier, provider, model string, at time.Time) int64
	// Own returns a tier with the limits of its own that somebody has, from
	// memory; nil: nobody has any.
	Own func(userID string, t *tier.Tier) *tier.Tier
	// InFlight is how many calls there may be at once before the rest wait, as a
	// beginning; nil: 512.
	InFlight func() int64
	// AppLimit returns what somebody lets an app spend in a calendar month (UTC),
	// from memory; 0: no limit. AppPurse names where that is counted. nil: there
	// are no such limits.
	AppLimit func(userID, clientID string) money.Credits
	AppPurse func(userID, clientID string) string
	// Counters keep the limits; nil: those of this process alone.
	Counters *cache.Counters
	// Kept has the answers that may be given again; nil: none may.
	Kept *cache.Kept
	// ChargeKept says whether such an answer costs what it cost at first; nil: it
	// costs nothing.
	ChargeKept func() bool
	// Pictures loads images for vendors that load none, while FetchImages allows
	// it; nil: none are.
	Pictures    Pictures
	FetchImages func() bool
	// Captures keeps what is asked and answered, of who wants that; nil: nothing.
	Captures *capture.Service
	Log      *slog.Logger
	Now      func() time.Time

	// TopUpURL is where people without credits are sent.
	TopUpURL string
	// DocURL precedes an error's code in its doc_url.
	DocURL string
	// TagKey names accounts of providers in opaque state that clients keep.
	TagKey []byte
	// HoldFirst lets the vendor wait until the hold is durable, so that no call
	// costs us anything without a record; else both happen at the same time.
	HoldFirst bool
	// Tracer sends the spans of some calls; nil traces none.
	Tracer *obs.Tracer
	// HideVendor leaves out the header that names who served a call.
	HideVendor bool

	Limits Limits
}

// Limits bound what calls may take. Zero fields have the defaults.
type Limits struct {
	Body       int64         // bytes of one body; 32 MiB
	Bodies     int64         // bytes of all bodies at once; 256 MiB
	Answer     int64         // bytes of an answer without stream; 64 MiB
	Output     int64         // output limit of a call that names none; 16,384 tokens
	Detached   int64         // answers that are read on although nobody waits for them; 64
	BodyTime   time.Duration // for a body to arrive, and 1 s more per 64 KiB; 10 s
	Head       time.Duration // without content until a stream's head goes out; 10 s
	Ping       time.Duration // of silence until a heartbeat; 15 s
	Write      time.Duration // for one write to a client; 30 s
	Turn       time.Duration // waiting for a place among the calls in flight; 2 s
	Gate       time.Duration // for the ledger to be durable; 5 s
	Linger     time.Duration // reading an answer without stream on after its client left; 60 s
	Drain      time.Duration // and a stream of a provider that bills it to its end; 15 s
	Progress   time.Duration // between reports of a running stream; 2 s
	Renew      time.Duration // between reports of a silent call; 60 s
	Retry      time.Duration // after which no new try starts; 120 s
	Resolution time.Duration // of all times above; 250 ms
	Upstream   llm.Timeouts  // of one try; zero fields have the vendor's defaults
}

func (l Limits) withDefaults() Limits {
	size := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	span := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	size(&l.Body, 32<<20)
	size(&l.Bodies, 256<<20)
	size(&l.Answer, 64<<20)
	size(&l.Output, 16_384)
	size(&l.Detached, 64)
	span(&l.BodyTime, 10*time.Second)
	span(&l.Head, 10*time.Second)
	span(&l.Ping, 15*time.Second)
	span(&l.Write, 30*time.Second)
	span(&l.Turn, 2*time.Second)
	span(&l.Gate, 5*time.Second)
	span(&l.Linger, 60*time.Second)
	span(&l.Drain, 15*time.Second)
	span(&l.Progress, 2*time.Second)
	span(&l.Renew, 60*time.Second)
	span(&l.Retry, 120*time.Second)
	span(&l.Resolution, 250*time.Millisecond)
	return l
}

// Service carries calls. It is safe for concurrent use.
type Service struct {
	needs  Needs
	limits Limits
	bodies budget
	turns  *turn.Queue
	open   registry
	pulse  pulse
	begin  sync.Once
	free   pricing.Prices // what a test key pays
	short  shortfalls
	timed  timed

	replays replays
	tally   tally
	tags    sync.Map // accountTag by the name of a provider
}

// New returns a Service that takes calls until Drain.
func New(n Needs) *Service {
	s := &Service{needs: n, limits: n.Limits.withDefaults()}
	if s.needs.Tiers == nil {
		s.needs.Tiers = tier.NewTable()
	}
	if s.needs.Counters == nil {
		s.needs.Counters = cache.New(cache.Needs{Log: n.Log, Now: n.Now})
	}
	if s.needs.Plans == nil {
		s.needs.Plans = Everybody(tier.Unlimited)
	}
	s.bodies.limit = s.limits.Bodies
	if s.needs.InFlight == nil {
		s.needs.InFlight = func() int64 { return inFlight }
	}
	s.turns = turn.New(turn.Options{Limit: s.needs.InFlight(), Wait: s.limits.Turn, Most: mostWaiting})
	s.open.init()
	s.pulse.init()
	return s
}
