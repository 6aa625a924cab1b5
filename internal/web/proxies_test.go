package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/rephlo/rephlo/internal/web"
)

func trusted(standard bool, networks ...string) web.Proxies {
	p := web.Proxies{Standard: standard}
	for _, n := range networks {
		p.Networks = append(p.Networks, netip.MustParsePrefix(n))
	}
	return p
}

func from(peer string, header http.Header) *http.Request {
	return &http.Request{RemoteAddr: peer, Header: header}
}

// The client is the rightmost address that is no trusted proxy, whatever
// clients write themselves.
func TestOnlyTrustedProxiesAreBelieved(t *testing.T) {
	t.Parallel()
	const proxies = "10.0.0.0/8"
	for _, tt := range []struct {
		name, peer string
		x          []string // lines of X-Forwarded-For
		forwarded  []string
		standard   bool
		want       string
	}{
		{name: "nobody is believed who is not listed", peer: "192.0.2.1:4", x: []string{"198.51.100.9"}, want: "192.0.2.1"},
		{name: "a proxy", peer: "10.0.0.1:4", x: []string{"198.51.100.9"}, want: "198.51.100.9"},
		{name: "a chain of proxies", peer: "10.0.0.1:4", x: []string{"198.51.100.9, 10.1.1.1,10.2.2.2"}, want: "198.51.100.9"},
		{name: "what the client wrote stands left", peer: "10.0.0.1:4", x: []string{"10.9.9.9, 127.0.0.1, 198.51.100.9"}, want: "198.51.100.9"},
		{name: "lines are one list", peer: "10.0.0.1:4", x: []string{"203.0.113.5", "198.51.100.9"}, want: "198.51.100.9"},
		{name: "a stranger between proxies ends the chain", peer: "10.0.0.1:4", x: []string{"203.0.113.5, 198.51.100.9, 10.1.1.1"}, want: "198.51.100.9"},
		{name: "no header", peer: "10.0.0.1:4", want: "10.0.0.1"},
		{name: "all are proxies", peer: "10.0.0.1:4", x: []string{"10.1.1.1, 10.2.2.2"}, want: "10.1.1.1"},
		{name: "no address", peer: "10.0.0.1:4", x: []string{"198.51.100.9, unknown"}, want: "10.0.0.1"},
		{name: "no address further left", peer: "10.0.0.1:4", x: []string{"198.51.100.9, , 10.3.3.3"}, want: "10.3.3.3"},
		{name: "with a port", peer: "10.0.0.1:4", x: []string{"198.51.100.9:5000"}, want: "198.51.100.9"},
		{name: "IPv6", peer: "10.0.0.1:4", x: []string{"2001:db8::7"}, want: "2001:db8::7"},
		{name: "IPv6 in brackets", peer: "10.0.0.1:4", x: []string{"[2001:db8::7]:80"}, want: "2001:db8::7"},
		{name: "IPv4 in IPv6 is IPv4", peer: "[::ffff:10.0.0.1]:4", x: []string{"::ffff:198.51.100.9"}, want: "198.51.100.9"},
		{name: "a zone is not part of it", peer: "10.0.0.1:4", x: []string{"fe80::1%eth0"}, want: "fe80::1"},
		{name: "the other header is the client's", peer: "10.0.0.1:4", x: []string{"198.51.100.9"}, forwarded: []string{"for=203.0.113.5"}, want: "198.51.100.9"},
		{name: "and the other way round", peer: "10.0.0.1:4", x: []string{"203.0.113.5"}, forwarded: []string{"for=198.51.100.9"}, standard: true, want: "198.51.100.9"},
		{name: "Forwarded", peer: "10.0.0.1:4", forwarded: []string{`proto=https;For="198.51.100.9:4711";by=10.0.0.2, for=10.0.0.3`}, standard: true, want: "198.51.100.9"},
		{name: "Forwarded with IPv6", peer: "10.0.0.1:4", forwarded: []string{`for="[2001:db8::7]:4711"`}, standard: true, want: "2001:db8::7"},
		{name: "a comma in quotes", peer: "10.0.0.1:4", forwarded: []string{`for=198.51.100.9;ext="a, for=203.0.113.5"`}, standard: true, want: "198.51.100.9"},
		{name: "an escaped quote", peer: "10.0.0.1:4", forwarded: []string{`for=198.51.100.9;ext="a\", for=203.0.113.5"`}, standard: true, want: "198.51.100.9"},
		{name: "a quote that does not end", peer: "10.0.0.1:4", forwarded: []string{`for="198.51.100.9`}, standard: true, want: "10.0.0.1"},
		{name: "an obfuscated node", peer: "10.0.0.1:4", forwarded: []string{`for=203.0.113.5, for=_hidden`}, standard: true, want: "10.0.0.1"},
		{name: "two for in one element", peer: "10.0.0.1:4", forwarded: []string{`for=203.0.113.5;for=198.51.100.9`}, standard: true, want: "10.0.0.1"},
		{name: "an element without for", peer: "10.0.0.1:4", forwarded: []string{`for=203.0.113.5, proto=https`}, standard: true, want: "10.0.0.1"},
	} {
		h := http.Header{"X-Real-Ip": {"203.0.113.99"}}
		if tt.x != nil {
			h["X-Forwarded-For"] = tt.x
		}
		if tt.forwarded != nil {
			h["Forwarded"] = tt.forwarded
		}
		got, ok := trusted(tt.standard, proxies).Address(from(tt.peer, h))
		if !ok || got.String() != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, got, tt.want)
		}
	}
	if got, _ := (web.Proxies{}).Address(from("10.0.0.1:4", http.Header{"X-Forwarded-For": {"198.51.100.9"}})); got.String() != "10.0.0.1" {
		t.Errorf("without a list %v is believed", got)
	}
}

