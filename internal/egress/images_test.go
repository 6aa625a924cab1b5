package egress_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/egress"
)

// imageServer answers as its paths say, and counts who connects.
func imageServer(t *testing.T) (at string, roots *x509.CertPool, connections *atomic.Int64) {
	t.Helper()
	connections = &atomic.Int64{}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("User-Agent") != "Rephlo" || r.Header.Get("Cookie") != "" || r.Header.Get("Authorization") != "" || r.Header.Get("Referer") != "" {
			t.Errorf("it was asked with %v", r.Header)
		}
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		w.Header().Set("Content-Type", "image/png")
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/good", http.StatusFound)
		case "/page":
			w.Header().Set("Content-Type", "text/html")
		case "/missing":
			w.WriteHeader(http.StatusNotFound)
		case "/large":
			for range 40 {
				_, _ = w.Write(make([]byte, 1000)) // without a length
			}
		case "/stated":
			w.Header().Set("Content-Length", "40000")
		case "/cut":
			w.Header().Set("Content-Length", "10")
			_, _ = w.Write([]byte("abc"))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "/slow":
			<-r.Context().Done()
		default:
			_, _ = fmt.Fprint(w, "the image")
		}
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	roots = x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s.URL, roots, connections
}

func TestAnImageIsFetchedWithinItsBounds(t *testing.T) {
	t.Parallel()
	at, roots, _ := imageServer(t)
	f := egress.NewImages(egress.ImageOptions{RootCAs: roots, Loopback: true})
	for range 2 { // no cookie is sent back
		kind, image, err := f.Fetch(t.Context(), at+"/good", 20_000)
		if err != nil || kind != "image/png" || string(image) != "the image" {
			t.Errorf("%q %q %v", kind, image, err)
		}
	}
	for path, why := range map[string]string{
		"/moved": "answers 302", "/page": "no image", "/missing": "answers 404", "/large": "larger", "/stated": "larger", "/cut": "too early",
	} {
		if _, _, err := f.Fetch(t.Context(), at+path, 20_000); !errors.Is(err, egress.ErrImage) || !strings.Contains(err.Error(), why) || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%s: %v, want %s", path, err, why)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := f.Fetch(ctx, at+"/slow", 20_000); err == nil {
		t.Error("one that never comes was fetched")
	}
}

// Whatever leads to a private address is refused before a connection is made
// (GW-69). The names resolve to this machine.
func TestNoImageIsFetchedFromPrivateAddresses(t *testing.T) {
	t.Parallel()
	at, roots, connections := imageServer(t)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(at, "https://"))
	f := egress.NewImages(egress.ImageOptions{RootCAs: roots})
	f.AnyPort()
	for _, host := range []string{
		"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "2130706433", "0x7f000001", "017700000001", "127.1",
		"0.0.0.0", "[::]", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "169.254.169.254", "[fd00:ec2::254]", "[fe80::1]", "224.0.0.1", "240.0.0.1",
	} {
		if _, _, err := f.Fetch(t.Context(), "https://"+host+":"+port+"/good", 1000); err == nil {
			t.Errorf("%s was fetched", host)
		}
	}
	strict := egress.NewImages(egress.ImageOptions{RootCAs: roots})
	for _, address := range []string{at + "/good", "http://example.com/a.png", "https://user:pass@example.com/a.png", "ftp://example.com/", "https:///a.png", "//example.com", "file:///etc/passwd", "https://example.com:8443/", "%"} {
		if _, _, err := strict.Fetch(t.Context(), address, 1000); !errors.Is(err, egress.ErrImage) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

// FuzzImageAddress: what may be tried is https to a host, without a user.
func FuzzImageAddress(f *testing.F) {
	for _, address := range []string{"https://example.com/a.png", "https://a@b/", "HTTPS://[::1]:443/", "https://a:443:443", "https://%31/"} {
		f.Add(address)
	}
	images := egress.NewImages(egress.ImageOptions{})
	f.Fuzz(func(t *testing.T, address string) {
		if !images.Allows(address) {
			return
		}
		r, err := http.NewRequest(http.MethodGet, address, nil)
		if err != nil {
			return // it is not tried then
		}
		if r.URL.Scheme != "https" || r.URL.User != nil || r.URL.Hostname() == "" || r.URL.Port() != "" && r.URL.Port() != "443" {
			t.Errorf("%q may be tried", address)
		}
	})
}
