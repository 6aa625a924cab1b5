package credit_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/approval"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

// requests gives every call the request id of its number.
type requests struct{}

func (requests) RequestIDs(_ context.Context, calls []string) (map[string]string, error) {
	out := map[string]string{}
	for _, c := range calls {
		out[c] = strings.Replace(c, "call_", "req_", 1)
	}
	return out, nil
}

func (requests) CallIDs(_ context.Context, _, requestID string) ([]string, error) {
	return []string{strings.Replace(requestID, "req_", "call_", 1)}, nil
}

func (requests) CallsOf(_ context.Context, id string) ([]string, error) {
	switch id {
	case "req_twice":
		return []string{"call_1", "call_2"}, nil
	case "req_unknown":
		return nil, nil
	}
	return []string{strings.Replace(id, "req_", "call_", 1)}, nil
}

// actAs lets headers say who asks.
func actAs(next web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if u := r.Header.Get("User"); u != "" {
			signedIn := time.Now().Add(24 * time.Hour) // later than any clock of the tests
			if r.Header.Get("Signed-In") != "" {
				signedIn = time.Time{}
			}
			a := access.Actor{UserID: u, AuthTime: signedIn, Scopes: strings.Fields(r.Header.Get("Scope")), Roles: strings.Fields(r.Header.Get("Roles")), KeyID: r.Header.Get("Key")}
			r = r.WithContext(access.With(r.Context(), a, nil))
		}
		return next(w, r)
	}
}

type caller struct {
	t     *testing.T
	mux   *web.Mux
	heads map[string]string
}

type answer struct {
	status int
	text   string
	header http.Header
	body   map[string]any
}

func (a answer) code() any {
	e, _ := a.body["error"].(map[string]any)
	return e["code"]
}

func (c caller) with(pairs ...string) caller {
	heads := map[string]string{}
	maps.Copy(heads, c.heads)
	for i := 0; i < len(pairs); i += 2 {
		heads[pairs[i]] = pairs[i+1]
	}
	c.heads = heads
	return c
}

func (c caller) do(method, path, body string) answer {
	c.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for k, v := range c.heads {
		r.Header.Set(k, v)
	}
	rec := httptest.NewRecorder()
	c.mux.ServeHTTP(rec, r)
	a := answer{status: rec.Code, text: rec.Body.String(), header: rec.Header()}
	if err := json.Unmarshal(rec.Body.Bytes(), &a.body); err != nil {
		c.t.Fatalf("%s %s: %s: %v", method, path, a.text, err)
	}
	return a
}

func httpWorld(t *testing.T, db *sqldb.DB) (*world, caller) {
	t.Helper()
	w := open(t, db, quiet)
	m := web.NewMux(web.Config{Now: w.clock.now, Use: []web.Middleware{actAs}})
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	approvals := approval.New(approval.Needs{DB: db, Box: box, Now: w.clock.now, Holding: func(context.Context, ...access.Permission) ([]string, error) {
		return []string{"other", "root", "sam"}, nil
	}})
	approval.AdminAPI{Approvals: approvals}.Mount(m)
	credit.API{
		Approvals: approvals, Allowance: bounds,
		Credits: w.Service, Cursors: list.NewCursors([]byte("k")), Requests: requests{},
		Known: func(_ context.Context, id string) error {
			if id != "ada" && id != "bob" {
				return account.ErrUnknown
			}
			return nil
		},
		Pack: func(_ context.Context, id string) (money.Credits, time.Time, error) {
			switch id {
			case "pack_500":
				return 500 * money.Credit, w.clock.now().AddDate(1, 0, 0), nil
			case "pack_always":
				return 500 * money.Credit, time.Time{}, nil
			}
			return 0, time.Time{}, fault.ErrNotFound
		},
		Carries: func(string) (money.Credits, int) { return 750 * money.Credit, 2 },
	}.Mount(m)
	return w, caller{t: t, mux: m}
}

