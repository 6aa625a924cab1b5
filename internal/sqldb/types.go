package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Time reads a time column: BIGINT Unix microseconds, the same on both
// engines. NULL reads as the zero time.
type Time struct{ time.Time }

// TimeArg returns t as a query argument; the zero time is NULL.
func TimeArg(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// Scan implements sql.Scanner.
func (t *Time) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		t.Time = time.Time{}
		return nil
	case int64:
		t.Time = time.UnixMicro(v).UTC()
		return nil
	default:
		return fmt.Errorf("sqldb.Time: cannot scan %T", src)
	}
}

// IsUnique reports whether err is a violation of a unique constraint or a
// primary key. On PostgreSQL the transaction is aborted by then.
func IsUnique(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == "23505"
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	return false
}

// IsConstraint reports whether err is a violation of any constraint or
// trigger: what was written was wrong, and trying again changes nothing.
func IsConstraint(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return strings.HasPrefix(e.Code, "23") || e.Code == "P0001"
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()&0xff == sqlite3.SQLITE_CONSTRAINT
	}
	return false
}

// IsFull reports whether err says that the disk is full.
func IsFull(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == "53100"
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		// The shared index beside the log grows with it: that it cannot is the
		// same news.
		return e.Code()&0xff == sqlite3.SQLITE_FULL || e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE
	}
	return false
}

// IsDamaged reports whether err says that the file is no database, or a damaged
// one, or lacks a table.
func IsDamaged(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == "42P01" || e.Code == "42703" || strings.HasPrefix(e.Code, "XX")
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			return true
		case sqlite3.SQLITE_ERROR:
			return strings.Contains(e.Error(), "no such table") || strings.Contains(e.Error(), "no such column")
		}
	}
	return false
}

// IsIO reports whether err says that reading or writing a file failed.
func IsIO(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == "58030"
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()&0xff == sqlite3.SQLITE_IOERR
	}
	return false
}

// IsUnavailable reports whether err says that the database cannot be reached
// or cannot serve, as opposed to having answered.
func IsUnavailable(err error) bool {
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		return false
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, sql.ErrConnDone) {
		return true
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code[:2] {
		case "08", "53", "57", "58", "25":
			return true
		}
		return false
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL,
			sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
			return true
		}
		return false
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return true // the server ended in the middle of its answer
	}
	_, ok := errors.AsType[*net.OpError](err)
	return ok || strings.Contains(err.Error(), "bad connection") || strings.Contains(err.Error(), "conn closed")
}

// IsBroken reports whether err says that the disk or the file system under
// SQLite failed, or that the file is not what was written: a flush that failed,
// a file system that has become read-only, damaged pages. What was written
// before cannot be relied on by this process; the next one finds out. On
// PostgreSQL the server decides about its disk, so it is false there.
func IsBroken(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok || IsFull(err) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return e.Code() != sqlite3.SQLITE_IOERR_NOMEM
	}
	return false
}
