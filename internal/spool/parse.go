package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// content is what a file holds.
type content struct {
	generation uint64 // 0: there is no header yet
	records    [][]byte
	end        int64
}

// frameHeader is the head of a frame.
type frameHeader struct {
	length            uint32
	generation, place uint64
}

// put writes h before the records in b, and the check sum of all.
func (h frameHeader) put(b []byte) {
	binary.LittleEndian.PutUint32(b, frameMagic)
	binary.LittleEndian.PutUint32(b[4:], h.length)
	binary.LittleEndian.PutUint64(b[8:], h.generation)
	binary.LittleEndian.PutUint64(b[16:], h.place)
	binary.LittleEndian.PutUint32(b[28:], 0)
	binary.LittleEndian.PutUint32(b[24:], frameSum(b[:frameHead+h.length]))
}

// frameSum is the check sum of a frame: of its head before the sum, and of
// its records.
func frameSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:24], castagnoli), castagnoli, b[frameHead:])
}

// slot is the header of a generation.
func slot(generation uint64) []byte {
	b := make([]byte, slotSize)
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[8:], version)
	binary.LittleEndian.PutUint64(b[16:], generation)
	binary.LittleEndian.PutUint32(b[24:], crc32.Checksum(b[:24], castagnoli))
	return b
}

// readSlot returns the generation of the header at, or 0 when it is not valid,
// and whether something is there.
func readSlot(r io.ReaderAt, at int64) (generation uint64, there bool, err error) {
	b := make([]byte, slotSize)
	if _, err := r.ReadAt(b, at); err != nil {
		return 0, false, err
	}
	if string(b[:8]) != magic || binary.LittleEndian.Uint32(b[24:]) != crc32.Checksum(b[:24], castagnoli) {
		for _, c := range b {
			there = there || c != 0
		}
		return 0, there, nil
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != version {
		return 0, true, fmt.Errorf("it has version %d and this program knows %d; start the program that wrote it", v, version)
	}
	return binary.LittleEndian.Uint64(b[16:]), true, nil
}

// parse reads a spool of size bytes.
func parse(r io.ReaderAt, size int64) (content, error) {
	first, there, err := readSlot(r, 0)
	if err != nil {
		return content{}, err
	}
	second, alsoThere, err := readSlot(r, secondSlot)
	if err != nil {
		return content{}, err
	}
	c := content{generation: max(first, second), end: dataStart}
	if c.generation == 0 {
		if there || alsoThere {
			return content{}, fmt.Errorf("%w: it has no valid header", ErrDamaged)
		}
		return c, nil
	}
	for {
		payload, next, err := readFrame(r, size, c.end, c.generation)
		if err != nil {
			return content{}, err
		}
		if payload == nil {
			break
		}
		records, err := split(payload)
		if err != nil {
			return content{}, fmt.Errorf("%w: the frame at byte %d is valid, but %w", ErrDamaged, c.end, err)
		}
		c.records = append(c.records, records...)
		c.end = next
	}
	at, err := findFrame(r, size, c.end+alignment, c.generation)
	if err != nil {
		return content{}, err
	}
	if at > 0 {
		return content{}, fmt.Errorf("%w: nothing valid at byte %d, but more at byte %d", ErrDamaged, c.end, at)
	}
	return c, nil
}

// readFrame returns the records of the frame at, as they are written, and where
// the next one begins; nil when there is no valid frame.
func readFrame(r io.ReaderAt, size, at int64, generation uint64) (payload []byte, next int64, err error) {
	if at+frameHead > size {
		return nil, 0, nil
	}
	var head [frameHead]byte
	if _, err := r.ReadAt(head[:], at); err != nil {
		return nil, 0, err
	}
	h := frameHeader{binary.LittleEndian.Uint32(head[4:]), binary.LittleEndian.Uint64(head[8:]), binary.LittleEndian.Uint64(head[16:])}
	length := int64(h.length)
	if binary.LittleEndian.Uint32(head[:]) != frameMagic || h.generation != generation || h.place != uint64(at) || //nolint:gosec // at is positive
		length == 0 || length > maxFrame-frameHead || at+frameHead+length > size {
		return nil, 0, nil
	}
	b := make([]byte, frameHead+length)
	if _, err := r.ReadAt(b, at); err != nil {
		return nil, 0, err
	}
	if binary.LittleEndian.Uint32(b[24:]) != frameSum(b) {
		return nil, 0, nil
	}
	return b[frameHead:], (at + frameHead + length + alignment - 1) / alignment * alignment, nil
}

// findFrame returns the place of the first valid frame from at on, or 0.
func findFrame(r io.ReaderAt, size, at int64, generation uint64) (int64, error) {
	window := make([]byte, 1<<20)
	for ; at+frameHead <= size; at += int64(len(window)) {
		n, err := r.ReadAt(window[:min(int64(len(window)), size-at)], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		for i := 0; i+4 <= n; i += alignment {
			if binary.LittleEndian.Uint32(window[i:]) != frameMagic {
				continue
			}
			payload, _, err := readFrame(r, size, at+int64(i), generation)
			if err != nil {
				return 0, err
			}
			if payload != nil {
				return at + int64(i), nil
			}
		}
	}
	return 0, nil
}

// split takes the records of a frame apart.
func split(payload []byte) ([][]byte, error) {
	var out [][]byte
	for len(payload) > 0 {
		if len(payload) < recordHead {
			return nil, errors.New("it ends in the middle of a record")
		}
		n := int64(binary.LittleEndian.Uint32(payload))
		if n > int64(len(payload)-recordHead) {
			return nil, errors.New("a record is longer than it")
		}
		out = append(out, payload[recordHead:recordHead+n:recordHead+n])
		payload = payload[recordHead+n:]
	}
	return out, nil
}
