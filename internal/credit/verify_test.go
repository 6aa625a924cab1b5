package credit_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// The recursive definition of RFC 6962 section 2.1.
func definition(leaves [][32]byte) [32]byte {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	l, r := definition(leaves[:k]), definition(leaves[k:])
	return sha256.Sum256(append(append([]byte{1}, l[:]...), r[:]...))
}

func TestMerkleRootIsThatOfRFC6962(t *testing.T) {
	t.Parallel()
	var leaves [][32]byte
	for n := range 130 {
		want := definition(leaves)
		if got := credit.TreeRoot(leaves); got != want {
			t.Errorf("root over %d leaves one by one is %x, want %x", n, got, want)
		}
		if got := credit.MerkleRoot(append([][32]byte(nil), leaves...)); got != want {
			t.Errorf("root over %d leaves is %x, want %x", n, got, want)
		}
		leaves = append(leaves, sha256.Sum256([]byte{byte(n)}))
	}
}

// scene is a ledger with something of everything.
func scene(t *testing.T, db *sqldb.DB) *world {
	t.Helper()
	p := quiet
	p.Lanes = 1
	w := open(t, db, p)
	w.grant("ada", "plan:1", 10*money.Credit, w.clock.now().Add(time.Hour))
	w.grant("ada", "pay:1", 100*money.Credit, time.Time{})
	w.grant("bob", "pay:2", 100*money.Credit, time.Time{})
	for i := range 6 {
		w.settle(w.reserve("ada", fmt.Sprint("call_a", i), 3*money.Credit), 2*money.Credit)
		w.settle(w.reserve("bob", fmt.Sprint("call_b", i), 3*money.Credit), money.Credits(i)*money.Credit)
	}
	h := w.reserve("bob", "call_open", 5*money.Credit)
	if err := h.Durable(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.clean()
	return w
}

// Every kind of tampering is found and named, with the triggers out of the way
// as for somebody who owns the database.
func TestVerifyFindsEveryChange(t *testing.T) {
	t.Parallel()
	changes := []struct{ name, change, want string }{
		{"amount flipped", `UPDATE credit_transfer SET amount = amount + 1 WHERE ref = 'call_a1' AND part = 1`, "V1 lane 1 batch "},
		{"amount flipped, in the sums", `UPDATE credit_transfer SET amount = amount + 1 WHERE ref = 'call_b2' AND part = 1`, "V3 grant grt_"},
		{"amount flipped, in the records", `UPDATE credit_transfer SET amount = amount + 1 WHERE ref = 'call_b2' AND part = 1`, "V6 call call_b2: charged 2.000001, its usage record says 2.000000"},
		{"charge above its hold", `UPDATE credit_transfer SET amount = 4000000 WHERE ref = 'call_b2' AND part = 1`, "V4 call call_b2: charge 4.000000 above its hold of 3.000000 (lane 1, seq "},
		{"user changed", `UPDATE credit_transfer SET user_id = 'eve' WHERE ref = 'call_a1' AND part = 0`, "V1 lane 1 batch "},
		{"cause changed", `UPDATE credit_transfer SET cause = 'x' WHERE ref = 'pay:1'`, "V1 lane 0 batch 2"},
		{"transfer deleted", `DELETE FROM credit_transfer WHERE ref = 'call_a1' AND part = 1`, "is missing"},
		{"last transfer deleted", `DELETE FROM credit_transfer WHERE ref = 'call_open'`, "is missing"},
		{"transfer inserted", `INSERT INTO credit_transfer (lane, seq, kind, user_id, grant_id, amount, ref, part, cause, actor, at)
			SELECT lane, MAX(seq) + 1, 'charge', 'ada', MAX(grant_id), 1, 'call_x', 1, '', '', 0 FROM credit_transfer WHERE lane = 1 GROUP BY lane`, "is in no batch"},
		{"transfer of no lane", `INSERT INTO credit_transfer (lane, seq, kind, user_id, grant_id, amount, ref, part, cause, actor, at)
			VALUES (77, 1, 'grant', 'ada', 1, 1, 'x', 0, '', '', 0)`, "V1 lane 77 has transfers but does not exist"},
		{"two lines swapped", `UPDATE credit_transfer SET seq = CASE seq WHEN 1 THEN 1001 ELSE seq END WHERE lane = 1`, "is missing"},
		{"batch deleted", `DELETE FROM credit_batch WHERE lane = 1 AND first_seq = 3`, "does not follow"},
		{"batch changed", `UPDATE credit_batch SET at = at, root = prev WHERE lane = 0 AND batch = 2`, "V1 lane 0 batch 2"},
		{"head moved", `UPDATE credit_lane SET seq = seq - 1 WHERE lane = 1`, "V1 lane 1: its head"},
		{"issued changed", `UPDATE credit_lane SET issued = issued + 1 WHERE lane = 0`, "V2 lane 0 says that"},
		{"credits invented", `UPDATE credit_grant SET credited = credited + 1000 WHERE ref = 'pay:1'`, "V3 grant grt_"},
		{"debit forgotten", `UPDATE credit_lease SET spent = spent - 1 WHERE grant_id = (SELECT id FROM credit_grant WHERE ref = 'pay:2')`, "V3 grant grt_"},
		{"lease lost", `DELETE FROM credit_lease WHERE grant_id = (SELECT id FROM credit_grant WHERE ref = 'pay:1')`, "leased"},
		{"open row lost", `DELETE FROM credit_hold`, "V4 call call_open: a hold of 5.000000 (lane 1, seq "},
		{"open row changed", `UPDATE credit_hold SET amount = amount + 1`, "V4 call call_open: its open row says 5.000001 of user bob in lane 1"},
		{"open row invented", `INSERT INTO credit_hold (ref, lane, user_id, amount, renewed_at, journal) VALUES ('call_z', 1, 'ada', 1, 0, '')`, "V4 call call_z has an open row"},
		{"held changed", `UPDATE credit_lease SET held = held - 1 WHERE held > 0`, "V4 grant grt_"},
		{"time changed", `UPDATE credit_batch SET at = at + 1 WHERE lane = 0 AND batch = 2`, "V1 lane 0 batch 2 (seq 2 to 2): seq 2 has another time"},
		{"hash cut", `UPDATE credit_batch SET hash = prev WHERE lane = 0 AND batch = 1`, "V1 lane 0 batch 1"},
		{"owner of a grant changed", `UPDATE credit_grant SET user_id = 'eve' WHERE ref = 'pay:1'`, "names another user"},
		{"cause of a grant changed", `UPDATE credit_grant SET ref = 'pay:9' WHERE ref = 'pay:1'`, "does not have its reference pay:9"},
		{"open row moved to another lane", `UPDATE credit_hold SET lane = 0`, "of user bob in lane 0, its holds"},
		{"hold lost", `DELETE FROM credit_transfer WHERE ref = 'call_b2' AND part = 0`, "V4 call call_b2: the charge of lane 1 seq"},
		{"release changed", `UPDATE credit_transfer SET amount = amount - 1 WHERE ref = 'call_b0' AND part = 1`, "V4 call call_b0: release 2.999999 of a hold of 3.000000"},
		{"charge moved to another grant", `UPDATE credit_transfer SET grant_id = (SELECT id FROM credit_grant WHERE ref = 'pay:1') WHERE ref = 'call_b2' AND part = 1`, "V4 call call_b2: the charge of lane 1 seq"},
		{"used after its end", `UPDATE credit_transfer SET kind = 'expire', ref = 'expire:x', at = at - 3000000 WHERE ref = 'call_b2' AND part = 1;
			UPDATE credit_grant SET granted_at = 0, expires_at = 1`, "V5 grant grt_"},
		{"reversal of nothing", `UPDATE credit_transfer SET kind = 'reversal', ref = 'rev:call_x' WHERE ref = 'call_b2' AND part = 1`, "V5 call_x was reversed by 2.000000, it took 0.000000"},
		{"reversal without a name", `UPDATE credit_transfer SET kind = 'reversal', ref = 'call_x' WHERE ref = 'call_b2' AND part = 1`, "V5 lane 1 seq"},
		{"rollover from nowhere", `UPDATE credit_transfer SET kind = 'rollover_in', ref = 'roll:x' WHERE ref = 'pay:2'`, "V2 rollover does not balance: 0.000000 went out, 100.000000 came in"},
		{"grant lost", `UPDATE credit_transfer SET grant_id = 5 WHERE ref = 'pay:2'`, "V3 grant grt_0000000000005 is in lane 0"},
		{"record lost", `DELETE FROM test_record WHERE call_id = 'call_a3'`, "V6 call call_a3: charged 2.000000, its usage record says 0.000000 (lane 1, seq "},
		{"record changed", `UPDATE test_record SET charged = charged + 1 WHERE call_id = 'call_a3'`, "V6 call call_a3: charged 2.000000, its usage record says 2.000001"},
		{"record invented", `INSERT INTO test_record (call_id, charged) VALUES ('call_y', 5)`, "V6 call call_y: charged 0.000000, its usage record says 0.000005"},
	}
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := scene(t, db)
		w.Silence() // nothing writes while the database is changed and restored
		ctx := t.Context()
		disarm(t, db)
		for _, c := range changes {
			var findings []string
			err := w.changed(c.change, func() error {
				_, err := w.Verify(ctx, credit.VerifyOptions{}, func(f credit.Finding) { findings = append(findings, f.String()) })
				return err
			})
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			if !strings.Contains(strings.Join(findings, "\n"), c.want) {
				t.Errorf("%s: found %q, want one with %q", c.name, findings, c.want)
			}
		}
		w.clean()
		w.Crash()
		w.start("node", quiet)
	})
}

