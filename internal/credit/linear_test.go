package credit_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// purseState is what one user has, in the sequential model of the ledger.
type purseState struct{ available, held money.Credits }

// step is one operation of a history: what was asked for.
type step struct {
	kind   string // grant, hold, settle, deduct, balance
	amount money.Credits
	held   money.Credits // of the hold that a settle ends
}

// String names a refusal shortly.
func (o outcomeOf) String() string {
	switch {
	case errors.Is(o.refusal, credit.ErrInsufficient):
		return "insufficient"
	case errors.Is(o.refusal, credit.ErrReserved):
		return "reserved"
	}
	return fmt.Sprintf("taken %d, available %d, held %d", o.taken, o.available, o.held)
}

// outcomeOf is what came of it.
type outcomeOf struct {
	refusal   error         // ErrInsufficient or ErrReserved
	taken     money.Credits // of a deduct
	available money.Credits // of a balance
	held      money.Credits
}

// sequential is the ledger as one process would be that does one thing after
// the other. A temporary refusal promises nothing: it is always right.
var sequential = porcupine.Model{
	Init: func() any { return purseState{} },
	Step: func(state, input, output any) (bool, any) {
		s, in, out := state.(purseState), input.(step), output.(outcomeOf)
		switch in.kind {
		case "grant":
			s.available += in.amount
		case "hold":
			switch {
			case errors.Is(out.refusal, credit.ErrReserved):
				return true, s
			case errors.Is(out.refusal, credit.ErrInsufficient):
				return s.available+s.held < in.amount, s
			case s.available < in.amount:
				return false, s
			}
			s.available -= in.amount
			s.held += in.amount
		case "settle":
			s.held -= in.held
			s.available += in.held - in.amount
		case "deduct":
			// Taken is what was free when it looked; a call that ends before it has
			// taken that gives back more. TestModel knows exactly how much.
			if out.taken > min(in.amount, s.available) {
				return false, s
			}
			s.available -= out.taken
		case "balance":
			return s == purseState{out.available, out.held}, s
		}
		return true, s
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v: %+v", input, output) },
}

// historian records what several clients do with one user's credits.
type historian struct {
	c     *cluster
	user  string
	mu    sync.Mutex
	all   []porcupine.Operation // guarded by mu
	began time.Time
}

func (h *historian) record(client int, in step, do func() (outcomeOf, error)) {
	call := time.Since(h.began).Nanoseconds()
	out, err := do()
	end := time.Since(h.began).Nanoseconds()
	if err != nil {
		h.c.t.Errorf("%s of %s: %v", in.kind, in.amount, err)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: end})
}

// client does some things on one process: most of them are calls.
func (h *historian) client(n int, r *rand.Rand) {
	ctx, s := h.c.t.Context(), h.c.nodes[n%len(h.c.nodes)]
	var open []*credit.Hold
	for i := range 8 {
		amount := money.Credits(1 + r.Int64N(12))
		ref := fmt.Sprintf("%s:%d:%d", h.user, n, i)
		switch k := r.IntN(10); {
		case k == 0:
			h.record(n, step{kind: "grant", amount: amount}, func() (outcomeOf, error) {
				_, err := s.Grant(ctx, credit.NewGrant{User: h.user, Source: credit.Pack, Ref: ref, Amount: amount})
				return outcomeOf{}, err
			})
		case k == 1:
			h.record(n, step{kind: "deduct", amount: amount}, func() (outcomeOf, error) { return h.deduct(s, ref, amount) })
		case k < 4:
			h.record(n, step{kind: "balance"}, func() (outcomeOf, error) {
				b, err := s.Balance(ctx, h.user)
				return outcomeOf{available: b.Available, held: b.Held}, err
			})
		case k < 7 && len(open) > 0:
			h.settle(n, open[0], r)
			open = open[1:]
		default:
			h.record(n, step{kind: "hold", amount: amount}, func() (outcomeOf, error) {
				hold, err := s.Reserve(ctx, credit.Call{User: h.user, Ref: ref, Need: amount, Journal: []byte("{}")})
				if errors.Is(err, credit.ErrInsufficient) || errors.Is(err, credit.ErrReserved) {
					return outcomeOf{refusal: err}, nil
				}
				if err != nil {
					return outcomeOf{}, err
				}
				open = append(open, hold)
				return outcomeOf{}, hold.Durable(ctx)
			})
		}
	}
	for _, hold := range open {
		h.settle(n, hold, r)
	}
}

// deduct tries again while another process's leases are in the way.
func (h *historian) deduct(s *credit.Service, ref string, amount money.Credits) (outcomeOf, error) {
	for {
		t, err := s.Deduct(h.c.t.Context(), credit.Taking{User: h.user, Ref: ref, Amount: amount})
		if !errors.Is(err, credit.ErrBusy) || h.c.t.Context().Err() != nil {
			return outcomeOf{taken: t.Taken}, err
		}
	}
}

func (h *historian) settle(n int, hold *credit.Hold, r *rand.Rand) {
	price := money.Credits(r.Int64N(int64(hold.Amount()) + 1))
	h.record(n, step{kind: "settle", amount: price, held: hold.Amount()}, func() (outcomeOf, error) {
		_, err := hold.Settle(h.c.t.Context(), outcome(hold, price))
		return outcomeOf{}, err
	})
}

func (h *historian) String() string {
	slices.SortFunc(h.all, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var b strings.Builder
	for _, o := range h.all {
		fmt.Fprintf(&b, "%9d to %9d, client %d: %+v: %s\n", o.Call, o.Return, o.ClientId, o.Input, o.Output)
	}
	return b.String()
}

// check looks at two histories: of what was decided, and of what was read.
// Admission counts a settlement as soon as it is queued, since nothing can undo
// it; the database shows it a moment later.
func (h *historian) check(round int) {
	decided := func(o porcupine.Operation) bool { return o.Input.(step).kind != "balance" }
	read := func(o porcupine.Operation) bool { return o.Output.(outcomeOf).refusal == nil }
	for what, keep := range map[string]func(porcupine.Operation) bool{"decided": decided, "read": read} {
		history := slices.DeleteFunc(slices.Clone(h.all), func(o porcupine.Operation) bool { return !keep(o) })
		switch porcupine.CheckOperationsTimeout(sequential, history, 20*time.Second) {
		case porcupine.Illegal:
			h.c.t.Fatalf("round %d: what was %s is not linearizable:\n%s", round, what, h)
		case porcupine.Unknown:
			h.c.t.Logf("round %d: %d operations could not be judged in time", round, len(history))
		case porcupine.Ok:
		}
	}
}

// What clients of several processes see of one user's credits at the same time
// is what one process could have shown that does one thing after the other.
func TestHistoriesAreLinearizable(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprint(nodes, " processes"), func(t *testing.T) {
			t.Parallel()
			dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
				c := join(t, db, nodes, shared)
				rounds := share(50, 2)
				seed := rand.Uint64()
				t.Logf("seed %d", seed)
				for round := range rounds {
					h := &historian{c: c, user: fmt.Sprint("user", round), began: time.Now()}
					h.record(0, step{kind: "grant", amount: 30}, func() (outcomeOf, error) {
						_, err := c.Grant(t.Context(), credit.NewGrant{User: h.user, Source: credit.Pack, Ref: h.user, Amount: 30})
						return outcomeOf{}, err
					})
					var wg sync.WaitGroup
					for n := range 6 {
						wg.Go(func() { h.client(n, rand.New(rand.NewPCG(seed+uint64(round), uint64(n)))) })
					}
					wg.Wait()
					h.check(round)
				}
			})
		})
	}
}
