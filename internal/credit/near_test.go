package credit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

func TestEachMarkOfAPlansUseIsToldOnce(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := open(t, db, quiet)
		ctx := t.Context()
		for _, g := range []credit.NewGrant{
			{User: "ada", Source: credit.Plan, Ref: "p1", Amount: 100 * money.Credit, ExpiresAt: w.clock.now().Add(24 * time.Hour)},
			{User: "bob", Source: credit.Bonus, Ref: "p2", Amount: 100 * money.Credit, ExpiresAt: w.clock.now().Add(24 * time.Hour)},
			{User: "eve", Source: credit.Plan, Ref: "p3", Amount: 100 * money.Credit, ExpiresAt: w.clock.now().Add(time.Hour)},
		} {
			if _, err := w.Grant(ctx, g); err != nil {
				t.Fatal(err)
			}
		}
		var told []string
		var fails error
		look := func() error {
			return w.TellUse(ctx, func(_ context.Context, u credit.Use) error {
				if fails == nil {
					told = append(told, u.User+" "+u.Used.String()+" of "+u.Granted.String())
				}
				return fails
			})
		}
		broken := errors.New("broken")
		for i, step := range []struct {
			user  string
			spend money.Credits
			fails error
			want  []string
		}{
			{"ada", 74 * money.Credit, nil, nil},
			{"ada", money.Credit, broken, nil}, // what fails is told at the next turn
			{"bob", 99 * money.Credit, nil, []string{"ada 75 of 100"}},
			{"ada", 10 * money.Credit, nil, nil},
			{"ada", 15 * money.Credit, nil, []string{"ada 100 of 100"}}, // 90 and 100 at once
			{"ada", 0, nil, nil},
		} {
			if step.spend > 0 {
				if _, err := w.Deduct(ctx, credit.Taking{User: step.user, Amount: step.spend, Ref: step.user + string(rune('a'+i))}); err != nil {
					t.Fatal(err)
				}
			}
			told, fails = nil, step.fails
			if err := look(); !errors.Is(err, step.fails) {
				t.Fatalf("step %d: %v", i, err)
			}
			if d := cmp.Diff(step.want, told); d != "" {
				t.Errorf("step %d tells (-want +got):\n%s", i, d)
			}
		}
		if _, err := w.Deduct(ctx, credit.Taking{User: "eve", Amount: 80 * money.Credit, Ref: "late"}); err != nil {
			t.Fatal(err)
		}
		w.clock.advance(2 * time.Hour)
		if told = nil; look() != nil || len(told) > 0 {
			t.Errorf("of an expired grant: %v", told)
		}
	})
}
