package privacy_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/job"
	"github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/personal"
	"github.com/rephlo/rephlo/internal/privacy"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

// notes is a slice that knows what people wrote.
type notes struct {
	db  *sqldb.DB
	cut func() error // called between rows
}

func (n *notes) Export(ctx context.Context, p personal.Person, to personal.Sheets) error {
	cutting := &cutter{to, n.cut}
	return personal.Export(ctx, n.db, p, cutting,
		personal.Table{Name: "notes", Query: `SELECT id, text, spent AS spent_credits, draft AS draft_flag, extra AS extra_json, at AS created_at, ended_at FROM test_note WHERE user_id = $1 ORDER BY id`},
		personal.Table{Name: "nothing", Query: `SELECT id FROM test_note WHERE user_id = $1 AND id < 0`})
}

func (n *notes) Erase(ctx context.Context, p personal.Person) error {
	return personal.Erase(ctx, n.db, p, `DELETE FROM test_note WHERE user_id = $1`)
}

type cutter struct {
	personal.Sheets
	cut func() error
}

func (c *cutter) Row(values []any) error {
	if c.cut != nil {
		if err := c.cut(); err != nil {
			return err
		}
	}
	return c.Sheets.Row(values)
}

type world struct {
	*privacy.Service
	t     *testing.T
	db    *sqldb.DB
	jobs  *job.Service
	part  *notes
	mux   *web.Mux
	mu    sync.Mutex
	now   time.Time      // guarded by mu
	mails []mail.Message // guarded by mu
	done  []string       // guarded by mu
}

// Send implements mail.Sender.
func (w *world) Send(_ context.Context, m mail.Message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mails = append(w.mails, m)
	return nil
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

func newWorld(t *testing.T, db *sqldb.DB) *world {
	t.Helper()
	w := &world{t: t, db: db, now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), part: &notes{db: db}}
	w.exec(`CREATE TABLE test_note (id BIGINT, user_id TEXT, text TEXT, spent BIGINT, draft BOOLEAN, extra TEXT, at BIGINT, ended_at BIGINT)`)
	w.exec(`INSERT INTO test_note VALUES (1, 'ada', '=1+1', 1500000, TRUE, '{"a":[1]}', 1777636800000001, NULL), (2, 'ada', 'two
lines, "quoted"', 0, FALSE, '', 1777636800000000, 0), (3, 'bob', 'not yours', 0, FALSE, '', 0, 0)`)
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	w.jobs = job.New(job.Needs{DB: db, Log: log, Now: w.clock, Node: "test", Policy: job.Policy{Poll: 5 * time.Millisecond}})
	w.Service = privacy.New(privacy.Needs{
		DB: db, Jobs: w.jobs, Box: box, Mail: w, Log: log, Now: w.clock, URL: "https://api.test", Parts: []personal.Part{w.part},
		Person: func(_ context.Context, id string) (personal.Person, error) {
			return personal.Person{ID: id, Email: id + "@example.com"}, nil
		},
		Asked: func(context.Context, privacy.Export) error { return nil },
		Done: func(_ context.Context, e privacy.Export) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.done = append(w.done, e.ID)
			return nil
		},
	})
	api, err := privacy.NewAPI(w.Service, "Rephlo")
	if err != nil {
		t.Fatal(err)
	}
	w.mux = web.NewMux(web.Config{Use: []web.Middleware{func(next web.Handler) web.Handler {
		return func(rw http.ResponseWriter, r *http.Request) error {
			if u := r.Header.Get("Actor"); u != "" {
				a := access.Actor{UserID: u, Scopes: []string{access.ScopeAccountManage}, AuthTime: w.clock().Add(-4 * time.Minute)}
				if r.Header.Get("Old") != "" {
					a.AuthTime = w.clock().Add(-6 * time.Minute)
				}
				r = r.WithContext(access.With(r.Context(), a, nil))
			}
			return next(rw, r)
		}
	}}})
	api.Mount(w.mux)
	return w
}

func (w *world) exec(q string, args ...any) {
	w.t.Helper()
	if _, err := w.db.Q(w.t.Context()).ExecContext(w.t.Context(), q, args...); err != nil {
		w.t.Fatal(err)
	}
}

