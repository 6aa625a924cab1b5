package cache_test

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/cache"
	"github.com/rephlo/rephlo/internal/cache/redistest"
	"github.com/rephlo/rephlo/internal/seal"
)

func box(t *testing.T, key byte) *seal.Box {
	t.Helper()
	b, err := seal.NewBox(bytes.Repeat([]byte{key}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWhatIsKeptEndsWithItsTime(t *testing.T) {
	t.Parallel()
	now := time.Now()
	k := cache.NewKept(cache.KeptNeeds{Now: func() time.Time { return now }, Limit: 1 << 20})
	k.Put(t.Context(), cache.KeptKey{1}, []byte("one"), time.Minute)
	now = now.Add(time.Minute - time.Microsecond)
	if got, ok := k.Get(t.Context(), cache.KeptKey{1}); !ok || string(got) != "one" {
		t.Errorf("before its end: %q, %v", got, ok)
	}
	now = now.Add(time.Microsecond)
	if _, ok := k.Get(t.Context(), cache.KeptKey{1}); ok || k.Size() != 0 {
		t.Errorf("after its end: %v, %d bytes are taken", ok, k.Size())
	}
}

func TestMemoryIsBoundedAndWhatIsUsedStays(t *testing.T) {
	t.Parallel()
	const limit = 100_000
	k := cache.NewKept(cache.KeptNeeds{Now: time.Now, Limit: limit})
	for i := range byte(200) {
		k.Put(t.Context(), cache.KeptKey{i}, make([]byte, 1000), time.Hour)
		if _, ok := k.Get(t.Context(), cache.KeptKey{0}); !ok {
			t.Fatalf("after %d the one that is used all the time is gone", i)
		}
		if size := k.Size(); size > limit {
			t.Fatalf("%d bytes, at most %d", size, limit)
		}
	}
	k.Put(t.Context(), cache.KeptKey{201}, make([]byte, limit), time.Hour)
	if _, ok := k.Get(t.Context(), cache.KeptKey{201}); ok || k.Size() < limit/2 {
		t.Errorf("one that is too large was kept: %v, or took the place of the others: %d bytes", ok, k.Size())
	}
	k.Put(t.Context(), cache.KeptKey{0}, []byte("new"), time.Hour)
	if got, _ := k.Get(t.Context(), cache.KeptKey{0}); string(got) != "new" {
		t.Errorf("after it was put again: %q", got)
	}
}

func TestProcessesShareWhatIsKeptAndRedisCannotReadIt(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t).URL
	process := func(key byte) *cache.Kept {
		r, err := cache.OpenPatiently(url, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Close() })
		return cache.NewKept(cache.KeptNeeds{Now: time.Now, Redis: r, Box: box(t, key), Limit: 1 << 20})
	}
	one, two, stranger := process(1), process(1), process(2)
	one.Put(t.Context(), cache.KeptKey{7}, []byte("a secret answer"), time.Hour)
	for range 2 {
		if got, ok := two.Get(t.Context(), cache.KeptKey{7}); !ok || string(got) != "a secret answer" {
			t.Fatalf("another process has %q, %v", got, ok)
		}
	}
	if got, ok := stranger.Get(t.Context(), cache.KeptKey{7}); ok {
		t.Errorf("one with another master key reads %q", got)
	}
	if got, ok := two.Get(t.Context(), cache.KeptKey{8}); ok {
		t.Errorf("another key has %q", got)
	}
}

func TestWithoutRedisEachProcessKeepsForItself(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	r, err := cache.OpenRedis(server.URL, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	k := cache.NewKept(cache.KeptNeeds{Now: time.Now, Redis: r, Box: box(t, 1), Limit: 1 << 20})
	server.Kill(t)
	k.Put(t.Context(), cache.KeptKey{1}, []byte("one"), time.Hour)
	if got, ok := k.Get(t.Context(), cache.KeptKey{1}); !ok || string(got) != "one" {
		t.Errorf("memory has %q, %v", got, ok)
	}
	if _, ok := k.Get(t.Context(), cache.KeptKey{2}); ok || r.Up() {
		t.Errorf("Redis that is gone gave something: %v, or seems to be there: %v", ok, r.Up())
	}
}
