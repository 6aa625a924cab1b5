package usage

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/rephlo/rephlo/internal/money"
)

// The summaries add records up by quarters of an hour, because days begin at
// one of them in every time zone.
const (
	quarter = 15 * time.Minute
	// redone is how far back every run builds again: records of calls that took
	// long, or waited in the spool, come late.
	redone = 2 * time.Hour
	// redoneDaily is the same for the run that Rebuild starts once a day.
	redoneDaily = 3 * 24 * time.Hour
	// idSlack bounds how far a call's id and its record's time are apart.
	idSlack = time.Hour
	// settling is how old a quarter must be before it is built.
	settling = 5 * time.Minute
	// chunk is what one transaction builds: an hour, so that it is short.
	chunk = time.Hour
	// maxChunks bounds one run; the next goes on where it stopped.
	maxChunks = 3000
)

// Summarise builds the summaries up to now and those of the last hours again.
// Each hour is one transaction that deletes and writes it, so a run may be
// cut off anywhere and repeated at any time.
func (s *Service) Summarise(ctx context.Context) error { return s.build(ctx, redone) }

// Rebuild is Summarise from three days back.
func (s *Service) Rebuild(ctx context.Context) error { return s.build(ctx, redoneDaily) }

// sumUp builds the summaries of [from, until), in the transaction that ctx
// carries, and tells by how much people's sums changed.
func (s *Service) sumUp(ctx context.Context, from, until time.Time) error {
	if s.used == nil {
		return s.store.summarise(ctx, from, until)
	}
	before, err := s.store.chargedIn(ctx, from, until)
	if err != nil {
		return err
	}
	if err := s.store.summarise(ctx, from, until); err != nil {
		return err
	}
	more, err := s.store.chargedIn(ctx, from, until)
	if err != nil {
		return err
	}
	for user, was := range before {
		more[user] -= was
	}
	maps.DeleteFunc(more, func(_ string, v money.Credits) bool { return v == 0 })
	if len(more) == 0 {
		return nil
	}
	return s.used(ctx, more)
}

func (s *Service) build(ctx context.Context, back time.Duration) error {
	mark, err := s.store.mark(ctx)
	if err != nil {
		return err
	}
	from := mark.Add(-back)
	if mark.IsZero() {
		first, found, err := s.store.oldest(ctx)
		if err != nil || !found {
			return err
		}
		from = first
	}
	from = from.Truncate(quarter)
	until := s.now().Add(-settling).Truncate(quarter)
	for n := 0; from.Before(until) && n < maxChunks; n++ {
		next := from.Add(chunk)
		if next.After(until) {
			next = until
		}
		err := s.store.db.InTx(ctx, func(ctx context.Context) error {
			if err := s.sumUp(ctx, from, next); err != nil {
				return err
			}
			return s.store.setMark(ctx, next)
		})
		if err != nil {
			return fmt.Errorf("summarise usage from %s: %w", from.Format(time.RFC3339), err)
		}
		from = next
	}
	return ctx.Err()
}
