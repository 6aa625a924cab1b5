package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/fault"
	"github.com/rephlo/rephlo/internal/web"
)

type echoInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Body  struct {
		Name     string `json:"name" minLength:"1" maxLength:"5"`
		Password string `json:"password,omitempty" minLength:"8"`
	}
}

type echoOutput struct {
	Body struct {
		Name  string `json:"name"`
		Limit int    `json:"limit"`
	}
}

var errTaken = fault.New(fault.Conflict, "username_taken", "Choose another name.").With("name", "x")

func echo(_ context.Context, in *echoInput) (*echoOutput, error) {
	switch in.Body.Name {
	case "taken":
		return nil, errTaken
	case "bug":
		return nil, errors.New("secret cause")
	case "panic":
		panic("secret panic")
	}
	var out echoOutput
	out.Body.Name, out.Body.Limit = in.Body.Name, in.Limit
	return &out, nil
}

func newMux(t *testing.T, log *bytes.Buffer) *web.Mux {
	t.Helper()
	m := web.NewMux(web.Config{
		Log: slog.New(slog.NewJSONHandler(log, nil)), Hosts: []string{"api.test"},
		Origins: []string{"https://app.test"}, DocURL: "https://api.test/docs/errors/",
	})
	web.Route(m, "POST /echo", echo, web.Status(201), web.Body(1000))
	m.Handle("POST /form", func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}, web.SameOrigin())
	m.Handle("GET /public", func(w http.ResponseWriter, _ *http.Request) error {
		return web.JSON(w, 200, "ok")
	}, web.AnyOrigin())
	return m
}

func send(h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "api.test"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if h := r.Header.Get("Host"); h != "" {
		r.Host = h
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	m := newMux(t, &log)
	for _, tt := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		want                     string
	}{
		{"good", "POST", "/echo?limit=7", `{"name":"ada"}`, nil, 201, `{"name":"ada","limit":7}`},
		{"default", "POST", "/echo", `{"name":"ada"}`, nil, 201, `"limit":20`},
		{"fault", "POST", "/echo", `{"name":"taken"}`, nil, 409, `"code":"username_taken"`},
		{"bug", "POST", "/echo", `{"name":"bug"}`, nil, 500, `"code":"internal_server_error"`},
		{"panic", "POST", "/echo", `{"name":"panic"}`, nil, 500, `"code":"internal_server_error"`},
		{"too long", "POST", "/echo", `{"name":"adalove"}`, nil, 422, `"param":"name"`},
		{"missing", "POST", "/echo", `{}`, nil, 422, `"code":"validation_error"`},
		{"unknown field", "POST", "/echo", `{"name":"ada","x":1}`, nil, 422, `"code":"unknown_field"`},
		{"duplicate key", "POST", "/echo", `{"name":"ada","name":"b"}`, nil, 400, `"code":"invalid_request"`},
		{"trailing", "POST", "/echo", `{"name":"ada"}{}`, nil, 400, `"code":"invalid_request"`},
		{"bad UTF-8", "POST", "/echo", "{\"name\":\"\xff\"}", nil, 400, `"code":"invalid_request"`},
		{"deep", "POST", "/echo", strings.Repeat("[", 100), nil, 400, `"code":"invalid_request"`},
		{"query", "POST", "/echo?limit=0", `{"name":"ada"}`, nil, 422, `"param":"limit"`},
		{"large", "POST", "/echo", `{"name":"` + strings.Repeat("a", 2000) + `"}`, nil, 413, `"code":"request_too_large"`},
		{"media", "POST", "/echo", `{"name":"ada"}`, []string{"Content-Type", "text/plain"}, 415, `"code":"unsupported_media_type"`},
		{"compressed", "POST", "/echo", `{"name":"ada"}`, []string{"Content-Encoding", "gzip"}, 415, `"code":"unsupported_media_type"`},
		{"no such path", "GET", "/nothing", "", nil, 404, `"code":"not_found"`},
		{"method", "GET", "/echo", "", nil, 405, `use POST`},
		{"host", "GET", "/public", "", []string{"Host", "evil.test"}, 421, `"code":"wrong_host"`},
		{"long address", "GET", "/public?" + strings.Repeat("x", 9000), "", nil, 414, `"code":"uri_too_long"`},
		{"huge headers", "GET", "/public", "", []string{"Cookie", strings.Repeat("x", 40<<10)}, 431, `"code":"headers_too_large"`},
		{"cross-site form", "POST", "/form", "", []string{"Sec-Fetch-Site", "cross-site"}, 403, `"code":"cross_site_request"`},
		{"same-site form", "POST", "/form", "", []string{"Sec-Fetch-Site", "same-origin"}, 204, ``},
	} {
		rec := send(m, tt.method, tt.path, tt.body, tt.header...)
		if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.want) {
			t.Errorf("%s: got %d %s, want %d containing %s", tt.name, rec.Code, rec.Body, tt.status, tt.want)
		}
		if strings.Contains(rec.Body.String(), "secret") {
			t.Errorf("%s: the answer tells the cause: %s", tt.name, rec.Body)
		}
		if rec.Header().Get("X-Request-Id") == "" || rec.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", tt.name, rec.Header())
		}
		if rec.Code >= 400 {
			var body map[string]map[string]any
			if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil || len(body["error"]) != 7 {
				t.Errorf("%s: error body %s, want the seven fields", tt.name, rec.Body)
			}
		}
	}
	if !strings.Contains(log.String(), "secret cause") {
		t.Error("the cause of a failure is not in the log")
	}
}

