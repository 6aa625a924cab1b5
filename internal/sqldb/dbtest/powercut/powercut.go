// Package powercut finds out what a SQLite database is worth after a power
// failure. It puts itself between SQLite and the file system, as its VFS, and
// remembers for the files of watched folders what has been flushed and what has
// only been written. Cut then makes a folder as a disk could have it if the
// power failed at that moment: everything that was flushed, and of the rest any
// sector in any version, old or new. So writes are dropped, torn and reordered.
package powercut

import (
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// sector is the unit that a disk writes whole.
const sector = 512

// Disk is a watched folder. It is safe for concurrent use.
type Disk struct {
	dir  string
	left int    // guarded by all: changes until due is called
	due  func() // guarded by all
	bad  string // guarded by all: flushes of files whose names end so fail
}

// all are the watched folders and their files, by path. One lock orders all
// changes, so that a cut is one moment.
var all = struct {
	sync.Mutex
	disks map[string]*Disk // guarded by the Mutex
	files map[string]*file // guarded by the Mutex
}{disks: map[string]*Disk{}, files: map[string]*file{}}

// file is what a disk has of a file, and what it may have.
type file struct {
	disk    *Disk
	path    string
	flushed []byte
	exists  bool // its name is on the disk
	pending []change
}

// change is a write, or with a nil text a cut to the length at.
type change struct {
	at   int64
	text []byte
}

// Watch watches the SQLite databases in dir that are opened from now on. What
// is in its files already counts as flushed.
func Watch(dir string) (*Disk, error) {
	if err := install(); err != nil {
		return nil, err
	}
	dir = filepath.Clean(dir)
	all.Lock()
	defer all.Unlock()
	all.disks[dir] = &Disk{dir: dir}
	return all.disks[dir], nil
}

// Forget ends the watch. The databases must be closed.
func (d *Disk) Forget() {
	all.Lock()
	defer all.Unlock()
	delete(all.disks, d.dir)
	maps.DeleteFunc(all.files, func(_ string, f *file) bool { return f.disk == d })
}

// Cut writes to the folder to what a power failure now could leave, and returns
// how many changes were not flushed. What is random comes from r. Nothing
// happens to the watched folder, so work goes on.
func (d *Disk) Cut(to string, r *rand.Rand) (pending int, err error) {
	all.Lock()
	files, pending := d.image(r)
	all.Unlock()
	return pending, save(to, files)
}

// CutAfter is Cut in the middle of the n-th change from now. At that moment,
// when nothing else can write or flush, it calls then.
func (d *Disk) CutAfter(n int, to string, r *rand.Rand, then func()) (pending int, err error) {
	var files map[string][]byte
	done := make(chan struct{})
	all.Lock()
	d.left, d.due = n, func() {
		files, pending = d.image(r)
		then()
		close(done)
	}
	all.Unlock()
	<-done
	return pending, save(to, files)
}

// FailFlushes makes every flush fail from now on of the files whose names end
// in suffix, which is not empty: the database itself, or its "-wal".
func (d *Disk) FailFlushes(suffix string) {
	all.Lock()
	defer all.Unlock()
	d.bad = suffix
}

func save(to string, files map[string][]byte) error {
	for path, text := range files {
		if err := os.WriteFile(filepath.Join(to, filepath.Base(path)), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// image is what a cut leaves. all is locked.
func (d *Disk) image(r *rand.Rand) (out map[string][]byte, pending int) {
	out = map[string][]byte{}
	var paths []string // in one order, so that r decides alone
	for path, f := range all.files {
		if f.disk == d {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	for _, path := range paths {
		f := all.files[path]
		pending += len(f.pending)
		kept := [...]float64{0, 0.1, 0.5, 0.9, 1}[r.IntN(5)]
		if !f.exists && r.Float64() >= kept {
			continue
		}
		text := slices.Clone(f.flushed)
		for _, c := range f.pending {
			text = c.partly(text, func() bool { return r.Float64() < kept })
		}
		out[path] = text
	}
	return out, pending
}

// partly makes those parts of c that arrive.
func (c change) partly(text []byte, arrives func() bool) []byte {
	if c.text == nil {
		if arrives() {
			return resize(text, c.at)
		}
		return text
	}
	for i := int64(0); i < int64(len(c.text)); {
		n := min(sector-(c.at+i)%sector, int64(len(c.text))-i)
		if arrives() {
			if end := c.at + i + n; end > int64(len(text)) {
				text = resize(text, end)
			}
			copy(text[c.at+i:], c.text[i:i+n])
		}
		i += n
	}
	return text
}

func resize(text []byte, n int64) []byte {
	if n <= int64(len(text)) {
		return text[:n]
	}
	return append(text, make([]byte, n-int64(len(text)))...)
}

// track returns the file at path if its folder is watched.
func track(path string) (*file, error) {
	all.Lock()
	defer all.Unlock()
	disk := all.disks[filepath.Dir(path)]
	if disk == nil || strings.HasSuffix(path, "-shm") { // that one is made anew
		return nil, nil
	}
	if f := all.files[path]; f != nil {
		return f, nil
	}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f := &file{disk: disk, path: path, flushed: text, exists: len(text) > 0}
	all.files[path] = f
	return f, nil
}

func (f *file) change(at int64, text []byte) {
	all.Lock()
	defer all.Unlock()
	f.pending = append(f.pending, change{at, text})
	if d := f.disk; d.left > 0 {
		if d.left--; d.left == 0 {
			d.due()
		}
	}
}

// flush notes that every change has arrived, and reports whether it has.
func (f *file) flush() bool {
	all.Lock()
	defer all.Unlock()
	if f.disk.bad != "" && strings.HasSuffix(f.path, f.disk.bad) {
		return false
	}
	always := func() bool { return true }
	for _, c := range f.pending {
		f.flushed = c.partly(f.flushed, always)
	}
	f.pending, f.exists = f.pending[:0], true
	return true
}

// removed notes that the file at path is gone.
func removed(path string) {
	all.Lock()
	defer all.Unlock()
	delete(all.files, path)
}
