package apikey_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rephlo/rephlo/internal/apikey"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

func rotate(t *testing.T, s *apikey.Service, keyID string, overlap time.Duration) (made, old apikey.Key, text string) {
	t.Helper()
	made, old, secret, err := s.Rotate(t.Context(), "ada", keyID, overlap)
	if err != nil {
		t.Fatal(err)
	}
	return made, old, secret.Reveal()
}

func TestARotatedKeyKeepsAllButItsText(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s, _ := newService(t, db, c)
		k, before := create(t, s, apikey.NewKey{
			UserID: "ada", Name: "laptop", Mode: apikey.ModeTest, Models: []string{"m"}, Cache: true, Capture: true,
			Limits: apikey.Limits{CreditsTotal: 5, RequestsPerMinute: 7}, ExpiresAt: c.now().Add(30 * 24 * time.Hour),
		})
		if _, err := s.Change(t.Context(), "ada", k.ID, apikey.Edit{Paused: new(true)}); err != nil {
			t.Fatal(err)
		}
		c.move(10 * 24 * time.Hour)
		made, old, after := rotate(t, s, k.ID, apikey.DefaultOverlap)
		if made.PausedAt.IsZero() {
			t.Error("a paused key works again when it is rotated")
		}
		for _, id := range []string{k.ID, made.ID} {
			if _, err := s.Change(t.Context(), "ada", id, apikey.Edit{Paused: new(false)}); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.Lookup(t.Context(), after)
		want := k
		want.ID, want.Prefix, want.CreatedAt, want.ExpiresAt = made.ID, after[:12], c.now(), c.now().Add(30*24*time.Hour)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("the new key: %v %s", err, diff)
		}
		if made.ID == k.ID || got.Policy.Purse != k.ID || old.ReplacedBy != made.ID || !old.ExpiresAt.Equal(c.now().Add(24*time.Hour)) {
			t.Errorf("new %+v, old %+v", got, old)
		}
		c.move(24*time.Hour - time.Microsecond)
		if _, err := s.Lookup(t.Context(), before); err != nil {
			t.Errorf("the old key in its overlap: %v", err)
		}
		c.move(time.Microsecond)
		if _, err := s.Lookup(t.Context(), before); !errors.Is(err, apikey.ErrExpired) {
			t.Errorf("the old key after it: %v", err)
		}
		if _, err := s.Lookup(t.Context(), after); err != nil {
			t.Errorf("the new key: %v", err)
		}
	})
}

func TestOnlyAWorkingKeyIsRotatedAndOnce(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s, _ := newService(t, db, c)
		k, text := create(t, s, apikey.NewKey{UserID: "ada", NoExpiry: true})
		if _, _, _, err := s.Rotate(t.Context(), "eve", k.ID, 0); !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("somebody else's: %v", err)
		}
		made, old, _ := rotate(t, s, k.ID, apikey.MaxOverlap)
		if !made.ExpiresAt.IsZero() || !old.ExpiresAt.Equal(c.now().Add(apikey.MaxOverlap)) {
			t.Errorf("a key for ever: new until %s, old until %s", made.ExpiresAt, old.ExpiresAt)
		}
		refused := func(what, id string) {
			t.Helper()
			if _, _, _, err := s.Rotate(t.Context(), "ada", id, 0); !errors.Is(err, apikey.ErrState) {
				t.Errorf("%s: %v", what, err)
			}
		}
		refused("replaced already", k.ID)
		for _, later := range []time.Time{{}, old.ExpiresAt.Add(time.Second)} {
			if _, err := s.Change(t.Context(), "ada", k.ID, apikey.Edit{ExpiresAt: &later}); err == nil {
				t.Errorf("a replaced key may live until %s", later)
			}
		}
		sooner := c.now().Add(time.Hour)
		if _, err := s.Change(t.Context(), "ada", k.ID, apikey.Edit{ExpiresAt: &sooner}); err != nil {
			t.Errorf("ending it sooner: %v", err)
		}
		third, _, newest := rotate(t, s, made.ID, 0)
		if third.Root != k.ID {
			t.Errorf("the third key counts with %s, want %s", third.Root, k.ID)
		}
		if err := s.Revoke(t.Context(), "ada", third.ID); err != nil {
			t.Fatal(err)
		}
		refused("revoked", third.ID)
		if _, err := s.Lookup(t.Context(), newest); !errors.Is(err, apikey.ErrRevoked) {
			t.Errorf("revoked key: %v", err)
		}
		if _, err := s.Lookup(t.Context(), text); err != nil {
			t.Errorf("the first key until its end: %v", err)
		}
		short, _ := create(t, s, apikey.NewKey{UserID: "ada", ExpiresAt: c.now().Add(time.Minute)})
		c.move(time.Minute)
		refused("expired", short.ID)
	})
}

