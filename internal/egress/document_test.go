package egress_test

import (
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rephlo/rephlo/internal/egress"
)

// Addresses that strangers name lead to the public network or nowhere.
func TestDocumentsOfPrivateAddressesAreNotFetched(t *testing.T) {
	t.Parallel()
	asked := false
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	d := egress.NewDocuments(egress.DocumentOptions{RootCAs: roots})
	port := s.URL[strings.LastIndexByte(s.URL, ':'):]
	for _, host := range []string{
		"127.0.0.1" + port, "localhost" + port, "[::1]" + port, "[::ffff:127.0.0.1]" + port, "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254",
		"100.64.0.1", "0.0.0.0" + port, "[fe80::1]", "[fc00::1]", "[64:ff9b::7f00:1]", "2130706433" + port, "0x7f.1" + port, "[fd00:ec2::254]", "224.0.0.1",
	} {
		if _, err := d.Fetch(t.Context(), "https://"+host+"/client.json"); !errors.Is(err, egress.ErrDocument) {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, address := range []string{"http://example.com/x", "file:///etc/passwd", "gopher://x/", "https://a:b@example.com/", "https:///x", "ftp://x/", ""} {
		if _, err := d.Fetch(t.Context(), address); !errors.Is(err, egress.ErrDocument) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if asked {
		t.Error("a private address was asked")
	}
}

func TestDocumentsAreSmallAndPlain(t *testing.T) {
	t.Parallel()
	m := http.NewServeMux()
	answer := func(path, media, body string, header ...string) {
		m.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", media)
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			_, _ = w.Write([]byte(body))
		})
	}
	answer("/good", "application/json; charset=utf-8", "{}", "Cache-Control", "public, Max-Age=60")
	answer("/kind", "application/oauth+json", "{}", "Cache-Control", "no-store, max-age=60")
	answer("/html", "text/html", "{}")
	answer("/large", "application/json", strings.Repeat(" ", 65<<10))
	m.Handle("/away", http.RedirectHandler("/good", http.StatusFound))
	m.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("{"))
	})
	s := httptest.NewServer(m)
	defer s.Close()
	d := egress.NewDocuments(egress.DocumentOptions{Loopback: true})
	for path, age := range map[string]time.Duration{"/good": time.Minute, "/kind": 0} {
		if doc, err := d.Fetch(t.Context(), s.URL+path); err != nil || string(doc.Body) != "{}" || doc.MaxAge != age {
			t.Errorf("%s: %+v, %v", path, doc, err)
		}
	}
	for _, path := range []string{"/html", "/large", "/away", "/cut", "/nothing"} {
		if _, err := d.Fetch(t.Context(), s.URL+path); !errors.Is(err, egress.ErrDocument) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
