package branding_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/access"
	"github.com/rephlo/rephlo/internal/branding"
	"github.com/rephlo/rephlo/internal/mail"
	"github.com/rephlo/rephlo/internal/seal"
	"github.com/rephlo/rephlo/internal/sqldb"
	"github.com/rephlo/rephlo/internal/sqldb/dbtest"
	"github.com/rephlo/rephlo/internal/web"
)

// site is the public site with its administrators.
type site struct {
	*testing.T
	db   *sqldb.DB
	s    *branding.Service
	mux  *web.Mux
	at   time.Time
	sent []mail.Message
	from int // the last visitor
}

// Send takes mail.
func (s *site) Send(_ context.Context, m mail.Message) error {
	s.sent = append(s.sent, m)
	return nil
}

func newSite(t *testing.T, db *sqldb.DB) *site {
	t.Helper()
	s := &site{T: t, db: db, at: time.Date(2026, 3, 31, 23, 0, 0, 0, time.UTC)}
	box, err := seal.NewBox(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	s.s = branding.New(branding.Needs{
		DB: db, Box: box, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return s.at }, Mail: s,
		Address: func(_ context.Context, user string) (string, error) { return user + "@example.com", nil },
	})
	s.mux = web.NewMux(web.Config{Use: []web.Middleware{func(next web.Handler) web.Handler {
		return func(rw http.ResponseWriter, r *http.Request) error {
			switch who := r.Header.Get("Who"); who {
			case "":
				r = r.WithContext(access.With(r.Context(), access.Actor{}, access.ErrNoCredential))
			case "ops", "support", "analyst":
				r = r.WithContext(access.With(r.Context(), access.Actor{UserID: who, Scopes: []string{access.ScopeAdmin}, Roles: []string{who}}, nil))
			default:
				r = r.WithContext(access.With(r.Context(), access.Actor{UserID: who}, nil))
			}
			return next(rw, r)
		}
	}}})
	branding.API{Branding: s.s}.Mount(s.mux)
	branding.AdminAPI{Branding: s.s}.Mount(s.mux)
	return s
}

type object = map[string]any

func (s *site) send(r *http.Request, who string, status int) *httptest.ResponseRecorder {
	s.Helper()
	r.Header.Set("Who", who)
	if r.RemoteAddr == "192.0.2.1:1234" { // httptest's; everybody comes from elsewhere
		s.from++
		r.RemoteAddr = "10.0." + strconv.Itoa(s.from/250) + "." + strconv.Itoa(s.from%250) + ":1"
	}
	rec := httptest.NewRecorder()
	s.mux.ServeHTTP(rec, r)
	if rec.Code != status {
		s.Fatalf("%s %s by %q: %d %s, want %d", r.Method, r.URL, who, rec.Code, rec.Body, status)
	}
	return rec
}

// do sends JSON and returns the answer, which must have the status.
func (s *site) do(who, request string, body any, status int) object {
	s.Helper()
	method, path, _ := strings.Cut(request, " ")
	var sent []byte
	if body != nil {
		sent, _ = json.Marshal(body)
	}
	r := httptest.NewRequestWithContext(s.Context(), method, path, bytes.NewReader(sent))
	r.Header.Set("Content-Type", "application/json")
	out := object{}
	if rec := s.send(r, who, status); rec.Body.Len() > 0 {
		if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
			s.Fatal(err)
		}
	}
	return out
}

func text(o object, name string) string { v, _ := o[name].(string); return v }

func list(o object) []any { v, _ := o["data"].([]any); return v }

func file(system, arch, address string) object {
	return object{"os": system, "arch": arch, "url": address, "size": 1000, "sha256": strings.Repeat("ab", 32)}
}

// publish offers a version and returns its id.
func (s *site) publish(number, channel string, files ...object) string {
	s.Helper()
	id := text(s.do("ops", "POST /admin/versions", object{"version": number, "channel": channel, "notes": "What is new", "minimumSupported": "1.0.0", "files": files}, 201), "id")
	s.do("ops", "POST /admin/versions/"+id+"/publish", nil, 200)
	return id
}

