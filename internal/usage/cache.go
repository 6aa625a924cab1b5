package usage

import (
	"context"
	"maps"
	"math/big"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/calendar"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/pricing"
)

// Saved is what caches have saved a user, by group: the vendors', which read
// what they had read before for less, and ours, which gives whole answers again.
type Saved struct {
	Rows  []SavedRow // by name
	Total SavedSum
}

// SavedRow is one group.
type SavedRow struct {
	Name string
	SavedSum
}

// SavedSum adds up calls.
type SavedSum struct {
	Requests, Input, Cached int64
	// SavedRead is what reading from the vendors' caches cost less than reading
	// anew, less what writing to them cost more; it may be below zero.
	SavedRead money.Credits
	// Replayed counts the calls that were given the answer of an earlier one, and
	// SavedReplayed what they would have cost. They are not among the others.
	Replayed      int64
	SavedReplayed money.Credits
}

func (s *SavedSum) add(o SavedSum) {
	s.Requests += o.Requests
	s.Input += o.Input
	s.Cached += o.Cached
	s.SavedRead += o.SavedRead
	s.Replayed += o.Replayed
	s.SavedReplayed += o.SavedReplayed
}

// savedBy returns what e saved.
func savedBy(e *Entry) SavedSum {
	if e.Ending == Replayed {
		s := SavedSum{Replayed: 1}
		if price, _, err := pricing.Price(e.Counts, e.Prices, e.Terms); err == nil {
			s.SavedReplayed = max(price-e.Charged, 0)
		}
		return s
	}
	s := SavedSum{Requests: 1, Input: e.Counts.TotalInput(), Cached: e.Counts.CacheRead}
	if e.Charged > 0 {
		s.SavedRead = e.savedRead()
	}
	return s
}

// savedRead is, in the band that priced the whole call, what its cached input
// cost less than other input and its writes cost more, in µcr rounded to zero.
func (e *Entry) savedRead() money.Credits {
	c, p := &e.Counts, &e.Prices
	if c.CacheRead|c.CacheWrite|c.CacheWriteLong == 0 || e.Terms.CreditValue <= 0 {
		return 0
	}
	if p.High != nil && c.TotalInput() > p.Threshold {
		p = p.High
	}
	write := p.CacheWrite.Or(p.Input)
	sum := new(big.Int)
	for _, part := range [...]struct {
		quantity int64
		saved    money.Price
	}{
		{c.CacheRead, p.Input - p.CacheRead.Or(p.Input)},
		{c.CacheWrite, p.Input - write},
		{c.CacheWriteLong, p.Input - p.CacheWriteLong.Or(write)},
	} {
		sum.Add(sum, new(big.Int).Mul(big.NewInt(part.quantity), big.NewInt(int64(part.saved))))
	}
	sum.Mul(sum, big.NewInt(e.Terms.Multiplier))
	per := new(big.Int).Mul(big.NewInt(10_000), big.NewInt(e.Terms.CreditValue))
	if sum.Quo(sum, per); !sum.IsInt64() {
		return 0
	}
	return money.Credits(sum.Int64())
}

// Saved adds up what caches have saved a user in [from, until), by day of zone,
// model or API key. It reads each record.
func (s *Service) Saved(ctx context.Context, user string, from, until time.Time, by Group, zone *time.Location) (Saved, error) {
	var out Saved
	groups := map[string]*SavedSum{}
	err := s.store.each(ctx, user, from, until, func(e *Entry) {
		name := ""
		switch by {
		case ByModel:
			name = e.ModelID
		case ByKey:
			name = e.KeyID
		case ByDay, ByHour, ByOperation, ByApp:
			name = calendar.DayStart(e.At, zone).Format(time.RFC3339)
		}
		if groups[name] == nil {
			groups[name] = &SavedSum{}
		}
		v := savedBy(e)
		groups[name].add(v)
		out.Total.add(v)
	})
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		out.Rows = append(out.Rows, SavedRow{name, *groups[name]})
	}
	return out, outage(err)
}
