package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/gateway"
	"github.com/rephlo/rephlo/internal/gateway/route"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/llm/vendors/anthropic"
	"github.com/rephlo/rephlo/internal/llm/vendors/compat"
	"github.com/rephlo/rephlo/internal/llm/vendors/google"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/secret"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// Prices, in micro-dollars for a million tokens, with which every token shows
// in the charge and the rounding is seen.
var exactPrices = pricing.Prices{
	Input: 137_000_000, CacheRead: pricing.At(13_700_000), Output: 411_000_000, Reasoning: pricing.At(822_000_000),
}

// priced is what a call costs by the price list and docs/pricing.md, worked out
// apart from package pricing: 1.5 times the vendor's price, at a cent per
// credit, is 150 µcr per micro-dollar; rounded up to a hundredth of a credit.
func priced(input, cached, output, reasoning int64) money.Credits {
	sum := 20_550*input + 2_055*cached + 61_650*output + 123_300*reasoning
	return money.Credits((sum + 9_999) / 10_000 * 10_000)
}

// limitSent is the output limit that every case asks for.
const limitSent = 100

// held is what a call with body sets aside: a token per byte, eight for the
// message, and the output limit at the dearest class.
func held(body string) money.Credits { return priced(int64(len(body))+8, 0, 0, limitSent) }

// estimated is our own count of the input: a token for three bytes.
func estimated(body string) int64 { return (int64(len(body))+2)/3 + 8 }

// dialect is a protocol that clients and vendors speak. A further one is added
// to dialects and gets every case.
type dialect struct {
	name, vendor string
	options      catalog.Options
	path         func(model string, stream bool) string
	request      func(model string, stream, usage bool) string
	cases        func() []ending
}

var dialects = []dialect{chatDialect, messagesDialect, responsesDialect, geminiDialect}

// ending is one way in which a call can go, and what it has to cost.
type ending struct {
	name          string
	stream, usage bool             // what the client asks for
	vendor        http.HandlerFunc // what the vendor does
	// leaves says that the client leaves when the gateway waits for more after
	// so many bytes of the vendor's answer.
	leaves int
	slow   bool // the client reads slowly

	cost   func(body string) money.Credits
	end    credit.Ending
	failed bool // the client gets an error, in one form or another
}

// Values of leaves that are no number of bytes.
const (
	stays        = -1
	beforeAnswer = -2 // the client leaves when the vendor has the request
)

func nothing(string) money.Credits { return 0 }

func costs(input, cached, output, reasoning int64) func(string) money.Credits {
	return func(string) money.Credits { return priced(input, cached, output, reasoning) }
}

// counted is the price of our own count.
func counted(output int64) func(string) money.Credits {
	return func(body string) money.Credits { return priced(estimated(body), 0, output, 0) }
}

// Every ending of a call, in every dialect: the charge is right to the µcr,
// nothing is held afterwards, and the ledger verifies.
func TestEveryEndingIsChargedExactly(t *testing.T) {
	t.Parallel()
	patient, hasty := quick(), quick()
	patient.Upstream = llm.Timeouts{FirstByte: 60 * time.Second, Idle: 60 * time.Second, Total: 120 * time.Second}
	patient.Linger, patient.Write = 60*time.Second, 60*time.Second
	hasty.Upstream = llm.Timeouts{FirstByte: 400 * time.Millisecond, Idle: 400 * time.Millisecond, Total: 10 * time.Second}
	hasty.Linger = 100 * time.Millisecond
	for _, d := range dialects {
		var all, hang []ending
		for _, e := range d.cases() {
			if strings.HasPrefix(e.name, "hang") {
				hang = append(hang, e)
			} else {
				all = append(all, e)
			}
		}
		if n := len(all) + len(hang); n < 150 {
			t.Errorf("%s has %d cases, want 150 at least", d.name, n)
		}
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			dbtest.Run(t, func(t *testing.T, db *sqldb.DB) { chargeAll(t, db, patient, d, all) })
		})
		t.Run(d.name+" that hangs", func(t *testing.T) {
			t.Parallel()
			dbtest.Run(t, func(t *testing.T, db *sqldb.DB) { chargeAll(t, db, hasty, d, hang) })
		})
	}
}

