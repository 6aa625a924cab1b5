package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/cache"
	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/egress"
	"github.com/rephlo/rephlo/internal/gateway"
	"github.com/rephlo/rephlo/internal/gateway/route"
	"github.com/rephlo/rephlo/internal/limit"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/vendors/anthropic"
	"github.com/rephlo/rephlo/internal/llm/vendors/azure"
	"github.com/rephlo/rephlo/internal/llm/vendors/compat"
	"github.com/rephlo/rephlo/internal/llm/vendors/google"
	vendortest "github.com/rephlo/rephlo/internal/llm/vendors/test"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/secret"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/tier"
	"github.com/rephlo/rephlo/internal/usage"
	"github.com/rephlo/rephlo/internal/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	plantedKey = "sk-planted-4f9a2c7e1b"
	user       = "usr_ada"
)

// vendor is another company's service: it speaks their protocol and records
// what it got.
type vendor struct {
	*httptest.Server
	answer atomic.Pointer[http.HandlerFunc]
	calls  atomic.Int64
	gone   chan struct{} // one for each call whose client left

	mu     sync.Mutex
	bodies [][]byte      // guarded by mu
	paths  []string      // guarded by mu
	heads  []http.Header // guarded by mu
}

func newVendor(t testing.TB) *vendor {
	t.Helper()
	v := &vendor{gone: make(chan struct{}, 2000)}
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		v.calls.Add(1)
		v.mu.Lock()
		v.bodies = append(v.bodies, body)
		v.paths = append(v.paths, r.URL.RequestURI())
		v.heads = append(v.heads, r.Header.Clone())
		v.mu.Unlock()
		(*v.answer.Load())(w, r)
		if r.Context().Err() != nil {
			v.gone <- struct{}{}
		}
	}))
	t.Cleanup(v.Close)
	return v
}

func (v *vendor) does(h http.HandlerFunc) { v.answer.Store(&h) }

func (v *vendor) lastBody() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return string(v.bodies[len(v.bodies)-1])
}

func (v *vendor) lastPath() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.paths[len(v.paths)-1]
}

// says answers with one JSON object.
func says(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// answersEach answers with JSON that depends on the request. One after the
// other.
func (w *world) answersEach(f func(body string) string) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) { says(200, f(w.one.lastBody()))(rw, r) }
}

// streams sends each part and flushes; a part that is not an event is an
// instruction: "cut" aborts, "wait" waits until the client has left.
func streams(parts ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		send(w, r, parts...)
	}
}

// send is the body of streams.
func send(w http.ResponseWriter, r *http.Request, parts ...string) {
	for _, p := range parts {
		switch p {
		case "cut":
			panic(http.ErrAbortHandler)
		case "wait":
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, p)
		w.(http.Flusher).Flush()
	}
}

