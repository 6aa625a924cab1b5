package consent_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/identity/consent"
)

// A picture is fetched once a day, bounded, and shown only when it is one of
// three kinds, whatever its server says: an SVG can hold a script. What cannot be
// fetched is not asked for at every page.
func TestLogosAreFetchedSeldomAndChecked(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	asked := map[string]int{}
	pictures := map[string]string{
		"https://a.test/png": "\x89PNG\r\n\x1a\n", "https://a.test/svg": `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`,
		"https://a.test/webp": "RIFF\x00\x00\x00\x00WEBPVP8 ",
	}
	l := consent.NewLogos(func(_ context.Context, address string, limit int64) (string, []byte, error) {
		asked[address]++
		if limit != 64<<10 {
			t.Errorf("limit %d", limit)
		}
		if p, ok := pictures[address]; ok {
			return "image/png", []byte(p), nil
		}
		return "", nil, errors.New("gone")
	}, func() time.Time { return now })
	for address, media := range map[string]string{"https://a.test/png": "image/png", "https://a.test/webp": "image/webp", "https://a.test/svg": "", "https://a.test/gone": ""} {
		for range 3 {
			if got, err := l.Of(t.Context(), address); got != media || (err == nil) != (media != "") {
				t.Errorf("%s: %q, %v", address, got, err)
			}
		}
		if asked[address] != 1 {
			t.Errorf("%s was asked for %d times", address, asked[address])
		}
	}
	now = now.Add(time.Hour)
	_, _ = l.Of(t.Context(), "https://a.test/png")
	_, _ = l.Of(t.Context(), "https://a.test/gone")
	if asked["https://a.test/png"] != 1 || asked["https://a.test/gone"] != 2 {
		t.Errorf("after an hour: %v", asked)
	}
	now = now.Add(24 * time.Hour)
	if _, _ = l.Of(t.Context(), "https://a.test/png"); asked["https://a.test/png"] != 2 {
		t.Errorf("after a day: %v", asked)
	}
}
