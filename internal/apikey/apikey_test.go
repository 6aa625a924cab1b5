package apikey_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/rephlo/rephlo/internal/apikey"
	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/obs"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that tests move.
type clock struct{ micros atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.micros.Store(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).UnixMicro())
	return c
}

func (c *clock) now() time.Time       { return time.UnixMicro(c.micros.Load()).UTC() }
func (c *clock) move(d time.Duration) { c.micros.Add(d.Microseconds()) }

func newService(tb testing.TB, db *sqldb.DB, c *clock) (*apikey.Service, *bus.Bus) {
	log := slog.New(slog.NewTextHandler(tb.Output(), nil))
	b := bus.New(db, log, c.now)
	return apikey.New(apikey.Needs{DB: db, Bus: b, Log: log, Now: c.now}), b
}

func create(tb testing.TB, s *apikey.Service, n apikey.NewKey) (apikey.Key, string) {
	tb.Helper()
	if n.Name == "" {
		n.Name = "laptop"
	}
	k, text, err := s.Create(tb.Context(), n)
	if err != nil {
		tb.Fatal(err)
	}
	return k, text.Reveal()
}

func TestAKeyLivesUntilItExpiresOrIsRevoked(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s, _ := newService(t, db, c)
		k, text := create(t, s, apikey.NewKey{UserID: "ada", Mode: apikey.ModeTest, Scopes: []string{"models.read", "llm.inference", "models.read"}})
		if !strings.HasPrefix(text, "rph_test_") || len(text) != 42 || k.Prefix != text[:12] {
			t.Errorf("key %q, shown %q", text, k.Prefix)
		}
		got, err := s.Lookup(t.Context(), text)
		if diff := cmp.Diff(k, got); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
		if want := c.now().Add(90 * 24 * time.Hour); !got.ExpiresAt.Equal(want) {
			t.Errorf("expires %s, want %s", got.ExpiresAt, want)
		}
		_, forever := create(t, s, apikey.NewKey{UserID: "ada", NoExpiry: true})
		c.move(90*24*time.Hour - time.Microsecond)
		if _, err := s.Lookup(t.Context(), text); err != nil {
			t.Errorf("before it expires: %v", err)
		}
		c.move(time.Microsecond)
		if _, err := s.Lookup(t.Context(), text); !errors.Is(err, apikey.ErrExpired) {
			t.Errorf("expired key: %v", err)
		}
		keys, err := s.List(t.Context(), "ada", apikey.Filter{Status: apikey.StatusActive}, 10)
		if err != nil || len(keys) != 1 {
			t.Fatalf("active keys %v, %v", keys, err)
		}
		if _, err := s.Lookup(t.Context(), forever); err != nil {
			t.Errorf("a key for ever: %v", err)
		}
		if err := s.Revoke(t.Context(), "eve", keys[0].ID); !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("somebody else revokes it: %v", err)
		}
		for range 2 {
			if err := s.Revoke(t.Context(), "ada", keys[0].ID); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Lookup(t.Context(), forever); !errors.Is(err, apikey.ErrRevoked) {
				t.Errorf("revoked key: %v", err)
			}
		}
	})
}

