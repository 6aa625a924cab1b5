package job

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// store holds this package's SQL.
type store struct{ db *sqldb.DB }

// add writes a task unless there is one with its key, and reports whether it
// did.
func (s store) add(ctx context.Context, t Task, now time.Time) (bool, error) {
	const q = `
		INSERT INTO job_task (id, kind, key, argument, created_at, due_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (key) DO NOTHING`
	return s.one(ctx, "enqueue "+t.Kind, q, t.ID, t.Kind, t.Key, string(t.Argument), now.UnixMicro(), t.DueAt.UnixMicro())
}

// addRun is add for a run of a schedule: also not while an earlier one has not
// ended.
func (s store) addRun(ctx context.Context, t Task, now time.Time) (bool, error) {
	const q = `
		INSERT INTO job_task (id, kind, key, argument, created_at, due_at)
		SELECT $1, $2, $3, $4, CAST($5 AS BIGINT), CAST($6 AS BIGINT)
		WHERE NOT EXISTS (SELECT 1 FROM job_task WHERE kind = $2 AND state = 'waiting')
		ON CONFLICT (key) DO NOTHING`
	return s.one(ctx, "enqueue "+t.Kind, q, t.ID, t.Kind, t.Key, string(t.Argument), now.UnixMicro(), t.DueAt.UnixMicro())
}

// due returns the kinds of which something could be claimed now.
func (s store) due(ctx context.Context, now time.Time) ([]string, error) {
	const q = `SELECT DISTINCT kind FROM job_task WHERE state = 'waiting' AND due_at <= $1 AND claimed_until < $1`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, now.UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("look for due tasks: %w", err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("look for due tasks: %w", err)
		}
		out = append(out, name)
	}
	return out, rows.Err()
}

