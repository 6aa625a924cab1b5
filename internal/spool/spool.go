package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync/atomic"
)

// Errors of a spool.
var (
	// ErrFull says that not all of the records fit.
	ErrFull = errors.New("the spool is full")
	// ErrDamaged says that the file is not what was written to it.
	ErrDamaged = errors.New("the spool is damaged")
)

const (
	magic       = "RPHSPOOL"
	version     = 1
	slotSize    = 28 // magic, version, four zero bytes, generation, CRC
	secondSlot  = 4096
	dataStart   = 8192
	frameMagic  = uint32(0x31465053) // "SPF1"
	frameHead   = 32                 // magic, length, generation, place, CRC, four zero bytes
	alignment   = 8
	recordHead  = 4
	maxFrame    = 1 << 20 // bytes of one frame
	minimumSize = dataStart + 4096
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// File is an open spool. One goroutine at a time may use it, except for Used.
type File struct {
	file       *os.File
	size       int64
	generation uint64
	end        int64 // where the next frame goes
	broken     error // after a failed write nothing more is written
	buf        []byte
	used       atomic.Int64
}

// Open opens the spool at path, or makes one of size bytes, and returns the
// records that it holds, oldest first. They stay until Reset. ErrDamaged names
// the place.
func Open(path string, size int64) (*File, [][]byte, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names the folder
	if err != nil {
		return nil, nil, fmt.Errorf("open the spool: %w", err)
	}
	s := &File{file: f, size: max(size, minimumSize), end: dataStart}
	records, err := s.load(path)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open the spool %s: %w", path, err), f.Close())
	}
	s.used.Store(s.end - dataStart)
	return s, records, nil
}

func (s *File) load(path string) ([][]byte, error) {
	info, err := s.file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() >= minimumSize {
		s.size = info.Size()
		c, err := parse(s.file, s.size)
		if err != nil {
			return nil, err
		}
		s.generation, s.end = c.generation, c.end
		if s.generation > 0 {
			return c.records, nil
		}
	}
	// New, or its making was interrupted: a header is written last.
	if err := preallocate(s.file, s.size); err != nil {
		return nil, fmt.Errorf("set %d bytes aside: %w", s.size, err)
	}
	if err := s.Reset(); err != nil {
		return nil, err
	}
	return nil, syncFolder(filepath.Dir(path))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // as in Open
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// zeros sets space aside where the system has no call for it.
func zeros(f *os.File, size int64) error {
	block := make([]byte, 1<<20)
	for at := int64(0); at < size; at += int64(len(block)) {
		if _, err := f.WriteAt(block[:min(int64(len(block)), size-at)], at); err != nil {
			return err
		}
	}
	return nil
}

// Append writes records and returns when they are flushed. After an error the
// first n are; after one other than ErrFull the file takes nothing more. A
// record has less than a mebibyte.
func (s *File) Append(records [][]byte) (n int, err error) {
	if s.broken != nil {
		return 0, s.broken
	}
	for n < len(records) {
		more, err := s.frame(records[n:])
		if err != nil {
			return n, err
		}
		if s.end+int64(len(s.buf)) > s.size {
			return n, ErrFull
		}
		if err := s.write(s.buf, s.end); err != nil {
			return n, err
		}
		s.end += int64(len(s.buf))
		s.used.Store(s.end - dataStart)
		n += more
	}
	return n, nil
}

// frame puts as many records as fit into one frame in s.buf.
func (s *File) frame(records [][]byte) (n int, err error) {
	b := append(s.buf[:0], make([]byte, frameHead)...)
	for _, r := range records {
		if len(b)+recordHead+len(r) > maxFrame {
			break
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(len(r))) //nolint:gosec // bounded above
		b = append(b, r...)
		n++
	}
	if n == 0 {
		return 0, fmt.Errorf("a record of %d bytes is too long for the spool", len(records[0]))
	}
	length := len(b) - frameHead
	for len(b)%alignment != 0 {
		b = append(b, 0)
	}
	s.buf = b
	h := frameHeader{uint32(length), s.generation, uint64(s.end)} //nolint:gosec // both are positive and small
	h.put(b)
	return n, nil
}

func (s *File) write(b []byte, at int64) error {
	_, err := s.file.WriteAt(b, at)
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		s.broken = fmt.Errorf("write to the spool: %w", err)
	}
	return s.broken
}

// Reset forgets all records; it returns when that is flushed.
func (s *File) Reset() error {
	if s.broken != nil {
		return s.broken
	}
	next := s.generation + 1
	at := int64(0)
	if next%2 == 0 {
		at = secondSlot
	}
	if err := s.write(slot(next), at); err != nil {
		return err
	}
	s.generation, s.end = next, dataStart
	s.used.Store(0)
	return nil
}

// Used returns how many bytes the records take, also while another goroutine
// uses the file.
func (s *File) Used() int64 { return s.used.Load() }

// Close closes the file; its records stay.
func (s *File) Close() error { return s.file.Close() }
