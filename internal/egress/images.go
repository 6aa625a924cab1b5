package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Bounds of an image from a caller's address.
const (
	imageConnect = 3 * time.Second
	imageTime    = 10 * time.Second
	imagesAtOnce = 32 // of this process
)

// Images fetches images from addresses that callers name, as Documents fetches
// documents: over https and port 443, from public addresses only, which are
// checked when the connection is made, so that a name cannot lead elsewhere
// meanwhile. It follows no redirect and sends neither cookies nor a credential.
// At most 32 are fetched at a time; others wait. It is safe for concurrent use.
type Images struct {
	client *http.Client
	own    bool
	places chan struct{}
}

// ImageOptions of Images. The zero value is good.
type ImageOptions struct {
	RootCAs *x509.CertPool // nil: the system's
	// Loopback allows this machine, on any port: for tests.
	Loopback bool
}

// NewImages returns an Images.
func NewImages(o ImageOptions) *Images {
	dialer := &net.Dialer{Timeout: imageConnect, Control: publicOnly(o.Loopback)}
	return &Images{own: o.Loopback, places: make(chan struct{}, imagesAtOnce), client: &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, DisableKeepAlives: true, DisableCompression: true, TLSHandshakeTimeout: imageConnect,
			MaxResponseHeaderBytes: 16 << 10, TLSClientConfig: &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// ErrImage says that an image could not be fetched, and why in words that may be
// shown.
var ErrImage = errors.New("image")

func badImage(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrImage, fmt.Sprintf(format, args...))
}

// Fetch returns an image of at most limit bytes and the media type that its
// server states. Who else asks for one waits until there is a place or ctx ends.
func (f *Images) Fetch(ctx context.Context, address string, limit int64) (mediaType string, image []byte, err error) {
	if !f.allows(address) {
		return "", nil, badImage("its address must begin with https:// and name no port and no user")
	}
	select {
	case f.places <- struct{}{}:
		defer func() { <-f.places }()
	case <-ctx.Done():
		return "", nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, imageTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", nil, badImage("its address is not valid")
	}
	r.Header.Set("Accept", "image/*")
	r.Header.Set("User-Agent", "Rephlo")
	res, err := f.client.Do(r)
	if err != nil { // its text has addresses, so it is not passed on
		return "", nil, fmt.Errorf("%w: its server cannot be reached", ErrImage)
	}
	defer res.Body.Close()
	mediaType, _, _ = mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch {
	case res.StatusCode != http.StatusOK:
		return "", nil, badImage("its server answers %d", res.StatusCode)
	case !strings.HasPrefix(mediaType, "image/"):
		return "", nil, badImage("its server says that it is no image")
	case res.ContentLength > limit:
		return "", nil, badImage("it is larger than %d MiB", limit>>20)
	}
	image, err = io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case err != nil:
		return "", nil, badImage("it ends too early")
	case int64(len(image)) > limit:
		return "", nil, badImage("it is larger than %d MiB", limit>>20)
	}
	return mediaType, image, nil
}

// allows reports whether an address may be tried at all.
func (f *Images) allows(address string) bool {
	u, err := url.Parse(address)
	return err == nil && strings.EqualFold(u.Scheme, "https") && u.Hostname() != "" && u.User == nil && (u.Port() == "" || u.Port() == "443" || f.own)
}