func TestCreditsOverHTTP(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w, c := httpWorld(t, db)
		ada := c.with("User", "ada", "Scope", "credits.read")
		w.give(credit.NewGrant{Source: credit.Pack, Ref: "pay:1", Amount: 100 * money.Credit})
		w.give(credit.NewGrant{Source: credit.Bonus, Ref: "b:1", Amount: 7 * money.Credit, ExpiresAt: w.clock.now().Add(time.Hour)})
		for _, call := range []string{"call_1", "call_2", "call_3"} {
			w.settle(w.reserve("ada", call, 5*money.Credit), 3*money.Credit)
			w.clock.advance(time.Second)
		}
		first := ada.do("GET", "/v1/credits/ledger?limit=2", "")
		lines, _ := first.body["data"].([]any)
		cursor, _ := first.body["nextCursor"].(string)
		if first.status != 200 || len(lines) != 2 || cursor == "" {
			t.Fatalf("first page: %d %s", first.status, first.text)
		}
		top, _ := lines[0].(map[string]any)
		if top["kind"] != "charge" || top["requestId"] != "req_3" || top["balanceAfter"] != 98.0 || top["description"] == "" {
			t.Errorf("newest line %v", top)
		}
		rest := ada.do("GET", "/v1/credits/ledger?cursor="+cursor, "")
		more, _ := rest.body["data"].([]any)
		if rest.status != 200 || rest.body["nextCursor"] != nil || len(lines)+len(more) != 7 { // a call of two parts among them
			t.Errorf("second page: %d %s", rest.status, rest.text)
		}
		one := ada.do("GET", "/v1/credits/ledger?request_id=req_2&kind=charge", "")
		if data, _ := one.body["data"].([]any); len(data) != 1 {
			t.Errorf("of one request: %s", one.text)
		}
		grants := ada.do("GET", "/v1/credits/grants?active=true&limit=1", "")
		data, _ := grants.body["data"].([]any)
		if len(data) != 1 || grants.body["nextCursor"] != nil {
			t.Errorf("grants: %s", grants.text)
		}
		if got := ada.do("GET", "/v1/credits/grants?limit=1", ""); got.body["nextCursor"] == nil {
			t.Errorf("all grants: %s", got.text)
		}
		for _, tt := range []struct {
			name, path string
			as         caller
			status     int
			code       string
		}{
			{"a foreign cursor", "/v1/credits/ledger?cursor=" + cursor, c.with("User", "bob", "Scope", "credits.read"), 400, "invalid_cursor"},
			{"a wrong kind", "/v1/credits/ledger?kind=hold", ada, 422, "validation_error"},
			{"a wrong limit", "/v1/credits/grants?limit=0", ada, 422, "validation_error"},
			{"no scope", "/v1/credits/ledger", c.with("User", "ada", "Scope", "models.read"), 403, "insufficient_scope"},
			{"nobody", "/v1/credits/grants", c, 401, "unauthorized"},
		} {
			if got := tt.as.do("GET", tt.path, ""); got.status != tt.status || got.code() != tt.code {
				t.Errorf("%s: %d %v, want %d %s", tt.name, got.status, got.code(), tt.status, tt.code)
			}
		}
	})
}

const why = `"reason":"a reason that is long enough"`

