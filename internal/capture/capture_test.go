package capture_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/audit"
	"github.com/rephlo/rephlo/internal/capture"
	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/id"
	"github.com/rephlo/rephlo/internal/list"
	"github.com/rephlo/rephlo/internal/obs"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

const prompt = "a prompt that nobody else may read"

// archive is the Service with its router.
type archive struct {
	*capture.Service
	t   *testing.T
	db  *sqldb.DB
	mux *web.Mux
	now atomic.Int64
}

func newArchive(t *testing.T, db *sqldb.DB) *archive {
	t.Helper()
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	a := &archive{t: t, db: db}
	a.now.Store(time.Now().UnixMicro())
	now := func() time.Time { return time.UnixMicro(a.now.Load()) }
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	changes := audit.New(audit.Needs{DB: db, Box: box, Log: log, Now: now})
	a.Service = capture.New(capture.Needs{
		DB: db, Box: box, Audit: changes, Log: log, Now: now, On: func() bool { return true }, Keep: func() time.Duration { return 30 * 24 * time.Hour },
	})
	a.mux = web.NewMux(web.Config{Log: log, Use: []web.Middleware{func(next web.Handler) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			who := access.Actor{UserID: r.Header.Get("User"), Scopes: strings.Fields(r.Header.Get("Scope")), Roles: strings.Fields(r.Header.Get("Role"))}
			return next(w, r.WithContext(access.With(r.Context(), who, nil)))
		}
	}, changes.Middleware(func(*http.Request) string { return "" })}})
	capture.API{Captures: a.Service, Cursors: list.NewCursors(make([]byte, 32)), Person: web.All()}.Mount(a.mux)
	return a
}

// run stores what is in the queue.
func (a *archive) run() {
	ctx, cancel := context.WithCancel(a.t.Context())
	cancel()
	a.Run(ctx)
}

func (a *archive) offer(user, key string) string {
	now := time.UnixMicro(a.now.Load())
	c := capture.Call{
		ID: id.New("call", now), RequestID: "req_1", UserID: user, KeyID: key, ModelID: "m", Operation: "chat", At: now,
		RequestType: "application/json", Request: []byte(`{"messages":[{"content":"` + prompt + `"}]}`), AnswerType: "application/json", Answer: []byte(`{"id":"1"}`),
	}
	a.Offer(c)
	return c.ID
}

func (a *archive) do(method, path, user, scope, role string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("User", user)
	r.Header.Set("Scope", scope)
	r.Header.Set("Role", role)
	rec := httptest.NewRecorder()
	a.mux.ServeHTTP(rec, r)
	return rec
}

func (a *archive) count(query string, args ...any) (n int) {
	a.t.Helper()
	if err := a.db.Q(a.t.Context()).QueryRowContext(a.t.Context(), query, args...).Scan(&n); err != nil {
		a.t.Fatal(err)
	}
	return n
}