func TestTheHighestPublishedVersionIsTheLatest(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.do("", "GET /api/version", nil, 404)
		win, mac := file("windows", "x64", "https://dl.example/win"), file("macos", "arm64", "https://dl.example/mac")
		high := s.publish("1.10.0", "stable", win, mac)
		s.publish("1.9.0", "stable", win, mac, file("linux", "x64", "https://dl.example/linux"))
		s.publish("2.0.0-beta.11", "beta", win)
		s.publish("2.0.0-beta.2", "beta", win)
		for _, tt := range []struct{ query, want string }{
			{"", "1.10.0"}, {"?os=windows", "1.10.0"}, {"?os=linux", "1.9.0"}, {"?channel=beta", "2.0.0-beta.11"}, {"?channel=beta&os=macos", "1.10.0"},
		} {
			if got := s.do("", "GET /api/version"+tt.query, nil, 200); got["version"] != tt.want || got["updateAvailable"] != false || got["minimumSupported"] != "1.0.0" {
				t.Errorf("%s: %v, want %s", tt.query, got, tt.want)
			}
		}
		for current, want := range map[string]bool{"1.9.9": true, "1.10.0": false, "1.10.0-rc.1": true, "1.11.0": false} {
			if got := s.do("", "GET /api/version?current="+current, nil, 200); got["updateAvailable"] != want {
				t.Errorf("for %s an update is available: %v, want %v", current, got["updateAvailable"], want)
			}
		}
		s.do("", "GET /api/version?current=latest", nil, 422)
		if all := list(s.do("", "GET /api/versions", nil, 200)); len(all) != 4 || all[0].(object)["version"] != "2.0.0-beta.11" { //nolint:forcetypeassert // a test
			t.Errorf("listed %v", all)
		}
		if all := list(s.do("", "GET /api/versions?channel=stable", nil, 200)); len(all) != 2 {
			t.Errorf("stable: %v", all)
		}

		s.do("ops", "PATCH /admin/versions/"+high, object{"files": []object{}}, 409)
		s.do("ops", "PATCH /admin/versions/"+high, object{"notes": "Better"}, 200)
		s.do("ops", "DELETE /admin/versions/"+high, nil, 409)
		s.do("ops", "POST /admin/versions/"+high+"/withdraw", nil, 200)
		s.do("ops", "POST /admin/versions/"+high+"/withdraw", nil, 409)
		if got := s.do("", "GET /api/version", nil, 200); got["version"] != "1.9.0" {
			t.Errorf("after a withdrawal %v", got)
		}
	})
}

func TestPublicAnswersCarryATag(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.publish("1.0.0", "stable", file("linux", "x64", "https://dl.example/linux"))
		ask := func(tag string, status int) *httptest.ResponseRecorder {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/version", nil)
			r.Header.Set("If-None-Match", tag)
			return s.send(r, "", status)
		}
		first := ask("", 200)
		tag := first.Header().Get("Etag")
		if tag == "" || first.Header().Get("Cache-Control") != "public, max-age=60" {
			t.Errorf("headers %v", first.Header())
		}
		if again := ask(tag, 304); again.Body.Len() != 0 {
			t.Errorf("the same again: %s", again.Body)
		}
		s.publish("1.1.0", "stable", file("linux", "x64", "https://dl.example/linux"))
		ask(tag, 200)
	})
}

