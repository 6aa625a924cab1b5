package bus_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/bus"
	"github.com/rephlo/rephlo/internal/obs"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// What is known grows old from the last look that succeeded.
func TestTheAgeOfWhatIsKnown(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		var past atomic.Int64
		b := bus.New(db, slog.New(slog.DiscardHandler), func() time.Time { return time.Unix(1_800_000_000+past.Load(), 0) })
		m := obs.NewMetrics("test")
		b.Observe(m)
		var fails error
		f := b.Follow("tier.changed", "the tiers", func(context.Context) error { return fails })
		age := func(want string) {
			t.Helper()
			rec := httptest.NewRecorder()
			m.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
			line := `rephlo_snapshot_age_seconds{name="tier.changed"} `
			if _, rest, found := strings.Cut(rec.Body.String(), "\n"+line); found != (want != "") || !strings.HasPrefix(rest, want) {
				t.Errorf("want the age %q in:\n%s", want, rec.Body)
			}
		}
		age("") // never
		if err := f.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		past.Store(7)
		age("7\n")
		if fails = errors.New("away"); f.Load(t.Context()) == nil {
			t.Fatal("it did not fail")
		}
		past.Store(9)
		age("9\n")
		if fails = nil; f.Load(t.Context()) != nil {
			t.Fatal("it failed")
		}
		age("0\n")
	})
}
