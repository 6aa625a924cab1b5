package cli_test

import (
	"encoding/json"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/usage"
)

// service is a ledger as a server has it, on the installation's database.
func (i installation) service(t *testing.T) *credit.Service {
	t.Helper()
	db := dbtest.Open(t, i.url)
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return credit.New(credit.Needs{
		DB: db, Log: slog.New(slog.DiscardHandler), Now: time.Now, Node: "test", Box: box, Records: usage.New(usage.Needs{DB: db, Now: time.Now}),
	})
}

// A call is explained from its price to the signed root, while a server runs.
func TestLedgerShow(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, i installation) {
		i.run(t, "", "migrate", "up").want(t, 0)
		s := i.service(t)
		ctx := t.Context()
		if err := s.Start(ctx); err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		user, call, request := id.New("usr", now), id.New("call", now), id.New("req", now)
		if _, err := s.Grant(ctx, credit.NewGrant{User: user, Source: credit.Pack, Ref: "pay:1", Amount: 50 * money.Credit}); err != nil {
			t.Fatal(err)
		}
		e := usage.Entry{
			ID: call, RequestID: request, UserID: user, ModelID: "gpt-5-mini", VendorModel: "gpt-5-mini-2025", Provider: "openai", Operation: "chat",
			Status: usage.Success, Ending: "finished", Source: usage.Reported, Charged: 330_000, At: now,
			Counts: pricing.Counts{Input: 2000, CacheRead: 8000, Output: 300, Reasoning: 600},
			Prices: pricing.Prices{Input: 250_000, CacheRead: pricing.At(25_000), Output: 2_000_000},
			Terms:  money.Terms{Multiplier: 13_000, CreditValue: 10_000, Increment: 10_000},
		}
		h, err := s.Reserve(ctx, credit.Call{User: user, Ref: call, Need: money.Credit, Journal: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Durable(ctx); err != nil {
			t.Fatal(err)
		}
		i.run(t, "", "ledger", "show", call).want(t, 0, "call "+call+" of user "+user+": open", "held 1, charged 0, uncollected 0", "no root of that day is signed yet", "the proof holds")
		if _, err := h.Settle(ctx, credit.Outcome{Price: e.Charged, Ending: credit.Finished, Record: e}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.SignRoots(ctx, now.Add(48*time.Hour)); err != nil {
			t.Fatal(err)
		}
		i.run(t, "", "ledger", "verify").want(t, 0, "0 findings")
		for _, name := range []string{call, request} {
			i.run(t, "", "ledger", "show", name).want(t, 0,
				"call "+call+" of user "+user+": settled", "request "+request+", ", "model gpt-5-mini (openai gpt-5-mini-2025), chat: success, finished, counts reported",
				"cacheRead  8,000  at 3.25 for a million", "charged    0.33", "pay:1  held 1  charged 0.33", "signed by lrk_", "the proof holds")
		}
		var told struct {
			Call, State string
			ProofHolds  bool
			Usage       struct{ PriceLines []struct{ Class string } }
			Receipt     struct{ Charged float64 }
			Grants      []struct{ Ref string }
			Proof       struct {
				Transfers []struct{ Kind, Grant string }
				Chains    []struct{ Signed struct{ Day, Root string } }
			}
		}
		r := i.run(t, "", "ledger", "show", call, "--json")
		r.want(t, 0)
		if err := json.Unmarshal([]byte(r.out), &told); err != nil {
			t.Fatal(err)
		}
		if told.Call != call || told.State != "settled" || !told.ProofHolds || len(told.Usage.PriceLines) != 4 || told.Receipt.Charged != 0.33 ||
			told.Grants[0].Ref != "pay:1" || len(told.Proof.Transfers) != 2 || len(told.Proof.Chains[0].Signed.Root) != 64 {
			t.Errorf("as JSON: %s", r.out)
		}
		i.run(t, "", "ledger", "show", user).want(t, 0, "balance 49.67, held 0, frozen 0, available 49.67", "pack  pay:1  granted", "never expires  credited 50  debited 0.33", call)
		r = i.run(t, "", "ledger", "show", user, "--json")
		if r.want(t, 0, `"available":49.67`, `"expiresAt":null`, `"call":"`+call+`"`); !json.Valid([]byte(r.out)) {
			t.Errorf("as JSON: %s", r.out)
		}
		for _, unknown := range []string{"req_none", id.New("call", now), id.New("usr", now)} {
			i.run(t, "", "ledger", "show", unknown).want(t, 1, `the ledger knows no "`+unknown+`"`)
		}
		if err := s.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		i.unguard(t)
		i.exec(t, `UPDATE credit_transfer SET amount = amount + 1 WHERE kind = 'charge'`)
		i.run(t, "", "ledger", "show", call).want(t, 1, "FAIL the proof does not hold: lane ", " seq 2 does not lead to the root of batch", "run rephlo ledger verify")
	})
}

// unguard takes away what keeps the transfers as they are.
func (i installation) unguard(t *testing.T) {
	t.Helper()
	if strings.HasPrefix(i.url, "sqlite:") {
		i.exec(t, `DROP TRIGGER credit_transfer_no_update`)
	} else {
		i.exec(t, `DROP TRIGGER credit_transfer_no_change ON credit_transfer`)
	}
}

func TestLedgerRootsAreLinesOfJSON(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, i installation) {
		i.run(t, good, "admin", "create", email, "--password-stdin").want(t, 0)
		if r := i.run(t, "", "ledger", "roots"); r.status != 0 || r.out != "" {
			t.Errorf("before the first day has ended: %+v", r)
		}
		if n, err := i.service(t).SignRoots(t.Context(), time.Now().Add(48*time.Hour)); n == 0 || err != nil {
			t.Fatalf("%d roots, %v", n, err)
		}
		r := i.run(t, "", "ledger", "roots")
		r.want(t, 0)
		var root struct{ Day, Root string }
		first, _, _ := strings.Cut(r.out, "\n")
		if err := json.Unmarshal([]byte(first), &root); err != nil || !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(root.Root) {
			t.Errorf("the first line is %q, %v", first, err)
		}
		if r := i.run(t, "", "ledger", "roots", "--since", "2099-01-01"); r.status != 0 || r.out != "" {
			t.Errorf("from a later day on: %+v", r)
		}
		i.run(t, "", "ledger", "verify", "--since", root.Day).want(t, 0, "0 transfers, 1 lane, 1 grant", "0 findings")
		i.run(t, "", "ledger", "verify", "--since", "2020-01-01").want(t, 2, "--since: ", "no signed root: 2020-01-01; there are roots from "+root.Day)
		i.run(t, "", "ledger", "verify", "--since", "soon").want(t, 2, `--since: "soon" is not a day`)
		i.run(t, "", "ledger", "roots", "--since", "yesterday").want(t, 2, `--since: "yesterday" is not a day`)
	})
}
