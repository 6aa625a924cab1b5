package margin

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/sqldb"
)

const busKind = "margin.changed"

// Errors of changes.
var (
	ErrUnknown = fault.ErrNotFound.Saying("There is no such rule.")
	ErrScope   = fault.New(fault.Unprocessable, "validation_error", "Name a tier, a provider or a model, or a tier with one of the two. A model has its provider already.")
	ErrTime    = fault.New(fault.Unprocessable, "validation_error", "A rule begins and ends now or later, and ends after it begins.")
	ErrState   = fault.New(fault.Conflict, "invalid_state", "This rule has ended. Write a new one.")
)

// Needs are what a Service is made of.
type Needs struct {
	DB    *sqldb.DB
	Bus   *bus.Bus
	Audit *audit.Log
	Log   *slog.Logger
	Now   func() time.Time
	// Default is the multiplier where no rule and no tier has one.
	Default func() int64
	// OfTier is the multiplier that a tier comes with; 0: none.
	OfTier func(tier string) int64
	// Known returns an error for a tier, a provider or a model that there is not.
	Known func(s Scope) error
}

// Service knows the rules. It is safe for concurrent use.
type Service struct {
	Needs
	*bus.Follower // Load, Start and Stop
	store         store
	now           atomic.Pointer[rules]
}

// New returns a Service without rules; Load reads them.
func New(n Needs) *Service {
	s := &Service{Needs: n, store: store{n.DB}}
	s.now.Store(&rules{})
	s.Follower = n.Bus.Follow(busKind, "the rules of prices", s.read)
	return s
}

// read is what Load does.
func (s *Service) read(ctx context.Context) error {
	list, err := s.store.since(ctx, s.Now())
	if err != nil {
		return err
	}
	rs := newRules(list)
	s.now.Store(&rs)
	return nil
}

// Of returns the multiplier for a call of a tier to a model of a provider at a
// moment that is not before the last Load, from memory.
func (s *Service) Of(call Scope, at time.Time) Used {
	return s.used(*s.now.Load(), call, at)
}

// At is Of for any moment, also of the past.
func (s *Service) At(ctx context.Context, call Scope, at time.Time) (Used, error) {
	list, err := s.store.since(ctx, at)
	if err != nil {
		return Used{}, err
	}
	return s.used(newRules(list), call, at), nil
}

func (s *Service) used(rs rules, call Scope, at time.Time) Used {
	if r, kind := rs.find(call, at); r != nil {
		return Used{r.Multiplier, kind, r.ID}
	}
	if m := s.OfTier(call.Tier); m > 0 {
		return Used{Multiplier: m, Kind: ByTierDefault}
	}
	return Used{Multiplier: s.Default(), Kind: ByDefault}
}

// Filter narrows a list; empty fields do not.
type Filter struct {
	Scope
	Active bool // only rules that hold now or will
}

// List returns up to limit rules that were written before the one with the id
// before, the newest first.
func (s *Service) List(ctx context.Context, f Filter, before string, limit int) ([]Rule, error) {
	now := time.Time{}
	if f.Active {
		now = s.Now()
	}
	return s.store.list(ctx, f.Scope, now, before, limit)
}

// edit is a change of the rules: a new one, or another end of an old one.
type edit struct {
	RuleID     string    `json:"ruleId,omitempty"` // empty: a new one
	Tier       string    `json:"tier,omitempty"`
	Provider   string    `json:"provider,omitempty"`
	Model      string    `json:"model,omitempty"`
	Multiplier int64     `json:"multiplierBp,omitempty"`
	From       time.Time `json:"effectiveFrom,omitzero"` // zero: when it is done
	Until      time.Time `json:"effectiveUntil,omitzero"`
	Now        bool      `json:"now,omitempty"` // it ends when this is done
	Reason     string    `json:"reason"`
	By         string    `json:"by"`
}

func (e edit) scope() Scope { return Scope{e.Tier, e.Provider, e.Model} }

// work is an edit worked out: the rule as it will be, and as it was.
type work struct {
	before *Rule
	after  Rule
	large  bool
}

