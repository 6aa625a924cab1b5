// Package margin has the rules by which vendors' prices become what people pay:
// a multiplier for a tier, a provider, a model, or a tier with one of the two.
//
// Invariants:
//   - Rules that have begun never change but for their end, and no end is in the
//     past: what calls were charged stays explained.
//   - A multiplier below 1, and a change of what somebody pays by more than a
//     fifth, happen only when a second person who may approve prices agrees.
//   - The multiplier of a call is that of its beginning, from memory.
//
// Tables: margin_rule.
package margin

import (
	"cmp"
	"slices"
	"time"
)

// Bounds of a multiplier, in basis points (10,000 is 1).
const (
	Least = 1
	Most  = 100_000
	whole = 10_000
)

// Scope is what a rule is for; empty fields are any. Not all three are set, and
// not Provider with Model: a model has its provider.
type Scope struct{ Tier, Provider, Model string }

// Rule is a multiplier during an interval.
type Rule struct {
	ID string
	Scope
	Multiplier     int64 // basis points
	From           time.Time
	Until          time.Time // zero: until somebody ends it
	Reason, Author string
	At             time.Time // when it was written
}

// holds reports whether r is in force at a moment.
func (r *Rule) holds(at time.Time) bool {
	return !r.From.After(at) && (r.Until.IsZero() || r.Until.After(at))
}

// Kind says which rule of the order priced something.
type Kind string

// The order in which rules are asked; the first that holds decides.
const (
	ByTierModel    Kind = "tier_model"
	ByModel        Kind = "model"
	ByTierProvider Kind = "tier_provider"
	ByProvider     Kind = "provider"
	ByTier         Kind = "tier"
	ByTierDefault  Kind = "tier_default"
	ByDefault      Kind = "default"
)

// Used is a multiplier and why it holds.
type Used struct {
	Multiplier int64 // basis points
	Kind       Kind
	RuleID     string // empty for the defaults
}

// rules are all rules by their scope, those that begin last first.
type rules map[Scope][]Rule

func newRules(list []Rule) rules {
	out := rules{}
	for _, r := range list {
		out[r.Scope] = append(out[r.Scope], r)
	}
	for _, own := range out {
		slices.SortFunc(own, func(a, b Rule) int {
			return cmp.Or(b.From.Compare(a.From), b.At.Compare(a.At), cmp.Compare(b.ID, a.ID))
		})
	}
	return out
}

// find returns the rule that holds for a call: within a scope the one that began
// last.
func (rs rules) find(call Scope, at time.Time) (*Rule, Kind) {
	if len(rs) == 0 {
		return nil, ByDefault
	}
	for _, try := range [...]struct {
		scope Scope
		kind  Kind
	}{
		{Scope{Tier: call.Tier, Model: call.Model}, ByTierModel},
		{Scope{Model: call.Model}, ByModel},
		{Scope{Tier: call.Tier, Provider: call.Provider}, ByTierProvider},
		{Scope{Provider: call.Provider}, ByProvider},
		{Scope{Tier: call.Tier}, ByTier},
	} {
		if call.Tier == "" && try.kind != ByModel && try.kind != ByProvider {
			continue // nobody in particular
		}
		own := rs[try.scope]
		for i := range own {
			if own[i].holds(at) {
				return &own[i], try.kind
			}
		}
	}
	return nil, ByDefault
}

// large reports whether going from one multiplier to another needs a second
// person: the new one is below 1, or more than a fifth away.
func large(from, to int64) bool {
	if to < whole && to != from {
		return true
	}
	return 5*max(from-to, to-from) > from
}