// run does the jobs until the export is not waiting any more.
func (w *world) run(e privacy.Export) privacy.Export {
	w.t.Helper()
	w.jobs.Start(w.t.Context())
	defer w.jobs.Stop(context.WithoutCancel(w.t.Context()))
	for limit := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		got, err := w.One(w.t.Context(), e.UserID, e.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		if got.State != privacy.Waiting {
			return got
		}
		if time.Now().After(limit) {
			w.t.Fatal("the export is not written")
		}
	}
}

func (w *world) get(path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.mux.ServeHTTP(rec, r)
	return rec
}

// link returns the path of the last mailed link.
func (w *world) link() string {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.mails) == 0 {
		w.t.Fatal("no mail")
	}
	_, rest, _ := strings.Cut(w.mails[len(w.mails)-1].Text, "https://api.test")
	path, _, _ := strings.Cut(rest, "\n")
	return path
}

func filePath(link string) string { return strings.Replace(link, "?", "/file?", 1) }

func unzip(t *testing.T, b []byte) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[f.Name] = string(text)
	}
	return out
}

func TestAnExportIsMailedAsALinkThatEndsWithTheFile(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		post := func(header ...string) *httptest.ResponseRecorder {
			r := httptest.NewRequest("POST", "/v1/users/me/export", nil)
			for i := 0; i+1 < len(header); i += 2 {
				r.Header.Set(header[i], header[i+1])
			}
			rec := httptest.NewRecorder()
			w.mux.ServeHTTP(rec, r)
			return rec
		}
		if rec := post("Actor", "ada", "Old", "1"); rec.Code != 401 || !strings.Contains(rec.Body.String(), "reauthentication_required") {
			t.Errorf("after a sign-in of six minutes ago: %d %s", rec.Code, rec.Body)
		}
		var asked, again struct{ ID, Status string }
		rec := post("Actor", "ada")
		if err := json.Unmarshal(rec.Body.Bytes(), &asked); err != nil || rec.Code != 202 || asked.Status != "waiting" {
			t.Fatalf("order: %d %s", rec.Code, rec.Body)
		}
		if err := json.Unmarshal(post("Actor", "ada").Body.Bytes(), &again); err != nil || again.ID != asked.ID {
			t.Errorf("while one is written another is ordered: %v", again)
		}
		if e := w.run(privacy.Export{ID: asked.ID, UserID: "ada"}); e.State != privacy.Ready {
			t.Fatalf("%+v", e)
		}
		if len(w.mails) != 1 || w.mails[0].To != "ada@example.com" || cmp.Diff([]string{asked.ID}, w.done) != "" {
			t.Fatalf("mails %v, told %v", w.mails, w.done)
		}
		link := w.link()
		if rec := w.get(link); rec.Code != 200 || !strings.Contains(rec.Body.String(), "<button") || strings.Contains(rec.Body.String(), "PK\x03") {
			t.Errorf("the page: %d %s", rec.Code, rec.Body)
		}
		rec = w.get(filePath(link))
		if rec.Code != 200 || rec.Header().Get("Content-Length") != fmt.Sprint(rec.Body.Len()) || rec.Header().Get("Cache-Control") != "no-store" {
			t.Fatalf("the file: %d %v", rec.Code, rec.Header())
		}
		files := unzip(t, rec.Body.Bytes())
		want := `[
{"id":1,"text":"=1+1","spent":1.5,"draft":true,"extra":{"a":[1]},"createdAt":"2026-05-01T12:00:00.000001Z","endedAt":null},
{"id":2,"text":"two\nlines, \"quoted\"","spent":0,"draft":false,"extra":null,"createdAt":"2026-05-01T12:00:00Z","endedAt":null}
]
`
		if d := cmp.Diff(want, files["json/notes.json"]); d != "" {
			t.Errorf("json (-want +got):\n%s", d)
		}
		if files["json/nothing.json"] != "[]\n" || files["csv/nothing.csv"] != "id\n" || !strings.Contains(files["README.txt"], "everything") {
			t.Errorf("%q", files)
		}
		table, err := csv.NewReader(strings.NewReader(files["csv/notes.csv"])).ReadAll()
		if d := cmp.Diff([][]string{
			{"id", "text", "spent", "draft", "extra", "createdAt", "endedAt"},
			{"1", "'=1+1", "1.5", "true", `{"a":[1]}`, "2026-05-01T12:00:00.000001Z", ""},
			{"2", "two\nlines, \"quoted\"", "0", "false", "", "2026-05-01T12:00:00Z", ""},
		}, table); d != "" || err != nil {
			t.Errorf("csv (-want +got):\n%s %v", d, err)
		}
		if rec := w.get("/v1/users/me/exports/"+asked.ID, "Actor", "bob"); rec.Code != 404 {
			t.Errorf("bob sees ada's export: %d %s", rec.Code, rec.Body)
		}
		if rec := w.get("/v1/users/me/exports/"+asked.ID, "Actor", "ada"); !strings.Contains(rec.Body.String(), filePath(link)) {
			t.Errorf("its owner sees %s, want the url", rec.Body)
		}
		for _, bad := range []string{link[:len(link)-1], strings.Replace(link, "key=", "key=x", 1), "/exports/" + asked.ID} {
			if rec := w.get(filePath(bad + "?")); rec.Code != 410 {
				t.Errorf("%s: %d, want 410", bad, rec.Code)
			}
		}
		w.pass(24 * time.Hour)
		if rec := w.get(filePath(link)); rec.Code != 410 {
			t.Errorf("after a day: %d, want 410", rec.Code)
		}
		if err := w.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := w.chunks(); n != 0 {
			t.Errorf("%d pieces are left after a day", n)
		}
	})
}

