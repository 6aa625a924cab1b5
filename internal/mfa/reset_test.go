package mfa_test

import (
	"context"
	"errors"
	"testing"

	"github.com/rephlo/rephlo/internal/mfa"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

func TestAResetTakesAllFactors(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w, ctx := newWorld(t, db), t.Context()
		passkeys := 0
		w.Elsewhere = func(context.Context, string) (bool, error) { return passkeys > 0, nil }
		w.Forget = func(context.Context, string) error { passkeys = 0; return nil }
		if err := w.ResetAll(ctx, ada); !errors.Is(err, mfa.ErrNone) {
			t.Errorf("without any: %v", err)
		}
		w.enroll(t, ada)
		passkeys = 2
		told := w.told()
		w.fail = errors.New("no mail")
		if err := w.ResetAll(ctx, ada); !errors.Is(err, w.fail) {
			t.Errorf("when nobody can be told: %v", err)
		}
		w.fail = nil
		if st, err := w.Status(ctx, ada); err != nil || len(st.Methods) != 2 {
			t.Errorf("after a reset that failed: %+v, %v", st, err)
		}
		if err := w.ResetAll(ctx, ada); err != nil || passkeys != 0 {
			t.Errorf("reset: %v, %d passkeys", err, passkeys)
		}
		if st, err := w.Status(ctx, ada); err != nil || len(st.Methods) != 0 || w.told() == told {
			t.Errorf("after it: %+v, %v, told %s", st, err, w.told())
		}
		passkeys = 1 // nothing else
		if err := w.ResetAll(ctx, ada); err != nil || passkeys != 0 {
			t.Errorf("of passkeys alone: %v", err)
		}
	})
}
