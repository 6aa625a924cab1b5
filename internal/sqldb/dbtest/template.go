package dbtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rephlo/rephlo/internal/sqldb"
)

// kept is how long a migrated file is kept for other test binaries.
const kept = 7 * 24 * time.Hour

// sqliteTemplate is a migrated file to copy. It is made once for each state of
// the migrations, and kept in the user's cache folder for the other packages:
// SQLite reads its whole schema again after each migration.
var sqliteTemplate = sync.OnceValues(func() ([]byte, error) {
	dir := cacheFolder()
	path := filepath.Join(dir, "sqlite-"+sqldb.SchemaHash()+".db")
	if dir != "" {
		if image, err := os.ReadFile(path); err == nil {
			return image, nil
		}
	}
	image, err := migrate()
	if err != nil || dir == "" {
		return image, err
	}
	keep(dir, path, image)
	return image, nil
})

// migrate makes a database file from nothing.
func migrate() ([]byte, error) {
	dir, err := os.MkdirTemp("", "rephlo-template-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "template.db")
	d, err := sqldb.Open(context.Background(), "sqlite:"+path)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(d.Migrate(context.Background()), d.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// cacheFolder returns the folder for what test binaries share, or "" where there
// can be none.
func cacheFolder() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	dir = filepath.Join(dir, "rephlo-test")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return ""
	}
	return dir
}

// keep stores image at path, whole or not at all, and removes what is old. What
// cannot be kept is made again.
func keep(dir, path string, image []byte) {
	f, err := os.CreateTemp(dir, "making-")
	if err != nil {
		return
	}
	_, err = f.Write(image)
	if errors.Join(err, f.Close()) != nil || os.Rename(f.Name(), path) != nil {
		_ = os.Remove(f.Name())
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > kept {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
