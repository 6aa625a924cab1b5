package margin

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// node is one process.
type node struct {
	*Service
	t    *testing.T
	past atomic.Int64 // seconds that have passed
}

func newNode(t *testing.T, db *sqldb.DB) *node {
	t.Helper()
	n := &node{t: t}
	log := slog.New(slog.DiscardHandler)
	now := func() time.Time { return time.Now().Add(time.Duration(n.past.Load()) * time.Second) }
	b := bus.New(db, log, now)
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	n.Service = New(Needs{
		DB: db, Bus: b, Log: log, Now: now, Audit: audit.New(audit.Needs{DB: db, Box: box, Log: log, Now: now}),
		Default: func() int64 { return 15_000 },
		OfTier:  func(tier string) int64 { return map[string]int64{"pro": 13_000}[tier] },
		Known:   func(Scope) error { return nil },
	})
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	if err := n.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.Start(t.Context())
	t.Cleanup(n.Stop)
	return n
}

func (n *node) set(e edit) Rule {
	n.t.Helper()
	e.Reason, e.By = "a reason that is long enough", "usr_admin"
	r, err := n.do(n.t.Context(), e, true)
	if err != nil {
		n.t.Fatal(err)
	}
	return r
}

func (n *node) wants(call Scope, want int64, kind Kind) {
	n.t.Helper()
	if got := n.Of(call, n.Now()); got.Multiplier != want || got.Kind != kind || (got.RuleID == "") != (kind == ByTierDefault || kind == ByDefault) {
		n.t.Errorf("%+v: %+v, want %d by %s", call, got, want, kind)
	}
}

// The narrowest rule decides, then what the tier comes with, then the setting;
// of two for the same the one that began last. Other processes follow.
func TestTheNarrowestRuleDecides(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		n, other := newNode(t, db), newNode(t, db)
		call := Scope{"pro", "openai", "gpt"}
		n.wants(call, 13_000, ByTierDefault)
		n.wants(Scope{"none", "openai", "gpt"}, 15_000, ByDefault)
		for _, step := range []struct {
			edit edit
			kind Kind
		}{
			{edit{Tier: "pro", Multiplier: 20_001}, ByTier},
			{edit{Provider: "openai", Multiplier: 20_002}, ByProvider},
			{edit{Tier: "pro", Provider: "openai", Multiplier: 20_003}, ByTierProvider},
			{edit{Model: "gpt", Multiplier: 20_004}, ByModel},
			{edit{Tier: "pro", Model: "gpt", Multiplier: 20_005}, ByTierModel},
		} {
			r := n.set(step.edit)
			n.wants(call, step.edit.Multiplier, step.kind)
			if used, err := n.At(t.Context(), call, r.From.Add(-time.Microsecond)); err != nil || used.RuleID == r.ID {
				t.Errorf("a moment before it began: %+v, %v", used, err)
			}
		}
		for end := time.Now().Add(10 * time.Second); other.Of(call, time.Now()).Multiplier != 20_005; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the other process does not follow")
			}
		}
		n.wants(Scope{"free", "openai", "gpt"}, 20_004, ByModel)
		n.wants(Scope{"pro", "azure", "other"}, 20_001, ByTier)
		n.wants(Scope{"free", "openai", "other"}, 20_002, ByProvider)

		soon := time.Now().Add(time.Minute)
		n.set(edit{Tier: "pro", Model: "gpt", Multiplier: 30_000, From: soon, Until: soon.Add(time.Minute)})
		n.wants(call, 20_005, ByTierModel)
		n.past.Store(61)
		n.wants(call, 30_000, ByTierModel) // at its second, without having read anything
		n.past.Store(121)
		n.wants(call, 20_005, ByTierModel)
	})
}

