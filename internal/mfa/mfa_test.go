package mfa_test

import (
	"bytes"
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/mfa"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a Service with a clock that tests move, and what it told.
type world struct {
	*mfa.Service
	db     *sqldb.DB
	us     atomic.Int64
	mu     sync.Mutex
	events []mfa.Event // guarded by mu
	fail   error       // what Happened returns
}

var ada = account.User{ID: "usr_ada", Email: "ada@example.com"}

func newWorld(t *testing.T, db *sqldb.DB) *world {
	t.Helper()
	w := &world{db: db}
	w.us.Store(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC).UnixMicro())
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	w.Service = mfa.New(mfa.Needs{
		DB: db, Box: box, Passwords: seal.NewPasswordsOf(64), Now: w.now, Issuer: "Rephlo",
		Required: func(u account.User) bool { return u.Staff },
		Happened: func(_ context.Context, _ account.User, e mfa.Event) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
			return w.fail
		},
	})
	return w
}

func (w *world) now() time.Time            { return time.UnixMicro(w.us.Load()).UTC() }
func (w *world) pass(d time.Duration)      { w.us.Add(d.Microseconds()) }
func (w *world) code(secret []byte) string { return mfa.CodeAt(secret, w.now().Unix()/30) }

func (w *world) told() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprint(w.events)
}

// enroll gives u an authenticator.
func (w *world) enroll(t *testing.T, u account.User) (secret []byte, codes []string) {
	t.Helper()
	s, err := w.Begin(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	if secret, err = base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(s.Secret); err != nil {
		t.Fatal(err)
	}
	if codes, err = w.Confirm(t.Context(), u, s.ID, w.code(secret)); err != nil {
		t.Fatal(err)
	}
	w.pass(30 * time.Second)
	return secret, codes
}

// RFC 6238 appendix B, for SHA-1, of which we use the last six digits.
func TestCodesAreThoseOfRFC6238(t *testing.T) {
	t.Parallel()
	secret := []byte("12345678901234567890")
	for at, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		if got := mfa.CodeAt(secret, at/30); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
	}
}

func TestAnAuthenticatorIsProvenByACode(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, w := t.Context(), newWorld(t, db)
		first, err := w.Begin(ctx, ada)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(first.URL)
		if err != nil || u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/Rephlo:ada@example.com" || u.Query().Get("secret") != first.Secret || len(first.Secret) != 32 {
			t.Errorf("the address for the QR code is %s (%v)", first.URL, err)
		}
		if st, err := w.Status(ctx, ada); err != nil || st.Enrolled() {
			t.Errorf("before a code was seen: %+v, %v", st, err)
		}
		if _, err := w.Check(ctx, ada, "000000"); !errors.Is(err, mfa.ErrNone) {
			t.Errorf("a code before the set-up: %v", err)
		}
		for _, typed := range []string{"", "12345", "1234567", "abcdef", "١٢٣٤٥٦"} {
			if _, err := w.Confirm(ctx, ada, first.ID, typed); !errors.Is(err, mfa.ErrCode) && !errors.Is(err, mfa.ErrTooMany) {
				t.Errorf("code %q: %v", typed, err)
			}
			w.pass(time.Minute)
		}
		if _, err := w.Confirm(ctx, account.User{ID: "usr_eve"}, first.ID, "123456"); !errors.Is(err, mfa.ErrSetup) {
			t.Errorf("somebody else's set-up: %v", err)
		}
		w.pass(10 * time.Minute)
		if _, err := w.Confirm(ctx, ada, first.ID, "123456"); !errors.Is(err, mfa.ErrSetup) {
			t.Errorf("after ten minutes: %v", err)
		}
		_, codes := w.enroll(t, ada)
		if len(codes) != 10 || len(codes[0]) != 19 {
			t.Errorf("the recovery codes are %q", codes)
		}
		st, err := w.Status(ctx, ada)
		if err != nil || strings.Join(st.Methods, " ") != "totp recovery_code" || st.RecoveryCodesLeft != 10 || st.Required {
			t.Errorf("enrolled: %+v, %v", st, err)
		}
		if got := w.told(); got != "[enrolled]" {
			t.Errorf("told %s", got)
		}
	})
}

// What follows an enrolment and the enrolment happen together, or not at all.
func TestAFailedNoticeEnrolsNobody(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, w := t.Context(), newWorld(t, db)
		w.fail = errors.New("sessions cannot be ended")
		s, err := w.Begin(ctx, ada)
		if err != nil {
			t.Fatal(err)
		}
		secret, _ := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(s.Secret)
		if _, err := w.Confirm(ctx, ada, s.ID, w.code(secret)); !errors.Is(err, w.fail) {
			t.Errorf("got %v", err)
		}
		if st, err := w.Status(ctx, ada); err != nil || st.Enrolled() {
			t.Errorf("afterwards: %+v, %v", st, err)
		}
	})
}

// A code works once, within a step of its time, however many processes and
// requests try it at once.
func TestACodeWorksOnce(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, w := t.Context(), newWorld(t, db)
		secret, _ := w.enroll(t, ada)
		other := newWorld(t, db) // another process
		other.us.Store(w.us.Load())
		code := w.code(secret)
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				s := w
				if i%2 == 1 {
					s = other
				}
				method, err := s.Check(ctx, ada, code[:3]+" "+code[3:])
				switch {
				case err == nil && method == mfa.TOTP:
					won.Add(1)
				case !errors.Is(err, mfa.ErrCode) && !errors.Is(err, mfa.ErrTooMany):
					t.Errorf("Check: %v", err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("the code was taken %d times", won.Load())
		}
		w.pass(10 * time.Minute)
		for _, tt := range []struct {
			off  int64
			want error
		}{{-2, mfa.ErrCode}, {2, mfa.ErrCode}, {-1, nil}, {-1, mfa.ErrCode}, {1, nil}, {0, mfa.ErrCode}} {
			if _, err := w.Check(ctx, ada, mfa.CodeAt(secret, w.now().Unix()/30+tt.off)); !errors.Is(err, tt.want) {
				t.Errorf("a code %d steps off: %v, want %v", tt.off, err, tt.want)
			}
		}
	})
}

