package idempotency_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/idempotency"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

type userKey struct{}

// shop is a service with one order form, which counts what it did.
type shop struct {
	*testing.T
	db      *sqldb.DB
	mux     *web.Mux
	clock   atomic.Int64 // seconds since the start
	orders  atomic.Int64
	running chan struct{} // closed: orders are done at once
	keys    *idempotency.Service
}

type orderInput struct {
	Body struct {
		Item string `json:"item" minLength:"1"`
	}
}

type orderOutput struct {
	Location string `header:"Location"`
	Body     struct {
		Number int64  `json:"number"`
		Secret string `json:"secret"`
	}
}

var errGone = fault.New(fault.Conflict, "conflict", "This is sold out.").With("left", 0)

const start = 1_800_000_000

func newShop(t *testing.T, db *sqldb.DB) *shop {
	t.Helper()
	s := &shop{T: t, db: db, running: make(chan struct{})}
	close(s.running)
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	s.keys = idempotency.New(idempotency.Needs{
		DB: db, Log: slog.New(slog.DiscardHandler), Box: box,
		Now:  func() time.Time { return time.Unix(start+s.clock.Load(), 0).UTC() },
		User: func(ctx context.Context) string { u, _ := ctx.Value(userKey{}).(string); return u },
	})
	s.mux = web.NewMux(web.Config{
		Use: []web.Middleware{func(next web.Handler) web.Handler {
			return func(w http.ResponseWriter, r *http.Request) error {
				return next(w, r.WithContext(context.WithValue(r.Context(), userKey{}, r.Header.Get("User"))))
			}
		}},
		Inside: []web.Middleware{s.keys.Middleware()},
	})
	web.Route(s.mux, "POST /orders", s.order, web.Status(http.StatusCreated), web.Once())
	web.Route(s.mux, "POST /returns", s.order)
	return s
}

func (s *shop) order(_ context.Context, in *orderInput) (*orderOutput, error) {
	<-s.running
	n := s.orders.Add(1)
	switch in.Body.Item {
	case "gone":
		return nil, errGone
	case "bug":
		return nil, errors.New("out of paper")
	case "panic":
		panic("out of luck")
	case "busy":
		return nil, fault.New(fault.RateLimited, "rate_limit_exceeded", "Later.")
	case "forbidden":
		return nil, fault.New(fault.Forbidden, "forbidden", "No.")
	}
	out := &orderOutput{Location: "/orders/1"}
	out.Body.Number, out.Body.Secret = n, "the-secret-of-the-order"
	return out, nil
}