func TestVersionsAreChecked(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		good := file("linux", "x64", "https://dl.example/linux")
		with := func(name string, value any) object {
			f := file("linux", "x64", "https://dl.example/linux")
			f[name] = value
			return f
		}
		for _, body := range []object{
			{"version": "1.0"},
			{"version": "v1.0.0"},
			{"version": "1.02.0"},
			{"version": "1.0.0-"},
			{"version": "1.0.0", "minimumSupported": "soon"},
			{"version": "1.0.0", "files": []object{with("url", "http://dl.example/x")}},
			{"version": "1.0.0", "files": []object{with("sha256", "abc")}},
			{"version": "1.0.0", "files": []object{with("size", 0)}},
			{"version": "1.0.0", "files": []object{with("os", "beos")}},
			{"version": "1.0.0", "files": []object{good, good}},
			{"version": "1.0.0", "channel": "nightly"},
		} {
			s.do("ops", "POST /admin/versions", body, 422)
		}
		id := text(s.do("ops", "POST /admin/versions", object{"version": "1.0.0"}, 201), "id")
		s.do("ops", "POST /admin/versions", object{"version": "1.0.0"}, 409)
		s.do("ops", "POST /admin/versions/"+id+"/publish", nil, 409)
		s.do("support", "PATCH /admin/versions/"+id, object{"notes": "x"}, 403)
		s.do("ada", "GET /admin/versions", nil, 403)
		s.do("analyst", "GET /admin/versions", nil, 403)
		other := text(s.do("ops", "POST /admin/versions", object{"version": "1.1.0"}, 201), "id")
		s.do("ops", "PATCH /admin/versions/"+other, object{"version": "1.0.0"}, 409)
		s.do("ops", "DELETE /admin/versions/"+other, nil, 204)
		s.do("ops", "GET /admin/versions/"+other, nil, 404)
		if got := list(s.do("support", "GET /admin/versions?state=draft", nil, 200)); len(got) != 1 {
			t.Errorf("drafts %v", got)
		}
	})
}

func TestDownloadsAreCountedWithoutAddresses(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.publish("1.0.0", "stable", file("linux", "x64", "https://dl.example/x64"), file("linux", "arm64", "https://dl.example/arm64"))
		track := func(address string, body object, status int) object {
			t.Helper()
			sent, _ := json.Marshal(body)
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/track-download", bytes.NewReader(sent))
			r.Header.Set("Content-Type", "application/json")
			r.RemoteAddr = address + ":5000"
			out := object{}
			if err := json.Unmarshal(s.send(r, "", status).Body.Bytes(), &out); err != nil {
				t.Fatal(err)
			}
			return out
		}
		got := track("203.0.113.7", object{"os": "linux", "arch": "arm64"}, 200)
		if got["downloadUrl"] != "https://dl.example/arm64" || got["version"] != "1.0.0" || got["sha256"] != strings.Repeat("ab", 32) || text(got, "downloadId") == "" {
			t.Errorf("got %v", got)
		}
		track("203.0.113.7", object{"os": "linux"}, 200)
		track("203.0.113.8", object{"os": "linux", "version": "1.0.0"}, 200)
		track("203.0.113.8", object{"os": "linux", "version": "9.0.0"}, 404)
		track("203.0.113.8", object{"os": "macos"}, 404)
		track("203.0.113.8", object{"os": "beos"}, 422)
		stats := s.do("support", "GET /admin/downloads/stats", nil, 200)
		if day := list(stats)[0].(object); stats["total"] != 3. || day["downloads"] != 3. || day["visitors"] != 2. || day["day"] != "2026-03-31" { //nolint:forcetypeassert // a test
			t.Errorf("counted %v", stats)
		}
		visitors := func() (out []string) {
			rows, err := db.Q(t.Context()).QueryContext(t.Context(), `SELECT visitor FROM branding_visitor ORDER BY day, visitor`)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			for rows.Next() {
				var v string
				if err := rows.Scan(&v); err != nil {
					t.Fatal(err)
				}
				out = append(out, v)
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
			return out
		}
		march := visitors()
		s.at = s.at.Add(2 * time.Hour) // April
		track("203.0.113.7", object{"os": "linux"}, 200)
		if err := s.s.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		april := visitors()
		if len(march) != 2 || len(april) != 1 || april[0] == march[0] || april[0] == march[1] || strings.Contains(strings.Join(march, ""), "203.0") {
			t.Errorf("visitors of March %v, of April %v", march, april)
		}
		var months int
		if err := db.Q(t.Context()).QueryRowContext(t.Context(), `SELECT COUNT(*) FROM branding_month`).Scan(&months); err != nil || months != 1 {
			t.Errorf("%d months are remembered, %v", months, err)
		}
		for n := range 30 { // one has gone by
			status := 200
			if n == 29 {
				status = 429
			}
			track("203.0.113.7", object{"os": "linux"}, status)
		}
	})
}

