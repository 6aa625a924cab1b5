package tier_test

import (
	"slices"
	"testing"

	"github.com/rephlo/rephlo/internal/money"
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

// The table of section 3 of the product specification.
func TestTheSeedsAreTheTableOfTheSpecification(t *testing.T) {
	t.Parallel()
	type row struct {
		rank                                           int
		month, year, credits, rolloverCap              int64
		rolloverMonths, trialDays                      int
		trialCredits, requests, tokens, atOnce, perDay int64
		weight                                         int64
		historyDays, liveKeys, testKeys, webhooks      int
		analytics, active                              bool
	}
	want := map[string]row{
		"free":                {0, 0, 0, 200, 0, 0, 0, 0, 10, 10_000, 1, 200, 10, 30, 0, 2, 0, false, true},
		"pro":                 {1, 1500, 15_000, 1_500, 750, 1, 14, 150, 30, 100_000, 3, 5_000, 15, 90, 0, 5, 2, false, true},
		"pro_plus":            {2, 4500, 45_000, 5_000, 2_500, 3, 14, 500, 60, 200_000, 5, 10_000, 20, 180, 10, 10, 5, true, true},
		"pro_max":             {3, 19_900, 199_000, 25_000, 12_500, 6, 14, 2_500, 120, 500_000, 10, 25_000, 30, 365, 50, 50, 10, true, true},
		"enterprise_pro":      {4, 3000, 30_000, 3_500, 1_750, 3, 30, 350, 60, 200_000, 5, 10_000, 20, 180, 25, 25, 10, true, false},
		"enterprise_pro_plus": {5, 9000, 90_000, 11_000, 5_500, 6, 30, 1_100, 120, 500_000, 10, 50_000, 30, 365, 100, 100, 20, true, false},
	}
	whole := func(c money.Credits) int64 { return int64(c / money.Credit) }
	for _, s := range tier.Defaults(200) {
		got := row{
			s.Rank, s.MonthlyPrice, s.AnnualPrice, whole(s.CreditsPerMonth), whole(s.RolloverCap), s.RolloverMonths, s.TrialDays, whole(s.TrialCredits),
			s.RequestsPerMinute, s.TokensPerMinute, s.ConcurrentRequests, whole(s.CreditsPerDay), s.PriorityWeight,
			s.HistoryDays, s.LiveKeys, s.TestKeys, s.WebhookEndpoints, s.AdvancedAnalytics, s.Active,
		}
		if got != want[s.Name] {
			t.Errorf("%s: %+v, want %+v", s.Name, got, want[s.Name])
		}
		delete(want, s.Name)
	}
	if len(want) > 0 {
		t.Errorf("not there: %v", want)
	}
}
