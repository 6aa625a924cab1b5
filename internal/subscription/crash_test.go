package subscription_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/subscription"
	"github.com/rephlo/rephlo/internal/tier"
)

// The test binary, started again with these, renews what is due and exits.
const (
	envDatabase = "REPHLO_TEST_RENEW_DATABASE"
	envBank     = "REPHLO_TEST_RENEW_BANK"
	envTime     = "REPHLO_TEST_RENEW_TIME"
	// envCount is how many subscriptions there are; 10000 is the promise, and
	// the default is what an ordinary run has time for.
	envCount = "REPHLO_TEST_RENEWALS"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(envDatabase); url != "" {
		if err := renew(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func renew(url string) error {
	ctx := context.Background()
	db, err := sqldb.Open(ctx, url)
	if err != nil {
		return err
	}
	return plansOn(db, running(at(os.Getenv(envTime))), remoteBank(os.Getenv(envBank))).Due(ctx)
}

// running is a clock that shows start and a millisecond more at each look: the
// ids of grants are unique because times are.
func running(start time.Time) func() time.Time {
	var looks atomic.Int64
	return func() time.Time { return start.Add(time.Duration(looks.Add(1)) * time.Millisecond) }
}

func plansOn(db *sqldb.DB, now func() time.Time, payments subscription.Payments) *subscription.Service {
	log := slog.New(slog.DiscardHandler)
	return subscription.New(subscription.Needs{
		DB: db, Bus: bus.New(db, log, now), Log: log, Now: now, Credits: credit.New(credit.Needs{DB: db, Log: log, Now: now, Node: "node"}),
		Tiers: tier.Seeds(), Previews: list.NewCursors(make([]byte, 32)), Payments: payments, Default: tier.Free,
		Born: func(context.Context, string) (time.Time, bool, error) { return now(), true, nil },
	})
}

// remoteBank is a payment service at an address.
type remoteBank string

func (b remoteBank) Charge(ctx context.Context, i subscription.Invoice) (string, error) {
	body, err := json.Marshal(i)
	if err != nil {
		return "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, string(b), bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	return "pay", resp.Body.Close()
}

func (b remoteBank) Checkout(context.Context, subscription.Subscription, subscription.Invoice) (string, error) {
	return string(b), nil
}

// killer is the bank's side: it collects each reference once and now and then
// kills the process that asks, before or after it answers.
type killer struct {
	mu    sync.Mutex
	every int
	asked int                             // guarded by mu
	kills int                             // guarded by mu
	paid  map[string]subscription.Invoice // guarded by mu
	child *os.Process                     // guarded by mu
}

func (k *killer) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var i subscription.Invoice
	if json.NewDecoder(bufio.NewReader(r.Body)).Decode(&i) != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.paid[i.Ref] = i
	k.asked++
	if k.asked%k.every != 0 || k.child == nil {
		return
	}
	k.kills++
	victim := k.child
	if k.kills%2 == 0 { // the payment is made and never noted
		_ = victim.Kill()
		return
	}
	time.AfterFunc(time.Duration(k.kills)*300*time.Microsecond, func() { _ = victim.Kill() })
}

// Processes that renew subscriptions are killed again and again, some between
// a payment and its note. In the end each has the next period, paid once, and
// exactly one allocation for each cycle, of exactly one grant.
func TestKilledRenewalsAreNeitherLostNorDoubled(t *testing.T) {
	t.Parallel()
	count := 60
	if n, err := strconv.Atoi(os.Getenv(envCount)); err == nil {
		count = n
	}
	dbtest.RunURL(t, func(t *testing.T, url string) {
		db := dbtest.Open(t, url)
		plans := plansOn(db, running(at("2026-01-31 00:00")), remoteBank(""))
		for i := range count {
			link := subscription.Order{User: fmt.Sprintf("usr_%05d", i), Tier: "pro", Cycle: monthly}
			if _, err := plans.Checkout(t.Context(), link); err != nil {
				t.Fatal(err)
			}
			page, err := plans.List(t.Context(), subscription.Filter{User: link.User, State: "incomplete"}, 1)
			if err != nil || len(page) != 1 {
				t.Fatal(page, err)
			}
			if _, err := plans.Confirm(t.Context(), page[0].ID); err != nil {
				t.Fatal(err)
			}
		}
		k := &killer{every: max(count/12, 1), paid: map[string]subscription.Invoice{}}
		bankServer := httptest.NewServer(k)
		defer bankServer.Close()
		runs := 0
		for done := false; !done; runs++ {
			if runs > 60 {
				t.Fatal("it never comes to an end")
			}
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
			child.Env = append(os.Environ(), envDatabase+"="+url, envBank+"="+bankServer.URL, fmt.Sprintf("%s=2026-02-28 %02d:%02d", envTime, 3+runs/60, runs%60))
			var stderr bytes.Buffer
			child.Stderr = &stderr
			k.mu.Lock()
			if err := child.Start(); err != nil {
				k.mu.Unlock()
				t.Fatal(err)
			}
			k.child = child.Process
			k.mu.Unlock()
			err := child.Wait()
			done = err == nil
			if err != nil && !strings.Contains(err.Error(), "killed") {
				t.Fatalf("%v: %s", err, stderr.String())
			}
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.kills < 6 || len(k.paid) != count {
			t.Errorf("%d kills; %d invoices paid, want %d", k.kills, len(k.paid), count)
		}
		t.Logf("%d subscriptions, %d processes, %d killed", count, runs, k.kills)
		for name, query := range map[string]string{
			"cycles that were given other than once": `SELECT COUNT(*) FROM subscription_plan p WHERE mode = 'vendor' AND
				(state <> 'active' OR allocated <> 1 OR period_at <> 1
				OR (SELECT COUNT(*) FROM subscription_allocation a WHERE a.subscription_id = p.id AND cycle = 1) <> 1)`,
			"grants beyond one a cycle": `SELECT COUNT(*) FROM (SELECT p.id FROM subscription_plan p JOIN credit_grant g
				ON g.user_id = p.user_id AND g.source = 'plan' AND g.ref LIKE 'plan:' || p.id || ':%' WHERE mode = 'vendor' GROUP BY p.id HAVING COUNT(*) <> 2) x`,
			"rollovers that are not one of 750": `SELECT COUNT(*) FROM subscription_plan p WHERE mode = 'vendor' AND
				(SELECT CAST(COALESCE(SUM(credited), 0) AS BIGINT) FROM credit_grant g WHERE g.user_id = p.user_id AND g.source = 'rollover') <> 750000000`,
		} {
			var n int
			if err := db.Q(t.Context()).QueryRowContext(t.Context(), query).Scan(&n); err != nil || n != 0 {
				t.Errorf("%d %s, %v", n, name, err)
			}
		}
	})
}