func TestFeedbackIsReadAndAnswered(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		s.do("", "POST /api/feedback", object{"message": ""}, 422)
		s.do("", "POST /api/feedback", object{"message": strings.Repeat("é", 1001)}, 422)
		s.do("", "POST /api/feedback", object{"message": "Hi", "email": "Bob <bob@example.com>"}, 422)
		s.do("", "POST /api/feedback", object{"message": "Hi", "userId": "ada"}, 422)
		silent := text(s.do("", "POST /api/feedback", object{"message": strings.Repeat("é", 1000)}, 201), "id")
		s.at = s.at.Add(time.Second)
		left := text(s.do("", "POST /api/feedback", object{"message": "Two\nlines", "email": "bob@example.com"}, 201), "id")
		s.at = s.at.Add(time.Second)
		signed := text(s.do("ada", "POST /api/feedback", object{"message": "Nice"}, 201), "id")
		all := list(s.do("support", "GET /admin/feedback?status=new", nil, 200))
		if len(all) != 3 || all[0].(object)["userId"] != "ada" || all[1].(object)["userId"] != nil { //nolint:forcetypeassert // a test
			t.Errorf("listed %v", all)
		}
		s.do("ops", "POST /admin/feedback/"+silent+"/reply", object{"text": "Thanks"}, 409)
		s.do("ops", "POST /admin/feedback/"+left+"/reply", object{"text": "Thanks"}, 200)
		s.do("ops", "POST /admin/feedback/"+signed+"/reply", object{"text": "Thanks"}, 200)
		if len(s.sent) != 2 || s.sent[0].To != "bob@example.com" || s.sent[1].To != "ada@example.com" || !strings.Contains(s.sent[0].Text, "Thanks\n\nYou wrote:\n\n> Two\n> lines") {
			t.Errorf("mails %v", s.sent)
		}
		s.do("ops", "PATCH /admin/feedback/"+silent, object{"status": "read"}, 200)
		s.do("ops", "PATCH /admin/feedback/nothing", object{"status": "read"}, 404)
		if got := list(s.do("support", "GET /admin/feedback?status=done", nil, 200)); len(got) != 2 {
			t.Errorf("done: %v", got)
		}
	})
}

func form(t *testing.T, s *site, name string, data []byte) *http.Request {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	_ = w.WriteField("note", "It stopped")
	part, _ := w.CreateFormFile("file", name)
	_, _ = part.Write(data)
	_ = w.Close()
	r := httptest.NewRequestWithContext(s.Context(), http.MethodPost, "/api/diagnostics", &b)
	r.Header.Set("Content-Type", w.FormDataContentType())
	return r
}

func archive(entries int, content []byte) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := range entries {
		e, _ := w.Create(strconv.Itoa(i))
		_, _ = e.Write(content)
	}
	_ = w.Close()
	return b.Bytes()
}

