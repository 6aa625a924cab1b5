package web

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies says whom to believe about the address of a client.
type Proxies struct {
	// Networks are where trusted proxies stand. Without any, headers say nothing.
	Networks []netip.Prefix
	// Standard takes the header Forwarded (RFC 7239) instead of X-Forwarded-For.
	// One of both is read: the proxy writes that one, and the other would be what
	// the client sent.
	Standard bool
}

// Address returns where r comes from: the peer of its connection, or, as far as
// that and those before it are trusted proxies, whom they name. It is the
// rightmost address that is no trusted proxy; what stands left of it was written
// by somebody unknown and is not looked at. A proxy that names nobody, or
// something else than an address, is itself where r comes from.
func (p Proxies) Address(r *http.Request) (netip.Addr, bool) {
	peer, ok := address(r.RemoteAddr)
	if !ok || !p.trusts(peer) {
		return peer, ok
	}
	named := hops(r.Header["X-Forwarded-For"])
	if p.Standard {
		named = forwarded(r.Header["Forwarded"])
	}
	for _, text := range slices.Backward(named) {
		hop, ok := address(text)
		if !ok {
			return peer, true
		}
		if peer = hop; !p.trusts(hop) {
			return hop, true
		}
	}
	return peer, true
}

func (p Proxies) trusts(a netip.Addr) bool {
	for _, n := range p.Networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// address reads an address, with or without a port; IPv6 may be in brackets.
// One that is IPv4 inside of IPv6 is IPv4.
func address(text string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		text, ok = strings.CutSuffix(inner, "]")
		if !ok || !strings.Contains(text, ":") {
			return netip.Addr{}, false
		}
	}
	a, err := netip.ParseAddr(text)
	return a.Unmap().WithZone(""), err == nil
}

// hops are the entries of X-Forwarded-For; lines of the header are one list.
func hops(lines []string) (out []string) {
	for _, line := range lines {
		for one := range strings.SplitSeq(line, ",") {
			out = append(out, strings.Trim(one, " \t"))
		}
	}
	return out
}

// forwarded are the nodes that the elements of Forwarded are for (RFC 7239
// section 4); "" where an element names none, or is not well-formed.
func forwarded(lines []string) (out []string) {
	for _, line := range lines {
		elements, ok := split(line, ',')
		if !ok {
			return append(out, "") // who wrote it may mean anything
		}
		for _, e := range elements {
			out = append(out, node(e))
		}
	}
	return out
}

// node returns the one value of for= in an element.
func node(element string) (value string) {
	pairs, _ := split(element, ';')
	seen := false
	for _, pair := range pairs {
		name, text, ok := strings.Cut(strings.Trim(pair, " \t"), "=")
		if !ok || !strings.EqualFold(name, "for") {
			continue
		}
		if seen { // section 4: each parameter comes once
			return ""
		}
		seen, value = true, unquote(text)
	}
	return value
}

// split cuts text at a separator outside of quoted strings. It fails when one
// does not end.
func split(text string, at byte) (parts []string, ok bool) {
	quoted, from := false, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == at && !quoted:
			parts = append(parts, text[from:i])
			from = i + 1
		}
	}
	return append(parts, text[from:]), !quoted
}

// unquote reads a token or a quoted string (RFC 9110 section 5.6.4).
func unquote(text string) string {
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return text
	}
	var b strings.Builder
	inner := text[1 : len(text)-1]
	for i := 0; i < len(inner); i++ {
		if inner[i] == '\\' && i+1 < len(inner) {
			i++
		}
		b.WriteByte(inner[i])
	}
	return b.String()
}