// claim takes up to limit due tasks of a kind until the given time. The guard
// stands twice: without the outer one, two processes on PostgreSQL would claim
// the same row.
func (s store) claim(ctx context.Context, kind, node string, now, until time.Time, limit int) ([]Task, error) {
	const q = `
		UPDATE job_task SET claimed_by = $1, claimed_until = $2, attempt = attempt + 1, started_at = $3
		WHERE id IN (SELECT id FROM job_task WHERE kind = $4 AND state = 'waiting' AND due_at <= $3 AND claimed_until < $3
			ORDER BY due_at, id LIMIT $5)
		AND state = 'waiting' AND claimed_until < $3
		RETURNING id, key, argument, attempt, due_at`
	var out []Task
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		rows, err := s.db.Q(ctx).QueryContext(ctx, q, node, until.UnixMicro(), now.UnixMicro(), kind, limit)
		if err != nil {
			return fmt.Errorf("claim %s: %w", kind, err)
		}
		defer rows.Close()
		for rows.Next() {
			t := Task{Kind: kind}
			var argument string
			var due sqldb.Time
			if err := rows.Scan(&t.ID, &t.Key, &argument, &t.Attempt, &due); err != nil {
				return fmt.Errorf("claim %s: %w", kind, err)
			}
			t.Argument, t.DueAt = []byte(argument), due.Time
			out = append(out, t)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// renew extends the claim on a task, and reports whether it is still ours.
func (s store) renew(ctx context.Context, t Task, node string, until time.Time) (bool, error) {
	const q = `
		UPDATE job_task SET claimed_until = $4
		WHERE id = $1 AND claimed_by = $2 AND attempt = $3 AND state = 'waiting'`
	return s.one(ctx, "renew the claim on "+t.Kind, q, t.ID, node, t.Attempt, until.UnixMicro())
}

// end writes how an attempt ended, unless the task is no longer ours. What is
// done needs its argument no more, and it may be personal.
func (s store) end(ctx context.Context, t Task, node string, state State, due, now time.Time, text string) (bool, error) {
	const q = `
		UPDATE job_task SET state = $4, due_at = $5, claimed_by = '', claimed_until = 0, error = $6,
			argument = CASE WHEN $4 = 'done' THEN 'null' ELSE argument END,
			ended_at = CASE WHEN $4 = 'waiting' THEN 0 ELSE CAST($7 AS BIGINT) END
		WHERE id = $1 AND claimed_by = $2 AND attempt = $3 AND state = 'waiting'`
	return s.one(ctx, "end "+t.Kind, q, t.ID, node, t.Attempt, string(state), due.UnixMicro(), text, now.UnixMicro())
}

// giveBack returns a task that was cut off by our own stop: the attempt does
// not count.
func (s store) giveBack(ctx context.Context, t Task, node string) (bool, error) {
	const q = `
		UPDATE job_task SET attempt = attempt - 1, claimed_by = '', claimed_until = 0
		WHERE id = $1 AND claimed_by = $2 AND attempt = $3 AND state = 'waiting'`
	return s.one(ctx, "give back "+t.Kind, q, t.ID, node, t.Attempt)
}

// revive makes a dead task wait again.
func (s store) revive(ctx context.Context, id string, now time.Time) (bool, error) {
	const q = `UPDATE job_task SET state = 'waiting', attempt = 0, due_at = $2, ended_at = 0 WHERE id = $1 AND state = 'dead'`
	return s.one(ctx, "retry", q, id, now.UnixMicro())
}

func (s store) sweep(ctx context.Context, state State, before time.Time) error {
	const q = `DELETE FROM job_task WHERE state = $1 AND ended_at < $2`
	if _, err := s.db.Q(ctx).ExecContext(ctx, q, string(state), before.UnixMicro()); err != nil {
		return fmt.Errorf("sweep tasks: %w", err)
	}
	return nil
}

const columns = `id, kind, key, argument, attempt, due_at, state, claimed_until, created_at, started_at, ended_at, error`

// byID returns a task, or ErrUnknown.
func (s store) byID(ctx context.Context, id string, now time.Time) (Run, error) {
	const q = `SELECT ` + columns + ` FROM job_task WHERE id = $1`
	r, err := scan(s.db.Q(ctx).QueryRowContext(ctx, q, id), now)
	if errors.Is(err, sql.ErrNoRows) {
		return Run{}, ErrUnknown
	}
	if err != nil {
		return Run{}, fmt.Errorf("read task: %w", err)
	}
	return r, nil
}

// runs lists the tasks of a kind, newest first, before the id if one is given.
func (s store) runs(ctx context.Context, kind string, state State, before string, limit int, now time.Time) ([]Run, error) {
	var w sqldb.Where
	w.And("kind = ?", kind)
	w.Is("state", string(state))
	w.Below("id", before)
	q := `SELECT ` + columns + ` FROM job_task` + w.String() + ` ORDER BY id DESC LIMIT ` + w.Arg(limit)
	return sqldb.All(ctx, s.db, "list runs", func(r sqldb.Row) (Run, error) { return scan(r, now) }, q, w.Args()...)
}

// tally counts what waits and what is dead, by kind, and since when the oldest
// due task waits.
func (s store) tally(ctx context.Context, now time.Time) (map[string]Tally, error) {
	const q = `
		SELECT kind, CAST(SUM(waiting) AS BIGINT), CAST(SUM(dead) AS BIGINT), MAX(oldest) FROM (
			SELECT kind, COUNT(*) AS waiting, 0 AS dead, COALESCE(MIN(CASE WHEN due_at <= $1 THEN due_at END), 0) AS oldest
			FROM job_task WHERE state = 'waiting' GROUP BY kind
			UNION ALL
			SELECT kind, 0, COUNT(*), 0 FROM job_task WHERE state = 'dead' AND state <> 'waiting' GROUP BY kind) AS one GROUP BY kind`
	rows, err := s.db.Q(ctx).QueryContext(ctx, q, now.UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("count tasks: %w", err)
	}
	defer rows.Close()
	out := map[string]Tally{}
	for rows.Next() {
		var kind string
		var t Tally
		var oldest int64
		if err := rows.Scan(&kind, &t.Waiting, &t.Dead, &oldest); err != nil {
			return nil, fmt.Errorf("count tasks: %w", err)
		}
		if oldest > 0 {
			t.Lag = max(now.Sub(time.UnixMicro(oldest)), 0)
		}
		out[kind] = t
	}
	return out, rows.Err()
}

func scan(row interface{ Scan(...any) error }, now time.Time) (Run, error) {
	var r Run
	var argument, state string
	var due, until, created sqldb.Time
	var started, ended int64
	err := row.Scan(&r.ID, &r.Kind, &r.Key, &argument, &r.Attempt, &due, &state, &until, &created, &started, &ended, &r.Error)
	if err != nil {
		return Run{}, err
	}
	r.Argument, r.DueAt, r.State = []byte(argument), due.Time, State(state)
	r.CreatedAt, r.StartedAt, r.EndedAt = created.Time, moment(started), moment(ended)
	r.Running = r.State == Waiting && until.After(now)
	return r, nil
}

// moment reads a time of which 0 says that it has not come.
func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// one runs a statement that changes at most one row, and reports whether it
// did.
func (s store) one(ctx context.Context, what, q string, args ...any) (bool, error) {
	res, err := s.db.Q(ctx).ExecContext(ctx, q, args...)
	if err != nil {
		return false, fmt.Errorf("%s: %w", what, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("%s: %w", what, err)
	}
	return n == 1, nil
}