func TestVerifyOfOneUserLeavesTheOthersOut(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t, dbtest.SQLite(t))
	w := scene(t, db)
	w.Silence()
	disarm(t, db)
	err := w.changed(`UPDATE credit_grant SET credited = credited + 1`, func() error {
		var users []string
		sum, err := w.Verify(t.Context(), credit.VerifyOptions{User: "bob"}, func(f credit.Finding) { users = append(users, f.Check+f.User) })
		if want := []string{"V3bob", "V2"}; !slices.Equal(users, want) || sum.Findings != 2 {
			t.Errorf("findings about %v, want %v: bob's grant, and the sum over all", users, want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	w.Crash()
	w.start("node", quiet)
}

// The database itself refuses what must never be.
func TestWrongStatesAreRefusedByTheDatabase(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := scene(t, db)
		for name, q := range map[string]string{
			"more leased than there is":      `UPDATE credit_grant SET leased = credited + 1`,
			"more debited than there is":     `UPDATE credit_grant SET debited = credited - leased + 1`,
			"negative debit":                 `UPDATE credit_grant SET debited = -1`,
			"priority of another source":     `UPDATE credit_grant SET priority = 8 WHERE source = 'plan'`,
			"too much in one grant":          `UPDATE credit_grant SET credited = 100000000000000001`,
			"unknown freeze":                 `UPDATE credit_grant SET frozen = 4`,
			"more held than leased":          `UPDATE credit_lease SET held = amount - spent + 1`,
			"negative held":                  `UPDATE credit_lease SET held = -1`,
			"negative spent":                 `UPDATE credit_lease SET spent = -1`,
			"progress above the hold":        `UPDATE credit_hold SET progress = amount + 1`,
			"hold of nothing":                `UPDATE credit_hold SET amount = 0`,
			"history changed":                `UPDATE credit_transfer SET amount = amount`,
			"history deleted":                `DELETE FROM credit_transfer`,
			"batch changed":                  `UPDATE credit_batch SET at = 0`,
			"batch deleted":                  `DELETE FROM credit_batch`,
			"a call held twice":              transferSQL(`'hold'`, 1, `'call_a1'`, 0),
			"a call ended twice":             transferSQL(`'charge'`, 1, `'call_a1'`, 1),
			"a transfer of nothing":          transferSQL(`'charge'`, 0, `'call_n'`, 1),
			"a negative transfer":            transferSQL(`'charge'`, -1, `'call_n'`, 1),
			"a transfer of too much":         transferSQL(`'charge'`, 1_000_000_000_000_001, `'call_n'`, 1),
			"an ending at a hold's place":    transferSQL(`'charge'`, 1, `'call_n'`, 0),
			"a hold at an ending's place":    transferSQL(`'hold'`, 1, `'call_n'`, 1),
			"an unknown kind":                transferSQL(`'gift'`, 1, `'call_n'`, 0),
			"a sequence number twice":        strings.Replace(transferSQL(`'hold'`, 1, `'call_n'`, 0), "999", "1", 1),
			"a lease of a grant that is not": `INSERT INTO credit_lease (lane, grant_id, amount) VALUES (1, 5, 1)`,
		} {
			_, err := db.Q(t.Context()).ExecContext(t.Context(), q)
			if !sqldb.IsConstraint(err) {
				t.Errorf("%s: %v, want a refusal", name, err)
			}
		}
		w.clean()
		w.Crash()
		w.start("node", quiet)
	})
}

func transferSQL(kind string, amount int64, ref string, part int) string {
	return fmt.Sprintf(`INSERT INTO credit_transfer (lane, seq, kind, user_id, grant_id, amount, ref, part, cause, actor, at)
		VALUES (1, 999, %s, 'ada', 1, %d, %s, %d, '', '', 1)`, kind, amount, ref, part)
}
