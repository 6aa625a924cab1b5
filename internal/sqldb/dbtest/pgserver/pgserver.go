// Package pgserver runs throw-away PostgreSQL servers for tests: a cluster in a
// temporary folder that listens on a socket there.
package pgserver

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// ErrMissing says that PostgreSQL's programs are not installed.
var ErrMissing = errors.New("initdb was not found; install the package postgresql")

// Server is one cluster. It is not safe for concurrent use.
type Server struct {
	bin, dir string
	attr     *syscall.SysProcAttr
	cmd      *exec.Cmd
}

// New makes a cluster, which does not run yet. Remove ends and removes it.
func New() (*Server, error) {
	bin := programs()
	if bin == "" {
		return nil, ErrMissing
	}
	dir, err := os.MkdirTemp("", "rephlo-pg-")
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: dir, attr: &syscall.SysProcAttr{Setpgid: true}}
	if s.attr.Credential, err = owner(dir); err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8")
	initdb.SysProcAttr, initdb.Dir = s.attr, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w\n%s", err, out), s.Remove())
	}
	return s, nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// URL names the server's database postgres.
func (s *Server) URL() string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres", RawQuery: url.Values{"host": {s.dir}}.Encode()}
	return u.String()
}

// Start runs the server and waits until it takes connections.
func (s *Server) Start() error {
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.Command(filepath.Join(s.bin, "postgres"), "-D", s.data(), "-k", s.dir,
		"-c", "listen_addresses=", "-c", "max_connections=400", "-c", "shared_buffers=128MB", "-c", "log_min_messages=fatal")
	s.cmd.SysProcAttr, s.cmd.Dir = s.attr, s.dir
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		return err
	}
	if err := s.waitReady(); err != nil {
		text, _ := os.ReadFile(log.Name())
		return errors.Join(fmt.Errorf("%w\n%s", err, text), s.end(syscall.SIGKILL))
	}
	return nil
}

func (s *Server) waitReady() error {
	var err error
	for range 600 {
		if err = exec.Command(filepath.Join(s.bin, "pg_isready"), "-h", s.dir, "-U", "postgres", "-q").Run(); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("PostgreSQL did not start: %w", err)
}

// Stop ends the server as `pg_ctl stop -m fast` does: connections are ended,
// and what is committed is in its files.
func (s *Server) Stop() error { return s.end(syscall.SIGINT) }

// Abort ends it as `pg_ctl stop -m immediate` does: at once, without writing
// anything more. Its next start recovers.
func (s *Server) Abort() error { return s.end(syscall.SIGQUIT) }

func (s *Server) end(sig syscall.Signal) error {
	if s.cmd == nil {
		return nil
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	_ = s.cmd.Wait() // its status tells of the signal
	s.cmd = nil
	return nil
}

// Remove ends the server and removes its files.
func (s *Server) Remove() error {
	return errors.Join(s.Stop(), os.RemoveAll(s.dir))
}

// programs returns the folder that holds initdb and postgres.
func programs() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if path, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			found = append(found, real)
		}
	}
	for _, f := range slices.Backward(found) {
		if _, err := os.Stat(filepath.Join(filepath.Dir(f), "postgres")); err == nil {
			return filepath.Dir(f)
		}
	}
	return ""
}

// owner gives dir to whoever shall run the server, since PostgreSQL refuses to
// run as root. It returns nil when that is us.
func owner(dir string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, int(uid), int(gid))
	}
	return nil, errors.New("PostgreSQL does not run as root and there is no user postgres or nobody")
}
