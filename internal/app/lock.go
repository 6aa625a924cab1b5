package app

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rephlo/rephlo/internal/config"
	"github.com/rephlo/rephlo/internal/id"
)

// ErrInUse says that another process serves from the same data folder.
var ErrInUse = errors.New("the data folder is in use")

const lockFile = "rephlo.lock"

// lock keeps a second server away from a data folder. The kernel drops it with
// the process, however that ends.
type lock struct{ file *os.File }

func lockFolder(dir string) (*lock, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names the folder
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		line, _ := bufio.NewReader(io.LimitReader(f, 32)).ReadString('\n')
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: process %s serves from %s; stop it first, or give this one another folder with --data",
				ErrInUse, strings.TrimSpace(line), dir)
		}
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the data folder: %w", err), f.Close())
	}
	if _, err := fmt.Fprintf(f, "%d\n", os.Getpid()); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the data folder: %w", err), f.Close())
	}
	return &lock{f}, nil
}

// announce writes behind the process number where the server is reached, for
// commands on the same data folder that are not told so.
func (l *lock) announce(c config.Config) error {
	if _, err := fmt.Fprintf(l.file, "%s %s %s %s\n", c.APIAddr, c.IDPAddr, c.APIURL, c.IDPURL); err != nil {
		return fmt.Errorf("write the lock of the data folder: %w", err)
	}
	return nil
}

// AsServed returns c with the addresses of the server that works in its data
// folder just now, where c does not set others. Without such a server, or
// when its addresses cannot be read, it returns c as it is.
func AsServed(c config.Config) config.Config {
	f, err := os.Open(filepath.Join(c.Data, lockFile))
	if err != nil {
		return c
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
		return c // what it says is of a server that is gone
	}
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	said := strings.Fields(string(text))
	if err != nil || len(said) != 5 {
		return c
	}
	for i, s := range []struct {
		setting string
		value   *string
	}{{"api_addr", &c.APIAddr}, {"idp_addr", &c.IDPAddr}, {"api_url", &c.APIURL}, {"idp_url", &c.IDPURL}} {
		if c.Origin(s.setting).Source == config.SourceDefault {
			*s.value = said[1+i]
		}
	}
	return c
}

func (l *lock) release() error { return l.file.Close() }

// nodeName returns the name under which this data folder's server is known in
// the database. It is made once, so that a restarted server finds the holds
// it left behind.
func nodeName(dir string, now time.Time) (string, error) {
	path := filepath.Join(dir, "node")
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the folder
	if name := strings.TrimSpace(string(text)); err == nil && id.Is("node", name) {
		return name, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the node's name: %w", err)
	}
	name := id.New("node", now)
	if err := os.WriteFile(path, []byte(name+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write the node's name: %w", err)
	}
	return name, nil
}