func TestAdministratorsChangeCredits(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w, c := httpWorld(t, db)
		root := c.with("User", "root", "Scope", "admin", "Roles", "super_admin", "Idempotency-Key", "k1")
		body := `{"userId":"ada","amount":12.5,` + why + `}`
		made := root.do("POST", "/admin/credits/grant-bonus", body)
		again := root.do("POST", "/admin/credits/grant-bonus", body)
		if made.status != 201 || made.body["amount"] != 12.5 || made.body["grantId"] != again.body["grantId"] {
			t.Fatalf("grant: %d %s, again %s", made.status, made.text, again.text)
		}
		if made.header.Get("Idempotency-Replayed") != "" || again.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("replayed: %q, then %q", made.header.Get("Idempotency-Replayed"), again.header.Get("Idempotency-Replayed"))
		}
		w.expect(12_500_000, 0)
		w.settle(w.reserve("ada", "call_1", 5*money.Credit), 3*money.Credit)

		back := root.do("POST", "/admin/usage/call_1/reverse", `{`+why+`}`)
		if back.status != 200 || back.body["returned"] != 3.0 {
			t.Errorf("reverse: %d %s", back.status, back.text)
		}
		if got := root.do("POST", "/admin/usage/req_1/reverse", `{`+why+`}`); got.body["callId"] != "call_1" || got.status != 200 || got.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("reverse again: %d %s", got.status, got.text)
		}
		w.expect(12_500_000, 0)
		asked := root.with("Idempotency-Key", "k2").do("POST", "/admin/credits/deduct", `{"userId":"ada","amount":20,`+why+`}`)
		again = root.with("Idempotency-Key", "k2").do("POST", "/admin/credits/deduct", `{"userId":"ada","amount":20,`+why+`}`)
		if asked.status != 202 || asked.body["status"] != "pending" || asked.body["approvalId"] != again.body["approvalId"] {
			t.Fatalf("deduct: %d %s, again %s", asked.status, asked.text, again.text)
		}
		if got := root.with("Idempotency-Key", "k2").do("POST", "/admin/credits/deduct", `{"userId":"ada","amount":21,`+why+`}`); got.code() != "idempotency_key_reuse" {
			t.Errorf("deduct more under the same key: %d %s", got.status, got.text)
		}
		w.expect(12_500_000, 0)
		approve := "/admin/approvals/" + asked.body["approvalId"].(string) + "/approve"
		taken := root.with("User", "other").do("POST", approve, `{}`)
		result, _ := taken.body["result"].(map[string]any)
		if taken.status != 200 || result["deducted"] != 12.5 || result["uncollected"] != 7.5 {
			t.Errorf("approve: %d %s", taken.status, taken.text)
		}
		if got := root.with("User", "other").do("POST", approve, `{}`); got.status != 409 || got.code() != "invalid_state" {
			t.Errorf("approve again: %d %s", got.status, got.text)
		}
		id, _ := made.body["grantId"].(string)
		moved := root.do("PATCH", "/admin/credits/grants/"+id, `{"expiresAt":"2027-01-01T00:00:00Z",`+why+`}`)
		if moved.status != 200 || moved.body["expiresAt"] != "2027-01-01T00:00:00Z" {
			t.Errorf("move the end: %d %s", moved.status, moved.text)
		}
		if got := root.do("GET", "/admin/credits/reconcile/ada", ""); got.status != 200 || got.body["difference"] != 0.0 || got.body["ledger"] != 0.0 {
			t.Errorf("reconcile: %d %s", got.status, got.text)
		}
		if got := root.do("GET", "/admin/credits/balance/ada", ""); got.status != 200 || got.body["userId"] != "ada" {
			t.Errorf("balance: %d %s", got.status, got.text)
		}
		if got := root.do("GET", "/admin/credits/history/ada?kind=adjust", ""); got.status != 200 || len(got.body["data"].([]any)) != 1 {
			t.Errorf("history: %d %s", got.status, got.text)
		}
		w.give(credit.NewGrant{Source: credit.Pack, Ref: "pay:1", Amount: money.Credit})
		h := w.reserve("ada", "call_x", money.Credit)
		if err := h.Durable(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := root.do("GET", "/admin/credits/holds", ""); got.status != 200 || len(got.body["data"].([]any)) != 1 {
			t.Errorf("holds: %d %s", got.status, got.text)
		}
		w.settle(h, 0)
	})
}

