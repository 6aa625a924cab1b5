package app

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
)

// A plan that is used up is told by mail to who wants to know.
func TestUsageAlertsAreMailedToWhoWantsThem(t *testing.T) {
	t.Parallel()
	s := start(t)
	ctx := t.Context()
	u, err := s.domains.Accounts.CreateAdmin(ctx, "ada@example.com", "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	mails := func() int {
		list, err := os.ReadDir(filepath.Join(s.core.Config.Data, "mail"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return len(list)
	}
	before := mails()
	for i, wanted := range []bool{true, false} {
		if _, err := s.domains.Accounts.Prefer(ctx, u.ID, func(p *account.Preferences) error { p.Alerts = wanted; return nil }); err != nil {
			t.Fatal(err)
		}
		err := s.domains.used(s.core)(ctx, credit.Use{User: u.ID, Grant: 1, Percent: 75, Granted: 100 * money.Credit, Used: 75 * money.Credit})
		if err != nil {
			t.Fatal(err)
		}
		if got := mails() - before; got != 1 {
			t.Errorf("after alert %d there are %d mails, want 1", i+1, got)
		}
	}
}
