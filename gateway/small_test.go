package gateway

import (
	"net/netip"
	"strings"
	"testing"
)

func TestProxies(t *testing.T) {
	p, err := newProxies([]string{"10.0.0.0/8", "192.168.1.1", "::1"})
	if err != nil {
		t.Fatal(err)
	}
	f := func(addr string, want bool) {
		t.Helper()
		if got := p.trusts(netip.MustParseAddr(addr)); got != want {
			t.Errorf("trusts(%s) = %v", addr, got)
		}
	}
	f("10.1.2.3", true)
	f("192.168.1.1", true)
	f("192.168.1.2", false)
	f("::1", true)
	if _, err := newProxies([]string{"everybody"}); err == nil {
		t.Error("a name was taken for an address")
	}
}

func TestRequestIDs(t *testing.T) {
	f := func(id string, want bool) {
		t.Helper()
		if got := isRequestID([]byte(id)); got != want {
			t.Errorf("isRequestID(%q) = %v", id, got)
		}
	}
	f("a-B_c.9", true)
	f(strings.Repeat("a", 128), true)
	f(strings.Repeat("a", 129), false)
	f("", false)
	f("a b", false)
	f("a\"b", false)
	f("é", false)
}
