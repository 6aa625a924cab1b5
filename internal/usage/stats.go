package usage

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/rephlo/rephlo/internal/calendar"
)

// Group says what statistics are grouped by.
type Group string

// The groups.
const (
	ByDay       Group = "day"
	ByHour      Group = "hour"
	ByModel     Group = "model"
	ByOperation Group = "operation"
	ByKey       Group = "key"
	ByApp       Group = "app"
)

// Stats is a user's usage by group. Days and hours have their first moment as
// the name, RFC 3339 in UTC.
type Stats struct {
	Rows  []Row // by name; what was not used is left out
	Total Sum
}

// Row is one group.
type Row struct {
	Name string
	Sum
}

// Stats adds a user's usage in [from, until) up; both are moved to the quarter
// of an hour before. Days are those of zone. What the summaries do not have yet
// is read from the records, so the result is exact at any time.
func (s *Service) Stats(ctx context.Context, user string, from, until time.Time, by Group, zone *time.Location) (Stats, error) {
	from, until = from.Truncate(quarter), until.Truncate(quarter)
	var out Stats
	groups := map[string]*Sum{}
	each := func(name string, bucket time.Time, v Sum) {
		switch by {
		case ByDay:
			name = calendar.DayStart(bucket, zone).Format(time.RFC3339)
		case ByHour:
			name = bucket.Truncate(time.Hour).Format(time.RFC3339)
		case ByModel, ByOperation, ByKey, ByApp:
		}
		if groups[name] == nil {
			groups[name] = &Sum{}
		}
		groups[name].add(v)
		out.Total.add(v)
	}
	err := s.store.db.ReadTx(ctx, func(ctx context.Context) error {
		mark, err := s.store.mark(ctx)
		if err != nil {
			return err
		}
		split := mark
		if split.Before(from) {
			split = from
		} else if split.After(until) {
			split = until
		}
		if err := s.store.sum(ctx, summed, user, from, split, by, each); err != nil {
			return err
		}
		return s.store.sum(ctx, fresh, user, split, until, by, each)
	})
	if err != nil {
		return Stats{}, outage(err)
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		out.Rows = append(out.Rows, Row{name, *groups[name]})
	}
	return out, nil
}
