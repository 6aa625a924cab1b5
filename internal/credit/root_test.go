package credit_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// sign makes the roots that are due and says how many there were.
func (w *world) sign() int {
	w.t.Helper()
	n, err := w.SignRoots(w.t.Context(), w.clock.now())
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) roots() (out []credit.Root) {
	w.t.Helper()
	err := w.Roots(w.t.Context(), time.Time{}, func(r credit.Root) error { out = append(out, r); return nil })
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// to moves the clock to a time of a day of March.
func (w *world) to(day, hour, minute int) {
	w.clock.micros.Store(time.Date(2026, 3, day, hour, minute, 0, 0, time.UTC).UnixMicro())
}

func TestEachDayGetsItsRoot(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		w.to(2, 12, 0)
		if n := w.sign(); n != 0 {
			t.Errorf("an empty ledger got %d roots", n)
		}
		w.grant("ada", "plan:1", 10*money.Credit, time.Time{})
		w.to(3, 0, 4)
		if n := w.sign(); n != 0 {
			t.Errorf("%d roots four minutes after midnight", n)
		}
		w.grant("ada", "plan:2", 10*money.Credit, time.Time{}) // of the third
		w.to(3, 0, 5)
		if n := w.sign(); n != 1 {
			t.Errorf("%d roots five minutes after midnight, want 1", n)
		}
		if n := w.sign(); n != 0 {
			t.Errorf("%d roots at once again", n)
		}
		w.to(6, 9, 0)
		w.settle(w.reserve("ada", "call_1", money.Credit), money.Credit)
		again := w.build("other", quiet) // the process was off for three days
		if n, err := again.SignRoots(t.Context(), w.clock.now()); n != 3 || err != nil {
			t.Errorf("%d roots after three days, %v", n, err)
		}
		all := w.roots()
		var days []string
		var prev [32]byte
		for _, r := range all {
			days = append(days, r.Day.Format(time.DateOnly))
			if !r.Holds() || r.Prev != prev || r.Key.No != 1 {
				t.Errorf("root of %s does not hold: %+v", r.Day, r)
			}
			prev = r.Root
		}
		if want := []string{"2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05"}; !slices.Equal(days, want) {
			t.Errorf("roots of %v, want %v", days, want)
		}
		if len(all[0].Heads) != 1 || all[0].Heads[0].Batch != 1 || all[1].Heads[0].Batch != 2 || len(all[3].Heads) != 1 {
			t.Errorf("heads %+v, then %+v: want the batches of their days", all[0].Heads, all[1].Heads)
		}
		w.clean()
	})
}

// What is exported can be checked by somebody else, with nothing of ours.
func TestAnExportedRootCanBeChecked(t *testing.T) {
	t.Parallel()
	w := open(t, dbtest.Open(t, dbtest.SQLite(t)), quiet)
	w.grant("ada", "plan:1", 10*money.Credit, time.Time{})
	w.clock.advance(24 * time.Hour)
	w.sign()
	text, err := json.Marshal(w.roots()[0])
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Day, Root, Prev string
		Heads           []struct {
			Lane, Batch int64
			Hash        string
		}
		Key struct {
			No                int64
			Public, Signature []byte
		}
		Signature []byte
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	day := []byte{0, 0, 0, 0, 0, 0, 0x50, 0x21} // 20,513 days after 1970-01-01
	message := slices.Concat([]byte("rephlo-ledger-root/1"), day, unhex(t, r.Prev), unhex(t, r.Root))
	if r.Day != "2026-03-01" || !ed25519.Verify(r.Key.Public, message, r.Signature) {
		t.Errorf("the signature of %s is not over the day and the roots", text)
	}
	key := slices.Concat([]byte("rephlo-ledger-key/1"), []byte{0, 0, 0, 0, 0, 0, 0, byte(r.Key.No)}, r.Key.Public)
	if !ed25519.Verify(r.Key.Public, key, r.Key.Signature) {
		t.Error("the first key does not vouch for itself")
	}
	leaf := slices.Concat([]byte{0}, make([]byte, 15), []byte{byte(r.Heads[0].Batch)}, unhex(t, r.Heads[0].Hash))
	if len(r.Heads) != 1 || r.Heads[0].Lane != 0 || sum(leaf) != [32]byte(unhex(t, r.Root)) {
		t.Errorf("the root of %s is not that of its heads", text)
	}
}

