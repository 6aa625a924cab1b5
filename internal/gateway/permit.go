package gateway

import (
	"net/http"
	"strconv"

	"github.com/rephlo/rephlo/internal/catalog"
	"github.com/rephlo/rephlo/internal/llm"
	"github.com/rephlo/rephlo/internal/tier"
)

// Plans knows what people have paid for. It answers from memory.
type Plans interface {
	// TierOf returns the name of the user's tier.
	TierOf(userID string) string
}

// Everybody is Plans where all have one tier.
type Everybody string

// TierOf implements Plans.
func (e Everybody) TierOf(string) string { return string(e) }

// plan returns the caller's tier, with the limits that are the caller's own; without one that is known nothing is allowed.
func (c *call) plan() *tier.Tier { return c.s.planOf(c.actor.UserID) }

func (s *Service) planOf(user string) *tier.Tier {
	t := s.needs.Tiers.Tier(s.needs.Plans.TierOf(user))
	switch {
	case t == nil:
		return &nobody
	case s.needs.Own != nil:
		return s.needs.Own(user, t)
	}
	return t
}

// nobody is the tier of a user whose tier is not in the table.
var nobody = tier.Tier{Name: "none", Rank: -1}

// permitted says why the caller may not call m, or nothing.
func (c *call) permitted(m *catalog.Model) error {
	switch {
	case c.actor.Test && !m.Test():
		return ErrTestKey
	case !c.actor.Key.MayCall(m.ID):
		return ErrTestKey.Saying("This API key may not call the model %s. Use one that it lists, or another key.", m.ID)
	case m.Access.Allows(c.tier.Name, c.s.needs.Tiers):
		return nil
	}
	return catalog.ErrRestricted.Saying("Your plan does not include the model %s. The details say which plans do.", m.ID).
		With("modelId", m.ID).With("userTier", c.tier.Name).With("requiredTiers", m.Access.Required(c.s.needs.Tiers)).
		With("upgradeUrl", c.s.needs.TopUpURL)
}

// announce says that a model will go (RFC 9745 and RFC 8594).
func (c *call) announce(m *catalog.Model) {
	if m.State != catalog.StateLegacy {
		return
	}
	h := c.w.Header()
	if !m.DeprecatedAt.IsZero() {
		h.Set("Deprecation", "@"+strconv.FormatInt(m.DeprecatedAt.Unix(), 10))
	}
	if !m.SunsetAt.IsZero() {
		h.Set("Sunset", m.SunsetAt.UTC().Format(http.TimeFormat))
	}
}

// warn tells the client what was done to the request.
func (c *call) warn(warnings []llm.Warning) {
	c.warnings, c.asked = warnings, nil
	c.s.tally.warned(warnings)
	if len(warnings) > 0 {
		c.w.Header()["X-Rephlo-Warnings"] = []string{llm.WarningsHeader(warnings)}
	}
}
