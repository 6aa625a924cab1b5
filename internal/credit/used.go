package credit

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rephlo/rephlo/internal/calendar"
	"github.com/rephlo/rephlo/internal/money"
)

// What Charged remembers.
const (
	// usedSettled is how old a transfer is that no late batch comes before.
	usedSettled = 15 * time.Minute
	// usedKept is how long a sum is believed: a batch may be older than
	// usedSettled after a long outage.
	usedKept = time.Hour
	usedMost = 4096 // users
)

// usedSums remember what users were charged since a moment, so that asking
// again reads only what came since then.
type usedSums struct {
	mu     sync.Mutex
	byUser map[string]usedSum // guarded by mu
}

type usedSum struct{ since, until, made, sum int64 }

// Charged returns what the user's calls were charged since a moment, less what
// was given back of it.
func (s *Service) Charged(ctx context.Context, user string, since time.Time) (money.Credits, error) {
	now := s.now()
	from, settled := since.UnixMicro(), now.Add(-usedSettled).UnixMicro()
	s.used.mu.Lock()
	known, ok := s.used.byUser[user]
	s.used.mu.Unlock()
	if !ok || known.since != from || known.until > settled || now.UnixMicro()-known.made > usedKept.Microseconds() {
		known = usedSum{since: from, until: from, made: now.UnixMicro()}
	}
	settled = max(settled, known.until)
	old, recent, err := s.store.charged(ctx, user, known.until, settled)
	if err != nil {
		return 0, err
	}
	known.sum, known.until = known.sum+old, settled
	s.used.mu.Lock()
	defer s.used.mu.Unlock()
	if s.used.byUser == nil || len(s.used.byUser) >= usedMost {
		s.used.byUser = map[string]usedSum{}
	}
	s.used.byUser[user] = known
	return money.Credits(max(known.sum+recent, 0)), nil
}

// PeriodUse is what happened to a user's credits in a calendar month.
type PeriodUse struct {
	calendar.Period
	Granted, Charged, Returned, Expired, Taken money.Credits
}

// UseByMonth returns the last n calendar months (UTC), the current one first.
// Rollover moves credits between grants and is in neither sum.
func (s *Service) UseByMonth(ctx context.Context, user string, n int) ([]PeriodUse, error) {
	out := make([]PeriodUse, 0, n)
	err := s.db.ReadTx(ctx, func(ctx context.Context) error {
		out = out[:0]
		month := calendar.Month(s.now(), time.UTC)
		for range n {
			sums, err := s.store.kindSumsBetween(ctx, user, month.Start.UnixMicro(), month.End.UnixMicro())
			if err != nil {
				return err
			}
			out = append(out, PeriodUse{
				Period: month, Granted: money.Credits(sums[kindGrant]), Charged: money.Credits(sums[kindCharge]),
				Returned: money.Credits(sums[kindReversal]), Expired: money.Credits(sums[kindExpire]),
				Taken: money.Credits(sums[kindAdjust] + sums[kindClawback]),
			})
			month = calendar.Month(month.Start.Add(-time.Hour), time.UTC)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("sum up months: %w", err)
	}
	return out, nil
}

// NextRoll is what the end of a user's running cycle will do, as things are.
type NextRoll struct {
	End time.Time // of the plan grant; zero: there is none, or it never ends
	// Of what the plan has left: what is carried over, and what expires. What
	// open calls hold is neither.
	Left, Rolled, Expired money.Credits
	Trimmed               money.Credits // of older rollover
	Until                 time.Time     // when what is carried over will expire
}

// PreviewRoll returns what Roll would do at the end of the user's newest plan
// grant, with this cap and these months.
func (s *Service) PreviewRoll(ctx context.Context, user string, most money.Credits, months int) (out NextRoll, err error) {
	err = s.db.ReadTx(ctx, func(ctx context.Context) error {
		out = NextRoll{}
		now := s.now().UnixMicro()
		plans, err := s.store.grantList(ctx, user, string(Plan), 0, 0, 1)
		if err != nil || len(plans) == 0 || !plans[0].ExpiresAt.After(s.now()) {
			return err
		}
		older, err := s.store.grantList(ctx, user, string(Rollover), now, 0, maxRollovers)
		if err != nil {
			return err
		}
		plan := plans[0]
		out.End, out.Left = plan.ExpiresAt, plan.Remaining-plan.Held
		if months > 0 {
			out.Rolled = min(out.Left, most)
			out.Until = CycleStart(plan.ExpiresAt, months)
		}
		out.Expired = out.Left - out.Rolled
		all := out.Rolled
		for _, g := range older {
			if g.ExpiresAt.After(plan.ExpiresAt) {
				all += g.Remaining - g.Held
			}
		}
		out.Trimmed = max(all-most, 0)
		return nil
	})
	return out, err
}

// maxRollovers is more than a user can have: one for each month that rollover
// lasts.
const maxRollovers = 1000