// Handlers see the client's address as that of the connection, so that all that
// limits, remembers or lets in by address means the client.
func TestHandlersSeeTheClient(t *testing.T) {
	t.Parallel()
	seen := ""
	m := web.NewMux(web.Config{Proxies: func() web.Proxies { return trusted(false, "10.0.0.0/8", "fd00::/8") }})
	m.Handle("GET /x", func(_ http.ResponseWriter, r *http.Request) error { seen = r.RemoteAddr; return nil })
	for peer, want := range map[string]string{"10.0.0.1:99": "198.51.100.9:0", "[fd00::1]:99": "198.51.100.9:0", "192.0.2.1:99": "192.0.2.1:99"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/x", http.NoBody)
		r.RemoteAddr = peer
		r.Header.Set("X-Forwarded-For", "203.0.113.5, 198.51.100.9")
		m.ServeHTTP(httptest.NewRecorder(), r)
		if seen != want {
			t.Errorf("from %s a handler sees %s, want %s", peer, seen, want)
		}
	}
}

// Whatever a header says, the answer is the peer, or an address that the header
// names as a whole.
func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{"", "1.2.3.4", "1.2.3.4, 10.0.0.1", `for=1.2.3.4;by="a\",b"`, `for="[::1]:80", for=_x`, "[::1", "::ffff:1.2.3.4", `"`, ",,;=\\"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, standard bool) {
		p := trusted(standard, "10.0.0.0/8")
		h := http.Header{"X-Forwarded-For": {text}, "Forwarded": {text}}
		if got, ok := p.Address(from("192.0.2.1:4", h)); !ok || got.String() != "192.0.2.1" {
			t.Fatalf("a stranger is believed: %v", got)
		}
		got, ok := p.Address(from("10.0.0.1:4", h))
		if !ok || !got.IsValid() || got.Is4In6() || got.Zone() != "" {
			t.Fatalf("%q: %v", text, got)
		}
		last := "198.51.100.9"
		if standard {
			last = "for=" + last
		}
		if strings.Count(text, `"`)%2 == 0 && !strings.Contains(text, `\`) { // else it may swallow what follows
			more := http.Header{"X-Forwarded-For": {text + "," + last}, "Forwarded": {text + "," + last}}
			if got, _ := p.Address(from("10.0.0.1:4", more)); got.String() != "198.51.100.9" {
				t.Fatalf("%q before what the proxy wrote: %v", text, got)
			}
		}
		apart := http.Header{"X-Forwarded-For": {text, last}}
		if got, _ := p.Address(from("10.0.0.1:4", apart)); !standard && got.String() != "198.51.100.9" {
			t.Fatalf("%q in the line before: %v", text, got)
		}
	})
}
