package egress

import (
	"net/netip"
	"testing"
)

func TestAddressesThatAreRefused(t *testing.T) {
	t.Parallel()
	const public, private, never = 0, 1, 2
	for text, want := range map[string]int{
		"1.1.1.1": public, "8.8.8.8": public, "172.32.0.1": public, "100.128.0.1": public, "2606:4700::1111": public, "2001:4860:4860::8888": public,
		"127.0.0.1": private, "127.8.9.1": private, "10.0.0.1": private, "172.16.0.1": private, "172.31.255.255": private, "192.168.1.1": private,
		"100.64.0.1": private, "169.254.1.1": private, "::1": private, "fc00::1": private, "fd12:3456::1": private, "fe80::1": private,
		"::ffff:127.0.0.1": private, "::ffff:10.0.0.1": private, "::ffff:8.8.8.8": public, "fe80::1%eth0": private,
		"0.0.0.0": never, "0.1.2.3": never, "224.0.0.1": never, "255.255.255.255": never, "240.0.0.1": never, "192.0.2.1": never, "198.18.0.1": never,
		"::": never, "ff02::1": never, "64:ff9b::a9fe:a9fe": never, "64:ff9b::808:808": never, "2002:7f00:1::": never, "2001:0:1::": never, "::7f00:1": never, "fec0::1": never, "2001:db8::1": never,
		"169.254.169.254": never, "169.254.170.2": never, "::ffff:169.254.169.254": never, "fd00:ec2::254": never, "fe80::a9fe:a9fe%eth0": never, "100.100.100.200": never, "168.63.129.16": never,
	} {
		a := netip.MustParseAddr(text)
		if err := check(a, false); (err == nil) != (want == public) {
			t.Errorf("%s: %v", text, err)
		}
		if err := check(a, true); (err == nil) != (want != never) {
			t.Errorf("%s where private is allowed: %v", text, err)
		}
	}
	if check(netip.Addr{}, true) == nil {
		t.Error("no address is allowed")
	}
}
