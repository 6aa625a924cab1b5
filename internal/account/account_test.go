package account_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/fault"
	mailer "github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const good = "correct horse battery"

// world is a Service with its clock, its mailbox and what its hooks heard.
type world struct {
	*account.Service
	db       *sqldb.DB
	mu       sync.Mutex
	now      time.Time
	mails    string
	sent     int64 // mails, guarded by mu
	verified []string
	admins   []string
	changes  []account.Change
	hookErr  error
}

func newWorld(t *testing.T, db *sqldb.DB) *world {
	t.Helper()
	w := &world{db: db, now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), mails: t.TempDir()}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	w.Service = account.New(account.Needs{
		DB: db, Bus: bus.New(db, log, w.clock), Log: log, Now: w.clock, Passwords: seal.NewPasswordsOf(64), Box: box,
		Mail: mailer.NewFolder(w.mails, log, w.posted), IDPURL: "https://id.test",
		Verified: func(_ context.Context, u account.User) error {
			w.verified = append(w.verified, u.ID)
			return w.hookErr
		},
		Admin: func(_ context.Context, u account.User) error {
			w.admins = append(w.admins, u.ID)
			return w.hookErr
		},
		Changed: func(_ context.Context, c account.Change) error {
			w.changes = append(w.changes, c)
			return w.hookErr
		},
	})
	return w
}

// posted is a clock for the mailbox: no two mails are of the same moment, so they
// are read in the order in which they were sent.
func (w *world) posted() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent++
	return time.UnixMilli(w.sent)
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

var tokenInMail = regexp.MustCompile(`https://id\.test/[a-z/]+\?token=([A-Za-z0-9_-]{43})`)

// letters returns the mails to an address, oldest first: subject and text.
func (w *world) letters(t *testing.T, to string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(w.mails, "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		m, err := mail.ReadMessage(f)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		if m.Header.Get("To") == to {
			out = append(out, m.Header.Get("Subject")+"\n"+string(text))
		}
	}
	return out
}

// link returns the token of the newest mail to an address.
func (w *world) link(t *testing.T, to string) string {
	t.Helper()
	letters := w.letters(t, to)
	if len(letters) == 0 {
		t.Fatalf("no mail to %s", to)
	}
	m := tokenInMail.FindStringSubmatch(letters[len(letters)-1])
	if m == nil {
		t.Fatalf("no link in the mail: %s", letters[len(letters)-1])
	}
	return m[1]
}

func ada() account.Registration {
	return account.Registration{Email: "Ada@Example.com", Password: good, Username: "Ada", FirstName: "Ada", Terms: true, Address: "192.0.2.1", Back: "there"}
}

// join registers r and proves its address.
func (w *world) join(t *testing.T, r account.Registration) account.User {
	t.Helper()
	if err := w.Register(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Verify(t.Context(), w.link(t, r.Email)); err != nil {
		t.Fatal(err)
	}
	u, err := w.ByEmail(t.Context(), r.Email)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestSignUpAndProof(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, w := t.Context(), newWorld(t, db)
		if err := w.Register(ctx, ada()); err != nil {
			t.Fatal(err)
		}
		u, err := w.ByEmail(ctx, "ADA@example.COM")
		if err != nil || u.Verified || len(w.verified) != 0 {
			t.Fatalf("after sign-up: %+v, %v, hook %v; want an unproven account", u, err, w.verified)
		}
		if before, err := w.Snapshot(ctx, u.ID); err != nil || before.Verified {
			t.Fatalf("snapshot %+v, %v", before, err)
		}
		token := w.link(t, "Ada@Example.com")

		w.hookErr = errors.New("no credits")
		if _, err := w.Verify(ctx, token); err == nil {
			t.Error("the address was proven though the hook failed")
		}
		w.hookErr = nil
		if back, err := w.Verify(ctx, token); err != nil || back != "there" {
			t.Errorf("Verify: %q, %v; the failed try must not use the link up", back, err)
		}
		if _, err := w.Verify(ctx, token); !errors.Is(err, account.ErrLinkUsed) {
			t.Errorf("second use: %v, want ErrLinkUsed", err)
		}
		if u, err = w.Snapshot(ctx, u.ID); err != nil || !u.Verified || len(w.verified) != 2 || w.verified[1] != u.ID {
			t.Errorf("snapshot after the proof: %+v, %v, hook %v", u, err, w.verified)
		}

		// The address is known now: same answer, but the owner is told.
		again := ada()
		again.Username, again.Password = "", "another good password"
		if err := w.Register(ctx, again); err != nil {
			t.Errorf("known address: %v, want no difference", err)
		}
		if letters := w.letters(t, again.Email); len(letters) != 1 && !strings.HasPrefix(letters[len(letters)-1], "You already have") {
			t.Errorf("mails %q", letters)
		}
		if _, err := w.Authenticate(ctx, account.Attempt{Name: "ada", Password: again.Password}); !errors.Is(err, account.ErrCredentials) {
			t.Errorf("the second sign-up changed the password: %v", err)
		}
		other := ada()
		other.Email, other.Username = "b@example.com", "aDA"
		if err := w.Register(ctx, other); !errors.Is(err, account.ErrUsernameTaken) {
			t.Errorf("username of another case: %v, want ErrUsernameTaken", err)
		}
	})
}