// A key signs for a year; then the old one vouches for a new one.
func TestANewKeyIsSignedByTheOldOne(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		w.grant("ada", "plan:1", 10*money.Credit, time.Time{})
		w.clock.advance(24 * time.Hour)
		w.sign()
		w.clock.advance(365 * 24 * time.Hour)
		if n := w.sign(); n != 365 {
			t.Errorf("%d roots for a year", n)
		}
		all := w.roots()
		first, second := all[0].Key, all[1].Key
		message := slices.Concat([]byte("rephlo-ledger-key/1"), []byte{0, 0, 0, 0, 0, 0, 0, 2}, second.Public)
		if first.No != 1 || second.No != 2 || !ed25519.Verify(first.Public, message, second.Signature) {
			t.Errorf("keys %+v and %+v: want the first to vouch for the second", first, second)
		}
		var private int
		const q = `SELECT COUNT(*) FROM credit_root_key WHERE private IS NOT NULL`
		if err := db.Q(t.Context()).QueryRowContext(t.Context(), q).Scan(&private); err != nil || private != 1 {
			t.Errorf("%d private keys are kept, %v; want that of the newest", private, err)
		}
		w.clean()
	})
}

func TestAClockThatWasAheadIsNoticed(t *testing.T) {
	t.Parallel()
	w := open(t, dbtest.Open(t, dbtest.SQLite(t)), quiet)
	w.grant("ada", "plan:1", 10*money.Credit, time.Time{})
	w.to(20, 12, 0)
	w.sign()
	w.to(10, 12, 0)
	s := w.build("other", quiet)
	if n, err := s.SignRoots(t.Context(), w.clock.now()); n != 0 || err == nil || !strings.Contains(err.Error(), "one of 2026-03-19 already") {
		t.Errorf("%d roots ten days before the last one, %v", n, err)
	}
	w.to(21, 12, 0)
	if n, err := s.SignRoots(t.Context(), w.clock.now()); n != 1 || err != nil {
		t.Errorf("%d roots when that day has come, %v", n, err)
	}
}

