package usage_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/usage"
)

// The first call is case 5 of the product's table of prices: its caches save
// 0.1275 dollars, which at 1.3 are 16.575 credits.
func TestWhatCachesSavedIsAddedUp(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newService(db)
		sonnet := pricing.Prices{Input: 3_000_000, Output: 15_000_000, CacheWrite: pricing.At(3_750_000), CacheRead: pricing.At(300_000)}
		read := entry(func(e *usage.Entry) {
			e.ModelID, e.Prices, e.Charged = "sonnet", sonnet, 9_560_000
			e.Counts = pricing.Counts{Input: 2000, CacheWrite: 10_000, CacheRead: 50_000, Output: 1000}
		})
		written := entry(func(e *usage.Entry) {
			e.ModelID, e.Prices, e.Charged, e.At = "sonnet", sonnet, 4_880_000, noon.Add(-24*time.Hour)
			e.Counts = pricing.Counts{CacheWrite: 10_000}
		})
		replayed := entry(func(e *usage.Entry) {
			e.ModelID, e.Prices, e.Charged, e.Ending, e.KeyID = "sonnet", sonnet, 0, usage.Replayed, "key_2"
			e.Counts = pricing.Counts{Input: 1000, Output: 1000}
		})
		another := entry(func(e *usage.Entry) { e.UserID = "usr_eve" })
		add(t, s, read, written, replayed, another)
		from, until := noon.Add(-48*time.Hour), noon.Add(time.Hour)
		got, err := s.Saved(t.Context(), "usr_ada", from, until, usage.ByDay, time.UTC)
		first := usage.SavedSum{Requests: 1, Input: 10_000, SavedRead: -975_000}
		second := usage.SavedSum{Requests: 1, Input: 62_000, Cached: 50_000, SavedRead: 16_575_000, Replayed: 1, SavedReplayed: 2_340_000}
		want := usage.Saved{
			Rows:  []usage.SavedRow{{Name: "2026-03-19T00:00:00Z", SavedSum: first}, {Name: "2026-03-20T00:00:00Z", SavedSum: second}},
			Total: usage.SavedSum{Requests: 2, Input: 72_000, Cached: 50_000, SavedRead: 15_600_000, Replayed: 1, SavedReplayed: 2_340_000},
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
		byKey, err := s.Saved(t.Context(), "usr_ada", from, until, usage.ByKey, time.UTC)
		if err != nil || len(byKey.Rows) != 2 || byKey.Rows[1].Name != "key_2" || byKey.Rows[1].Replayed != 1 {
			t.Errorf("%v %+v", err, byKey)
		}
		none, err := s.Saved(t.Context(), "usr_ada", until, until.Add(time.Hour), usage.ByModel, time.UTC)
		if err != nil || none.Total != (usage.SavedSum{}) || len(none.Rows) != 0 {
			t.Errorf("%v %+v", err, none)
		}
	})
}

// A price for long contexts is the one that was paid.
func TestTheBandOfACallDecidesWhatItSaved(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newService(db)
		add(t, s, entry(func(e *usage.Entry) {
			e.Prices = pricing.Prices{Input: 1_000_000, CacheRead: pricing.At(100_000), Output: 1, Threshold: 1000, High: &pricing.Prices{Input: 2_000_000, CacheRead: pricing.At(1_000_000), Output: 1}}
			e.Counts = pricing.Counts{Input: 1, CacheRead: 100_000}
		}))
		got, err := s.Saved(t.Context(), "usr_ada", noon, noon.Add(time.Second), usage.ByModel, time.UTC)
		if want := money.Credits(13 * money.Credit); err != nil || got.Total.SavedRead != want {
			t.Errorf("%v, saved %s, want %s", err, got.Total.SavedRead, want)
		}
	})
}
