package tier_test

import (
	"slices"
	"testing"

	"github.com/rephlo/rephlo/internal/tier"
)

func TestTiersAreOrderedByRank(t *testing.T) {
	t.Parallel()
	table := tier.Seeds()
	names := table.Names()
	if want := []string{"free", "pro", "pro_plus", "pro_max", "enterprise_pro", "enterprise_pro_plus"}; !slices.Equal(names, want) {
		t.Errorf("tiers %v, want %v", names, want)
	}
	above, ok := table.Rank(tier.Unlimited)
	for _, name := range names {
		rank, known := table.Rank(name)
		if !ok || !known || rank >= above {
			t.Errorf("%s ranks %d, %v; unlimited ranks %d, %v", name, rank, known, above, ok)
		}
		if limits := table.Tier(name); limits.RequestsPerMinute == 0 || limits.TokensPerMinute == 0 || limits.ConcurrentRequests == 0 || limits.CreditsPerDay == 0 {
			t.Errorf("%s lacks a limit: %+v", name, limits)
		}
	}
	if u := table.Tier(tier.Unlimited); u.RequestsPerMinute != 0 || slices.Contains(names, tier.Unlimited) {
		t.Errorf("unlimited is %+v and listed in %v", u, names)
	}
	if _, ok := table.Rank("gold"); ok || table.Tier("gold") != nil {
		t.Error("a tier that is not there was found")
	}
}