func TestAnotherMasterKeySignsNothing(t *testing.T) {
	t.Parallel()
	w := open(t, dbtest.Open(t, dbtest.SQLite(t)), quiet)
	w.grant("ada", "plan:1", 10*money.Credit, time.Time{})
	w.clock.advance(24 * time.Hour)
	w.sign()
	w.clock.advance(24 * time.Hour)
	box, err := seal.NewBox([]byte(strings.Repeat("x", seal.KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]*seal.Box{"another key": box, "none": nil} {
		s := credit.New(credit.Needs{DB: w.db, Now: w.clock.now, Records: w.records, Box: other})
		if n, err := s.SignRoots(t.Context(), w.clock.now()); n != 0 || err == nil || !strings.Contains(err.Error(), "master key") {
			t.Errorf("%s: %d roots, %v", name, n, err)
		}
	}
	w.sign()
}

// Whoever rewrites history must also rewrite the signed roots, and cannot.
func TestVerifyFindsEveryChangeOfARoot(t *testing.T) {
	t.Parallel()
	changes := []struct{ name, change, want string }{
		{"root lost", `DELETE FROM credit_root WHERE day = (SELECT MIN(day) + 1 FROM credit_root)`, "V1 the root of 2026-03-02 is missing"},
		{"first root lost", `DELETE FROM credit_root WHERE day = (SELECT MIN(day) FROM credit_root)`, "V1 root of 2026-03-02: it does not follow"},
		{"signature changed", `UPDATE credit_root SET signature = prev`, "its signature is not of the key lrk_"},
		{"day changed", `UPDATE credit_root SET day = day + 9 WHERE day = (SELECT MAX(day) FROM credit_root)`, "V1 the root of 2026-03-03 is missing"},
		{"heads emptied", `UPDATE credit_root SET heads = '[]'`, "V1 root of 2026-03-01: it is "},
		{"heads spoilt", `UPDATE credit_root SET heads = heads || ' '`, "V1 root of 2026-03-01: root of day "},
		{"key unknown", `UPDATE credit_root SET key_id = 'lrk_x'`, "its key lrk_x does not exist"},
		{"key lost", `DELETE FROM credit_root_key`, "does not exist"},
		{"key renamed", `UPDATE credit_root_key SET id = 'lrk_x'`, "V1 signing key 1: its name is lrk_x, computed lrk_"},
		{"key renumbered", `UPDATE credit_root_key SET no = 2`, "V1 signing key 1 is missing"},
		{"key not vouched for", `UPDATE credit_root_key SET signature = public`, "does not vouch for it"},
		{"roots swapped", `UPDATE credit_root SET root = prev, prev = root WHERE day = (SELECT MAX(day) FROM credit_root)`, "V1 root of 2026-03-03: it does not follow"},
		{"batch of a root lost", `DELETE FROM credit_batch WHERE lane = 0 AND batch = 2`, "the root of 2026-03-02 names batch 2, which is missing"},
		{"batch of a root rewritten", `UPDATE credit_batch SET hash = root WHERE lane = 0 AND batch = 2`, "the root of 2026-03-02 says "},
		{"whole lane lost", `DELETE FROM credit_batch WHERE lane = 0`, "lane 0: the root of 2026-03-01 names batch 1, which is missing"},
	}
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		for _, ref := range []string{"plan:1", "plan:2", "plan:3"} {
			w.grant("ada", ref, 10*money.Credit, time.Time{})
			w.clock.advance(24 * time.Hour)
		}
		w.sign()
		w.clean()
		for _, q := range []string{`UPDATE credit_root SET day = day`, `DELETE FROM credit_root`, `DELETE FROM credit_root_key`, `UPDATE credit_root_key SET public = public`} {
			if _, err := db.Q(t.Context()).ExecContext(t.Context(), q); !sqldb.IsConstraint(err) {
				t.Errorf("%s: %v, want a refusal", q, err)
			}
		}
		w.Silence()
		disarm(t, db)
		for _, c := range changes {
			var findings []string
			err := w.changed(c.change, func() error {
				_, err := w.Verify(context.Background(), credit.VerifyOptions{}, func(f credit.Finding) { findings = append(findings, f.String()) })
				return err
			})
			if text := strings.Join(findings, "\n"); err != nil || !strings.Contains(text, c.want) {
				t.Errorf("%s: %v, found\n%s\nwant one with %q", c.name, err, text, c.want)
			}
		}
		w.clean()
		w.Crash()
		w.start("node", quiet)
	})
}

func FuzzDecodeHeads(f *testing.F) {
	f.Add(`[]`)
	f.Add(`[{"lane":0,"batch":7,"hash":"` + strings.Repeat("0a", 32) + `"},{"lane":3,"batch":1,"hash":"` + strings.Repeat("ff", 32) + `"}]`)
	f.Add(`[{"lane":1,"batch":7,"hash":"` + strings.Repeat("0a", 32) + `"},{"lane":1,"batch":1,"hash":"` + strings.Repeat("ff", 32) + `"}]`)
	f.Fuzz(func(t *testing.T, text string) {
		heads, err := credit.DecodeHeads(text)
		if err != nil {
			return
		}
		if again := credit.EncodeHeads(heads); again != text {
			t.Errorf("%q reads as what is written %q", text, again)
		}
		for i := 1; i < len(heads); i++ {
			if heads[i].Lane <= heads[i-1].Lane {
				t.Errorf("%q: lane %d after lane %d", text, heads[i].Lane, heads[i-1].Lane)
			}
		}
	})
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sum(b []byte) [32]byte { return sha256.Sum256(b) }
