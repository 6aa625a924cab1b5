package config

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// masterKeySize is the size of the master key in bytes.
const masterKeySize = 32

// ErrMasterKey is in the chain of every error of MasterKey: without the key
// nothing that is sealed can be read.
var ErrMasterKey = errors.New("master key")

// MasterKey reads the master key. When the file is missing, was not set by
// hand, and there is no SQLite database yet that another key has sealed, it
// makes one, readable for the owner only; created says so. It also makes the
// data folder. Several processes may call it at once: all get the same key.
//
// Call it before the database is opened.
func (c Config) MasterKey() (key []byte, created bool, err error) {
	key, err = readMasterKey(c.MasterKeyFile)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, false, err
	}
	if c.Origin("master_key_file").Source != SourceDefault {
		return nil, false, fmt.Errorf("%w: the file %s does not exist; make it with: head -c 32 /dev/urandom | base64 > FILE", ErrMasterKey, c.MasterKeyFile)
	}
	if _, err := os.Stat(c.SQLitePath()); err == nil && !c.Postgres() {
		// Another process may have made both since we looked.
		if key, err := readMasterKey(c.MasterKeyFile); err == nil {
			return key, false, nil
		}
		return nil, false, fmt.Errorf("%w: %s is missing, but the database %s exists and was sealed with it; put the file back from your backup", ErrMasterKey, c.MasterKeyFile, c.SQLitePath())
	}
	return createMasterKey(c.MasterKeyFile)
}

func readMasterKey(path string) ([]byte, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMasterKey, err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != masterKeySize {
		return nil, fmt.Errorf("%w: %s does not hold 32 bytes in base64; restore it from your backup", ErrMasterKey, path)
	}
	return key, nil
}

// createMasterKey writes a new key under a temporary name and links it to its
// own: no reader ever sees half a key, and of two writers one wins.
func createMasterKey(path string) ([]byte, bool, error) {
	fail := func(err error) ([]byte, bool, error) {
		return nil, false, fmt.Errorf("%w: %w", ErrMasterKey, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fail(err)
	}
	key := make([]byte, masterKeySize)
	_, _ = rand.Read(key) // never fails (crypto/rand)
	f, err := os.CreateTemp(filepath.Dir(path), ".master-key-*")
	if err != nil {
		return fail(err)
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(key) + "\n") // CreateTemp gave it mode 0600
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fail(err)
	}
	if err := os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
		key, err := readMasterKey(path)
		return key, false, err
	} else if err != nil {
		return fail(err)
	}
	return key, true, syncDir(filepath.Dir(path))
}

// syncDir makes the new name in dir survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the operator's data folder
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMasterKey, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("%w: %w", ErrMasterKey, err)
	}
	return nil
}