// What people send must not come back, or go to the log: it may be a password.
func TestValidationDoesNotEchoValues(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	rec := send(newMux(t, &log), "POST", "/echo", `{"name":"ada","password":"hunter2"}`)
	if rec.Code != 422 || strings.Contains(rec.Body.String()+log.String(), "hunter2") {
		t.Errorf("got %d %s, log %s", rec.Code, rec.Body, log.String())
	}
}

// Two patterns that net/http finds equally good live beside each other.
func TestFirstIsTriedFirst(t *testing.T) {
	t.Parallel()
	m := web.NewMux(web.Config{})
	say := func(word string) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			return web.JSON(w, 200, word+" "+r.PathValue("id"))
		}
	}
	m.Handle("GET /things/{id}/parts", say("list"))
	m.Handle("GET /things/parts/{id}", say("part"), web.First())
	for path, want := range map[string]string{"/things/1/parts": `"list 1"`, "/things/parts/1": `"part 1"`, "/things/parts/parts": `"part parts"`} {
		if got := strings.TrimSpace(send(m, "GET", path, "").Body.String()); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if rec := send(m, "POST", "/things/parts/1", ""); rec.Code != 405 || rec.Header().Get("Allow") != "GET" {
		t.Errorf("another method: %d %v", rec.Code, rec.Header())
	}
}

func TestRequestIDIsTakenOrMade(t *testing.T) {
	t.Parallel()
	m := newMux(t, &bytes.Buffer{})
	for given, taken := range map[string]bool{"abc_DEF-12": true, "short": false, "has space here": false, strings.Repeat("a", 65): false} {
		got := send(m, "GET", "/public", "", "X-Request-Id", given).Header().Get("X-Request-Id")
		if (got == given) != taken {
			t.Errorf("X-Request-Id %q became %q", given, got)
		}
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	m := newMux(t, &bytes.Buffer{})
	for _, tt := range []struct{ method, path, origin, want string }{
		{"POST", "/echo", "https://app.test", "https://app.test"},
		{"POST", "/echo", "https://evil.test", ""},
		{"POST", "/echo", "null", ""},
		{"GET", "/public", "https://evil.test", "*"},
	} {
		for _, preflight := range []bool{false, true} {
			method, header := tt.method, []string{"Origin", tt.origin}
			if preflight {
				method, header = "OPTIONS", append(header, "Access-Control-Request-Method", tt.method)
			}
			rec := send(m, method, tt.path, "", header...)
			if got := rec.Header().Get("Access-Control-Allow-Origin"); got != tt.want {
				t.Errorf("%s %s from %s: allowed %q, want %q", method, tt.path, tt.origin, got, tt.want)
			}
		}
	}
}

// Who sends a body drop by drop is cut off, and the connection of who does not
// serves on.
func TestSlowBodiesAreCutOff(t *testing.T) {
	t.Parallel()
	m := web.NewMux(web.Config{Patience: 200 * time.Millisecond})
	web.Route(m, "POST /echo", echo)
	server := httptest.NewServer(m)
	defer server.Close()

	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || strings.HasPrefix(string(answer), "HTTP/1.1 2") {
		t.Errorf("got %q, %v; want a refusal and the end of the connection", answer, err)
	}

	for range 2 { // on one connection, with more than the patience between
		res, err := server.Client().Post(server.URL+"/echo", "application/json", strings.NewReader(`{"name":"ada"}`))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("status %d", res.StatusCode)
		}
		time.Sleep(300 * time.Millisecond)
	}
}

func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`{"name":"ada"}`))
	f.Add([]byte(`{"a":"\"[[["}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var v any
		if web.Unmarshal(data, &v) == nil && !json.Valid(data) {
			t.Errorf("accepted %q", data)
		}
	})
}
