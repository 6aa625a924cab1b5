package cli_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/cli"
)

// screen collects what is printed and says when the last line of the banner
// has come.
type screen struct {
	mu    sync.Mutex
	text  bytes.Buffer // guarded by mu
	ready chan struct{}
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := strings.Contains(s.text.String(), "Ctrl-C stops")
	s.text.Write(b)
	if !before && strings.Contains(s.text.String(), "Ctrl-C stops") {
		close(s.ready)
	}
	return len(b), nil
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// server is a running rephlo serve.
type server struct {
	banner, log *screen
	api, idp    string // addresses with host and port
	stop        func()
}

// serve starts the program on free ports and waits for its banner. stop ends
// it and checks the exit status.
func (i installation) serve(t *testing.T, flags ...string) *server {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &server{banner: &screen{ready: make(chan struct{})}, log: &screen{ready: make(chan struct{})}}
	args := append(append([]string{"serve", "--api-addr=127.0.0.1:0", "--idp-addr=127.0.0.1:0", "--drain-timeout=1s"}, flags...), i.flags...)
	ended := make(chan int, 1)
	go func() { ended <- cli.Run(ctx, args, strings.NewReader(""), s.banner, s.log) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if status := <-ended; status != 0 {
			t.Errorf("exit status %d, want 0\n%s", status, s.log)
		}
	})
	t.Cleanup(s.stop)
	select {
	case <-s.banner.ready:
	case status := <-ended:
		ended <- status
		t.Fatalf("it ended with %d\n%s", status, s.log)
	case <-time.After(time.Minute):
		t.Fatalf("no banner\n%s%s", s.banner, s.log)
	}
	m := regexp.MustCompile(`API +http://localhost(:\d+)\n +Identity +http://localhost(:\d+)\n`).FindStringSubmatch(s.banner.String())
	if m == nil {
		t.Fatalf("the banner does not say where things are:\n%s", s.banner)
	}
	s.api, s.idp = "127.0.0.1"+m[1], "127.0.0.1"+m[2]
	return s
}

func get(t *testing.T, url string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

func TestServe(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, i installation) {
		engine := "SQLite"
		if !strings.HasPrefix(i.url, "sqlite:") {
			engine = "PostgreSQL"
			i.exec(t, `DROP SCHEMA public CASCADE`, `CREATE SCHEMA public`) // as new as SQLite's
		}
		s := i.serve(t)
		banner := s.banner.String()
		for _, want := range []string{"Rephlo ", "data " + i.data + " (" + engine + ", new)", "ready in ", "No provider yet: the test models are on.", "your data stays in " + i.data} {
			if !strings.Contains(banner, want) {
				t.Errorf("the banner lacks %q:\n%s", want, banner)
			}
		}
		links := regexp.MustCompile(`http://\S+/setup\?token=\S+`).FindAllString(banner, -1)
		if len(links) != 1 {
			t.Fatalf("%d set-up links:\n%s", len(links), banner)
		}
		for _, url := range []string{"http://" + s.api + "/health/ready", "http://" + s.idp + "/health/ready", strings.Replace(links[0], "localhost", "127.0.0.1", 1)} {
			if status := get(t, url); status != http.StatusOK {
				t.Errorf("%s answers %d", url, status)
			}
		}
		if _, token, _ := strings.Cut(links[0], "token="); strings.Contains(s.log.String(), token) {
			t.Error("the set-up token is in the log")
		}

		// What the other commands say beside it.
		i.run(t, "", "doctor").want(t, 0, "Resource API        ready at http://"+strings.Replace(s.api, "127.0.0.1", "localhost", 1), "Identity Provider   ready at ")
		i.run(t, "", "doctor", "--api-addr", s.api, "--idp-addr", s.idp).want(t, 0, "ready at http://localhost:")
		if r := i.run(t, "", "admin", "create", "link@example.com"); !strings.HasPrefix(r.out, "http://"+strings.Replace(s.api, "127.0.0.1", "localhost", 1)+"/setup?") {
			t.Errorf("the link %q does not lead to the server, which is at %s", r.out, s.api)
		}
		i.run(t, "", "serve", "--api-addr=127.0.0.1:0", "--idp-addr=127.0.0.1:0").want(t, 75, "the data folder is in use", "stop it first", "--data")
		i.run(t, good, "admin", "create", email, "--password-stdin").want(t, 0)
		i.run(t, "", "ledger", "verify").want(t, 0, "0 findings")
		s.stop()

		s = i.serve(t)
		if banner := s.banner.String(); strings.Contains(banner, "Set up") || strings.Contains(banner, "/setup") || strings.Contains(banner, "new") {
			t.Errorf("there is an administrator, and the banner is\n%s", banner)
		}
		s.stop()
		i.run(t, "", "ledger", "verify").want(t, 0, "0 findings")
	})
}

func TestServeNamesWhoHasThePort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, taken := range []string{"--api-addr", "--idp-addr"} {
		free := "--api-addr"
		if taken == free {
			free = "--idp-addr"
		}
		dir := t.TempDir()
		for range 2 { // a start that failed leaves nothing locked
			r := run(t, "", "serve", "--data", dir, taken, "127.0.0.1:"+port, free, "127.0.0.1:0")
			r.want(t, 69, "port "+port+" is in use by process ", "(cli.test)", "Choose another with "+taken+" :PORT")
			if r.out != "" {
				t.Errorf("stdout has %q", r.out)
			}
		}
	}
}