const (
	okAnswer = `{"id":"chatcmpl-1","object":"chat.completion","model":"vm","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}`
	role     = `data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}` + "\n\n"
	stop     = `data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	total    = `data: {"id":"c","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}` + "\n\n"
	done     = "data: [DONE]\n\n"
)

func token(text string) string {
	return `data: {"id":"c","choices":[{"index":0,"delta":{"content":"` + text + `"}}]}` + "\n\n"
}

// brokenVendor is a vendor with a bug: it panics, or its body does after what
// it has.
type brokenVendor struct {
	panics atomic.Bool
	body   string
}

func (*brokenVendor) Native(llm.Op) bool { return true }

func (v *brokenVendor) Forward(context.Context, llm.Target, llm.Call) (llm.Reply, error) {
	if v.panics.Load() {
		panic("a bug in a vendor")
	}
	return llm.Reply{Length: -1, Body: &brokenBody{left: v.body}}, nil
}

type brokenBody struct{ left string }

func (b *brokenBody) Read(p []byte) (int, error) {
	if b.left == "!" {
		panic("a bug in a body")
	}
	n := copy(p, b.left[:len(b.left)-1])
	b.left = b.left[n:]
	return n, nil
}

func (*brokenBody) Close() error { return nil }

// fakeAuth knows users by the Authorization header.
type fakeAuth struct{}

func (fakeAuth) Authenticate(r *http.Request) (access.Actor, error) {
	all := []string{access.ScopeInference, access.ScopeModels}
	credential := r.Header.Get("Authorization")
	if credential == "" {
		credential = "Bearer " + r.Header.Get("X-Api-Key")
	}
	switch credential {
	case "Bearer live":
		return access.Actor{UserID: user, KeyID: "key_1", Verified: true, Scopes: all}, nil
	case "Bearer test":
		return access.Actor{UserID: user, KeyID: "key_2", Test: true, Verified: true, Scopes: all}, nil
	case "Bearer unverified":
		return access.Actor{UserID: user, Scopes: all}, nil
	case "Bearer reader":
		return access.Actor{UserID: user, Verified: true, Scopes: []string{access.ScopeModels}}, nil
	case "Bearer narrow":
		return access.Actor{UserID: user, KeyID: "key_3", Key: &access.Policy{Models: []string{"m"}}, Verified: true, Scopes: all}, nil
	case "Bearer thrifty":
		return access.Actor{UserID: user, KeyID: "key_4", Key: &access.Policy{CreditsTotal: money.Credit}, Verified: true, Scopes: all}, nil
	case "Bearer daily":
		return access.Actor{UserID: user, KeyID: "key_5", Key: &access.Policy{CreditsPerDay: money.Credit, CreditsPerMonth: 5 * money.Credit}, Verified: true, Scopes: all}, nil
	case "Bearer slow":
		return access.Actor{UserID: user, KeyID: "key_6", Key: &access.Policy{RequestsPerMinute: 1}, Verified: true, Scopes: all}, nil
	case "Bearer keeping":
		return access.Actor{UserID: user, KeyID: "key_7", Key: &access.Policy{Cache: true}, Verified: true, Scopes: all}, nil
	case "Bearer keeping2":
		return access.Actor{UserID: user, KeyID: "key_8", Key: &access.Policy{Cache: true}, Verified: true, Scopes: all}, nil
	case "Bearer counted":
		return access.Actor{UserID: user, KeyID: "key_9", Key: &access.Policy{Cache: true, RequestsPerMinute: 10, TokensPerMinute: 1000}, Verified: true, Scopes: all}, nil
	case "Bearer bob":
		return access.Actor{UserID: "usr_bob", KeyID: "key_7", Key: &access.Policy{Cache: true}, Verified: true, Scopes: all}, nil
	case "Bearer copied":
		return access.Actor{UserID: user, KeyID: "key_10", Key: &access.Policy{Capture: true}, Verified: true, Scopes: all}, nil
	case "Bearer app", "Bearer otherapp":
		return access.Actor{UserID: user, ClientID: strings.TrimPrefix(credential, "Bearer "), Verified: true, Scopes: all}, nil
	case "Bearer poor":
		return access.Actor{UserID: "usr_poor", Verified: true, Scopes: all}, nil
	}
	return access.Actor{}, access.ErrNoCredential
}

func (w *world) ownLimits(_ string, t *tier.Tier) *tier.Tier {
	if o := w.own.Load(); o != nil {
		return o.Over(t)
	}
	return t
}

// appLimit is what "app" may spend.
func appLimit(_, clientID string) money.Credits {
	if clientID == "app" {
		return money.Credit
	}
	return 0
}

// plans says who has which tier; others have no limits.
type plans struct {
	mu sync.Mutex
	of map[string]string // guarded by mu
}

func (p *plans) TierOf(userID string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if name, ok := p.of[userID]; ok {
		return name
	}
	return tier.Unlimited
}

// set gives the user a tier.
func (p *plans) set(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of[user] = name
}

// world is the gateway with everything real but the vendors, which are servers
// of the test.
type world struct {
	margins map[string]int64 // by model; set before any call
	t       testing.TB
	db      *sqldb.DB
	one     *vendor       // serves m first
	two     *vendor       // serves m when one fails
	vendor  *brokenVendor // serves the model broken
	watched *watched      // forwards to one and two
	models  *catalog.Service
	plans   plans
	own     atomic.Pointer[limit.Override] // of user; nil: those of the tier
	credits *credit.Service
	calls   *gateway.Service
	routes  *route.Table
	// remembers says that a failed call counts against the next one; else each
	// request finds all deployments well.
	remembers bool
	api       *httptest.Server
	log       *syncBuffer
	logger    *slog.Logger
	client    *http.Client
}

// syncBuffer is what the log is written to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

var vendorPrices = pricing.Prices{Input: 1_000_000, CacheRead: pricing.At(100_000), Output: 2_000_000, Reasoning: pricing.At(4_000_000)}

// quick are limits with which a test need not wait.
func quick() gateway.Limits {
	return gateway.Limits{
		Resolution: 5 * time.Millisecond, Upstream: llm.Timeouts{FirstByte: 2 * time.Second, Idle: 2 * time.Second, Total: 10 * time.Second},
	}
}

// run tests on both engines, with credits for the user.
func run(t *testing.T, limits gateway.Limits, balance money.Credits, test func(t *testing.T, w *world)) {
	t.Helper()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) { test(t, newWorld(t, db, limits, balance)) })
}