func TestWhatWasKeptIsReadByItsOwnerAndEveryReadIsRemembered(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		a := newArchive(t, db)
		call, other := a.offer("usr_ada", "key_1"), a.offer("usr_ada", "key_2")
		a.offer("usr_bob", "key_3")
		a.run()
		if n := a.count(`SELECT COUNT(*) FROM capture_call WHERE CAST(sealed AS TEXT) LIKE '%prompt%'`); n != 0 {
			t.Error("it is stored so that it can be read")
		}
		rec := a.do("GET", "/v1/captures?api_key_id=key_1", "usr_ada", "keys.manage", "")
		var page struct{ Data []capture.Shown }
		if err := json.Unmarshal(rec.Body.Bytes(), &page); err != nil || len(page.Data) != 1 || page.Data[0].ID != call || page.Data[0].RequestSize != 63 {
			t.Errorf("%v %d %s", err, rec.Code, rec.Body)
		}
		rec = a.do("GET", "/v1/captures/"+call, "usr_ada", "keys.manage", "")
		var whole capture.Whole
		if err := json.Unmarshal(rec.Body.Bytes(), &whole); err != nil || rec.Code != 200 || !strings.Contains(whole.Request, prompt) || whole.Answer != `{"id":"1"}` || whole.RequestCut || whole.AnswerCut {
			t.Errorf("%v %d %s", err, rec.Code, rec.Body)
		}
		for _, tt := range []struct {
			name, method, path, user, scope, role string
			status                                int
		}{
			{"somebody else", "GET", "/v1/captures/" + call, "usr_bob", "keys.manage", "", 404},
			{"somebody else deletes", "DELETE", "/v1/captures/" + call, "usr_bob", "keys.manage", "", 404},
			{"an API key", "GET", "/v1/captures", "usr_ada", "llm.inference credits.read", "", 403},
			{"an operator without a reason", "GET", "/admin/users/usr_ada/captures/" + call, "usr_root", "admin", "super_admin", 422},
			{"an operator", "GET", "/admin/users/usr_ada/captures/" + call + "?reason=the+owner+asked+me", "usr_root", "admin", "super_admin", 200},
			{"an operator's list", "GET", "/admin/users/usr_ada/captures", "usr_root", "admin", "super_admin", 200},
			{"support", "GET", "/admin/users/usr_ada/captures/" + call + "?reason=the+owner+asked+me", "usr_sue", "admin", "support", 403},
			{"of another person", "GET", "/admin/users/usr_bob/captures/" + call + "?reason=the+owner+asked+me", "usr_root", "admin", "super_admin", 404},
		} {
			if rec := a.do(tt.method, tt.path, tt.user, tt.scope, tt.role); rec.Code != tt.status {
				t.Errorf("%s: %d %s, want %d", tt.name, rec.Code, rec.Body, tt.status)
			}
		}
		if n := a.count(`SELECT COUNT(*) FROM audit_log WHERE action = 'captures.read' AND outcome = 'done'`); n != 2 {
			t.Errorf("%d reads are remembered, want 2", n)
		}
		if rec := a.do("DELETE", "/v1/captures/"+other, "usr_ada", "keys.manage", ""); rec.Code != 204 {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
		if rec := a.do("DELETE", "/v1/captures", "usr_ada", "keys.manage", ""); rec.Code != 204 {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
		if n := a.count(`SELECT COUNT(*) FROM capture_call`); n != 1 {
			t.Errorf("%d are left, want bob's", n)
		}
	})
}

func TestWhatIsOldGoes(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		a := newArchive(t, db)
		a.offer("usr_ada", "key_1")
		a.now.Add((30 * 24 * time.Hour).Microseconds())
		last := a.offer("usr_ada", "key_1")
		a.run()
		a.now.Add(1)
		if err := a.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		rows, err := a.List(t.Context(), "usr_ada", "", "", 10)
		if err != nil || len(rows) != 1 || rows[0].ID != last {
			t.Errorf("%v %+v", err, rows)
		}
		if _, _, err := a.Read(t.Context(), "usr_ada", "call_none", ""); !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("one that is not there: %v", err)
		}
	})
}

// A queue that nobody empties takes 32 MiB and drops the rest.
func TestTheQueueIsBounded(t *testing.T) {
	t.Parallel()
	a := newArchive(t, dbtest.Open(t, dbtest.SQLite(t)))
	m := obs.NewMetrics("test")
	a.Observe(m)
	for i := range 40 {
		a.Offer(capture.Call{ID: id.New("call", time.Now()), UserID: "usr_ada", Request: make([]byte, 1<<20), RequestType: "image/png", At: time.Now(), KeyID: string(rune('a' + i))})
	}
	metrics := func() string {
		rec := httptest.NewRecorder()
		m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
		return rec.Body.String()
	}
	if got := metrics(); !strings.Contains(got, `rephlo_captures_total{result="dropped"} 8`) {
		t.Error(got)
	}
	a.run()
	if got := metrics(); !strings.Contains(got, `rephlo_captures_total{result="kept"} 32`) {
		t.Error(got)
	}
	a.offer("usr_ada", "key_1") // there is room again
	if err := a.db.Close(); err != nil {
		t.Fatal(err)
	}
	a.run()
	if got := metrics(); !strings.Contains(got, `rephlo_captures_total{result="failed"} 1`) {
		t.Error(got)
	}
}
