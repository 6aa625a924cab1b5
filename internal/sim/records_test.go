package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
)

// record is a usage record.
type record struct {
	Call    string
	Charged money.Credits
}

func (r record) CallID() string           { return r.Call }
func (r record) Journal() ([]byte, error) { return json.Marshal(r) }

// records keeps them in a table of its own, in the transaction of the batch.
type records struct{ db *sqldb.DB }

const createRecords = `CREATE TABLE sim_record (call_id TEXT PRIMARY KEY, charged BIGINT NOT NULL)`

func (s records) WriteRecords(ctx context.Context, rs []credit.Record) error {
	for _, r := range rs {
		r := r.(record)
		if _, err := s.db.Q(ctx).ExecContext(ctx, `INSERT INTO sim_record (call_id, charged) VALUES ($1, $2)`, r.Call, int64(r.Charged)); err != nil {
			return fmt.Errorf("record %s: %w", r.Call, err)
		}
	}
	return nil
}

func (records) Restore(journal []byte) (credit.Record, error) {
	var r record
	err := json.Unmarshal(journal, &r)
	return r, err
}

func (records) Recovered(_ context.Context, o credit.Orphan) (credit.Record, error) {
	return record{o.Ref, o.Charged}, nil
}

func (s records) Charges(ctx context.Context, w credit.Which, each func(credit.Recorded) error) error {
	rows, err := s.db.Q(ctx).QueryContext(ctx, `SELECT call_id, charged FROM sim_record WHERE charged > 0 AND call_id >= $1`, w.From)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r credit.Recorded
		if err := rows.Scan(&r.Call, &r.Charged); err != nil {
			return err
		}
		if len(w.Calls) > 0 && !slices.Contains(w.Calls, r.Call) {
			continue
		}
		if err := each(r); err != nil {
			return err
		}
	}
	return rows.Err()
}