func TestWhatAdministratorsCannotDo(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		_, c := httpWorld(t, db)
		root := c.with("User", "root", "Scope", "admin", "Roles", "super_admin", "Idempotency-Key", "k1")
		good := `{"userId":"ada","amount":1,` + why + `}`
		if got := root.do("POST", "/admin/credits/grant-bonus", good); got.status != 201 {
			t.Fatalf("%d %s", got.status, got.text)
		}
		for _, tt := range []struct {
			name               string
			as                 caller
			method, path, body string
			status             int
			code               string
		}{
			{"no key", root.with("Idempotency-Key", ""), "POST", "/admin/credits/grant-bonus", good, 400, "idempotency_key_required"},
			{"the key with another amount", root, "POST", "/admin/credits/grant-bonus", `{"userId":"ada","amount":2,` + why + `}`, 422, "idempotency_key_reuse"},
			{"the key for another change", root, "POST", "/admin/credits/deduct", good, 422, "idempotency_key_reuse"},
			{"nothing", root, "POST", "/admin/credits/grant-bonus", `{"userId":"ada","amount":0,` + why + `}`, 422, "validation_error"},
			{"less than nothing", root, "POST", "/admin/credits/deduct", `{"userId":"ada","amount":-5,` + why + `}`, 422, "validation_error"},
			{"too fine an amount", root, "POST", "/admin/credits/deduct", `{"userId":"ada","amount":1.0000001,` + why + `}`, 422, "validation_error"},
			{"text", root, "POST", "/admin/credits/deduct", `{"userId":"ada","amount":"1",` + why + `}`, 422, "validation_error"},
			{"too much", root.with("Idempotency-Key", "k9"), "POST", "/admin/credits/grant-bonus", `{"userId":"ada","amount":1000000001,` + why + `}`, 422, "validation_error"},
			{"no reason", root, "POST", "/admin/credits/deduct", `{"userId":"ada","amount":1}`, 422, "validation_error"},
			{"nobody's account", root, "POST", "/admin/credits/deduct", `{"userId":"eve","amount":1,` + why + `}`, 404, "not_found"},
			{"an unknown grant", root, "PATCH", "/admin/credits/grants/grt_0000000000001", `{"expiresAt":null,` + why + `}`, 404, "not_found"},
			{"no grant id", root, "PATCH", "/admin/credits/grants/x", `{"expiresAt":null,` + why + `}`, 404, "not_found"},
			{"an unknown call", root, "POST", "/admin/usage/call_none/reverse", `{` + why + `}`, 404, "not_found"},
			{"an unknown request", root, "POST", "/admin/usage/req_unknown/reverse", `{` + why + `}`, 404, "not_found"},
			{"a request of several calls", root, "POST", "/admin/usage/req_twice/reverse", `{` + why + `}`, 409, "conflict"},
			{"a reversal without a key", root.with("Idempotency-Key", ""), "POST", "/admin/usage/call_1/reverse", `{` + why + `}`, 400, "idempotency_key_required"},
			{"too many months", root, "GET", "/admin/credits/usage/ada?months=25", "", 422, "validation_error"},
			{"months of nobody", root, "GET", "/admin/credits/usage/nobody", "", 404, "not_found"},
			{"an analyst", root.with("Roles", "analyst"), "POST", "/admin/credits/grant-bonus", good, 403, "forbidden"},
			{"support may not deduct", root.with("Roles", "support"), "POST", "/admin/credits/deduct", good, 403, "forbidden"},
			{"no role", root.with("Roles", ""), "GET", "/admin/credits/balance/ada", "", 403, "forbidden"},
			{"no scope", root.with("Scope", "credits.read"), "GET", "/admin/credits/history/ada", "", 403, "insufficient_scope"},
			{"an API key", root.with("Key", "key_1"), "GET", "/admin/credits/holds", "", 403, "forbidden"},
			{"nobody", c, "GET", "/admin/credits/holds", "", 401, "unauthorized"},
		} {
			if got := tt.as.do(tt.method, tt.path, tt.body); got.status != tt.status || got.code() != tt.code {
				t.Errorf("%s: %d %v, want %d %s: %s", tt.name, got.status, got.code(), tt.status, tt.code, got.text)
			}
		}
	})
}
