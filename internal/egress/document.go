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
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Bounds of a document from a stranger's address.
const (
	documentTime = 5 * time.Second
	postTime     = 10 * time.Second // a receiver of a message may have to do something
	documentSize = 64 << 10
)

// Documents fetches small public documents from addresses that strangers name:
// over https, from public addresses only, which are checked when the connection
// is made, after the name was resolved. Redirects are not followed and no
// credential is sent. It is safe for concurrent use.
type Documents struct {
	client   *http.Client
	loopback bool
}

// DocumentOptions of Documents. The zero value is good.
type DocumentOptions struct {
	RootCAs *x509.CertPool // nil: the system's
	// Loopback allows http and the addresses of this machine: for development.
	Loopback bool
}

// NewDocuments returns a Documents.
func NewDocuments(o DocumentOptions) *Documents {
	dialer := &net.Dialer{Timeout: documentTime, Control: publicOnly(o.Loopback)}
	transport := &http.Transport{
		DialContext: dialer.DialContext, ForceAttemptHTTP2: true, DisableKeepAlives: true, DisableCompression: true,
		TLSHandshakeTimeout: documentTime, ResponseHeaderTimeout: postTime, MaxResponseHeaderBytes: 16 << 10,
	}
	if o.RootCAs != nil {
		transport.TLSClientConfig = &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12}
	}
	return &Documents{loopback: o.Loopback, client: &http.Client{
		Transport: transport, Timeout: postTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Document is what was fetched.
type Document struct {
	Body []byte
	// MaxAge is how long the server lets it be kept; 0 when it does not say, or
	// not at all.
	MaxAge time.Duration
}

// ErrDocument says that a document could not be fetched, and why in words that
// may be shown.
var ErrDocument = errors.New("document")

func badDocument(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDocument, fmt.Sprintf(format, args...))
}

// Fetch returns a JSON document.
func (d *Documents) Fetch(ctx context.Context, address string) (Document, error) {
	if !d.allows(address) {
		return Document{}, badDocument("the address must begin with https")
	}
	ctx, cancel := context.WithTimeout(ctx, documentTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return Document{}, badDocument("the address is not valid")
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "Rephlo")
	res, err := d.client.Do(r)
	if err != nil {
		return Document{}, fmt.Errorf("%w: the server does not answer: %w", ErrDocument, err)
	}
	defer res.Body.Close()
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch {
	case res.StatusCode != http.StatusOK:
		return Document{}, badDocument("the server answers %d", res.StatusCode)
	case !isJSON(media):
		return Document{}, badDocument("the content type is not application/json")
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, documentSize+1))
	switch {
	case err != nil:
		return Document{}, fmt.Errorf("%w: the answer ends too early: %w", ErrDocument, err)
	case len(body) > documentSize:
		return Document{}, badDocument("it is longer than %d KiB", documentSize>>10)
	}
	return Document{Body: body, MaxAge: maxAge(res.Header.Get("Cache-Control"))}, nil
}

// Post sends a form to an address as guarded as Fetch's, and succeeds with 200
// or 204. The answer's body is not read.
func (d *Documents) Post(ctx context.Context, address string, form url.Values) error {
	if !d.allows(address) {
		return badDocument("the address must begin with https")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return badDocument("the address is not valid")
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("User-Agent", "Rephlo")
	res, err := d.client.Do(r)
	if err != nil {
		return fmt.Errorf("%w: the server does not answer: %w", ErrDocument, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusNoContent {
		return badDocument("the server answers %d", res.StatusCode)
	}
	return nil
}

// allows reports whether an address may be tried at all.
func (d *Documents) allows(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	return u.Scheme == "https" || d.loopback && u.Scheme == "http" && local(u.Hostname())
}

func isJSON(media string) bool {
	return media == "application/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
}

func local(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// maxAge reads a Cache-Control header.
func maxAge(header string) time.Duration {
	var age time.Duration
	for part := range strings.SplitSeq(strings.ToLower(header), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			if n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				age = time.Duration(n) * time.Second
			}
		}
	}
	return age
}