func TestRulesOfThePastDoNotChange(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		n := newNode(t, db)
		r := n.set(edit{Model: "gpt", Multiplier: 16_000})
		n.past.Store(60)
		for name, c := range map[string]struct {
			edit edit
			want error
		}{
			"it begins in the past":         {edit{Model: "gpt", Multiplier: 16_000, From: time.Now()}, ErrTime},
			"it ends before it begins":      {edit{Model: "gpt", Multiplier: 16_000, From: n.Now().Add(time.Hour), Until: n.Now().Add(time.Minute)}, ErrTime},
			"an end in the past":            {edit{RuleID: r.ID, Until: time.Now()}, ErrTime},
			"for nothing":                   {edit{Multiplier: 16_000}, ErrScope},
			"for a provider and its model":  {edit{Provider: "openai", Model: "gpt", Multiplier: 16_000}, ErrScope},
			"the end of what there was not": {edit{RuleID: "mrg_none", Now: true}, ErrUnknown},
		} {
			if _, err := n.do(t.Context(), c.edit, true); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
		}
		ended := n.set(edit{RuleID: r.ID, Now: true})
		n.wants(Scope{Model: "gpt"}, 15_000, ByDefault)
		if used, err := n.At(t.Context(), Scope{Model: "gpt"}, ended.Until.Add(-time.Second)); err != nil || used.RuleID != r.ID {
			t.Errorf("before it ended: %+v, %v", used, err)
		}
		n.past.Store(120)
		if _, err := n.do(t.Context(), edit{RuleID: r.ID, Now: true}, true); !errors.Is(err, ErrState) {
			t.Errorf("end it again: %v", err)
		}
		all, err := n.List(t.Context(), Filter{}, "", 10)
		active, err2 := n.List(t.Context(), Filter{Active: true}, "", 10)
		if err != nil || err2 != nil || len(all) != 1 || len(active) != 0 || !all[0].Until.Equal(ended.Until) {
			t.Errorf("%+v and %+v, %v, %v", all, active, err, err2)
		}
	})
}

// A second person is needed for a multiplier below 1 and for a change of more
// than a fifth of what somebody pays, whatever brings it about.
func TestLargeChangesNeedASecondPerson(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		n := newNode(t, db)
		for _, c := range []struct {
			edit  edit
			large bool
		}{
			{edit{Tier: "pro", Multiplier: 15_600}, false}, // 13,000 and a fifth
			{edit{Tier: "pro", Multiplier: 15_601}, true},
			{edit{Tier: "pro", Multiplier: 10_400}, false},
			{edit{Tier: "pro", Multiplier: 10_399}, true},
			{edit{Model: "gpt", Multiplier: 18_000}, false},
			{edit{Model: "gpt", Multiplier: 9_999}, true},
			{edit{Model: "gpt", Multiplier: 18_001, From: time.Now().Add(time.Hour)}, true},
		} {
			w, err := n.plan(t.Context(), c.edit)
			if err != nil || w.large != c.large {
				t.Errorf("%+v: large %t, %v; want %t", c.edit, w.large, err, c.large)
			}
			if _, err := n.do(t.Context(), c.edit, false); c.large && err == nil {
				t.Errorf("%+v was done by one person", c.edit)
			} else if !c.large && err != nil {
				t.Error(err)
			}
			for _, r := range active(t, n.Service) { // for the next case
				n.set(edit{RuleID: r.ID, Now: true})
			}
		}
		r := n.set(edit{Model: "gpt", Multiplier: 30_000})
		if w, err := n.plan(t.Context(), edit{RuleID: r.ID, Now: true}); err != nil || !w.large {
			t.Errorf("its end: %+v, %v", w, err)
		}
		if w, err := n.plan(t.Context(), edit{RuleID: r.ID, Until: time.Now().Add(time.Hour)}); err != nil || !w.large {
			t.Errorf("its end in an hour: %+v, %v", w, err)
		}
		if w, err := n.plan(t.Context(), edit{Tier: "free", Model: "gpt", Multiplier: 31_000}); err != nil || w.large {
			t.Errorf("a rule beside it: %+v, %v", w, err)
		}
	})
}

func active(t *testing.T, s *Service) []Rule {
	t.Helper()
	list, err := s.List(context.WithoutCancel(t.Context()), Filter{Active: true}, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	return list
}
