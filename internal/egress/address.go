package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// ErrAddress refuses an address that must not be called.
var ErrAddress = errors.New("address is not allowed")

// metadata addresses give out credentials of the machine we run on.
var metadata = addrs(
	"169.254.169.254", "169.254.169.253", // AWS, Azure, Google, OpenStack and others
	"169.254.170.2", "169.254.170.23", // AWS tasks and pods
	"100.100.100.200", "192.0.0.192", "168.63.129.16", "169.254.42.42", // Alibaba, Oracle, Azure, Scaleway
	"fd00:ec2::254", "fd00:ec2::23", "fd00:ec2::253", // AWS
	"fd20:ce::254", "fe80::a9fe:a9fe", "fd00:42::42", // Google, OpenStack, Scaleway
)

// private networks may be allowed.
var private = prefixes(
	"127.0.0.0/8", "::1/128",
	"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7",
	"169.254.0.0/16", "fe80::/10",
)

// never reachable services: unspecified, multicast, reserved, documentation.
var never = prefixes(
	"0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"::/128", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16", "fec0::/10", "ff00::/8",
	// An IPv4 address in an IPv6 one: what is reached depends on a translator.
	"::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16",
)

// check refuses addr unless it may be called.
func check(addr netip.Addr, allowPrivate bool) error {
	addr = addr.Unmap().WithZone("")
	switch {
	case !addr.IsValid(), metadata[addr]:
		return refused(addr)
	case within(private, addr):
		if allowPrivate {
			return nil
		}
		return refused(addr)
	case within(never, addr):
		return refused(addr)
	}
	return nil
}

func refused(addr netip.Addr) error { return fmt.Errorf("%w: %s", ErrAddress, addr) }

// control is what a net.Dialer runs with the resolved address before it
// connects.
func control(allowPrivate bool) func(network, address string, c syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrAddress, err)
		}
		return check(ap.Addr(), allowPrivate)
	}
}

// publicOnly is control for addresses that strangers name: none but public ones
// and, with loopback, this machine.
func publicOnly(loopback bool) func(network, address string, c syscall.RawConn) error {
	strict := control(false)
	return func(network, address string, c syscall.RawConn) error {
		if ap, err := netip.ParseAddrPort(address); err == nil && loopback && ap.Addr().Unmap().IsLoopback() {
			return nil
		}
		return strict(network, address, c)
	}
}

func within(ps []netip.Prefix, a netip.Addr) bool {
	for _, p := range ps {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func addrs(texts ...string) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for _, t := range texts {
		out[netip.MustParseAddr(t)] = true
	}
	return out
}

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		out[i] = netip.MustParsePrefix(t)
	}
	return out
}