func (s *shop) send(user, path, key, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(s.Context(), http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User", user)
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	rec := httptest.NewRecorder()
	s.mux.ServeHTTP(rec, r)
	return rec
}

func TestARepetitionGetsTheFirstAnswer(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newShop(t, db)
		first := s.send("ada", "/orders", "k1", `{"item":"tea"}`)
		again := s.send("ada", "/orders", "k1", `{"item":"tea"}`)
		if first.Code != 201 || again.Code != 201 || first.Body.String() != again.Body.String() || again.Header().Get("Location") != "/orders/1" {
			t.Errorf("got %d %s, then %d %s", first.Code, first.Body, again.Code, again.Body)
		}
		if first.Header().Get("Idempotency-Replayed") != "" || again.Header().Get("Idempotency-Replayed") != "true" {
			t.Errorf("replayed: %q, then %q", first.Header().Get("Idempotency-Replayed"), again.Header().Get("Idempotency-Replayed"))
		}
		if first.Header().Get("X-Request-Id") == again.Header().Get("X-Request-Id") {
			t.Error("both requests have one id")
		}
		for _, tt := range []struct {
			name, user, path, key, body string
			status                      int
			code                        string
			orders                      int64
		}{
			{"another body", "ada", "/orders", "k1", `{"item":"milk"}`, 422, "idempotency_key_reuse", 1},
			{"another query", "ada", "/orders?x=1", "k1", `{"item":"tea"}`, 422, "idempotency_key_reuse", 1},
			{"another person", "bob", "/orders", "k1", `{"item":"milk"}`, 201, "", 2},
			{"another path", "ada", "/returns", "k1", `{"item":"milk"}`, 200, "", 3},
			{"no key where one is needed", "ada", "/orders", "", `{"item":"tea"}`, 400, "idempotency_key_required", 3},
			{"no key where none is needed", "ada", "/returns", "", `{"item":"tea"}`, 200, "", 4},
			{"a key that is too long", "ada", "/orders", strings.Repeat("k", 256), `{"item":"tea"}`, 400, "invalid_request", 4},
			{"the longest key", "ada", "/orders", strings.Repeat("k", 255), `{"item":"tea"}`, 201, "", 5},
		} {
			got := s.send(tt.user, tt.path, tt.key, tt.body)
			if got.Code != tt.status || !strings.Contains(got.Body.String(), tt.code) || s.orders.Load() != tt.orders {
				t.Errorf("%s: %d %s, %d orders; want %d %s, %d", tt.name, got.Code, got.Body, s.orders.Load(), tt.status, tt.code, tt.orders)
			}
		}
		var answer []byte
		if err := db.Q(t.Context()).QueryRowContext(t.Context(), `SELECT answer FROM idempotency_key LIMIT 1`).Scan(&answer); err != nil || strings.Contains(string(answer), "the-secret") {
			t.Errorf("kept %q, %v; want it sealed", answer, err)
		}
	})
}

// What another attempt may mend is not kept; what it cannot is.
func TestOnlyFinalAnswersAreKept(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newShop(t, db)
		for _, tt := range []struct {
			item   string
			status int
			kept   bool
		}{{"gone", 409, true}, {"", 422, true}, {"bug", 500, false}, {"panic", 500, false}, {"busy", 429, false}, {"forbidden", 403, false}} {
			before := s.orders.Load()
			first := s.send("ada", "/orders", "key "+tt.item, `{"item":"`+tt.item+`"}`)
			again := s.send("ada", "/orders", "key "+tt.item, `{"item":"`+tt.item+`"}`)
			if first.Code != tt.status || again.Code != tt.status || (again.Header().Get("Idempotency-Replayed") != "") != tt.kept {
				t.Errorf("%s: %d, then %d %v", tt.item, first.Code, again.Code, again.Header())
			}
			if n := s.orders.Load() - before; tt.kept && n > 1 || !tt.kept && n != 2 {
				t.Errorf("%s was tried %d times", tt.item, n)
			}
			var a, b map[string]map[string]any
			if json.Unmarshal(first.Body.Bytes(), &a) != nil || json.Unmarshal(again.Body.Bytes(), &b) != nil {
				t.Fatalf("%s: %s, %s", tt.item, first.Body, again.Body)
			}
			delete(a["error"], "requestId")
			delete(b["error"], "requestId")
			x, _ := json.Marshal(a)
			if y, _ := json.Marshal(b); string(x) != string(y) {
				t.Errorf("%s: %s, then %s", tt.item, x, y)
			}
		}
	})
}

