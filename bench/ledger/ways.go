package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rephlo/rephlo/bench/lab"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/usage"
)

// way is one way to keep a call's two operations durable.
type way interface {
	call(ctx context.Context, c *call) error
	close(ctx context.Context) error
}

// call is one call of a user: a hold of need, then a settlement.
type call struct {
	user, ref string
	caps      []credit.Cap
	entry     usage.Entry
}

// need is what each call holds; its price is below.
const need = money.Credit / 5

var (
	quiet   = slog.New(slog.DiscardHandler)
	journal = []byte(`{"id":"call_01k8x3v9q2m7h4","model":"gpt-4o","prices":{"input":2500000,"output":10000000},"keyId":"key_01k8x3v9"}`)
	prices  = pricing.Prices{Input: 2_500_000, Output: 10_000_000}
	counts  = pricing.Counts{Input: 120, Output: 40}
	started = strconv.FormatInt(time.Now().UnixNano(), 36)
	refs    atomic.Int64
)

// newCall returns the next call of a user.
func newCall(user string) (*call, error) {
	charged, cost, err := pricing.Price(counts, prices, pricing.DefaultTerms())
	if err != nil {
		return nil, err
	}
	pico, err := cost.Pico()
	if err != nil {
		return nil, err
	}
	ref := "call_" + started + strconv.FormatInt(1e9+refs.Add(1), 36)
	return &call{user: user, ref: ref, caps: caps(user), entry: usage.Entry{
		ID: ref, RequestID: "req_" + ref[5:], UserID: user, KeyID: keyOf(user), ModelID: "gpt-4o", VendorModel: "gpt-4o-2024-08-06",
		Provider: "openai", Operation: "chat", Status: usage.Success, Ending: string(credit.Finished), Stream: true,
		Source: usage.Reported, Counts: counts, Charged: charged, CostPico: pico, Prices: prices, Terms: pricing.DefaultTerms(),
		At: time.Now(), DurationMS: 1200, FirstTokenMS: 340,
	}}, nil
}

// caps are the two limits on spending that every call counts in: its user's for
// the day and its key's in all. They are never reached.
func caps(user string) []credit.Cap {
	return []credit.Cap{
		{Owner: user, Window: today, Limit: capLimit, Full: credit.ErrDayCap},
		{Owner: keyOf(user), Limit: capLimit, Full: credit.ErrKeyCap},
	}
}

const capLimit = money.MaxTransfer / 1000

var today = time.Now().UTC().Truncate(24 * time.Hour)

func keyOf(user string) string { return "key_" + user[len("usr_"):] }

func names(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = "usr_" + strconv.Itoa(100_000+i)
	}
	return out
}

// grant gives each user as much as a call can need for ever.
func grant(ctx context.Context, credits *credit.Service, users []string) error {
	for i, user := range users {
		g := credit.NewGrant{User: user, Source: credit.Pack, Ref: "pay:" + strconv.Itoa(i), Amount: money.MaxTransfer / 1000}
		if _, err := credits.Grant(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

// ledger is the real package.
type ledger struct {
	db      *sqldb.DB
	credits *credit.Service
}

func openLedger(ctx context.Context, db *sqldb.DB, users []string) (*ledger, error) {
	credits := credit.New(credit.Needs{DB: db, Log: quiet, Now: time.Now, Node: "bench", Records: usage.New(usage.Needs{DB: db, Now: time.Now})})
	if err := credits.Start(ctx); err != nil {
		return nil, err
	}
	return &ledger{db, credits}, grant(ctx, credits, users)
}

// call implements way.
func (l *ledger) call(ctx context.Context, c *call) error {
	h, err := l.credits.Reserve(ctx, credit.Call{User: c.user, Ref: c.ref, Need: need, Journal: journal, Caps: c.caps})
	if err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	if err := h.Durable(ctx); err != nil {
		return fmt.Errorf("gate A: %w", err)
	}
	_, err = h.Settle(ctx, outcome(c))
	return err
}

func outcome(c *call) credit.Outcome {
	return credit.Outcome{Price: c.entry.Charged, Ending: credit.Finished, Record: c.entry}
}

// close implements way: it verifies the whole ledger.
func (l *ledger) close(ctx context.Context) error {
	if err := l.credits.Stop(ctx); err != nil {
		return err
	}
	sum, err := l.credits.Verify(ctx, credit.VerifyOptions{}, func(f credit.Finding) { fmt.Println("FAIL", f.Check, f.Text) })
	if err == nil && sum.Findings > 0 {
		err = fmt.Errorf("the ledger has %d findings", sum.Findings)
	}
	if closed := l.db.Close(); err == nil {
		err = closed
	}
	return err
}

// scratch makes databases that are thrown away.
type scratch struct {
	dir, server string
	drops       []func()
	n           int
}

func (s *scratch) open(ctx context.Context, engine string) (*sqldb.DB, error) {
	s.n++
	url := "sqlite:" + filepath.Join(s.dir, strconv.Itoa(s.n)+".db")
	if engine == postgres {
		address, drop, err := lab.Postgres(ctx, s.server)
		if err != nil {
			return nil, err
		}
		s.drops = append(s.drops, drop)
		url = address
	}
	db, err := sqldb.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	return db, db.Migrate(ctx)
}

// clean removes what was made so far.
func (s *scratch) clean() {
	for _, drop := range s.drops {
		drop()
	}
	s.drops = nil
	for i := range s.n {
		for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
			_ = os.Remove(filepath.Join(s.dir, strconv.Itoa(i+1)+".db"+suffix))
		}
	}
}
