package bus_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Two processes: what one commits reaches both, what it rolls back neither.
func TestMessagesReachEveryProcess(t *testing.T) {
	t.Parallel()
	dbtest.RunURL(t, func(t *testing.T, url string) {
		log := slog.New(slog.NewTextHandler(t.Output(), nil))
		dbA, dbB := dbtest.Open(t, url), dbtest.Open(t, url)
		a, b := bus.New(dbA, log, time.Now), bus.New(dbB, log, time.Now)
		gotA, gotB := make(chan string, 8), make(chan string, 8)
		a.Subscribe("key", func(s string) { gotA <- s })
		b.Subscribe("key", func(s string) { gotB <- s })
		for _, x := range []*bus.Bus{a, b} {
			if err := x.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer x.Stop()
		}
		bad := errors.New("bad")
		err := dbA.InTx(t.Context(), func(ctx context.Context) error {
			return errors.Join(a.Publish(ctx, "key", "rolled back"), bad)
		})
		if !errors.Is(err, bad) {
			t.Fatal(err)
		}
		if err := a.Publish(t.Context(), "key", "committed"); err != nil {
			t.Fatal(err)
		}
		if got := <-gotA; got != "committed" {
			t.Errorf("the publisher heard %q", got)
		}
		if got := <-gotB; got != "committed" {
			t.Errorf("the other process heard %q", got)
		}
		if len(gotA) != 0 {
			t.Error("the publisher heard it twice")
		}
	})
}