// desks are how many cases run at once, each with a provider of its own, so
// that none finds a deployment that another has made look ill.
const desks = 8

func chargeAll(t *testing.T, db *sqldb.DB, limits gateway.Limits, d dialect, cases []ending) {
	vendors := make([]*vendor, desks)
	providers := make([]catalog.ProviderConfig, desks)
	for i := range desks {
		vendors[i] = newVendor(t)
		providers[i] = catalog.ProviderConfig{
			Name: deskName(i), Vendor: d.vendor, Options: d.options, BaseURL: vendors[i].URL, Key: secret.New(plantedKey), AllowPrivate: true,
			Models: []catalog.ModelConfig{{ID: deskName(i), VendorModel: deskName(i), ContextLength: 10_000, MaxOutput: 1000, Prices: exactPrices}},
		}
	}
	const balance = 1_000_000 * money.Credit
	w := newWorld(t, db, limits, balance, providers...)
	next := make(chan int)
	var running sync.WaitGroup
	for i := range desks {
		running.Go(func() {
			for n := range next {
				w.carryOut(d, cases[n], i, vendors[i], fmt.Sprintf("case-%04d", n))
			}
		})
	}
	for n := range cases {
		next <- n
	}
	close(next)
	running.Wait()
	waitFor(t, func() bool { return w.calls.Open() == 0 && w.credits.Stats().Open == 0 })
	want := money.Credits(0)
	charges := w.charges()
	for n, e := range cases {
		body := d.request(deskName(0), e.stream, e.usage)
		cost := e.cost(body)
		want += cost
		got, ok := charges[fmt.Sprintf("case-%04d", n)]
		if !ok || got.records != 1 || got.recorded != cost || got.charged != cost || got.held != held(body) || got.ending != string(e.end) {
			t.Errorf("%s: %+v; want %d µcr of %d, %s", e.name, got, cost, held(body), e.end)
		}
	}
	b, err := w.credits.Balance(t.Context(), user)
	if err != nil || b.Held != 0 || b.Available != balance-want {
		t.Errorf("balance: %s available, %s held, %v; want %s", b.Available, b.Held, err, balance-want)
	}
	t.Logf("%d cases cost %s", len(cases), want)
}

func deskName(i int) string { return fmt.Sprint("desk-", i) }

// carryOut makes one call and checks what its client sees.
func (w *world) carryOut(d dialect, e ending, desk int, v *vendor, id string) {
	w.routes.Forget(func(i route.ID) bool { return i.Provider != deskName(desk) })
	w.calls.ForgetShortfalls() // or the holds of the next cases would be raised
	v.does(e.vendor)
	ctx, leave := context.WithCancel(w.t.Context())
	defer leave()
	body := d.request(deskName(desk), e.stream, e.usage)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.api.URL+d.path(deskName(desk), e.stream), strings.NewReader(body))
	if err != nil {
		w.t.Error(err)
		return
	}
	r.Header.Set("Authorization", "Bearer live")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Request-Id", id)
	if e.leaves != stays {
		reads, calls := w.watched.watch(deskName(desk)), v.calls.Load()
		var leaving sync.WaitGroup
		defer leaving.Wait()
		leaving.Go(func() {
			waitFor(w.t, func() bool {
				return reads.waitsAfter(int64(e.leaves)) || e.leaves == beforeAnswer && v.calls.Load() > calls
			})
			leave()
		})
	}
	res, err := w.client.Do(r)
	if err != nil {
		if e.leaves == stays {
			w.t.Errorf("%s: %v", e.name, err)
		}
		return
	}
	defer res.Body.Close()
	var from io.Reader = res.Body
	if e.slow {
		from = slowReader{res.Body}
	}
	text, err := io.ReadAll(from)
	if e.leaves != stays {
		return
	}
	broken := err != nil || res.StatusCode != http.StatusOK || strings.Contains(string(text), `"error"`)
	named := res.Header.Get("X-Rephlo-Credits-Charged") + res.Trailer.Get("X-Rephlo-Credits-Charged")
	switch cost := e.cost(body).String(); {
	case broken != e.failed:
		w.t.Errorf("%s: %d %v %q", e.name, res.StatusCode, err, text)
	case !broken && named != cost:
		w.t.Errorf("%s: the client is told that it cost %q, want %s", e.name, named, cost)
	case broken && named != "":
		w.t.Errorf("%s: the client of a broken call is told that it cost %q", e.name, named)
	case strings.Contains(string(text), plantedKey):
		w.t.Errorf("%s: the client sees the key", e.name)
	}
}

