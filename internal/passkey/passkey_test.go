package passkey_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/passkey"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a Service with its clock, its users and what its hooks heard.
type world struct {
	*passkey.Service
	ada, eve account.User
	now      time.Time
	events   []passkey.Event
	last     error // what Removable answers
}

func newWorld(t *testing.T, db *sqldb.DB, origin string) *world {
	t.Helper()
	w := &world{now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return w.now }
	log := slog.New(slog.DiscardHandler)
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	accounts := account.New(account.Needs{
		DB: db, Bus: bus.New(db, log, clock), Log: log, Now: clock, Passwords: seal.NewPasswordsOf(64), Box: box,
		Mail: mail.NewFolder(t.TempDir(), log, clock), IDPURL: origin,
	})
	for email, u := range map[string]*account.User{"ada@example.com": &w.ada, "eve@example.com": &w.eve} {
		if *u, err = accounts.CreateAdmin(t.Context(), email, "a long passphrase"); err != nil {
			t.Fatal(err)
		}
	}
	w.Service, err = passkey.New(passkey.Needs{
		DB: db, Box: box, Log: log, Now: clock, Name: "Test", Accounts: accounts, Origin: origin, Others: []string{"https://evil.test"},
		Removable: func(context.Context, account.User, int) error { return w.last },
		Happened: func(_ context.Context, _ account.User, e passkey.Event) error {
			w.events = append(w.events, e)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

const origin = "https://id.test"

func run(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) { test(t, newWorld(t, db, origin)) })
}

// add registers a key for ada.
func (w *world) add(t *testing.T, k *key, name string) passkey.Passkey {
	t.Helper()
	p, err := w.Register(t.Context(), w.ada, name, k.register(t, w.registration(t, w.ada)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// challengeOf returns the challenge of a ceremony's options.
func challengeOf(t *testing.T, options json.RawMessage, err error) string {
	t.Helper()
	var o struct {
		PublicKey struct {
			Challenge string `json:"challenge"`
		} `json:"publicKey"`
	}
	if err == nil {
		err = json.Unmarshal(options, &o)
	}
	if err != nil || len(o.PublicKey.Challenge) < 22 {
		t.Fatalf("options %s: %v", options, err)
	}
	return o.PublicKey.Challenge
}

func (w *world) registration(t *testing.T, u account.User) string {
	t.Helper()
	options, err := w.BeginRegistration(t.Context(), u)
	return challengeOf(t, options, err)
}

func (w *world) challenge(t *testing.T, u account.User) string {
	t.Helper()
	options, err := w.BeginSignIn(t.Context(), []byte("b"), u)
	return challengeOf(t, options, err)
}

// A10: a passkey signs its owner in, and nothing else does.
func TestPasskeySignsItsOwnerIn(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		k := newKey(w.ada.ID)
		w.add(t, k, "Laptop")
		try := func(browser string, response []byte) error {
			t.Helper()
			proof, err := w.SignIn(t.Context(), []byte(browser), response)
			if err == nil && proof.User.ID != w.ada.ID {
				t.Errorf("signed in as %s", proof.User.ID)
			}
			return err
		}
		good := k.answer(t, origin, w.challenge(t, account.User{}))
		if err := try("another browser", good); !errors.Is(err, passkey.ErrRefused) {
			t.Errorf("in another browser: %v", err)
		}
		if err := try("b", good); err != nil {
			t.Fatalf("a good answer: %v", err)
		}
		if err := try("b", good); !errors.Is(err, passkey.ErrRefused) {
			t.Errorf("the same answer again: %v", err)
		}
		if err := try("b", k.answer(t, origin, w.challenge(t, w.ada))); err != nil {
			t.Errorf("as a second factor: %v", err)
		}
		for name, answer := range map[string]func(challenge string) []byte{
			"another site":          func(c string) []byte { return k.answer(t, "https://evil.test", c) },
			"another relying party": func(c string) []byte { return k.with(func(k *key) { k.rp = "evil.test" }).answer(t, origin, c) },
			"no user verification":  func(c string) []byte { return k.with(func(k *key) { k.unverified = true }).answer(t, origin, c) },
			"another key": func(c string) []byte {
				return k.with(func(k *key) { k.private = newKey("").private }).answer(t, origin, c)
			},
			"another's handle":    func(c string) []byte { return k.with(func(k *key) { k.user = w.eve.ID }).answer(t, origin, c) },
			"an unknown key":      func(c string) []byte { return newKey(w.ada.ID).answer(t, origin, c) },
			"a made-up challenge": func(string) []byte { return k.answer(t, origin, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA") },
			"no JSON":             func(string) []byte { return []byte("{") },
			"too much":            func(string) []byte { return []byte(strings.Repeat(" ", 17<<10)) },
		} {
			if err := try("b", answer(w.challenge(t, account.User{}))); !errors.Is(err, passkey.ErrRefused) {
				t.Errorf("%s: %v, want ErrRefused", name, err)
			}
		}
		late := k.answer(t, origin, w.challenge(t, account.User{}))
		w.now = w.now.Add(5 * time.Minute)
		if err := try("b", late); !errors.Is(err, passkey.ErrRefused) {
			t.Errorf("after five minutes: %v", err)
		}
		if err := try("b", k.answer(t, origin, w.challenge(t, account.User{}))); err != nil {
			t.Errorf("still good in the end: %v", err)
		}
	})
}

// A counter that goes back says that there are two of the key.
func TestCopiedPasskeyIsRefusedFromThenOn(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		k := newKey(w.ada.ID)
		k.count = 7
		w.add(t, k, "Key")
		clone := k.with(func(k *key) { k.count = 3 })
		sign := func(k *key) error {
			_, err := w.SignIn(t.Context(), []byte("b"), k.answer(t, origin, w.challenge(t, account.User{})))
			return err
		}
		if err := sign(k); err != nil {
			t.Fatal(err)
		}
		if err := sign(clone); !errors.Is(err, passkey.ErrRefused) {
			t.Errorf("the copy: %v", err)
		}
		if err := sign(k); !errors.Is(err, passkey.ErrRefused) {
			t.Errorf("the original afterwards: %v", err)
		}
		list, err := w.List(t.Context(), w.ada.ID)
		if n, _ := w.Usable(t.Context(), w.ada.ID); err != nil || n != 0 || !list[0].Suspect || w.events[len(w.events)-1] != passkey.Suspect {
			t.Errorf("list %+v, %d usable, events %v, %v", list, n, w.events, err)
		}
	})
}

func TestManagingPasskeys(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx, k := t.Context(), newKey(w.ada.ID)
		p := w.add(t, k, "Laptop")
		if _, err := w.Register(ctx, w.eve, "Stolen", newKey(w.eve.ID).register(t, w.registration(t, w.ada))); !errors.Is(err, passkey.ErrRefused) {
			t.Errorf("another's ceremony: %v", err)
		}
		if _, err := w.Register(ctx, w.eve, "Same", k.register(t, w.registration(t, w.eve))); !errors.Is(err, passkey.ErrRefused) {
			t.Errorf("another's key: %v", err)
		}
		for _, name := range []string{"", "a\nb", strings.Repeat("x", 61)} {
			if err := w.Rename(ctx, w.ada.ID, p.ID, name); err == nil {
				t.Errorf("the name %q was taken", name)
			}
		}
		if err := w.Rename(ctx, w.ada.ID, p.ID, " Desk "); err != nil {
			t.Error(err)
		}
		if list, err := w.List(ctx, w.ada.ID); err != nil || len(list) != 1 || list[0].Name != "Desk" || list[0].Old {
			t.Errorf("list %+v, %v", list, err)
		}
		for what, err := range map[string]error{
			"rename another's": w.Rename(ctx, w.eve.ID, p.ID, "Mine"), "remove another's": w.Remove(ctx, w.eve, p.ID),
		} {
			if !errors.Is(err, passkey.ErrUnknown) {
				t.Errorf("%s: %v", what, err)
			}
		}
		w.last = passkey.ErrMandatory
		if err := w.Remove(ctx, w.ada, p.ID); !errors.Is(err, passkey.ErrMandatory) {
			t.Errorf("the last one of an administrator: %v", err)
		}
		if n, _ := w.Usable(ctx, w.ada.ID); n != 1 {
			t.Error("it is gone nevertheless")
		}
		w.last = nil
		if err := w.Remove(ctx, w.ada, p.ID); err != nil {
			t.Error(err)
		}
		if _, err := w.SignIn(ctx, []byte("b"), k.answer(t, origin, w.challenge(t, account.User{}))); !errors.Is(err, passkey.ErrRefused) {
			t.Errorf("a removed passkey: %v", err)
		}
		for range 20 {
			w.add(t, newKey(w.ada.ID), "Many")
		}
		if _, err := w.BeginRegistration(ctx, w.ada); !errors.Is(err, passkey.ErrTooMany) {
			t.Errorf("the 21st: %v", err)
		}
	})
}

// An address without a name has no passkeys, and says so.
func TestPasskeysNeedAHostName(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		for at, want := range map[string]bool{
			"http://127.0.0.1:7151": false, "http://id.test": false, "https://[::1]": false, "http://localhost:7151": true, "https://id.test": true,
		} {
			w := &world{}
			var err error
			w.Service, err = passkey.New(passkey.Needs{DB: db, Origin: at, Name: "Test"})
			if err != nil || w.Available() != want {
				t.Errorf("%s: %v, %v", at, w.Available(), err)
			}
			if want {
				continue
			}
			if _, err := w.BeginSignIn(t.Context(), nil, account.User{}); !errors.Is(err, passkey.ErrUnavailable) {
				t.Errorf("%s: %v", at, err)
			}
		}
	})
}

// Nothing that a browser sends makes the parsers of its answers fail otherwise
// than with an error.
func FuzzAnswers(f *testing.F) {
	t := &testing.T{}
	k := newKey("usr_1")
	f.Add(k.register(t, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
	f.Add(k.answer(t, origin, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
	f.Fuzz(func(t *testing.T, response []byte) {
		if p, err := protocol.ParseCredentialCreationResponseBytes(response); err == nil && p == nil {
			t.Error("neither an answer nor an error")
		}
		if p, err := protocol.ParseCredentialRequestResponseBytes(response); err == nil && len(p.RawID) == 0 {
			t.Error("an answer without a key")
		}
	})
}
