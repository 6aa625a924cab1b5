package usage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// mark returns up to when the summaries are built; zero: they never were.
func (s store) mark(ctx context.Context) (time.Time, error) {
	const q = `SELECT built_until FROM usage_summary_mark WHERE name = 'all'`
	var us int64
	err := s.db.Q(ctx).QueryRowContext(ctx, q).Scan(&us)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read the mark of the summaries: %w", err)
	}
	return time.UnixMicro(us).UTC(), nil
}

// setMark moves the mark on, never back.
func (s store) setMark(ctx context.Context, at time.Time) error {
	const q = `INSERT INTO usage_summary_mark (name, built_until) VALUES ('all', $1)
		ON CONFLICT (name) DO UPDATE SET built_until = excluded.built_until WHERE usage_summary_mark.built_until < excluded.built_until`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, at.UnixMicro()); err != nil {
		return fmt.Errorf("set the mark of the summaries: %w", err)
	}
	return nil
}

// oldest returns when the first call was.
func (s store) oldest(ctx context.Context) (time.Time, bool, error) {
	const q = `SELECT at FROM usage_record ORDER BY id LIMIT 1`
	var us int64
	err := s.db.Q(ctx).QueryRowContext(ctx, q).Scan(&us)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, false, nil
	}
	if err != nil {
		return time.Time{}, false, fmt.Errorf("find the oldest usage: %w", err)
	}
	return time.UnixMicro(us).UTC(), true, nil
}

// The summaries of a time are dropped and built from its records.
const (
	drop  = `DELETE FROM usage_summary WHERE bucket >= $1 AND bucket < $2`
	build = `INSERT INTO usage_summary (user_id, bucket, model_id, operation, key_id, client_id,
			requests, charged, input, cached, output, reasoning, duration_ms)
		SELECT user_id, at - at % 900000000, model_id, operation, key_id, client_id, COUNT(*), CAST(SUM(charged) AS BIGINT),
			CAST(SUM(input + cache_read + cache_write + cache_write_long + image_input + audio_input) AS BIGINT), CAST(SUM(cache_read) AS BIGINT),
			CAST(SUM(output + reasoning + audio_output + image_output) AS BIGINT), CAST(SUM(reasoning) AS BIGINT), CAST(SUM(duration_ms) AS BIGINT)
		FROM usage_record WHERE at >= $1 AND at < $2 AND id >= $3 AND id < $4
		GROUP BY user_id, at - at % 900000000, model_id, operation, key_id, client_id`
)

// summarise writes the summaries of [from, until) anew. The ids of calls rise
// with time, so the primary key finds the records.
func (s store) summarise(ctx context.Context, from, until time.Time) error {
	if _, err := s.db.Q(ctx).ExecContext(ctx, drop, from.UnixMicro(), until.UnixMicro()); err != nil {
		return fmt.Errorf("drop summaries: %w", err)
	}
	_, err := s.db.Q(ctx).ExecContext(ctx, build, from.UnixMicro(), until.UnixMicro(),
		id.First("call", from.Add(-idSlack)), id.First("call", until.Add(idSlack)))
	if err != nil {
		return fmt.Errorf("build summaries: %w", err)
	}
	return nil
}

// chargedIn returns what the summaries of [from, until) say people were charged.
func (s store) chargedIn(ctx context.Context, from, until time.Time) (map[string]money.Credits, error) {
	const q = `SELECT user_id, CAST(SUM(charged) AS BIGINT) FROM usage_summary WHERE bucket >= $1 AND bucket < $2 GROUP BY user_id`
	type sum struct {
		user    string
		charged int64
	}
	rows, err := sqldb.All(ctx, s.db, "add charges up", func(r sqldb.Row) (v sum, err error) {
		return v, r.Scan(&v.user, &v.charged)
	}, q, from.UnixMicro(), until.UnixMicro())
	out := make(map[string]money.Credits, len(rows))
	for _, v := range rows {
		out[v.user] = money.Credits(v.charged)
	}
	return out, err
}

const sums = `CAST(SUM(requests) AS BIGINT), CAST(SUM(charged) AS BIGINT), CAST(SUM(input) AS BIGINT), CAST(SUM(cached) AS BIGINT),
	CAST(SUM(output) AS BIGINT), CAST(SUM(reasoning) AS BIGINT), CAST(SUM(duration_ms) AS BIGINT)`

// byKey is the SQL of what a row is grouped by: a name, or for days and hours
// the quarter.
const byKey = `CASE $4 WHEN 'model' THEN model_id WHEN 'operation' THEN operation WHEN 'key' THEN key_id WHEN 'app' THEN client_id ELSE '' END AS name,
	CASE WHEN $4 IN ('day', 'hour') THEN bucket ELSE 0 END AS quarter`

// The summaries before the mark, and the records from it on in the same form.
const (
	summed = `SELECT ` + byKey + `, ` + sums + ` FROM usage_summary
		WHERE user_id = $1 AND bucket >= $2 AND bucket < $3 GROUP BY 1, 2 ORDER BY 1, 2`
	fresh = `SELECT ` + byKey + `, ` + sums + ` FROM (
			SELECT model_id, operation, key_id, client_id, at - at % 900000000 AS bucket, 1 AS requests, charged,
				input + cache_read + cache_write + cache_write_long + image_input + audio_input AS input, cache_read AS cached,
				output + reasoning + audio_output + image_output AS output, reasoning, duration_ms
			FROM usage_record WHERE user_id = $1 AND at >= $2 AND at < $3) r
		GROUP BY 1, 2 ORDER BY 1, 2`
)

// Sum is usage added up.
type Sum struct {
	Requests                         int64
	Charged                          money.Credits
	Input, Cached, Output, Reasoning int64
	DurationMS                       int64 // of all requests together
}

func (s *Sum) add(o Sum) {
	s.Requests += o.Requests
	s.Charged += o.Charged
	s.Input += o.Input
	s.Cached += o.Cached
	s.Output += o.Output
	s.Reasoning += o.Reasoning
	s.DurationMS += o.DurationMS
}

// sum gives each the sums of a user's calls in [from, until).
func (s store) sum(ctx context.Context, query, user string, from, until time.Time, by Group, each func(name string, bucket time.Time, v Sum)) error {
	rows, err := s.db.Q(ctx).QueryContext(ctx, query, user, from.UnixMicro(), until.UnixMicro(), string(by))
	if err != nil {
		return fmt.Errorf("add usage up: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var (
			name string
			us   int64
			v    Sum
		)
		if err := rows.Scan(&name, &us, &v.Requests, (*int64)(&v.Charged), &v.Input, &v.Cached, &v.Output, &v.Reasoning, &v.DurationMS); err != nil {
			return fmt.Errorf("add usage up: %w", err)
		}
		each(name, time.UnixMicro(us).UTC(), v)
	}
	return rows.Err()
}