func TestDiagnosticsAreStoredAndForgotten(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		s := newSite(t, db)
		data := []byte("the program stopped at line 7\n" + strings.Repeat("x", 100_000))
		out := object{}
		if err := json.Unmarshal(s.send(form(t, s, "run.log", data), "ada", 201).Body.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
		id := text(out, "reference")
		d := s.do("support", "GET /admin/diagnostics/"+id, nil, 200)
		if d["userId"] != "ada" || d["note"] != "It stopped" || d["kind"] != "log" || d["size"] != float64(len(data)) || text(d, "expiresAt") != "2026-06-29T23:00:00Z" {
			t.Errorf("kept as %v", d)
		}
		got := s.send(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/admin/diagnostics/"+id+"/file", nil), "support", 200)
		if !bytes.Equal(got.Body.Bytes(), data) || got.Header().Get("Content-Disposition") != `attachment; filename="`+id+`.log"` ||
			got.Header().Get("X-Content-Type-Options") != "nosniff" || got.Header().Get("Content-Type") != "application/octet-stream" {
			t.Errorf("got %d bytes with %v", got.Body.Len(), got.Header())
		}
		s.send(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/admin/diagnostics/"+id+"/file", nil), "ada", 403)
		var stored []byte
		if err := db.Q(t.Context()).QueryRowContext(t.Context(), `SELECT content FROM branding_file`).Scan(&stored); err != nil || len(stored) < len(data) || bytes.Contains(stored, []byte("line 7")) {
			t.Errorf("%d bytes are stored open: %v", len(stored), err)
		}
		s.send(form(t, s, "b.json", []byte(`{"a":1}`)), "", 201)
		s.do("support", "DELETE /admin/diagnostics/"+id, nil, 403)
		s.do("ops", "DELETE /admin/diagnostics/"+id, nil, 204)
		s.do("ops", "GET /admin/diagnostics/"+id, nil, 404)
		s.at = s.at.Add(90*24*time.Hour - time.Second)
		if err := s.s.Sweep(t.Context()); err != nil || len(list(s.do("ops", "GET /admin/diagnostics", nil, 200))) != 1 {
			t.Errorf("forgotten a second early, %v", err)
		}
		s.at = s.at.Add(time.Second)
		if err := s.s.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		var files int
		if err := db.Q(t.Context()).QueryRowContext(t.Context(), `SELECT COUNT(*) FROM branding_file`).Scan(&files); err != nil || files != 0 {
			t.Errorf("after 90 days %d files are left, %v", files, err)
		}
	})
}

func TestOnlyHarmlessFilesAreTaken(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t, dbtest.SQLite(t)) // what is taken does not depend on the engine
	s := newSite(t, db)
	lying := archive(1, bytes.Repeat([]byte{0}, 1<<20))
	for _, tt := range []struct {
		what, name string
		data       []byte
		status     int
	}{
		{"JSON", "a.json", []byte(`{"a":[1]}`), 201},
		{"text", "a.TXT", []byte("hello"), 201},
		{"an archive", "a.zip", archive(1000, []byte("hello")), 201},
		{"no JSON", "a.json", []byte("{"), 415},
		{"a program", "a.exe", []byte("MZ"), 415},
		{"a program as text", "a.txt", []byte("MZ\x00\x01"), 415},
		{"a page by another name", "a.html", []byte("<script>"), 415},
		{"text as an archive", "a.zip", []byte("hello"), 415},
		{"too many entries", "a.zip", archive(1001, nil), 415},
		{"a bomb", "a.zip", lying, 415},
		{"nothing", "a.log", nil, 415},
		{"the largest", "a.log", bytes.Repeat([]byte("x"), 5<<20), 201},
		{"too large", "a.log", bytes.Repeat([]byte("x"), 5<<20+1), 413},
		{"much too large", "a.log", bytes.Repeat([]byte("x"), 6<<20), 413},
	} {
		t.Log(tt.what)
		s.send(form(t, s, tt.name, tt.data), "", tt.status)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/diagnostics", strings.NewReader("x"))
	r.Header.Set("Content-Type", "text/plain")
	s.send(r, "", 415)
	for n := range 6 {
		r := form(t, s, "a.log", []byte("x"))
		r.RemoteAddr = "[2001:db8:1:2:" + strconv.Itoa(n) + "::1]:99" // one household
		status := 201
		if n == 5 {
			status = 429
		}
		s.send(r, "", status)
	}
}

func FuzzKindOf(f *testing.F) {
	f.Add("a.zip", archive(3, []byte("hello")))
	f.Add("a.json", []byte(`{}`))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		if kind, err := branding.KindOf(name, data); err == nil && kind != "json" && kind != "log" && kind != "txt" && kind != "zip" {
			t.Errorf("kind %q", kind)
		}
	})
}

func FuzzNumbersAreOrdered(f *testing.F) {
	f.Add("1.0.0", "1.0.0-beta.2")
	f.Add("1.0.0-1", "1.0.0-a")
	f.Fuzz(func(t *testing.T, a, b string) {
		if branding.Older(a, b) && branding.Older(b, a) {
			t.Errorf("%q and %q are each older", a, b)
		}
		if branding.Older(a, a) {
			t.Errorf("%q is older than itself", a)
		}
	})
}

// The order of the text of Semantic Versioning 2.0.0, section 11.
func TestNumbersAreOrderedAsTheTextSays(t *testing.T) {
	t.Parallel()
	order := []string{
		"0.9.9", "1.0.0-1", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0",
		"1.0.1", "1.2.0", "1.10.0", "2.0.0", "99999999999999999999.0.0",
	}
	for i, a := range order {
		for j, b := range order {
			if got := branding.Older(a, b); got != (i < j) {
				t.Errorf("%s is older than %s: %v", a, b, got)
			}
		}
	}
}