// Who signs up with an address that is not theirs keeps nothing when its owner
// comes.
func TestUnprovenAccountLosesItsAddress(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, w := t.Context(), newWorld(t, db)
		squat := ada()
		squat.Password = "what the squatter knows"
		if err := w.Register(ctx, squat); err != nil {
			t.Fatal(err)
		}
		old, err := w.ByEmail(ctx, squat.Email)
		if err != nil {
			t.Fatal(err)
		}
		oldLink := w.link(t, squat.Email)
		w.pass(time.Minute)
		u := w.join(t, ada())
		if u.ID == old.ID || !u.Verified {
			t.Errorf("the newcomer got %+v", u)
		}
		if _, err := w.Authenticate(ctx, account.Attempt{Name: squat.Email, Password: squat.Password}); !errors.Is(err, account.ErrCredentials) {
			t.Errorf("the squatter signs in: %v", err)
		}
		if gone, err := w.Snapshot(ctx, old.ID); err != nil || gone.State != account.StateDeleted || gone.Email != "" {
			t.Errorf("the squatter's account: %+v, %v", gone, err)
		}
		if _, err := w.Verify(ctx, oldLink); !errors.Is(err, account.ErrLinkExpired) {
			t.Errorf("the squatter's link: %v, want ErrLinkExpired", err)
		}
	})
}

func TestLinksEnd(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, w := t.Context(), newWorld(t, db)
		if err := w.Register(ctx, ada()); err != nil {
			t.Fatal(err)
		}
		old := w.link(t, ada().Email)
		if _, err := w.CheckSetup(ctx, old); !errors.Is(err, account.ErrSetupToken) {
			t.Errorf("a verification link as set-up link: %v, want ErrSetupToken", err)
		}
		w.pass(24 * time.Hour)
		if _, err := w.Verify(ctx, old); !errors.Is(err, account.ErrLinkExpired) {
			t.Errorf("after a day: %v, want ErrLinkExpired", err)
		}
		if err := w.Resend(ctx, ada().Email, "", ""); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Verify(ctx, w.link(t, ada().Email)); err != nil {
			t.Errorf("another link: %v", err)
		}
		if _, err := w.Verify(ctx, "not a token"); !errors.Is(err, account.ErrLinkExpired) {
			t.Errorf("made-up token: %v", err)
		}
		setup, err := w.SetupToken(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Verify(ctx, setup); !errors.Is(err, account.ErrLinkExpired) {
			t.Errorf("a set-up token as proof of an address: %v", err)
		}
		if err := w.Resend(ctx, "nobody@example.com", "", ""); err != nil || !strings.Contains(w.letters(t, "nobody@example.com")[0], "no account") {
			t.Errorf("unknown address: %v; want the same answer, and a mail that says so", err)
		}
	})
}

func TestSweepFreesAddresses(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, w := t.Context(), newWorld(t, db)
		if err := w.Register(ctx, ada()); err != nil {
			t.Fatal(err)
		}
		u := w.join(t, account.Registration{Email: "bo@example.com", Password: good, Terms: true})
		w.pass(8 * 24 * time.Hour)
		if err := w.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := w.ByEmail(ctx, ada().Email); !errors.Is(err, account.ErrUnknown) {
			t.Errorf("unproven account after a week: %v, want ErrUnknown", err)
		}
		if _, err := w.ByID(ctx, u.ID); err != nil {
			t.Errorf("proven account: %v", err)
		}
	})
}

