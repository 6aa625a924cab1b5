package egress_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/egress"
)

func TestAddressesThatAreNeverCalled(t *testing.T) {
	t.Parallel()
	strict, dev := egress.NewDocuments(egress.DocumentOptions{}), egress.NewDocuments(egress.DocumentOptions{Loopback: true})
	for _, tt := range []struct {
		address     string
		strict, dev bool
	}{
		{"https://example.com/hook", true, true},
		{"https://example.com:8443/", true, true},
		{"https://93.184.216.34/", true, true},
		{"https://[2606:2800:220:1::1]/", true, true},
		{"http://example.com/", false, false},
		{"http://127.0.0.1:80/", false, true},
		{"https://localhost/", false, true},
		{"https://localhost./", false, true},
		{"https://a.localhost/", false, false},
		{"https://router/", false, false},
		{"https://10.1.2.3/", false, false},
		{"https://100.64.0.1/", false, false},
		{"https://169.254.169.254/", false, false},
		{"https://[::ffff:127.0.0.1]/", false, true},
		{"https://[fe80::1]/", false, false},
		{"https://2130706433/", false, false},
		{"https://0x7f000001/", false, false},
		{"https://127.1/", false, false},
		{"https://0177.0.0.1/", false, false},
		{"https://user@example.com/", false, false},
		{"https://example.com:0/", false, false},
		{"https:///", false, false},
		{"gopher://example.com/", false, false},
	} {
		if got := strict.Check(tt.address) == nil; got != tt.strict {
			t.Errorf("%s is allowed: %v", tt.address, got)
		}
		if got := dev.Check(tt.address) == nil; got != tt.dev {
			t.Errorf("in development %s is allowed: %v", tt.address, got)
		}
	}
}

func TestDeliverReturnsTheAnswerAndFollowsNothing(t *testing.T) {
	t.Parallel()
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		body, _ := io.ReadAll(r.Body)
		if string(body) != `{"a":1}` || r.Header.Get("X-Test") != "yes" || r.Method != http.MethodPost {
			t.Errorf("got %s %s %v", r.Method, body, r.Header)
		}
		http.Redirect(w, r, "/again", http.StatusTemporaryRedirect)
		_, _ = w.Write([]byte(strings.Repeat("x", 10_000)))
	}))
	d := egress.NewDocuments(egress.DocumentOptions{Loopback: true})
	got, err := d.Deliver(t.Context(), server.URL, map[string]string{"X-Test": "yes"}, []byte(`{"a":1}`), 100)
	if err != nil || got.Status != 307 || len(got.Body) != 100 || asked != 1 {
		t.Errorf("got %d with %d bytes after %d requests, %v", got.Status, len(got.Body), asked, err)
	}
	server.Close()
	if _, err := d.Deliver(t.Context(), server.URL, nil, nil, 100); !errors.Is(err, egress.ErrDocument) || strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("of a server that is gone: %v", err)
	}
}