func TestOfFiftyAtOnceOneHasAnEffect(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newShop(t, db)
		s.running = make(chan struct{})
		const many = 50
		answers := make(chan *httptest.ResponseRecorder, many)
		var wg sync.WaitGroup
		for range many {
			wg.Go(func() { answers <- s.send("ada", "/orders", "k", `{"item":"tea"}`) })
		}
		finish := sync.OnceFunc(func() { close(s.running) })
		defer finish()
		for range many - 1 { // all but the one that works are told to wait
			var got *httptest.ResponseRecorder
			select {
			case got = <-answers:
			case <-time.After(20 * time.Second):
				t.Fatal("more than one does the work")
			}
			if got.Code != 409 || !strings.Contains(got.Body.String(), "idempotency_key_in_use") || got.Header().Get("Retry-After") == "" {
				t.Errorf("meanwhile %d %s %v", got.Code, got.Body, got.Header())
			}
		}
		finish()
		wg.Wait()
		if got := <-answers; got.Code != 201 || s.orders.Load() != 1 {
			t.Errorf("the first: %d, %d orders", got.Code, s.orders.Load())
		}
		if got := s.send("ada", "/orders", "k", `{"item":"tea"}`); got.Code != 201 || s.orders.Load() != 1 {
			t.Errorf("afterwards %d, %d orders", got.Code, s.orders.Load())
		}
	})
}

func TestAKeyLivesADayAndADeadClaimNinetySeconds(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newShop(t, db)
		s.send("ada", "/orders", "k", `{"item":"tea"}`)
		s.clock.Store(24 * 3600)
		if got := s.send("ada", "/orders", "k", `{"item":"milk"}`); got.Code != 422 {
			t.Errorf("after a day: %d %s", got.Code, got.Body)
		}
		if err := s.keys.Sweep(t.Context()); err != nil || s.rows() != 1 {
			t.Errorf("after a day %d rows are left, %v", s.rows(), err)
		}
		s.clock.Add(1)
		if got := s.send("ada", "/orders", "k", `{"item":"milk"}`); got.Code != 201 {
			t.Errorf("a second later: %d %s", got.Code, got.Body)
		}
		s.clock.Add(24*3600 + 1)
		if err := s.keys.Sweep(t.Context()); err != nil || s.rows() != 0 {
			t.Errorf("a day later %d rows are left, %v", s.rows(), err)
		}

		s.running = make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { s.send("ada", "/orders", "slow", `{"item":"tea"}`) })
		for s.rows() == 0 {
			if t.Context().Err() != nil {
				t.Fatal("the request did not begin")
			}
		}
		s.clock.Add(90)
		if got := s.send("ada", "/orders", "slow", `{"item":"tea"}`); got.Code != 409 {
			t.Errorf("after ninety seconds: %d", got.Code)
		}
		s.clock.Add(1)
		taken := make(chan *httptest.ResponseRecorder)
		go func() { taken <- s.send("ada", "/orders", "slow", `{"item":"tea"}`) }()
		s.waitForClaim(start + s.clock.Load())
		close(s.running)
		if got := <-taken; got.Code != 201 {
			t.Errorf("whoever takes over: %d %s", got.Code, got.Body)
		}
		wg.Wait()
	})
}

func (s *shop) rows() (n int) {
	if err := s.db.Q(s.Context()).QueryRowContext(s.Context(), `SELECT COUNT(*) FROM idempotency_key`).Scan(&n); err != nil {
		s.Fatal(err)
	}
	return n
}

// waitForClaim polls until the only key was claimed at a time.
func (s *shop) waitForClaim(second int64) {
	for at := int64(0); at != second*1_000_000; {
		if err := s.db.Q(s.Context()).QueryRowContext(s.Context(), `SELECT created_at FROM idempotency_key`).Scan(&at); err != nil {
			s.Fatal(err)
		}
	}
}

// What a client sends is read once more by the handler, so large answers and
// bodies pass.
func TestALargeAnswerPassesAndIsNotKept(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newShop(t, db)
		s.mux.Handle("POST /report", func(w http.ResponseWriter, _ *http.Request) error {
			for range 3 {
				if _, err := w.Write(make([]byte, 400<<10)); err != nil {
					return err
				}
			}
			return nil
		})
		for range 2 {
			if got := s.send("ada", "/report", "k", ""); got.Code != 200 || got.Body.Len() != 1200<<10 || got.Header().Get("Idempotency-Replayed") != "" {
				t.Errorf("got %d with %d bytes", got.Code, got.Body.Len())
			}
		}
	})
}
