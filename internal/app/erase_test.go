package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/credit"
	"github.com/rephlo/rephlo/internal/money"
	"github.com/rephlo/rephlo/internal/personal"
	"github.com/rephlo/rephlo/internal/role"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/subscription"
)

// kept are the tables that know an erased person by their id.
var kept = []string{
	"account_user", "audit_log", "bus_message", "credit_grant", "credit_recall", "credit_transfer", "credit_uncollected", "grant_revocation", "role_assignment", "role_override",
	"subscription_plan", "subscription_event", "subscription_proration", "subscription_balance", "usage_record", "usage_summary",
}

// broken is a part that fails, as a process that ends does.
type broken struct{ personal.Part }

var errCut = errors.New("cut off")

func (broken) Erase(context.Context, personal.Person) error { return errCut }

// After the erasure nothing in the database says who somebody was, whatever it
// was cut off by, and both chains are whole.
func TestAnErasedPersonIsInNoTable(t *testing.T) {
	onEngines(t, func(t *testing.T, s *Server) {
		ctx, d := t.Context(), s.domains
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(d.Credits.Start(ctx))
		s.onStop(d.Credits.Stop)
		_, err := d.Accounts.CreateAdmin(ctx, "root@example.com", "correct horse battery")
		must(err)
		u := person(t, s)
		must(d.Plans.StartFree(ctx, u.ID, u.CreatedAt))
		_, err = d.Credits.Deduct(ctx, credit.Taking{User: u.ID, Ref: "test:deduct", Amount: 3 * money.Credit})
		must(err)
		other := person2(t, s)
		at, err := d.Accounts.Leave(ctx, u.ID, access.Actor{UserID: u.ID}, "a reason that is long enough", 14*24*time.Hour)
		must(err)
		if left := time.Until(at); left < 13*24*time.Hour || left > 15*24*time.Hour {
			t.Errorf("it is erased in %s", left)
		}
		if _, err := d.Plans.ByID(ctx, "sub_none"); !errors.Is(err, subscription.ErrUnknown) {
			t.Fatal(err)
		}
		if v, err := d.Plans.Current(ctx, u.ID); !errors.Is(err, subscription.ErrUnknown) {
			t.Errorf("who left has the plan %+v, %v", v, err)
		}
		must(s.privacy.Erase(ctx))
		if now, err := d.Accounts.ByID(ctx, u.ID); err != nil || now.Email == "" {
			t.Fatalf("erased before its time: %+v, %v", now, err)
		}
		sqlRun(t, s, `UPDATE account_user SET state_until = $2 WHERE id = $1`, u.ID, time.Now().Add(-time.Hour).UnixMicro())
		whole := s.privacy.Parts
		for i := range whole {
			s.privacy.Parts = slices.Clone(whole)
			s.privacy.Parts[i] = broken{whole[i]}
			if err := s.privacy.Erase(ctx); !errors.Is(err, errCut) {
				t.Fatalf("cut off at part %d: %v", i, err)
			}
		}
		s.privacy.Parts = whole
		must(s.privacy.Erase(ctx))
		must(s.privacy.Erase(ctx))
		for _, mark := range []string{markEmail, markName, markPlace} {
			for _, where := range holding(t, s.core.DB, mark) {
				t.Errorf("%s is in %s", mark, where)
			}
		}
		for _, tb := range tables(t, s.core.DB) {
			if slices.Contains(tb.columns, "user_id") && !slices.Contains(kept, tb.name) {
				if n := count(t, s.core.DB, tb.name, u.ID); n > 0 {
					t.Errorf("%s has %d rows of an erased person", tb.name, n)
				}
			}
		}
		if n := count(t, s.core.DB, "credit_transfer", u.ID); n == 0 {
			t.Error("the ledger forgot what happened")
		}
		if o, err := d.Accounts.ByID(ctx, other.ID); err != nil || o.Email != other.Email || count(t, s.core.DB, "apikey_key", other.ID) != 1 {
			t.Errorf("somebody else was erased: %+v, %v", o, err)
		}
		chainsHold(t, s)
		told, _ := filepath.Glob(filepath.Join(s.core.Config.Data, "mail", "*.eml"))
		last, err := os.ReadFile(told[len(told)-1])
		must(err)
		if !strings.Contains(string(last), "To: "+markEmail) || !strings.Contains(string(last), "What stays") {
			t.Errorf("the last mail is %s", last)
		}
	})
}

