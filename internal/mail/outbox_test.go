package mail_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/job"
	"github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
)

// flaky is a Sender whose server is down at first.
type flaky struct {
	mu   sync.Mutex
	down bool     // guarded by mu
	got  []string // guarded by mu
	fail int      // guarded by mu
}

func (f *flaky) Send(_ context.Context, m mail.Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		f.fail++
		return errors.New("connection refused")
	}
	f.got = append(f.got, m.To+": "+m.Text)
	return nil
}

// While the mail server is down messages wait, sealed; when it is back they are
// delivered once, and forgotten. What was rolled back is never sent.
func TestMailWaitsForItsServer(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		var mu sync.Mutex
		now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
		clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
		box, err := seal.NewBox(make([]byte, seal.KeySize))
		if err != nil {
			t.Fatal(err)
		}
		jobs := job.New(job.Needs{DB: db, Log: slog.New(slog.DiscardHandler), Now: clock, Node: "a", Policy: job.Policy{Poll: 5 * time.Millisecond}})
		to := &flaky{down: true}
		out := mail.NewOutbox(jobs, box, to)
		jobs.Start(t.Context())
		defer jobs.Stop(t.Context())

		bad := errors.New("bad")
		err = db.InTx(t.Context(), func(ctx context.Context) error {
			return errors.Join(out.Send(ctx, mail.Message{To: "eve@example.com", Text: "never"}), bad)
		})
		if !errors.Is(err, bad) {
			t.Fatal(err)
		}
		const planted = "https://id.test/verify?token=planted"
		if err := out.Send(t.Context(), mail.Message{To: "ada@example.com", Subject: "Hello", Text: planted}); err != nil {
			t.Fatal(err)
		}
		wait(t, "it was tried twice", func() bool {
			to.mu.Lock()
			defer to.mu.Unlock()
			mu.Lock()
			now = now.Add(30 * time.Second)
			mu.Unlock()
			return to.fail >= 2
		})
		if text := stored(t, db); strings.Contains(text, "planted") || strings.Contains(text, "ada@") || text == "null" {
			t.Errorf("the waiting message is stored as %q", text)
		}
		to.mu.Lock()
		to.down = false
		to.mu.Unlock()
		mu.Lock()
		now = now.Add(2 * time.Hour)
		mu.Unlock()
		wait(t, "the message is forgotten", func() bool { return stored(t, db) == "null" })
		to.mu.Lock()
		defer to.mu.Unlock()
		if len(to.got) != 1 || to.got[0] != "ada@example.com: "+planted {
			t.Errorf("delivered %q", to.got)
		}
	})
}

func stored(t *testing.T, db *sqldb.DB) (text string) {
	t.Helper()
	const q = `SELECT argument FROM job_task WHERE kind = 'mail.send'`
	if err := db.Q(t.Context()).QueryRowContext(t.Context(), q).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

func wait(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 2000 {
		if is() {
			return
		}
		time.Sleep(5 * time.Millisecond) // between two looks
	}
	t.Fatalf("it never came that %s", what)
}