func TestMalformedKeysCostNothing(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t, dbtest.SQLite(t))
	s, _ := newService(t, db, newClock())
	_, text := create(t, s, apikey.NewKey{UserID: "ada"})
	if err := db.Close(); err != nil { // whatever asks it fails from here
		t.Fatal(err)
	}
	for i := range text {
		for _, c := range "0z_L-" {
			bad := text[:i] + string(c) + text[i+1:]
			if bad == text {
				continue
			}
			if _, err := s.Lookup(t.Context(), bad); !errors.Is(err, apikey.ErrInvalid) {
				t.Fatalf("%q instead of %q: %v", bad, text, err)
			}
		}
	}
	for _, bad := range []string{"", "rph_live_", text[:41], text + "a", "rph_live_" + text} {
		if _, err := s.Lookup(t.Context(), bad); !errors.Is(err, apikey.ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestADeadDatabaseIsNotAnUnknownKey(t *testing.T) {
	t.Parallel()
	url := dbtest.SQLite(t)
	db, other := dbtest.Open(t, url), dbtest.Open(t, url)
	c := newClock()
	s, _ := newService(t, db, c)
	maker, _ := newService(t, other, c)
	_, warm := create(t, maker, apikey.NewKey{UserID: "ada"})
	_, cold := create(t, maker, apikey.NewKey{UserID: "ada"})
	if _, err := s.Lookup(t.Context(), warm); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lookup(t.Context(), cold); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("a key that is not in memory: %v", err)
	}
	c.move(4 * time.Minute)
	if _, err := s.Lookup(t.Context(), warm); err != nil {
		t.Errorf("a key in memory: %v", err)
	}
	c.move(2 * time.Minute)
	if _, err := s.Lookup(t.Context(), warm); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("a key that was read too long ago: %v", err)
	}
}

// Two processes: what one changes the other learns by the bus, also for a text
// that was unknown a moment before.
func TestChangesReachOtherProcesses(t *testing.T) {
	t.Parallel()
	dbtest.RunURL(t, func(t *testing.T, url string) {
		c := newClock()
		a, busA := newService(t, dbtest.Open(t, url), c)
		b, busB := newService(t, dbtest.Open(t, url), c)
		for _, x := range []*bus.Bus{busA, busB} {
			if err := x.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer x.Stop()
		}
		heard := make(chan string, 4)
		busB.Subscribe("apikey.changed", func(string) { heard <- "" })
		k, text := create(t, a, apikey.NewKey{UserID: "ada"})
		<-heard
		if _, err := b.Lookup(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		if err := a.Revoke(t.Context(), "ada", k.ID); err != nil {
			t.Fatal(err)
		}
		<-heard
		if _, err := b.Lookup(t.Context(), text); !errors.Is(err, apikey.ErrRevoked) {
			t.Errorf("after the message: %v", err)
		}
	})
}

func TestUnknownKeysAreRememberedForTenSeconds(t *testing.T) {
	t.Parallel()
	urlA, urlB := dbtest.SQLite(t), dbtest.SQLite(t)
	c := newClock()
	db := dbtest.Open(t, urlA)
	s, _ := newService(t, db, c)
	elsewhere, _ := newService(t, dbtest.Open(t, urlB), c)
	_, text := create(t, elsewhere, apikey.NewKey{UserID: "ada"})
	if _, err := s.Lookup(t.Context(), text); !errors.Is(err, apikey.ErrInvalid) {
		t.Fatalf("a key of another installation: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	c.move(9 * time.Second)
	if _, err := s.Lookup(t.Context(), text); !errors.Is(err, apikey.ErrInvalid) {
		t.Errorf("again within ten seconds: %v", err)
	}
	c.move(2 * time.Second)
	if _, err := s.Lookup(t.Context(), text); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("later it must be read again: %v", err)
	}
	m := obs.NewMetrics("test")
	s.Observe(m)
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	for _, want := range []string{`auth_cache_total{result="hit"} 0`, `auth_cache_total{result="refused"} 1`, `auth_cache_total{result="miss"} 2`} {
		if !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s is not in the metrics", want)
		}
	}
}

func TestNobodyGetsMoreThanAHundredKeys(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s, _ := newService(t, db, newClock())
		var won atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 15 {
					_, _, err := s.Create(context.Background(), apikey.NewKey{UserID: "ada", Name: "k"})
					switch {
					case err == nil:
						won.Add(1)
					case !errors.Is(err, apikey.ErrTooMany):
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if got := won.Load(); got != apikey.MaxKeys {
			t.Errorf("%d keys were made, want %d", got, apikey.MaxKeys)
		}
		keys, err := s.List(t.Context(), "ada", apikey.Filter{}, 100)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Revoke(t.Context(), "ada", keys[0].ID); err != nil {
			t.Fatal(err)
		}
		create(t, s, apikey.NewKey{UserID: "ada"})
		create(t, s, apikey.NewKey{UserID: "bob"})
	})
}

func TestUseIsWrittenOnceAMinute(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		s, _ := newService(t, db, c)
		k, text := create(t, s, apikey.NewKey{UserID: "ada"})
		first := c.now()
		for _, step := range []struct {
			move time.Duration
			want time.Time
		}{{0, first}, {59 * time.Second, first}, {time.Second, first.Add(time.Minute)}} {
			c.move(step.move)
			s.Start(t.Context())
			if _, err := s.Lookup(t.Context(), text); err != nil {
				t.Fatal(err)
			}
			s.Stop(t.Context())
			got, err := s.ByID(t.Context(), "ada", k.ID)
			if err != nil || !got.LastUsedAt.Equal(step.want) {
				t.Errorf("last used %s, %v; want %s", got.LastUsedAt, err, step.want)
			}
		}
	})
}

