package tier_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/tier"
)

func newService(db *sqldb.DB) *tier.Service {
	log := slog.New(slog.DiscardHandler)
	return tier.New(tier.Needs{DB: db, Bus: bus.New(db, log, time.Now), Log: log, Now: time.Now, Base: tier.Defaults(200)})
}

// A rollout goes on behind the last page, and a finished one does not come back.
func TestARolloutGoesPageByPage(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newService(db)
		credits := int64(2000)
		if _, err := s.Change(t.Context(), tier.Order{Tier: "pro", Patch: tier.Patch{CreditsPerMonth: &credits}, Existing: true}); err != nil {
			t.Fatal(err)
		}
		var from []string
		do := func(_ context.Context, v tier.Version, before, after *tier.Tier, at string, _ int) (string, error) {
			from = append(from, at)
			if v.Number != 1 || after.CreditsPerMonth-before.CreditsPerMonth != 500_000_000 {
				t.Errorf("version %d from %s to %s", v.Number, before.CreditsPerMonth, after.CreditsPerMonth)
			}
			return map[string]string{"": "a", "a": "b", "b": ""}[at], nil
		}
		for range 2 {
			if err := s.RollOut(t.Context(), do); err != nil {
				t.Fatal(err)
			}
		}
		if want := []string{"", "a", "b"}; !slices.Equal(from, want) {
			t.Errorf("pages behind %q, want %q", from, want)
		}
	})
}

// Two who change a tier at once: the later of them is told.
func TestOnlyOneMakesAVersion(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		a, b := newService(db), newService(db)
		yes := true
		errs := make(chan error, 2)
		for _, s := range []*tier.Service{a, b} {
			go func() {
				_, err := s.Change(t.Context(), tier.Order{Tier: "enterprise_pro", Patch: tier.Patch{Active: &yes}})
				errs <- err
			}()
		}
		made := 0
		for range 2 {
			switch err := <-errs; {
			case err == nil:
				made++
			case !errors.Is(err, tier.ErrEdited):
				t.Error(err)
			}
		}
		history, err := a.History(t.Context(), "enterprise_pro")
		if err != nil || len(history) != made || made == 0 {
			t.Errorf("%d made, history %v, %v", made, history, err)
		}
		if err := b.Load(t.Context()); err != nil || !b.Table.Tier("enterprise_pro").Active {
			t.Errorf("the other process does not see it: %v", err)
		}
	})
}

// A change for later is measured by what the tier is then.
func TestALaterChangeIsMeasuredByItsMoment(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newService(db)
		first, second := int64(2200), int64(3000) // 1,500 now: the second is twice that
		soon := time.Now().Add(time.Hour)
		for _, o := range []tier.Order{
			{Tier: "pro", Patch: tier.Patch{CreditsPerMonth: &first}, ValidFrom: soon},
			{Tier: "pro", Patch: tier.Patch{CreditsPerMonth: &second}, ValidFrom: soon.Add(time.Hour)},
		} {
			if _, err := s.Change(t.Context(), o); err != nil {
				t.Error(err)
			}
		}
		if _, err := s.Change(t.Context(), tier.Order{Tier: "pro", Patch: tier.Patch{CreditsPerMonth: &second}}); !errors.Is(err, tier.ErrConfirm) {
			t.Errorf("the same at once: %v, want it to be confirmed", err)
		}
	})
}
