package apikey_test

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/apikey"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// A plan allows so many keys of each mode. With a smaller one the newest rest,
// at once, and come back with a larger one or when an older key goes.
func TestAPlanAllowsSoManyKeys(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		var live atomic.Int64
		log := slog.New(slog.NewTextHandler(t.Output(), nil))
		s := apikey.New(apikey.Needs{
			DB: db, Bus: bus.New(db, log, c.now), Log: log, Now: c.now,
			Plan: func(_ string, mode apikey.Mode) int {
				if mode == apikey.ModeTest {
					return 1
				}
				return int(live.Load())
			},
		})
		live.Store(3)
		var keys []apikey.Key
		var texts []string
		for range 3 {
			c.move(time.Second)
			k, text := create(t, s, apikey.NewKey{UserID: "ada", Mode: apikey.ModeLive})
			keys, texts = append(keys, k), append(texts, text)
		}
		if _, _, err := s.Create(t.Context(), apikey.NewKey{UserID: "ada", Name: "a fourth", Mode: apikey.ModeLive}); !errors.Is(err, apikey.ErrPlan) {
			t.Errorf("a fourth key: %v, want a refusal", err)
		}
		create(t, s, apikey.NewKey{UserID: "ada", Mode: apikey.ModeTest})
		create(t, s, apikey.NewKey{UserID: "bob", Mode: apikey.ModeLive})
		want := func(what string, works ...bool) {
			t.Helper()
			for i, text := range texts {
				_, err := s.Lookup(t.Context(), text)
				if works[i] && err != nil || !works[i] && !errors.Is(err, apikey.ErrPlan) && !errors.Is(err, apikey.ErrRevoked) && !errors.Is(err, apikey.ErrExpired) {
					t.Errorf("%s: key %d: %v, want it to work: %t", what, i+1, err, works[i])
				}
			}
		}
		want("three allowed", true, true, true)
		live.Store(1)
		want("one allowed", true, false, false)
		if k, err := s.ByID(t.Context(), "ada", keys[1].ID); err != nil || !s.Surplus(k) {
			t.Errorf("the second key %+v, %v, want one too many", k, err)
		}
		if err := s.Revoke(t.Context(), "ada", keys[0].ID); err != nil {
			t.Fatal(err)
		}
		want("the oldest revoked", false, true, false)
		soon := c.now().Add(time.Hour)
		if _, err := s.Change(t.Context(), "ada", keys[1].ID, apikey.Edit{ExpiresAt: &soon}); err != nil {
			t.Fatal(err)
		}
		c.move(2 * time.Hour)
		want("the next expired", false, false, true)
		live.Store(0)
		want("none allowed", false, false, false)
		live.Store(3)
		want("three again", false, false, true)
	})
}
