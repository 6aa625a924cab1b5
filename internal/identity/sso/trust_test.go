package sso_test

import (
	"maps"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/account"
	"github.com/rephlo/rephlo/internal/identity/sso"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// Who wants to stay signed in is not signed out by a pause, in no browser that
// was closed, but after 30 days; people with a role are not heard.
func TestAKeptSignInOutlivesPauses(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db, true)
		u := w.user(t, "ada@example.com")
		ada, root := u, u
		ada.Staff, root.Staff = false, true
		for _, tt := range []struct {
			name  string
			user  account.User
			keep  bool
			life  int // of the cookie, in seconds
			rests bool
		}{{"kept", ada, true, 30 * 24 * 3600, true}, {"not kept", ada, false, 0, false}, {"of an administrator", root, true, 0, false}} {
			b, rec := browser{}, httptest.NewRecorder()
			if _, err := w.SignIn(rec, b.request(t), tt.user, sso.Way{AMR: []string{sso.ByPassword}, Keep: tt.keep}); err != nil {
				t.Fatal(err)
			}
			b.keep(rec)
			if c := b["__Host-rephlo_s"]; c.MaxAge != tt.life {
				t.Errorf("%s: the cookie lives %d s, want %d", tt.name, c.MaxAge, tt.life)
			}
			began := w.now
			w.now = w.now.Add(20 * 24 * time.Hour)
			if _, ok, err := w.Current(b.request(t)); ok != (tt.rests && !u.Staff) || err != nil {
				t.Errorf("%s: after a pause of 20 days signed in is %v, %v", tt.name, ok, err)
			}
			w.now = began.Add(30*24*time.Hour + time.Second)
			if _, ok, _ := w.Current(b.request(t)); ok {
				t.Errorf("%s: still signed in after 30 days", tt.name)
			}
		}
	})
}

// A trusted device stands for the second factor of the one user who trusted it,
// with its own cookie, for 30 days or until it is ended; where it is not allowed
// it never did.
func TestATrustedDeviceIsOneUsersAndEnds(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w, allowed := newWorld(t, db, true), true
		w.Trusts = func() bool { return allowed }
		ada, bob := account.User{ID: "usr_ada"}, account.User{ID: "usr_bob"}
		b := browser{}
		trust := func(u account.User) {
			rec := httptest.NewRecorder()
			if err := w.Trust(rec, b.request(t), u); err != nil {
				t.Fatal(err)
			}
			b.keep(rec)
		}
		here := func(u account.User) bool {
			t.Helper()
			id, err := w.TrustedHere(b.request(t), u)
			if err != nil {
				t.Fatal(err)
			}
			return id != ""
		}
		root := account.User{ID: "usr_root", Staff: true}
		if trust(root); len(b) != 0 || here(root) {
			t.Error("an administrator trusts a device")
		}
		trust(ada)
		c := b["__Host-rephlo_t"]
		if c == nil || !c.HttpOnly || !c.Secure || c.MaxAge != 30*24*3600 || !here(ada) || here(bob) {
			t.Fatalf("cookie %+v; trusted for ada %v, for bob %v", c, here(ada), here(bob))
		}
		known := maps.Clone(b) // to ada, who may have written it down
		if trust(bob); !here(ada) || !here(bob) {
			t.Error("a second user of the browser takes the first one's trust")
		}
		for _, u := range []account.User{ada, bob} {
			if id, err := w.TrustedHere(known.request(t), u); id != "" || err != nil {
				t.Errorf("the cookie of before stands for the second factor of %s: %q, %v", u.ID, id, err)
			}
		}
		list, err := w.TrustedDevices(t.Context(), ada.ID)
		if err != nil || len(list) != 1 || list[0].ExpiresAt.Sub(w.now) != 30*24*time.Hour {
			t.Fatalf("listed %+v, %v", list, err)
		}
		if err := w.Distrust(t.Context(), bob.ID, list[0].ID); err != nil || !here(ada) {
			t.Errorf("a stranger ends it: %v", err)
		}
		if err := w.Distrust(t.Context(), ada.ID, list[0].ID); err != nil || here(ada) || !here(bob) {
			t.Errorf("after its end: ada %v, bob %v, %v", here(ada), here(bob), err)
		}
		trust(ada)
		if err := w.DistrustAll(t.Context(), ada.ID); err != nil || here(ada) || !here(bob) {
			t.Errorf("after the end of all: ada %v, bob %v, %v", here(ada), here(bob), err)
		}
		if allowed = false; here(bob) {
			t.Error("trusted where it is not allowed")
		}
		if allowed = true; !here(bob) {
			t.Error("not trusted any more")
		}
		if w.now = w.now.Add(30 * 24 * time.Hour); here(bob) {
			t.Error("trusted after 30 days")
		}
		if err := w.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
		for range 12 { // browsers
			delete(b, "__Host-rephlo_t")
			trust(ada)
			w.now = w.now.Add(time.Second)
		}
		if list, err = w.TrustedDevices(t.Context(), ada.ID); err != nil || len(list) != 10 || !here(ada) {
			t.Errorf("%d devices are trusted, %v; want 10", len(list), err)
		}
		b["__Host-rephlo_t"].Value = strings.Repeat("A", 43)
		if here(ada) {
			t.Error("a cookie that was made up is trusted")
		}
	})
}
