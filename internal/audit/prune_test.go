package audit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

func (w *world) verify(from, to time.Time) audit.Verified {
	w.Helper()
	v, err := w.log.Verify(w.Context(), from, to)
	if err != nil {
		w.Fatal(err)
	}
	return v
}

func (w *world) prune(before time.Time, want int64) {
	w.Helper()
	if n, err := w.log.Prune(w.Context(), before); err != nil || n != want {
		w.Errorf("%d rows were forgotten, %v; want %d", n, err, want)
	}
}

// What has become old is forgotten, and the rest verifies, is found and is
// exported as before.
func TestTheChainGoesOnBehindWhatIsForgotten(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db)
		start := w.now
		for i := range 10 {
			w.write(audit.Change{Action: "credits.grant", Type: "user", ID: fmt.Sprint("usr_", i)})
		}
		w.prune(start, 0)
		w.prune(start.Add(4*time.Minute), 4) // and writes the eleventh
		if v := w.verify(time.Time{}, time.Time{}); v.FirstBad != 0 || v.Rows != 7 || v.Pruned != 4 || v.Seq != 11 {
			t.Errorf("after the first: %+v", v)
		}
		w.prune(start.Add(4*time.Minute), 0)
		w.prune(start.Add(7*time.Minute), 3)
		for name, v := range map[string]audit.Verified{
			"all": w.verify(time.Time{}, time.Time{}), "until": w.verify(time.Time{}, start.Add(9*time.Minute)), "from": w.verify(start.Add(8*time.Minute), time.Time{}),
		} {
			if v.FirstBad != 0 || v.Rows < 2 || v.Pruned != 7 {
				t.Errorf("%s: %+v", name, v)
			}
		}
		es, err := w.log.List(t.Context(), audit.Filter{}, 100)
		if err != nil || len(es) != 5 || es[4].ID != "usr_7" || es[0].Action != "audit.prune" || string(es[0].After["lastSeq"]) != "7" {
			t.Errorf("the list: %+v, %v", es, err)
		}
		var first audit.Entry
		if err := w.log.Export(t.Context(), time.Time{}, time.Time{}, func(e audit.Entry) error {
			if first.Seq == 0 {
				first = e
			}
			return nil
		}); err != nil || first.Seq != 8 || first.Prev == "" {
			t.Errorf("the export begins with %+v, %v", first, err)
		}
		w.prune(w.now.Add(time.Hour), 5) // everything; only the new entry is left
		w.write(audit.Change{Action: "credits.grant", Type: "user", ID: "usr_new"})
		if v := w.verify(time.Time{}, time.Time{}); v.FirstBad != 0 || v.Rows != 2 || v.Pruned != 12 || v.Seq != 14 {
			t.Errorf("after all: %+v", v)
		}
		if status, body := w.ask("usr_root", "super_admin", "POST", "/admin/audit-logs/verify", `{}`); status != 200 || !strings.Contains(body, `"prunedSeq":12`) {
			t.Errorf("over HTTP: %d %s", status, body)
		}
	})
}

// Forgetting is no way to tamper: only what a marker names can be deleted, a
// marker has to name the next rows, and one that we did not sign is found.
func TestForgettingIsNoWayToTamper(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db)
		start := w.now
		for i := range 8 {
			w.write(audit.Change{Action: "credits.grant", Type: "user", ID: fmt.Sprint("usr_", i)})
		}
		w.prune(start.Add(2*time.Minute), 2)
		refused := func(query string) {
			t.Helper()
			if _, err := db.Q(t.Context()).ExecContext(t.Context(), query); err == nil {
				t.Errorf("the database takes %s", query)
			}
		}
		refused(`DELETE FROM audit_log WHERE seq = 3`)
		refused(`DELETE FROM audit_pruned`)
		refused(`UPDATE audit_pruned SET hash = ''`)
		const insert = `INSERT INTO audit_pruned (no, seq, hash, count, newest_at, at, signature) SELECT `
		refused(insert + `3, seq, hash, 3, 0, 0, '' FROM audit_log WHERE seq = 5`)
		refused(insert + `2, seq, hash, 1, 0, 0, '' FROM audit_log WHERE seq = 5`)
		refused(insert + `2, seq, 'x', 3, 0, 0, '' FROM audit_log WHERE seq = 5`)
		w.exec(insert + `2, seq, hash, 3, 0, 0, 'forged' FROM audit_log WHERE seq = 5`) // fits, but is not ours
		w.exec(`DELETE FROM audit_log WHERE seq <= 5`)
		if v := w.verify(time.Time{}, time.Time{}); v.FirstBad != 3 || v.Pruned != 2 {
			t.Errorf("behind a forged marker: %+v", v)
		}
		if _, err := w.log.Prune(t.Context(), w.now); err == nil {
			t.Error("rows behind a forged marker were forgotten")
		}
	})
}

// Rows that are not as they were written stay as evidence.
func TestEvidenceIsNotForgotten(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db)
		for i := range 5 {
			w.write(audit.Change{Action: "credits.grant", Type: "user", ID: fmt.Sprint("usr_", i)})
		}
		w.unguard()
		w.exec(`UPDATE audit_log SET actor = 'usr_other' WHERE seq = 3`)
		if n, err := w.log.Prune(t.Context(), w.now); err == nil || n != 0 {
			t.Errorf("%d rows were forgotten, %v", n, err)
		}
		if v := w.verify(time.Time{}, time.Time{}); v.FirstBad != 3 || v.Pruned != 0 {
			t.Errorf("afterwards: %+v", v)
		}
		if _, err := w.log.One(t.Context(), 1); errors.Is(err, audit.ErrUnknown) {
			t.Error("what comes before the changed row is gone")
		}
	})
}