// newWorld also has the providers more.
func newWorld(t testing.TB, db *sqldb.DB, limits gateway.Limits, balance money.Credits, more ...catalog.ProviderConfig) *world {
	t.Helper()
	w := &world{t: t, db: db, one: newVendor(t), two: newVendor(t), vendor: &brokenVendor{}, log: &syncBuffer{}, watched: &watched{seens: map[string]*seen{}}}
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.logger = log
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	model := func(id string) catalog.ModelConfig {
		return catalog.ModelConfig{ID: id, VendorModel: "vm", ContextLength: 10_000, MaxOutput: 1000, Prices: vendorPrices}
	}
	cheap := model("cheap")
	cheap.VendorModel, cheap.Prices = "vc", pricing.Prices{Input: 10_000, Output: 20_000}
	failing, dear := model("failing"), model("dear")
	failing.Fallbacks = []catalog.Fallback{{Model: "dear"}, {Model: "cheap", On: []catalog.Cause{catalog.CauseContext, catalog.CauseServer}}}
	dear.VendorModel, dear.Prices = "vd", pricing.Prices{Input: 4_000_000, Output: 8_000_000}
	shared := model("shared")
	shared.Priority = 1
	drained := model("drained")
	configured := func(name string, v *vendor, models ...catalog.ModelConfig) catalog.ProviderConfig {
		return catalog.ProviderConfig{Name: name, Vendor: "compat", BaseURL: v.URL, Key: secret.New(plantedKey), AllowPrivate: true, Models: models}
	}
	bugs := configured("bugs", w.one, model("broken"))
	bugs.Vendor = "openai"
	claude := model("claude")
	claude.VendorModel, claude.Capabilities = "claude-v", []string{"text", "reasoning", "adaptive_thinking"}
	claudes := configured("claudes", w.one, claude)
	claudes.Vendor = "anthropic"
	gem := model("gem")
	gem.VendorModel = "gem-v"
	geminis := configured("geminis", w.one, gem)
	geminis.Vendor = "google"
	azures := configured("azures", w.one, model("az"))
	azures.Vendor, azures.BaseURL = "azure", azures.BaseURL+"/openai/v1"
	azures.Models[0].VendorModel = "prod"
	dated := configured("dated", w.one, model("az-dated"))
	dated.Vendor, dated.BaseURL, dated.Options.APIVersion = "azure", dated.BaseURL+"/openai", "2024-10-21"
	dated.Models[0].VendorModel = "prod-old"
	drains := configured("drains", w.one, drained)
	drains.Options.Drain = true
	w.plans.of = map[string]string{}
	w.models = catalog.New(catalog.Needs{
		DB: db, Bus: bus.New(db, log, time.Now), Box: box, Log: log, Now: time.Now, Terms: pricing.DefaultTerms, Tiers: tier.Seeds(),
		Providers: append([]catalog.ProviderConfig{
			configured("one", w.one, model("m"), model("single"), cheap, failing, shared), configured("two", w.two, model("m"), dear, shared), bugs, drains, claudes, geminis, azures, dated,
		}, more...),
	})
	records := usage.New(usage.Needs{DB: db, Now: time.Now, Cursors: list.NewCursors(make([]byte, 32))})
	w.credits = credit.New(credit.Needs{DB: db, Log: log, Now: time.Now, Node: "node", Records: records})
	for _, start := range []func(context.Context) error{w.models.Start, w.credits.Start} {
		if err := start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if balance > 0 {
		w.grant(user, balance)
	}
	client := egress.NewClient(egress.Options{})
	w.routes = route.NewTable(log, time.Now)
	w.calls = gateway.New(gateway.Needs{
		Routes: w.routes, Auth: fakeAuth{}, Models: w.models, Tiers: tier.Seeds(), Plans: &w.plans, Own: w.ownLimits, AppLimit: appLimit, AppPurse: func(userID, clientID string) string { return userID + "/app/" + clientID }, Credits: w.credits, Usage: records, Log: log, Now: time.Now, Terms: pricing.DefaultTerms,
		Margin: func(_, _, model string, _ time.Time) int64 {
			if m := w.margins[model]; m > 0 {
				return m
			}
			return pricing.DefaultTerms().Multiplier
		},
		Kept:    cache.NewKept(cache.KeptNeeds{Now: time.Now, Limit: 1 << 20}),
		Vendors: map[string]llm.Vendor{"compat": watchedCompat{compat.New(client, time.Now), w.watched}, "anthropic": watchedAnthropic{anthropic.New(client, time.Now), w.watched}, "test": vendortest.New(), "openai": w.vendor, "azure": azure.New(client, time.Now), "google": watchedGoogle{google.New(client, time.Now), w.watched}}, TopUpURL: "https://rephlo.test/billing", DocURL: "https://rephlo.test/docs/errors/", Limits: limits,
	})
	m := web.NewMux(web.Config{Log: log})
	gateway.API{Calls: w.calls}.Mount(m)
	w.api = httptest.NewServer(m)
	w.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 300}}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := w.calls.Drain(ctx); err != nil {
			t.Errorf("drain: %v", err)
		}
		w.client.CloseIdleConnections()
		w.api.Close()
		client.Close()
		w.check(ctx)
		if err := w.credits.Stop(ctx); err != nil {
			t.Error(err)
		}
		w.models.Stop()
	})
	return w
}