func TestRegistrationIsChecked(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		for name, tt := range map[string]struct {
			change func(*account.Registration)
			want   *fault.Error
		}{
			"no address":       {func(r *account.Registration) { r.Email = "ada" }, account.ErrInvalid},
			"display name":     {func(r *account.Registration) { r.Email = "Ada <ada@example.com>" }, account.ErrInvalid},
			"line break":       {func(r *account.Registration) { r.Email = "ada@example.com\r\nBcc: x@example.com" }, account.ErrInvalid},
			"long username":    {func(r *account.Registration) { r.Username = strings.Repeat("a", 31) }, account.ErrInvalid},
			"username signs":   {func(r *account.Registration) { r.Username = "-ada" }, account.ErrInvalid},
			"reversing name":   {func(r *account.Registration) { r.FirstName = "a\u202eb" }, account.ErrInvalid},
			"no terms":         {func(r *account.Registration) { r.Terms = false }, account.ErrInvalid},
			"short password":   {func(r *account.Registration) { r.Password = "1234567" }, account.ErrShort},
			"common password":  {func(r *account.Registration) { r.Password = "password1" }, account.ErrCommon},
			"product name":     {func(r *account.Registration) { r.Password = "Rephlo2026!" }, account.ErrCommon},
			"own name":         {func(r *account.Registration) { r.Username, r.Password = "lovelace", "xxLovelacexx" }, account.ErrCommon},
			"own address":      {func(r *account.Registration) { r.Email, r.Password = "countess@example.com", "my-countess-1" }, account.ErrCommon},
			"over and over":    {func(r *account.Registration) { r.Password = "xyxyxyxyxy" }, account.ErrCommon},
			"long password":    {func(r *account.Registration) { r.Password = strings.Repeat("aB3$xk", 43) }, account.ErrInvalid},
			"not UTF-8":        {func(r *account.Registration) { r.Password = "abcdefgh\xff" }, account.ErrInvalid},
			"eight characters": {func(r *account.Registration) { r.Password = "пароль" }, account.ErrShort},
		} {
			r := ada()
			tt.change(&r)
			if err := w.Register(t.Context(), r); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %s", name, err, tt.want.Code)
			}
		}
		if err := account.CheckPassword("пароль-и", "a@example.com", "ada"); err != nil {
			t.Errorf("eight letters of two bytes: %v", err)
		}
	})
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, w := t.Context(), newWorld(t, db)
		a := w.join(t, ada())
		w.join(t, account.Registration{Email: "bo@example.com", Username: "bo-bo", Password: good, Terms: true})
		taken, same, name := "BO-BO", "ADA", "  Grace "
		if _, err := w.Update(ctx, a.ID, account.Profile{Username: &taken}); !errors.Is(err, account.ErrUsernameTaken) {
			t.Errorf("taken: %v", err)
		}
		u, err := w.Update(ctx, a.ID, account.Profile{Username: &same, FirstName: &name})
		if err != nil || u.Username != "ADA" || u.FirstName != "Grace" {
			t.Errorf("got %+v, %v", u, err)
		}
		if _, err := w.Update(ctx, "usr_none", account.Profile{FirstName: &name}); !errors.Is(err, account.ErrUnknown) {
			t.Errorf("nobody: %v", err)
		}
	})
}

func FuzzRegistration(f *testing.F) {
	f.Add("ada@example.com", "ada", "password1")
	f.Add("a@b\r\n", "-", "\xff")
	f.Fuzz(func(t *testing.T, email, username, password string) {
		if account.CheckPassword(password, email, username) == nil && (len(password) < 8 || len(password) > 4*256) {
			t.Errorf("accepted a password of %d bytes", len(password))
		}
		if got, err := account.CheckEmail(email); err == nil && (strings.ContainsAny(got, "\r\n\x00 ") || strings.Count(got, "@") == 0) {
			t.Errorf("accepted the address %q", got)
		}
	})
}