// A key and the one that replaced it are one key for the plan, in the place of
// the older: else nobody with all the keys of the plan could rotate one.
func TestARotationNeedsNoPlaceInThePlan(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		allowed := 2
		log := slog.New(slog.NewTextHandler(t.Output(), nil))
		s := apikey.New(apikey.Needs{DB: db, Bus: bus.New(db, log, c.now), Log: log, Now: c.now, Plan: func(string, apikey.Mode) int { return allowed }})
		a, _ := create(t, s, apikey.NewKey{UserID: "ada"})
		c.move(time.Second)
		b, textB := create(t, s, apikey.NewKey{UserID: "ada"})
		c.move(time.Second)
		made, _, text := rotate(t, s, a.ID, time.Hour)
		if _, _, err := s.Create(t.Context(), apikey.NewKey{UserID: "ada", Name: "third"}); !errors.Is(err, apikey.ErrPlan) {
			t.Errorf("a third key: %v", err)
		}
		if _, err := s.Lookup(t.Context(), textB); err != nil {
			t.Errorf("the second key: %v", err)
		}
		allowed = 1
		if _, err := s.Lookup(t.Context(), text); err != nil {
			t.Errorf("the successor of the oldest key, when the plan allows one: %v", err)
		}
		if _, err := s.Lookup(t.Context(), textB); !errors.Is(err, apikey.ErrPlan) {
			t.Errorf("the younger key, when the plan allows one: %v", err)
		}
		if err := s.Revoke(t.Context(), "ada", made.ID); err != nil {
			t.Fatal(err)
		}
		if err := s.Revoke(t.Context(), "ada", a.ID); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Lookup(t.Context(), textB); err != nil || got.ID != b.ID {
			t.Errorf("the younger key, when both have gone: %v", err)
		}
	})
}

func TestRotatingAKeyOverHTTP(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s, _ := newService(t, db, c)
		m := web.NewMux(web.Config{Now: c.now, Use: []web.Middleware{actAs}})
		apikey.API{Keys: s, Cursors: list.NewCursors(make([]byte, 32))}.Mount(m)
		made := call(t, m, "ada", "POST", "/v1/api-keys", `{"name":"k"}`)
		id, _ := made.body["id"].(string)
		for _, body := range []string{`{"overlapHours":169}`, `{"overlapHours":-1}`} {
			if a := call(t, m, "ada", "POST", "/v1/api-keys/"+id+"/rotate", body); a.status != 422 {
				t.Errorf("%s: %d %s", body, a.status, a.text)
			}
		}
		a := call(t, m, "ada", "POST", "/v1/api-keys/"+id+"/rotate", `{}`)
		text, _ := a.body["key"].(string)
		newID, _ := a.body["id"].(string)
		want := map[string]any{"id": id, "expiresAt": c.now().Add(24 * time.Hour).Format(time.RFC3339)}
		if a.status != 201 || a.location != "/v1/api-keys/"+newID || !cmp.Equal(a.body["replaces"], any(want)) {
			t.Fatalf("%d %s, want it to replace %v", a.status, a.text, want)
		}
		if k, err := s.Lookup(t.Context(), text); err != nil || k.ID != newID {
			t.Errorf("the key that was shown: %+v, %v", k, err)
		}
		if one := call(t, m, "ada", "GET", "/v1/api-keys/"+id, ""); one.body["replacedBy"] != newID || strings.Contains(one.text, text) {
			t.Errorf("the old key: %s", one.text)
		}
		if again := call(t, m, "ada", "POST", "/v1/api-keys/"+id+"/rotate", `{}`); again.status != 409 || !strings.Contains(again.text, "invalid_state") {
			t.Errorf("a second rotation: %d %s", again.status, again.text)
		}
	})
}