// plan works e out, and refuses what cannot be.
func (s *Service) plan(ctx context.Context, e edit) (work, error) {
	now := s.Now().UTC().Truncate(time.Microsecond)
	list, err := s.store.since(ctx, now)
	if err != nil {
		return work{}, err
	}
	var w work
	if e.RuleID == "" {
		w.after = Rule{ID: id.New("mrg", now), Scope: e.scope(), Multiplier: e.Multiplier, From: e.From.UTC().Truncate(time.Microsecond), Author: e.By, Reason: e.Reason, At: now}
		if e.From.IsZero() {
			w.after.From = now
		}
		if err := s.check(w.after, now); err != nil {
			return work{}, err
		}
	} else {
		i := slices.IndexFunc(list, func(r Rule) bool { return r.ID == e.RuleID })
		if i < 0 {
			return work{}, s.ended(ctx, e.RuleID)
		}
		w.before, w.after = &list[i], list[i]
	}
	if !e.Until.IsZero() {
		w.after.Until = e.Until.UTC().Truncate(time.Microsecond)
	}
	if e.Now {
		w.after.Until = now
	}
	if u := w.after.Until; !u.IsZero() && (u.Before(now) || !u.After(w.after.From) && w.before == nil) {
		return work{}, ErrTime.At("effectiveUntil")
	}
	w.large = s.moves(list, w, now)
	return w, nil
}

// moves reports whether the change moves what somebody pays by so much that a
// second person must agree: at the moments at which it begins and ends.
func (s *Service) moves(list []Rule, w work, now time.Time) bool {
	without := slices.DeleteFunc(slices.Clone(list), func(r Rule) bool { return r.ID == w.after.ID })
	was, will := newRules(list), newRules(append(without, w.after))
	for _, at := range []time.Time{now, w.after.From, w.after.Until} {
		if at.Before(now) {
			continue
		}
		before, after := s.used(was, w.after.Scope, at), s.used(will, w.after.Scope, at)
		if large(before.Multiplier, after.Multiplier) {
			return true
		}
	}
	return false
}

func (s *Service) check(r Rule, now time.Time) error {
	if r.Scope == (Scope{}) || r.Provider != "" && r.Model != "" {
		return ErrScope
	}
	if r.From.Before(now) {
		return ErrTime.At("effectiveFrom")
	}
	return s.Known(r.Scope)
}

// ended says why a rule cannot be changed.
func (s *Service) ended(ctx context.Context, ruleID string) error {
	r, err := s.store.one(ctx, ruleID)
	if err != nil {
		return err
	}
	return ErrState.Saying("This rule has ended at %s. Write a new one.", r.Until.Format(time.RFC3339))
}

// do carries e out, in the transaction that ctx carries or in its own.
func (s *Service) do(ctx context.Context, e edit, approved bool) (Rule, error) {
	var w work
	err := s.DB.InTx(ctx, func(ctx context.Context) (err error) {
		if err := s.store.lock(ctx); err != nil {
			return err
		}
		if w, err = s.plan(ctx, e); err != nil {
			return err
		}
		if w.large && !approved { // somebody changed the rules since it was looked at
			return fault.New(fault.Conflict, "conflict", "The rules have changed meanwhile. Try again.")
		}
		action, before := "pricing.rule.set", any(nil)
		if w.before == nil {
			err = s.store.add(ctx, w.after)
		} else {
			action, before = "pricing.rule.bound", show(*w.before)
			err = s.store.bound(ctx, w.after.ID, w.after.Until)
		}
		if err != nil {
			return err
		}
		if err := s.Audit.Write(ctx, audit.Change{Action: action, Type: "margin_rule", ID: w.after.ID, Reason: e.Reason, Before: before, After: show(w.after)}); err != nil {
			return err
		}
		s.DB.AfterCommit(ctx, func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) // the transaction is over
			defer cancel()
			if err := s.Load(ctx); err != nil {
				s.Log.WarnContext(ctx, "rules of prices not read again; trying again soon", "err", err)
			}
		})
		return s.Bus.Publish(ctx, busKind, w.after.ID)
	})
	return w.after, err
}

// mayApprove refuses who may not approve prices.
func mayApprove(ctx context.Context) error {
	_, err := access.Admin(ctx, access.ApprovePrices)
	return err
}