func TestRulesOfANewKey(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, _ := newService(t, dbtest.Open(t, dbtest.SQLite(t)), c)
	for _, tt := range []struct {
		n     apikey.NewKey
		param string
	}{
		{apikey.NewKey{Name: "  "}, "name"},
		{apikey.NewKey{Name: strings.Repeat("ä", 101)}, "name"},
		{apikey.NewKey{Name: "a\nb"}, "name"},
		{apikey.NewKey{Name: "a", Mode: "dead"}, "mode"},
		{apikey.NewKey{Name: "a", Scopes: []string{"keys.manage"}}, "scopes"},
		{apikey.NewKey{Name: "a", Scopes: []string{"admin"}}, "scopes"},
		{apikey.NewKey{Name: "a", ExpiresAt: c.now()}, "expiresAt"},
		{apikey.NewKey{Name: "a", ExpiresAt: c.now().AddDate(11, 0, 0)}, "expiresAt"},
	} {
		_, _, err := s.Create(t.Context(), tt.n)
		if f := fault.From(err); f.Code != "validation_error" || f.Param != tt.param {
			t.Errorf("%+v: %v, want validation_error at %s", tt.n, err, tt.param)
		}
	}
}

func FuzzLookup(f *testing.F) {
	db := dbtest.Open(f, dbtest.SQLite(f))
	s, _ := newService(f, db, newClock())
	_, text := create(f, s, apikey.NewKey{UserID: "ada"})
	f.Add(text)
	f.Add("rph_test_" + text[9:])
	f.Add(text[:41] + "\xff")
	if err := db.Close(); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, presented string) {
		_, decided, err := s.Cached(presented)
		if decided && !errors.Is(err, apikey.ErrInvalid) {
			t.Errorf("%q: %v", presented, err)
		}
		if !decided && (len(presented) != 42 || !apikey.Prefixed(presented)) {
			t.Errorf("%q would be looked up", presented)
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	db := dbtest.Open(b, dbtest.SQLite(b))
	log := slog.New(slog.DiscardHandler)
	s := apikey.New(apikey.Needs{DB: db, Bus: bus.New(db, log, time.Now), Log: log, Now: time.Now})
	_, text := create(b, s, apikey.NewKey{UserID: "ada"})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Lookup(b.Context(), text); err != nil {
			b.Fatal(err)
		}
	}
}

// The value was computed by another program, as doc.go describes it.
func TestTheChecksumIsTheDocumentedOne(t *testing.T) {
	t.Parallel()
	if got := apikey.Checksum("rph_live_0123456789abcdefghjkmnpqrs"); got != "m8nspe" {
		t.Errorf("checksum %s, want m8nspe", got)
	}
}

// A read that began before a key was revoked must not bring it back.
func TestALateReadIsNotRemembered(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s, _ := newService(t, db, newClock())
		k, text := create(t, s, apikey.NewKey{UserID: "ada"})
		err := s.LateRead(t.Context(), text, func() {
			if err := s.Revoke(t.Context(), "ada", k.ID); err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Lookup(t.Context(), text); !errors.Is(err, apikey.ErrRevoked) {
			t.Errorf("after the late read: %v, want ErrRevoked", err)
		}
	})
}