// slowReader takes a few bytes at a time.
type slowReader struct{ io.Reader }

func (s slowReader) Read(p []byte) (int, error) {
	time.Sleep(time.Millisecond / 2)
	return s.Reader.Read(p[:min(len(p), 16)])
}

// charge is what the database says of one call.
type charge struct {
	records                 int
	recorded, charged, held money.Credits
	ending                  string
}

// charges reads them by request id.
func (w *world) charges() map[string]charge {
	w.t.Helper()
	const q = `SELECT u.request_id, u.ending, u.charged, COUNT(DISTINCT u.id),
			CAST(COALESCE(SUM(CASE WHEN t.kind = 'charge' THEN t.amount END), 0) AS BIGINT),
			CAST(COALESCE(SUM(CASE WHEN t.kind = 'hold' THEN t.amount END), 0) AS BIGINT)
		FROM usage_record u LEFT JOIN credit_transfer t ON t.ref = u.id GROUP BY u.request_id, u.ending, u.charged`
	rows, err := w.db.Q(w.t.Context()).QueryContext(w.t.Context(), q)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	out := map[string]charge{}
	for rows.Next() {
		var id string
		var c charge
		if err := rows.Scan(&id, &c.ending, &c.recorded, &c.records, &c.charged, &c.held); err != nil {
			w.t.Fatal(err)
		}
		if _, again := out[id]; again {
			c.records = 2
		}
		out[id] = c
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// watched are vendors that show how far the gateway has read their answers.
type watched struct {
	mu    sync.Mutex
	seens map[string]*seen // guarded by mu, by model
}

// The vendors, each with its own abilities.
type (
	watchedCompat struct {
		compat.Vendor
		w *watched
	}
	watchedAnthropic struct {
		*anthropic.Vendor
		w *watched
	}
	watchedGoogle struct {
		*google.Vendor
		w *watched
	}
)

func (v watchedCompat) Forward(ctx context.Context, to llm.Target, c llm.Call) (llm.Reply, error) {
	return v.w.forward(ctx, v.Vendor, to, c)
}

func (v watchedAnthropic) Forward(ctx context.Context, to llm.Target, c llm.Call) (llm.Reply, error) {
	return v.w.forward(ctx, v.Vendor, to, c)
}

func (v watchedGoogle) Forward(ctx context.Context, to llm.Target, c llm.Call) (llm.Reply, error) {
	return v.w.forward(ctx, v.Vendor, to, c)
}

// watch shows the next answer of model.
func (w *watched) watch(model string) *seen {
	s := &seen{}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seens[model] = s
	return s
}

func (w *watched) forward(ctx context.Context, v llm.Vendor, to llm.Target, c llm.Call) (llm.Reply, error) {
	w.mu.Lock()
	s := w.seens[to.Model]
	delete(w.seens, to.Model)
	w.mu.Unlock()
	reply, err := v.Forward(ctx, to, c)
	if err == nil && s != nil {
		s.ReadCloser = reply.Body
		reply.Body = s
	}
	return reply, err
}

type seen struct {
	io.ReadCloser
	read    atomic.Int64
	waiting atomic.Bool
}

// waitsAfter reports whether all n bytes were read and dealt with.
func (s *seen) waitsAfter(n int64) bool { return s.waiting.Load() && s.read.Load() == n }

func (s *seen) Read(p []byte) (int, error) {
	s.waiting.Store(true)
	n, err := s.ReadCloser.Read(p)
	s.waiting.Store(false)
	s.read.Add(int64(n))
	return n, err
}

// Done passes on that the stream has come to its end.
func (s *seen) Done() {
	if d, ok := s.ReadCloser.(interface{ Done() }); ok {
		d.Done()
	}
}
