package spool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testSize = 1 << 20

func texts(records [][]byte) []string {
	var out []string
	for _, r := range records {
		out = append(out, string(r))
	}
	return out
}

func open(t *testing.T, path string, want ...string) *File {
	t.Helper()
	f, records, err := Open(path, testSize)
	if err != nil {
		t.Fatal(err)
	}
	if got := texts(records); !slices.Equal(got, want) {
		t.Fatalf("records %q, want %q", got, want)
	}
	return f
}

func (s *File) add(t *testing.T, records ...string) {
	t.Helper()
	var all [][]byte
	for _, r := range records {
		all = append(all, []byte(r))
	}
	if n, err := s.Append(all); err != nil || n != len(all) {
		t.Fatal(n, err)
	}
}

func TestRecordsStayUntilReset(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "spool")
	f := open(t, path)
	if f.Used() != 0 {
		t.Errorf("%d bytes used of a new spool", f.Used())
	}
	f.add(t, "one", "two")
	f.add(t, "", "three")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() != testSize || info.Mode().Perm() != 0o600 {
		t.Errorf("size %d, mode %v, %v", info.Size(), info.Mode(), err)
	}
	f = open(t, path, "one", "two", "", "three")
	f.add(t, "four")
	if f.Used() == 0 {
		t.Error("nothing is said to be used")
	}
	if err := f.Reset(); err != nil || f.Used() != 0 {
		t.Fatal(err, f.Used())
	}
	f.add(t, "five")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f = open(t, path, "five")
	for range 3 { // both slots of the header
		if err := f.Reset(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		f = open(t, path)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAFullSpoolTakesNothingAndKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "spool")
	f := open(t, path)
	block := strings.Repeat("x", 100<<10)
	n := 0
	for ; ; n++ {
		if _, err := f.Append([][]byte{[]byte(block)}); err != nil {
			if !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			break
		}
	}
	if n != 10 {
		t.Errorf("%d blocks fit, want 10", n)
	}
	f.add(t, "small")
	if _, err := f.Append([][]byte{make([]byte, maxFrame)}); err == nil || errors.Is(err, ErrFull) {
		t.Errorf("a record that is too long: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	again, records, err := Open(path, 0)
	if err != nil || len(records) != n+1 || string(records[n]) != "small" {
		t.Fatalf("%d records, %v", len(records), err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

// Of more than fits, the first part is kept.
func TestAnAppendThatFitsInPart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "spool")
	f, _, err := Open(path, 2*testSize)
	if err != nil {
		t.Fatal(err)
	}
	records := make([][]byte, 30)
	for i := range records {
		records[i] = make([]byte, 100<<10)
	}
	n, err := f.Append(records)
	if !errors.Is(err, ErrFull) || n != 20 {
		t.Errorf("%d records were taken, %v; want two frames of 10 and ErrFull", n, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f, kept, err := Open(path, 0)
	if err != nil || len(kept) != n {
		t.Fatalf("%d records are kept, %v", len(kept), err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// A crash in the middle of a write leaves any part of it.
func TestATornTailIsCut(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "spool")
	f := open(t, path)
	f.add(t, "one", "two")
	keep := f.end
	f.add(t, "three is longer than eight bytes")
	last := f.end
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	end := keep + frameHead + recordHead + int64(len("three is longer than eight bytes"))
	for cut := keep; cut < end; cut++ {
		torn := slices.Clone(whole)
		clear(torn[cut:])
		if err := os.WriteFile(path, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		f := open(t, path, "one", "two")
		if f.end != keep {
			t.Fatalf("cut at %d: the next frame goes to %d, want %d", cut, f.end, keep)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if last <= keep {
		t.Fatal("the last frame has no length")
	}
	f = open(t, path, "one", "two")
	f.add(t, "four")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, path, "one", "two", "four").Close(); err != nil {
		t.Fatal(err)
	}
}

// Every byte of a frame that is not the last is guarded.
func TestDamageInTheMiddleIsReported(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "spool")
	f := open(t, path)
	f.add(t, "one")
	middle := f.end
	f.add(t, "two")
	after := f.end
	f.add(t, "three")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := middle; at < middle+frameHead+recordHead+3; at++ {
		if at >= middle+28 && at < middle+frameHead {
			continue // always zero, and read by nobody
		}
		bad := slices.Clone(whole)
		bad[at] ^= 0x40
		_, err := parse(bytes.NewReader(bad), int64(len(bad)))
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), fmt.Sprintf("byte %d", middle)) || !strings.Contains(err.Error(), fmt.Sprintf("byte %d", after)) {
			t.Fatalf("byte %d flipped: %v, want ErrDamaged that names %d and %d", at, err, middle, after)
		}
	}
	bad := slices.Clone(whole)
	bad[3]++
	clear(bad[secondSlot : secondSlot+slotSize])
	if _, err := parse(bytes.NewReader(bad), int64(len(bad))); !errors.Is(err, ErrDamaged) {
		t.Errorf("without a header: %v, want ErrDamaged", err)
	}
}

func FuzzParse(f *testing.F) {
	path := filepath.Join(f.TempDir(), "spool")
	s, _, err := Open(path, minimumSize)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := s.Append([][]byte{[]byte("one"), []byte("two")}); err != nil {
		f.Fatal(err)
	}
	if _, err := s.Append([][]byte{[]byte("three")}); err != nil {
		f.Fatal(err)
	}
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	data := whole[dataStart:s.end]
	f.Add(data, uint64(1))
	f.Add(data[:len(data)-3], uint64(1))
	f.Add(data, uint64(2))
	f.Fuzz(func(t *testing.T, data []byte, generation uint64) {
		image := make([]byte, minimumSize)
		copy(image, slot(generation))
		image = append(image[:dataStart], data...)
		c, err := parse(bytes.NewReader(image), int64(len(image)))
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		if c.end < dataStart || c.end > int64(len(image))+alignment || c.generation != generation {
			t.Fatalf("end %d of %d, generation %d", c.end, len(image), c.generation)
		}
		total := 0
		for _, r := range c.records {
			total += len(r) + recordHead
		}
		if total > len(data) {
			t.Fatalf("%d bytes of records from %d bytes", total, len(data))
		}
	})
}
