package usage

import (
	"context"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// each gives f every call of a user in [from, until), as far as what caches have
// saved needs it. The entry is used again for the next.
func (s store) each(ctx context.Context, user string, from, until time.Time, f func(e *Entry)) error {
	const q = `
		SELECT key_id, model_id, ending, input, cache_read, cache_write, cache_write_long, image_input, audio_input,
			output, reasoning, audio_output, image_output, images, audio_seconds, characters, server_tool_calls, requests,
			charged, pricing, at
		FROM usage_record WHERE user_id = $1 AND at >= $2 AND at < $3`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, user, from.UnixMicro(), until.UnixMicro())
	if err != nil {
		return fmt.Errorf("read what caches saved: %w", err)
	}
	defer rows.Close()
	rates := map[string]Entry{}
	for rows.Next() {
		var e Entry
		var charged int64
		var rate string
		var at sqldb.Time
		c := &e.Counts
		err := rows.Scan(&e.KeyID, &e.ModelID, &e.Ending, &c.Input, &c.CacheRead, &c.CacheWrite, &c.CacheWriteLong, &c.ImageInput, &c.AudioInput,
			&c.Output, &c.Reasoning, &c.AudioOutput, &c.ImageOutput, &c.Images, &c.AudioSeconds, &c.Characters, &c.ServerToolCalls, &c.Requests,
			&charged, &rate, &at)
		if err != nil {
			return fmt.Errorf("read what caches saved: %w", err)
		}
		known, ok := rates[rate]
		if !ok {
			if err := known.readRate(rate); err != nil {
				return err
			}
			if len(rates) >= maxRates {
				clear(rates)
			}
			rates[rate] = known
		}
		e.Charged, e.At, e.Prices, e.Terms = money.Credits(charged), at.Time, known.Prices, known.Terms
		f(&e)
	}
	return rows.Err()
}
