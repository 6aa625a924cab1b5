package throttle_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/throttle"
)

func TestLimits(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	limit := throttle.New(func() time.Time { return now }, time.Hour, false)
	take := func(key string) bool {
		_, wait := limit.Take(key, 5)
		return wait == 0
	}
	for range 5 {
		if !take("a") {
			t.Fatal("refused within the limit")
		}
	}
	if take("a") || !take("b") {
		t.Error("the limit is not per key")
	}
	now = now.Add(time.Hour)
	if !take("a") {
		t.Error("refused after the window")
	}
	limit.SetHalf(100)
	for i := range 10_000 {
		take(fmt.Sprint(i))
	}
	if got := limit.Size(); got > 200 {
		t.Errorf("remembers %d keys, want at most 200", got)
	}
	for address, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3::4": "2001:db8:1:2::/64",
		"127.0.0.1": "", "::1": "", "nonsense": "",
	} {
		if got := throttle.Network(address); got != want {
			t.Errorf("network of %s: %q, want %q", address, got, want)
		}
	}
}
