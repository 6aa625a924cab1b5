package credit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// setting reads a number from the environment.
func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// Whatever is changed, deleted, added or swapped anywhere is found, and the
// place is named. REPHLO_MUTATIONS is how many changes there are, REPHLO_SEED
// repeats a run.
func TestVerifyFindsRandomChanges(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		count := setting(t, "REPHLO_MUTATIONS", engineShare(db, 1000, 60, 300, 20))
		seed := uint64(setting(t, "REPHLO_SEED", int(time.Now().UnixNano()%1_000_000)))
		t.Logf("%d changes with REPHLO_SEED=%d", count, seed)
		w := busyLedger(t, db)
		w.Silence()
		disarm(t, db)
		m := &tamper{Rand: rand.New(rand.NewPCG(seed, 0))}
		m.load(t, db)
		undo := errors.New("undo")
		tried := 0
		for found := 0; found < count && !t.Failed(); tried++ {
			c, ok := m.next()
			if !ok {
				continue
			}
			var findings []string
			err := db.InTx(t.Context(), func(ctx context.Context) error {
				for i, text := range c.texts {
					if _, err := db.Q(ctx).ExecContext(ctx, text, c.args[i]...); err != nil {
						return err
					}
				}
				_, err := w.Verify(ctx, credit.VerifyOptions{}, func(f credit.Finding) { findings = append(findings, f.String()) })
				return errors.Join(err, undo)
			})
			if sqldb.IsConstraint(err) {
				continue // the database refuses it
			}
			if !errors.Is(err, undo) {
				t.Fatalf("%s: %v", c.what, err)
			}
			text := strings.ReplaceAll(strings.Join(findings, "\n"), ",", "") // numbers are grouped
			if !slices.ContainsFunc(c.want, func(want string) bool { return strings.Contains(text, want) }) {
				t.Errorf("seed %d: %s: found\n%s\nwant a place like %q", seed, c.what, text, c.want)
			}
			found++
		}
		t.Logf("%d changes were tried; the others the database refused, or they changed nothing", tried)
		w.clean()
		w.Crash()
		w.start("node", quiet)
	})
}

// busyLedger is a ledger of three days with some of everything.
func busyLedger(t *testing.T, db *sqldb.DB) *world {
	t.Helper()
	w := open(t, db, quiet)
	users := []string{"ada", "bob", "cleo", "dan"}
	for day := 1; day <= 3; day++ {
		w.to(day, 9, 0)
		for _, u := range users {
			w.grant(u, fmt.Sprintf("plan:%s:%d", u, day), 9*money.Credit, w.clock.now().Add(20*time.Hour))
			w.grant(u, fmt.Sprintf("pay:%s:%d", u, day), 20*money.Credit, time.Time{})
		}
		for i := range 5 {
			for k, u := range users {
				w.clock.advance(time.Second)
				w.settle(w.reserve(u, fmt.Sprintf("call_%d%d%d", day, i, k), 3*money.Credit), money.Credits((i+k)%4)*money.Credit)
			}
		}
		w.clock.advance(24 * time.Hour)
		if _, err := w.Expire(t.Context(), w.clock.now(), 100); err != nil {
			t.Fatal(err)
		}
		w.sign()
	}
	for _, u := range users {
		if err := w.reserve(u, "call_open_"+u, 2*money.Credit).Durable(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.clean()
	return w
}
