package consent

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/rephlo/rephlo/internal/fault"
)

// Bounds of the pictures of clients.
const (
	maxLogo    = 64 << 10 // bytes
	maxLogos   = 200
	logoKept   = 24 * time.Hour
	failedKept = 10 * time.Minute
	logoWait   = 5 * time.Second
)

// errNoLogo answers for a client without a picture that can be shown; the page
// has a letter in its place.
var errNoLogo = fault.New(fault.NotFound, "not_found", "There is no picture.")

// Logos are the pictures of clients, fetched through the guarded network and
// served from our origin, so that no client learns who looks at a page. It is
// safe for concurrent use.
type Logos struct {
	fetch  func(ctx context.Context, address string, limit int64) (mediaType string, image []byte, err error)
	now    func() time.Time
	flight singleflight.Group

	mu   sync.Mutex
	kept map[string]logo // guarded by mu, by address
}

type logo struct {
	mediaType string
	image     []byte // nil: it could not be fetched
	until     time.Time
}

// NewLogos returns Logos that fetch with fetch, which must not reach private
// addresses.
func NewLogos(fetch func(ctx context.Context, address string, limit int64) (string, []byte, error), now func() time.Time) *Logos {
	return &Logos{fetch: fetch, now: now, kept: map[string]logo{}}
}

// of returns the picture at an address, or errNoLogo.
func (l *Logos) of(ctx context.Context, address string) (logo, error) {
	l.mu.Lock()
	got, ok := l.kept[address]
	l.mu.Unlock()
	if !ok || !got.until.After(l.now()) {
		v, _, _ := l.flight.Do(address, func() (any, error) { return l.get(ctx, address), nil })
		got, _ = v.(logo)
	}
	if got.image == nil {
		return got, errNoLogo
	}
	return got, nil
}

// get fetches a picture for all that wait for it.
func (l *Logos) get(ctx context.Context, address string) logo {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logoWait)
	defer cancel()
	out := logo{until: l.now().Add(failedKept)}
	_, image, err := l.fetch(ctx, address, maxLogo)
	if media := http.DetectContentType(image); err == nil && slices.Contains([]string{"image/png", "image/jpeg", "image/webp"}, media) {
		out = logo{media, image, l.now().Add(logoKept)}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.kept) >= maxLogos {
		clear(l.kept)
	}
	l.kept[address] = out
	return out
}

// logo shows the picture of the client that an interaction of this browser is
// about.
func (a API) logo(w http.ResponseWriter, r *http.Request) error {
	_, c, err := a.Authorize.Open(r)
	if err != nil {
		return err
	}
	if !c.Shows() {
		return errNoLogo
	}
	got, err := a.Logos.of(r.Context(), c.Logo)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", got.mediaType)
	h.Set("Content-Length", strconv.Itoa(len(got.image)))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	_, _ = w.Write(got.image) // a browser that left is not our error
	return nil
}
