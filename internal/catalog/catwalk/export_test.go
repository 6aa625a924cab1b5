package catwalk

import (
	"charm.land/catwalk/pkg/catwalk"

	"github.com/rephlo/rephlo/internal/pricing"
)

// Row is what becomes of a row of the list.
func Row(in, out, inCached, outCached float64) *pricing.Prices {
	return prices("any", catwalk.Model{ID: "m", CostPer1MIn: in, CostPer1MOut: out, CostPer1MInCached: inCached, CostPer1MOutCached: outCached}, nil)
}