func person2(t *testing.T, s *Server) account.User {
	t.Helper()
	u, err := s.domains.Accounts.CreateAdmin(t.Context(), "eve@example.com", "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	sqlRun(t, s, `INSERT INTO apikey_key (id, user_id, name, mode, prefix, hash, scopes, created_at) VALUES ('key_eve', $1, 'k', 'live', 'p', $2, '', 1)`, u.ID, []byte("h"))
	return u
}

func sqlRun(t *testing.T, s *Server, q string, args ...any) {
	t.Helper()
	if _, err := s.core.DB.Q(t.Context()).ExecContext(t.Context(), q, args...); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, db *sqldb.DB, table, userID string) (n int) {
	t.Helper()
	if err := db.Q(t.Context()).QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table+" WHERE user_id = $1", userID).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// holding lists the columns in which a text is, in whatever case.
func holding(t *testing.T, db *sqldb.DB, text string) (out []string) {
	t.Helper()
	for _, tb := range tables(t, db) {
		for i, c := range tb.columns {
			if tb.kinds[i] != "text" {
				continue
			}
			var n int
			q := fmt.Sprintf("SELECT COUNT(*) FROM %s WHERE LOWER(CAST(%s AS TEXT)) LIKE $1", tb.name, c)
			if err := db.Q(t.Context()).QueryRowContext(t.Context(), q, "%"+strings.ToLower(text)+"%").Scan(&n); err != nil {
				t.Fatalf("%s: %v", q, err)
			}
			if n > 0 {
				out = append(out, tb.name+"."+c)
			}
		}
	}
	return out
}

func chainsHold(t *testing.T, s *Server) {
	t.Helper()
	v, err := s.core.Audit.Verify(t.Context(), time.Time{}, time.Time{})
	if err != nil || v.FirstBad != 0 || v.Rows == 0 {
		t.Errorf("the audit chain: %+v, %v", v, err)
	}
	sum, err := s.domains.Credits.Verify(t.Context(), credit.VerifyOptions{}, func(f credit.Finding) {
		if !strings.Contains(f.Text, "call") { // the filled usage record is of no call
			t.Errorf("the ledger: %s", f)
		}
	})
	if err != nil || sum.Transfers == 0 {
		t.Errorf("the ledger: %+v, %v", sum, err)
	}
	es, err := s.core.Audit.List(t.Context(), audit.Filter{Action: "users.change_email"}, 10)
	if err != nil || len(es) != 1 || len(es[0].After) != 0 {
		t.Errorf("the audit log still tells %+v, %v", es, err)
	}
}

// Signing in before the time is over undoes a deletion, and gains nothing.
func TestSigningInUndoesADeletion(t *testing.T) {
	onEngines(t, func(t *testing.T, s *Server) {
		ctx, d := t.Context(), s.domains
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		u, err := d.Accounts.CreateAdmin(ctx, "root@example.com", "correct horse battery")
		must(err)
		if _, err := d.Accounts.Leave(ctx, u.ID, access.Actor{UserID: u.ID}, "they asked for it", time.Hour); !errors.Is(err, role.ErrLast) {
			t.Errorf("the last super_admin left: %v", err)
		}
		u, err = d.Accounts.CreateAdmin(ctx, "ada@example.com", "correct horse battery")
		must(err)
		must(d.Plans.StartFree(ctx, u.ID, u.CreatedAt))
		given := func() money.Credits {
			by, err := d.Credits.BySource(ctx, u.ID)
			must(err)
			return by[credit.Plan].Granted
		}
		before := given()
		_, err = d.Accounts.Leave(ctx, u.ID, access.Actor{UserID: u.ID}, "they asked for it", time.Hour)
		must(err)
		if now, err := d.Accounts.ByID(ctx, u.ID); err != nil || account.Usable(now, time.Now()) == nil {
			t.Errorf("who left may go on: %+v, %v", now, err)
		}
		back, err := d.Accounts.Authenticate(ctx, account.Attempt{Name: "ada@example.com", Password: "correct horse battery", Address: "192.0.2.1"})
		must(err)
		must(d.Accounts.ComeBack(ctx, back.ID))
		must(d.Accounts.ComeBack(ctx, back.ID)) // does nothing twice
		now, err := d.Accounts.ByID(ctx, u.ID)
		if err != nil || account.Usable(now, time.Now()) != nil || !now.Until.IsZero() {
			t.Errorf("who came back is %+v, %v", now, err)
		}
		v, err := d.Plans.Current(ctx, u.ID)
		if err != nil || v.Tier != "free" || given() != before {
			t.Errorf("the plan is %+v, %v; %s credits given, %s before", v, err, given(), before)
		}
		_, err = d.Accounts.Leave(ctx, u.ID, access.Actor{UserID: u.ID}, "they asked for it", time.Hour)
		must(err)
		sqlRun(t, s, `UPDATE account_user SET state_until = $2 WHERE id = $1`, u.ID, time.Now().Add(-time.Second).UnixMicro())
		if _, err := d.Accounts.Authenticate(ctx, account.Attempt{Name: "ada@example.com", Password: "correct horse battery", Address: "192.0.2.1"}); err == nil {
			t.Error("somebody came back after the time was over")
		}
	})
}