func (w *world) chunks() (n int) {
	w.t.Helper()
	if err := w.db.Q(w.t.Context()).QueryRowContext(w.t.Context(), `SELECT COUNT(*) FROM privacy_chunk`).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// An export that is cut off begins again, and one that never succeeds says so.
func TestAnExportThatIsCutOffIsWrittenAnew(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		w := newWorld(t, db)
		const rows = 600 // of 1 KiB that does not shrink: more than two pieces
		var values []string
		for i := range rows {
			values = append(values, fmt.Sprintf(`(%d, 'ada', '%s', 0, FALSE, '', 0, 0)`, 10+i, noise(i)))
		}
		w.exec(`INSERT INTO test_note VALUES ` + strings.Join(values, ", "))
		var mu sync.Mutex
		left, tries := rows-10, 0
		w.part.cut = func() error {
			mu.Lock()
			defer mu.Unlock()
			if left--; left == 0 {
				tries++
				return errors.New("cut off")
			}
			return nil
		}
		e, err := w.Order(t.Context(), "ada")
		if err != nil {
			t.Fatal(err)
		}
		w.jobs.Start(t.Context())
		for limit := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			mu.Lock()
			cut := tries > 0
			mu.Unlock()
			if cut && w.chunks() > 0 {
				break
			}
			if time.Now().After(limit) {
				t.Fatal("it was not cut off")
			}
		}
		w.jobs.Stop(t.Context())
		w.pass(time.Hour) // the pause before another attempt
		if e = w.run(e); e.State != privacy.Ready {
			t.Fatalf("%+v", e)
		}
		files := unzip(t, w.get(filePath(w.link())).Body.Bytes())
		if n := strings.Count(files["json/notes.json"], "\n{"); n != rows+2 {
			t.Errorf("%d notes, want %d", n, rows+2)
		}
		if n := int64(w.chunks()); n != (e.Size+(256<<10)-1)/(256<<10) {
			t.Errorf("%d pieces for %d bytes", n, e.Size)
		}
		w.part.cut = func() error { return errors.New("it never works") }
		if e, err = w.Order(t.Context(), "ada"); err != nil {
			t.Fatal(err)
		}
		if n := w.chunks(); n != 0 {
			t.Errorf("the export before keeps %d pieces", n)
		}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { // time passes between attempts
			for range 150 { // less than an export waits
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Millisecond):
					w.pass(15 * time.Minute)
				}
			}
		})
		e = w.run(e)
		close(stop)
		wg.Wait()
		if e.State != privacy.Failed || len(w.mails) != 1 {
			t.Errorf("an export that never works is %+v with %d mails", e, len(w.mails))
		}
	})
}

// noise is a text that does not shrink.
func noise(seed int) string {
	var b strings.Builder
	x := uint64(seed)*2654435761 + 1
	for b.Len() < 1024 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		fmt.Fprintf(&b, "%x", x)
	}
	return b.String()
}
