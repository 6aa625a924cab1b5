package powercut

import (
	"errors"
	"slices"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// usual is SQLite's own VFS; ours passes everything on to it.
var usual uintptr

// methods are the tables of functions of open files that we have changed: the
// usual one, by the address of ours.
var methods = struct {
	sync.RWMutex
	ours  map[uintptr]uintptr // guarded by the RWMutex: of the usual one
	usual map[uintptr]*sqlite3.Tsqlite3_io_methods
	open  map[uintptr]*file // guarded by the RWMutex: by the address of SQLite's file
}{ours: map[uintptr]uintptr{}, usual: map[uintptr]*sqlite3.Tsqlite3_io_methods{}, open: map[uintptr]*file{}}

// at returns the memory of C at p.
func at(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }

// function turns the address of a function in a table of C into one of Go.
func function[F any](p uintptr) F {
	holder := struct{ uintptr }{p}
	return *(*F)(unsafe.Pointer(&holder))
}

// set puts a function of Go into a table of C. f must not be a closure.
func set[F any](place *uintptr, f F) { *(*F)(unsafe.Pointer(place)) = f }

// install makes our VFS the one that SQLite uses when none is named.
var install = sync.OnceValue(func() error {
	tls := libc.NewTLS()
	defer tls.Close()
	if usual = sqlite3.Xsqlite3_vfs_find(tls, 0); usual == 0 {
		return errors.New("SQLite has no VFS")
	}
	v := alloc[sqlite3.Tsqlite3_vfs](tls)
	ours := (*sqlite3.Tsqlite3_vfs)(at(v))
	*ours = *(*sqlite3.Tsqlite3_vfs)(at(usual))
	name, err := libc.CString("powercut")
	if err != nil {
		return err
	}
	ours.FzName, ours.FpNext = name, 0
	set(&ours.FxOpen, open)
	set(&ours.FxDelete, remove)
	if rc := sqlite3.Xsqlite3_vfs_register(tls, v, 1); rc != sqlite3.SQLITE_OK {
		return errors.New("SQLite does not take the VFS")
	}
	return nil
})

// alloc returns memory of C for a T that stays.
func alloc[T any](tls *libc.TLS) uintptr {
	var t T
	return libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(t)))
}

func open(tls *libc.TLS, _, name, f uintptr, flags int32, out uintptr) int32 {
	rc := function[func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32]((*sqlite3.Tsqlite3_vfs)(at(usual)).FxOpen)(tls, usual, name, f, flags, out)
	if rc != sqlite3.SQLITE_OK || name == 0 {
		return rc
	}
	tracked, err := track(libc.GoString(name))
	if err != nil {
		return sqlite3.SQLITE_CANTOPEN
	}
	if tracked == nil {
		return rc
	}
	methods.Lock()
	defer methods.Unlock()
	place := &(*sqlite3.Tsqlite3_file)(at(f)).FpMethods
	table, ok := methods.ours[*place]
	if !ok {
		was := *(*sqlite3.Tsqlite3_io_methods)(at(*place))
		table = alloc[sqlite3.Tsqlite3_io_methods](tls)
		changed := (*sqlite3.Tsqlite3_io_methods)(at(table))
		*changed = was
		set(&changed.FxClose, closeFile)
		set(&changed.FxWrite, write)
		set(&changed.FxTruncate, truncate)
		set(&changed.FxSync, flush)
		methods.ours[*place], methods.usual[table] = table, &was
	}
	*place = table
	methods.open[f] = tracked
	return rc
}

// of returns what we know of SQLite's open file f.
func of(f uintptr) (*file, *sqlite3.Tsqlite3_io_methods) {
	methods.RLock()
	defer methods.RUnlock()
	return methods.open[f], methods.usual[(*sqlite3.Tsqlite3_file)(at(f)).FpMethods]
}

func closeFile(tls *libc.TLS, f uintptr) int32 {
	_, usual := of(f)
	methods.Lock()
	delete(methods.open, f)
	methods.Unlock()
	return function[func(*libc.TLS, uintptr) int32](usual.FxClose)(tls, f)
}

func write(tls *libc.TLS, f, text uintptr, n int32, offset sqlite3.Tsqlite3_int64) int32 {
	tracked, usual := of(f)
	tracked.change(offset, slices.Clone(unsafe.Slice((*byte)(at(text)), n)))
	return function[func(*libc.TLS, uintptr, uintptr, int32, sqlite3.Tsqlite3_int64) int32](usual.FxWrite)(tls, f, text, n, offset)
}

func truncate(tls *libc.TLS, f uintptr, size sqlite3.Tsqlite3_int64) int32 {
	tracked, usual := of(f)
	tracked.change(size, nil)
	return function[func(*libc.TLS, uintptr, sqlite3.Tsqlite3_int64) int32](usual.FxTruncate)(tls, f, size)
}

// flush leaves the real disk alone, which nobody will read after a failure: that
// makes tests several times faster.
func flush(_ *libc.TLS, f uintptr, _ int32) int32 {
	tracked, _ := of(f)
	if !tracked.flush() {
		return sqlite3.SQLITE_IOERR_FSYNC
	}
	return sqlite3.SQLITE_OK
}

func remove(tls *libc.TLS, _, name uintptr, flushDir int32) int32 {
	removed(libc.GoString(name))
	return function[func(*libc.TLS, uintptr, uintptr, int32) int32]((*sqlite3.Tsqlite3_vfs)(at(usual)).FxDelete)(tls, usual, name, flushDir)
}
