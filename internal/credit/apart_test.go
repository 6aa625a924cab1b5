package credit_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// After a failover the server answers, but takes no writes: to the ledger that
// is an outage like any other.
func TestPostgresThatIsReadOnly(t *testing.T) {
	t.Parallel()
	url := dbtest.Postgres(t)
	admin, err := sql.Open("pgx", url+"&default_transaction_read_only=off")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { admin.Close() })
	admin.SetMaxOpenConns(1)
	var name string
	if err := admin.QueryRowContext(t.Context(), `SELECT current_database()`).Scan(&name); err != nil {
		t.Fatal(err)
	}
	set := func(value string) func() {
		return func() {
			for _, q := range []string{
				`ALTER DATABASE "` + name + `" SET default_transaction_read_only = ` + value,
				`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
			} {
				if _, err := admin.ExecContext(t.Context(), q); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	outage(t, dbtest.Open(t, url), set("on"), set("off"))
}

// Requests have used up every connection of the pool, and wait: calls go on,
// also those of a user who has no lease yet, for the lanes have connections of
// their own.
func TestConnectionsThatAreUsedUpStopNoCall(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t, dbtest.Postgres(t))
	c := join(t, db, 2, shared)
	c.grant("ada", "pay:1", 10*money.Credit, time.Time{})
	c.grant("eve", "pay:2", 10*money.Credit, time.Time{})
	c.settle(c.reserve("ada", "call_1", money.Credit), money.Credit)
	ctx, free := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	const all = 20
	busy := make(chan struct{}, all)
	for range all {
		waiting.Go(func() {
			err := db.ReadTx(ctx, func(context.Context) error {
				busy <- struct{}{}
				<-ctx.Done()
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	for range all {
		<-busy
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := c.Balance(short, "ada"); err == nil {
		t.Error("there is a connection left, so nothing is tested")
	}
	for i := range 20 {
		c.settle(c.reserve("ada", fmt.Sprint("call_ada", i), 100_000), 100_000)
	}
	c.settle(c.reserve("eve", "call_eve", money.Credit), money.Credit)
	if state, reason := c.Health(); state != "ok" {
		t.Errorf("health: %s, %s", state, reason)
	}
	free()
	waiting.Wait()
	c.expect(7*money.Credit, 0)
}

// One process of two loses its database. Its new calls are refused, the other
// resolves what it left, and when it is back it notes what it did meanwhile and
// serves again, on lanes of its own.
func TestAProcessThatIsCutOff(t *testing.T) {
	t.Parallel()
	url := dbtest.Postgres(t)
	l, through := newLink(t, url)
	p := impatient()
	p.TakeOver, p.Unseen = 1500*time.Millisecond, time.Second
	far := dbtest.Open(t, through)
	c := join(t, dbtest.Open(t, url), 1, p)
	apart := credit.New(credit.Needs{DB: far, Log: c.log(), Now: time.Now, Node: "apart", Records: &records{db: far}, Policy: p})
	if err := apart.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.nodes = append(c.nodes, apart)
	c.grant("ada", "pay:1", 100*money.Credit, time.Time{})
	var holds []*credit.Hold
	for i := range 5 {
		h, err := apart.Reserve(t.Context(), call(fmt.Sprint("call_apart", i), 2*money.Credit))
		if err != nil || h.Durable(t.Context()) != nil {
			t.Fatal(err)
		}
		h.Progress(money.Credit, []byte("{}"))
		holds = append(holds, h)
	}
	apart.Idle() // the progress is written
	l.set(linkCut)
	refused := until(t, "the one that is cut off refuses calls", func() bool {
		h, err := apart.Reserve(t.Context(), call(fmt.Sprint("call_refused", time.Now().UnixNano()), 1))
		if err == nil {
			short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			if h.Durable(short) == nil {
				t.Error("a hold is durable without a database")
			}
			_, _ = h.Release(short, outcome(h, 0))
		}
		return errors.Is(err, credit.ErrUnavailable)
	})
	if state, _ := apart.Health(); state != "down" {
		t.Errorf("the one that is cut off is %s", state)
	}
	resolved := until(t, "the other resolves its holds", func() bool {
		b, err := c.Balance(t.Context(), "ada")
		return err == nil && b.Held == 0 && b.Available == 95*money.Credit
	})
	c.settle(c.reserve("ada", "call_other", money.Credit), money.Credit)
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	for _, h := range holds { // its streams go on, and end
		if _, err := h.Settle(short, outcome(h, 2*money.Credit)); err == nil {
			t.Error("a settlement is durable without a database")
		}
	}
	l.set(linkUp)
	again := until(t, "it serves again", func() bool {
		h, err := apart.Reserve(t.Context(), call(fmt.Sprint("call_again", time.Now().UnixNano()), 1))
		if err != nil {
			return false
		}
		_, err = h.Settle(t.Context(), outcome(h, 0))
		return err == nil
	})
	t.Logf("it refuses after %s, is resolved %s later, and serves again %s after it can", refused, resolved, again)
	if apart.Stats().Fenced == 0 {
		t.Error("nobody was fenced")
	}
	until(t, "what it did meanwhile is noted", func() bool {
		var n, sum int64
		const q = `SELECT COUNT(*), CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM credit_uncollected WHERE cause = 'late'`
		err := c.db.Q(t.Context()).QueryRowContext(t.Context(), q).Scan(&n, &sum)
		return err == nil && n == 5 && sum == int64(5*money.Credit)
	})
	c.expect(94*money.Credit, 0)
}