func TestGuessingIsSlowedDown(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, w := t.Context(), newWorld(t, db)
		secret, _ := w.enroll(t, ada)
		for range 5 {
			if _, err := w.Check(ctx, ada, "000000"); !errors.Is(err, mfa.ErrCode) {
				t.Fatal(err)
			}
		}
		if _, err := w.Check(ctx, ada, w.code(secret)); !errors.Is(err, mfa.ErrTooMany) {
			t.Errorf("the sixth try: %v", err)
		}
		w.pass(2 * time.Second)
		if _, err := w.Check(ctx, ada, w.code(secret)); err != nil {
			t.Errorf("after the pause: %v; the account must not be locked", err)
		}
	})
}

func TestARecoveryCodeWorksOnce(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, w := t.Context(), newWorld(t, db)
		secret, codes := w.enroll(t, ada)
		if method, err := w.Check(ctx, ada, strings.ToUpper(strings.ReplaceAll(codes[3], "-", " "))); err != nil || method != mfa.Recovery {
			t.Fatalf("%s, %v", method, err)
		}
		for typed, what := range map[string]string{codes[3]: "a used code", codes[4][:17] + "zz": "a wrong code", "0000-0000-0000-0000": "no code"} {
			if typed == codes[4] {
				continue
			}
			if _, err := w.Check(ctx, ada, typed); !errors.Is(err, mfa.ErrCode) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if st, err := w.Status(ctx, ada); err != nil || st.RecoveryCodesLeft != 9 {
			t.Errorf("%+v, %v; want 9 left", st, err)
		}
		fresh, err := w.Renew(ctx, ada, w.code(secret))
		if err != nil || len(fresh) != 10 {
			t.Fatalf("%q, %v", fresh, err)
		}
		if _, err := w.Check(ctx, ada, codes[5]); !errors.Is(err, mfa.ErrCode) {
			t.Errorf("a code of the old set: %v", err)
		}
		if _, err := w.Renew(ctx, ada, fresh[0]); !errors.Is(err, mfa.ErrCode) {
			t.Errorf("renewing with a recovery code: %v", err)
		}
		if err := w.Disable(ctx, ada, fresh[1]); err != nil {
			t.Fatal(err)
		}
		if st, err := w.Status(ctx, ada); err != nil || st.Enrolled() || st.RecoveryCodesLeft != 0 {
			t.Errorf("after the removal: %+v, %v", st, err)
		}
		if got := w.told(); got != "[enrolled code_used codes_renewed code_used removed]" {
			t.Errorf("told %s", got)
		}
	})
}

func TestWhoMustHaveAFactorCannotRemoveIt(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, w := t.Context(), newWorld(t, db)
		root := account.User{ID: "usr_root", Email: "root@example.com", Staff: true}
		secret, _ := w.enroll(t, root)
		if err := w.Disable(ctx, root, w.code(secret)); !errors.Is(err, mfa.ErrMandatory) {
			t.Errorf("got %v", err)
		}
		if err := w.Reset(ctx, root); err != nil {
			t.Fatal(err)
		}
		if st, err := w.Status(ctx, root); err != nil || st.Enrolled() || !st.Required {
			t.Errorf("after an administrator's reset: %+v, %v", st, err)
		}
	})
}

// The database holds neither the secret nor a code, and a row that is copied to
// somebody else does not open.
func TestTheDatabaseHoldsNoSecret(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, w := t.Context(), newWorld(t, db)
		secret, codes := w.enroll(t, ada)
		var sealed []byte
		if err := db.Q(ctx).QueryRowContext(ctx, `SELECT secret FROM mfa_totp`).Scan(&sealed); err != nil || bytes.Contains(sealed, secret) {
			t.Errorf("the stored secret is %x, %v", sealed, err)
		}
		rows, err := db.Q(ctx).QueryContext(ctx, `SELECT hash FROM mfa_recovery`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var hash string
			if err := rows.Scan(&hash); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(hash, "$argon2id$") {
				t.Errorf("a recovery code is stored as %q", hash)
			}
			for _, c := range codes {
				if strings.Contains(hash, strings.ReplaceAll(c, "-", "")[2:]) {
					t.Error("a recovery code is stored")
				}
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		eve := account.User{ID: "usr_eve", Email: "eve@example.com"}
		const copied = `INSERT INTO mfa_totp (user_id, secret, last_step, created_at) SELECT 'usr_eve', secret, last_step, created_at FROM mfa_totp`
		if _, err := db.Q(ctx).ExecContext(ctx, copied); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Check(ctx, eve, w.code(secret)); !errors.Is(err, seal.ErrSealed) {
			t.Errorf("a copied row: %v", err)
		}
	})
}

func FuzzTypedCodes(f *testing.F) {
	f.Add("123 456")
	f.Add("ABCD-EFGH-JKMN-PQRS")
	f.Fuzz(func(t *testing.T, typed string) {
		if c := mfa.DigitsOf(typed); c != "" && (len(c) != 6 || strings.Trim(c, "0123456789") != "") {
			t.Errorf("%q reads as %q", typed, c)
		}
		if c := mfa.RecoveryOf(typed); c != "" && len(c) != 16 {
			t.Errorf("%q reads as %q", typed, c)
		}
	})
}
