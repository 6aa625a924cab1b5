package credit_test

import (
	"context"
	"testing"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// disarm removes the triggers that keep history as it is.
func disarm(t *testing.T, db *sqldb.DB) {
	t.Helper()
	drops := []string{
		`DROP TRIGGER credit_transfer_no_update`, `DROP TRIGGER credit_transfer_no_delete`,
		`DROP TRIGGER credit_batch_no_update`, `DROP TRIGGER credit_batch_no_delete`,
		`DROP TRIGGER credit_root_no_update`, `DROP TRIGGER credit_root_no_delete`,
		`DROP TRIGGER credit_root_key_no_update`, `DROP TRIGGER credit_root_key_no_delete`,
	}
	if db.Engine() == sqldb.Postgres {
		drops = []string{
			`DROP TRIGGER credit_transfer_no_change ON credit_transfer`, `DROP TRIGGER credit_batch_no_change ON credit_batch`,
			`DROP TRIGGER credit_root_no_change ON credit_root`, `DROP TRIGGER credit_root_key_no_change ON credit_root_key`,
		}
	}
	for _, q := range drops {
		if _, err := db.Q(t.Context()).ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
}

// changed runs look on the database as it is after change, and then restores
// every table.
func (w *world) changed(change string, look func() error) error {
	w.t.Helper()
	tables := []string{"credit_lane", "credit_grant", "credit_lease", "credit_hold", "credit_transfer", "credit_batch", "credit_root", "credit_root_key", "test_record"}
	ctx := context.Background()
	exec := func(q string) error {
		_, err := w.db.Q(ctx).ExecContext(ctx, q)
		return err
	}
	for _, t := range tables {
		if err := exec(`CREATE TABLE keep_` + t + ` AS SELECT * FROM ` + t); err != nil {
			return err
		}
	}
	defer func() {
		order := []string{"credit_lease", "credit_hold", "credit_transfer", "credit_batch", "credit_grant", "credit_lane", "credit_root", "credit_root_key", "test_record"}
		for _, t := range order {
			if err := exec(`DELETE FROM ` + t); err != nil {
				w.t.Error(err)
			}
		}
		for _, t := range tables { // lanes and grants first: others refer to them
			if err := exec(`INSERT INTO ` + t + ` SELECT * FROM keep_` + t); err != nil {
				w.t.Error(err)
			}
		}
		for _, t := range tables {
			if err := exec(`DROP TABLE keep_` + t); err != nil {
				w.t.Error(err)
			}
		}
	}()
	if err := exec(change); err != nil {
		return err
	}
	return look()
}

// wipe empties the ledger: faster than a new database.
func wipe(t *testing.T, db *sqldb.DB) {
	t.Helper()
	ctx := context.Background()
	if db.Engine() == sqldb.SQLite {
		for _, q := range []string{`DROP TRIGGER IF EXISTS credit_transfer_no_delete`, `DROP TRIGGER IF EXISTS credit_batch_no_delete`, `DROP TRIGGER IF EXISTS credit_uncollected_no_delete`} {
			if _, err := db.Q(ctx).ExecContext(ctx, q); err != nil {
				t.Fatal(err)
			}
		}
	} else {
		for _, table := range []string{"credit_transfer", "credit_batch", "credit_uncollected"} {
			if _, err := db.Q(ctx).ExecContext(ctx, `ALTER TABLE `+table+` DISABLE TRIGGER ALL`); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, table := range []string{"credit_lease", "credit_hold", "credit_transfer", "credit_batch", "credit_uncollected", "credit_grant", "credit_lane", "test_record"} {
		if _, err := db.Q(ctx).ExecContext(ctx, `DELETE FROM `+table); err != nil {
			t.Fatal(err)
		}
	}
}

// block keeps the lanes from writing until unlock.
func (w *world) block() (unlock func()) {
	w.t.Helper()
	locked, release, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		done <- w.db.InTx(context.Background(), func(ctx context.Context) error {
			_, err := w.db.Q(ctx).ExecContext(ctx, `UPDATE credit_lane SET issued = issued`)
			close(locked)
			<-release
			return err
		})
	}()
	<-locked
	return func() {
		w.t.Helper()
		close(release)
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	}
}
