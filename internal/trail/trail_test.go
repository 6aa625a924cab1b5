package trail_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/trail"
)

func TestEventsAreListedNewestFirstAndEndAfterTheirTime(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
		s := trail.New(db, slog.New(slog.DiscardHandler), func() time.Time { return now })
		ctx := trail.At(t.Context(), trail.Place{Address: "192.0.2.1", Agent: "Firefox\n\x00" + strings.Repeat("é", 300)})
		for _, kind := range []trail.Kind{trail.SignIn, trail.PasswordChanged, trail.KeyCreated} {
			now = now.Add(time.Hour)
			if err := s.Record(ctx, "usr_1", kind, "detail"); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Record(t.Context(), "usr_2", trail.SignIn, ""); err != nil {
			t.Fatal(err)
		}
		first, err := s.List(t.Context(), "usr_1", "", 2)
		if err != nil || len(first) != 2 || first[0].Kind != trail.KeyCreated || first[1].Kind != trail.PasswordChanged {
			t.Fatalf("the first two are %+v, %v", first, err)
		}
		if e := first[0]; e.Address != "192.0.2.1" || e.Detail != "detail" || !e.At.Equal(now) || strings.ContainsAny(e.Agent, "\n\x00") || len(e.Agent) > 200 {
			t.Errorf("%+v", e)
		}
		rest, err := s.List(t.Context(), "usr_1", first[1].ID, 2)
		if err != nil || len(rest) != 1 || rest[0].Kind != trail.SignIn {
			t.Errorf("the rest is %+v, %v", rest, err)
		}
		now = now.Add(trail.Kept - 90*time.Minute)
		if err := s.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if rest, err = s.List(t.Context(), "usr_1", "", 10); err != nil || len(rest) != 2 {
			t.Errorf("after the sweep: %+v, %v", rest, err)
		}
		if err := s.Forget(t.Context(), "usr_1"); err != nil {
			t.Fatal(err)
		}
		mine, err1 := s.List(t.Context(), "usr_1", "", 10)
		theirs, err2 := s.List(t.Context(), "usr_2", "", 10)
		if len(mine) != 0 || len(theirs) != 1 || err1 != nil || err2 != nil {
			t.Errorf("forgotten: %+v, kept: %+v", mine, theirs)
		}
	})
}

// Notes wait for nothing, and those that are taken are stored when the server
// stops.
func TestNotesAreStoredWhenItEnds(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := trail.New(db, slog.New(slog.DiscardHandler), time.Now)
		for range 1000 {
			s.Note(t.Context(), "usr_1", trail.SignInFailed, "")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s.Run(ctx)
		if list, err := s.List(t.Context(), "usr_1", "", 2000); err != nil || len(list) != 256 {
			t.Errorf("%d of 1000 notes were kept, %v; want 256", len(list), err)
		}
	})
}