func (w *world) grant(to string, amount money.Credits) {
	w.t.Helper()
	_, err := w.credits.Grant(w.t.Context(), credit.NewGrant{User: to, Source: credit.Bonus, Ref: "adm:" + to, Amount: amount})
	if err != nil {
		w.t.Fatal(err)
	}
}

// check is what must hold at the end of every test.
func (w *world) check(ctx context.Context) {
	w.t.Helper()
	// What is in the database was written a moment before its writer says so.
	for end := time.Now().Add(10 * time.Second); w.credits.Stats().Open+w.calls.Open() != 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if open := w.credits.Stats().Open; open != 0 {
		w.t.Errorf("%d holds are open at the end", open)
	}
	if w.calls.Open() != 0 {
		w.t.Errorf("%d calls are open at the end", w.calls.Open())
	}
	if _, err := w.credits.Verify(ctx, credit.VerifyOptions{}, func(f credit.Finding) { w.t.Errorf("verify: %s", f) }); err != nil {
		w.t.Error(err)
	}
	if strings.Contains(w.log.String(), plantedKey) {
		w.t.Error("the log has the provider's key")
	}
}

// reply is an answer that was read to its end.
type reply struct {
	status  int
	header  http.Header
	trailer http.Header
	body    string
	err     error
}

func (w *world) request(ctx context.Context, body string, header ...string) *http.Request {
	if !w.remembers {
		w.routes.Forget(func(route.ID) bool { return false })
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.api.URL+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer live")
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func (w *world) post(body string, header ...string) reply {
	return w.do(w.request(w.t.Context(), body, header...))
}

func (w *world) do(r *http.Request) reply {
	res, err := w.client.Do(r)
	if err != nil {
		return reply{err: err}
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, res.Trailer, string(b), err}
}

// code returns the error code of an answer.
func (r reply) code() string {
	var body struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	_ = json.Unmarshal([]byte(r.body), &body) // no code then
	return body.Error.Code
}

// record is the usage record of the newest call.
type record struct {
	Status, Ending, Source, Provider    string
	Suspect                             bool
	Input, CacheRead, Output, Reasoning int64
	Charged                             money.Credits
}

// last waits until want records are written and returns the newest.
func (w *world) last(want int) record {
	w.t.Helper()
	records := w.records(want)
	if len(records) == 0 {
		return record{}
	}
	return records[0]
}

func (w *world) records(want int) []record {
	w.t.Helper()
	s := usage.New(usage.Needs{DB: w.db, Now: time.Now, Cursors: list.NewCursors(make([]byte, 32))})
	deadline := time.Now().Add(15 * time.Second)
	for {
		entries, _, err := s.List(w.t.Context(), user, usage.Filter{}, 100, "")
		if err != nil {
			w.t.Fatal(err)
		}
		if len(entries) >= want {
			var out []record
			for _, e := range entries {
				out = append(out, record{e.Status, e.Ending, e.Source, e.Provider, e.Suspect, e.Counts.Input, e.Counts.CacheRead, e.Counts.Output, e.Counts.Reasoning, e.Charged})
			}
			return out
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%d usage records, want %d", len(entries), want)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func chat(model, rest string) string {
	return fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"Say hello"}]%s}`, model, rest)
}

// events reads an answer event by event.
type events struct {
	res *http.Response
	b   *bufio.Reader
}

func (w *world) open(ctx context.Context, body string) events {
	w.t.Helper()
	res, err := w.client.Do(w.request(ctx, body))
	if err != nil {
		w.t.Fatal(err)
	}
	return events{res, bufio.NewReader(res.Body)}
}

// next returns the next line that is not empty.
func (e events) next() (string, error) {
	for {
		line, err := e.b.ReadString('\n')
		if line = strings.TrimSpace(line); line != "" || err != nil {
			return line, err
		}
	}
}
