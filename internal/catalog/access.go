package catalog

import (
	"slices"

	"github.com/rephlo/rephlo/internal/fault"
)

// AccessMode says how a model's tiers are compared with a user's.
type AccessMode string

// The modes; anything else denies.
const (
	AccessMinimum   AccessMode = "minimum"   // the user's tier ranks as high as Tier
	AccessExact     AccessMode = "exact"     // the user's tier is Tier
	AccessWhitelist AccessMode = "whitelist" // the user's tier is one of Tiers
)

// Access says who may call a model.
type Access struct {
	Mode  AccessMode `json:"mode"`
	Tier  string     `json:"tier,omitempty"`
	Tiers []string   `json:"tiers,omitempty"`
}

// Tiers knows the tiers. It answers from memory.
type Tiers interface {
	// Rank orders the tiers; false for a name that no tier has.
	Rank(tier string) (int, bool)
	// Names are the tiers that people can have, the lowest first.
	Names() []string
}

// Allows reports whether somebody of a tier may call the model.
func (a Access) Allows(tier string, tiers Tiers) bool {
	switch a.Mode {
	case AccessMinimum:
		have, known := tiers.Rank(tier)
		need, ok := tiers.Rank(a.Tier)
		return known && ok && have >= need
	case AccessExact:
		return tier == a.Tier
	case AccessWhitelist:
		return slices.Contains(a.Tiers, tier)
	}
	return false
}

// Required returns the tiers of which one is needed, the lowest first.
func (a Access) Required(tiers Tiers) []string {
	out := []string{}
	for _, name := range tiers.Names() {
		if a.Allows(name, tiers) {
			out = append(out, name)
		}
	}
	return out
}

func (a Access) check(tiers Tiers) error {
	known := func(name string) bool { _, ok := tiers.Rank(name); return ok }
	switch a.Mode {
	case AccessMinimum, AccessExact:
		if !known(a.Tier) {
			return wrong("requiredTier", "it is one of %v", tiers.Names())
		}
	case AccessWhitelist:
		if len(a.Tiers) == 0 || len(a.Tiers) > 20 {
			return wrong("allowedTiers", "a whitelist has 1 to 20 tiers")
		}
		for _, name := range a.Tiers {
			if !known(name) {
				return wrong("allowedTiers", "%q is none of %v", name, tiers.Names())
			}
		}
	default:
		return wrong("tierRestrictionMode", "it is minimum, exact or whitelist")
	}
	return nil
}

// ErrRestricted answers somebody whose tier may not call a model.
var ErrRestricted = fault.New(fault.Forbidden, "model_access_restricted", "Your plan does not include this model.").At("model").Final()
