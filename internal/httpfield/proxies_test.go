package httpfield_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"syncgate/internal/httpfield"
)

func TestProxies(t *testing.T) {
	p, err := httpfield.NewProxies([]string{"10.0.0.0/8", "192.168.1.1", "::1"})
	if err != nil {
		t.Fatal(err)
	}
	f := func(addr string, want bool) {
		t.Helper()
		if got := p.Trusts(netip.MustParseAddr(addr)); got != want {
			t.Errorf("trusts(%s) = %v", addr, got)
		}
	}
	f("10.1.2.3", true)
	f("192.168.1.1", true)
	f("192.168.1.2", false)
	f("::1", true)
	if _, err := httpfield.NewProxies([]string{"everybody"}); err == nil {
		t.Error("a name was taken for an address")
	}
}

// clientOf gives the client of a request with these lines.
func clientOf(t *testing.T, trusted []string, peer string, lines ...string) string {
	t.Helper()
	var h fasthttp.RequestHeader
	h.SetMethod("GET")
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		h.Add(name, strings.TrimSpace(value))
	}
	p, err := httpfield.NewProxies(trusted)
	if err != nil {
		t.Fatal(err)
	}
	return p.Client(netip.MustParseAddr(peer), &h)
}

func TestClientAddress(t *testing.T) {
	ours := []string{"127.0.0.0/8", "10.0.0.0/8", "fd00::/8"}
	f := func(want string, lines ...string) {
		t.Helper()
		if got := clientOf(t, ours, "127.0.0.1", lines...); got != want {
			t.Errorf("%q: %s, want %s", lines, got, want)
		}
	}
	x := "X-Forwarded-For: "
	f("127.0.0.1")
	f("127.0.0.1", x)
	f("192.0.2.1", x+"192.0.2.1")
	f("192.0.2.1", x+"192.0.2.66, 192.0.2.1") // the first is the client's own
	f("192.0.2.1", x+"192.0.2.1, 10.1.2.3")
	f("10.1.2.3", x+"10.1.2.3") // the proxy asks itself
	f("10.1.2.3", x+"10.1.2.3 , 10.1.2.4")
	f("192.0.2.1", x+"192.0.2.66", x+"192.0.2.1") // haproxy adds a line
	f("192.0.2.1", x+"192.0.2.66", x+"192.0.2.1", x+"10.1.2.3")
	f("192.0.2.1", "x-forwarded-for: 192.0.2.66", "X-FORWARDED-FOR: 192.0.2.1,10.1.2.3")
	f("192.0.2.1", x+"192.0.2.1:4711") // Azure adds the port
	f("192.0.2.1", x+"192.0.2.1:4711, 10.1.2.3:80")
	f("2001:db8::1", x+"2001:db8::1")
	f("2001:db8::1", x+"[2001:db8::1]")
	f("2001:db8::1", x+"[2001:db8::1]:4711, [fd00::7]:80, fd00::8")
	f("2001:db8::1", x+"2001:db8::1%eth0")
	f("192.0.2.1", x+"::ffff:192.0.2.1, ::ffff:10.1.2.3")
	f("192.0.2.1", x+"192.0.2.1,, ,10.1.2.3,") // empty elements say nothing
	for _, odd := range []string{"unknown", "<script>", "unix:", "192.0.2.999", "[2001:db8::1", "[2001:db8::1]x", `"192.0.2.1"`, "_hidden", "a b"} {
		f("127.0.0.1", x+odd)
		f("10.1.2.3", x+"192.0.2.66, "+odd+", 10.1.2.3") // who is before it is not believed
		f("192.0.2.1", x+odd+", 192.0.2.1, 10.1.2.3")
	}

	r := "Forwarded: "
	f("192.0.2.1", r+"for=192.0.2.1")
	f("192.0.2.1", r+"FOR=192.0.2.1;proto=http;by=203.0.113.43")
	f("192.0.2.1", r+`proto=https ; for="192.0.2.1:4711" ; host="a,b;for=192.0.2.66"`)
	f("192.0.2.1", r+"for=192.0.2.66, for=192.0.2.1;by=x, for=10.1.2.3")
	f("192.0.2.1", r+"for=192.0.2.66", r+"for=192.0.2.1", r+"for=10.1.2.3")
	f("192.0.2.1", r+`for="192.0.\2.1"`)
	f("192.0.2.1", r+"for=192.0.2.1:4711") // without the quotes that it must have
	f("2001:db8:cafe::17", r+`For="[2001:db8:cafe::17]:4711"`)
	f("2001:db8:cafe::17", r+`for="[2001:db8:cafe::17]:_port", for="[fd00::1]"`)
	f("192.0.2.1", r+`host="\", for=192.0.2.66";for=192.0.2.1`)
	for _, odd := range []string{
		"for=unknown", "for=_hidden", "for=", "for", "proto=https", `for="_SEVKISEK"`, "for=192.0.2.66;for=192.0.2.67", "for=192.0.2.66 192.0.2.67", `by="x"y;for=192.0.2.66`,
	} {
		f("127.0.0.1", r+odd)
		f("10.1.2.3", r+"for=192.0.2.66", r+odd, r+"for=10.1.2.3")
		f("192.0.2.1", r+odd, r+"for=192.0.2.1, for=10.1.2.3")
	}
	// A client begins a string that swallows what the balancer adds to the line.
	f("127.0.0.1", r+`for=192.0.2.66;by=", for=192.0.2.1`)
	f("127.0.0.1", r+`for=192.0.2.66;by=", for="[2001:db8::1]:4711"`)
	f("192.0.2.1", r+`for=192.0.2.66;by="`, r+"for=192.0.2.1")

	f("192.0.2.1", r+"for=192.0.2.66", x+"192.0.2.1") // a client's own Forwarded passes through balancers that write the other one
	f("127.0.0.1", r+"for=192.0.2.66", x+"unknown")

	for _, line := range []string{x + "192.0.2.66", r + "for=192.0.2.66"} {
		if got := clientOf(t, ours, "192.0.2.1", line); got != "192.0.2.1" {
			t.Errorf("of a peer that is none of our proxies %q is believed: %s", line, got)
		}
		if got := clientOf(t, nil, "127.0.0.1", line); got != "127.0.0.1" {
			t.Errorf("with no proxy %q is believed: %s", line, got)
		}
	}
}

// hop is a station on the way of a request; of one that is unknown nothing is said.
type hop struct {
	a     netip.Addr
	known bool
}

// rightMost is the rule, read from the end of the way.
func rightMost(peer netip.Addr, way []hop, trusted func(netip.Addr) bool) netip.Addr {
	for _, h := range slices.Backward(way) {
		if !h.known {
			break
		}
		if peer = h.a; !trusted(peer) {
			break
		}
	}
	return peer
}

// TestClientAddressOfRandomWays writes random ways as proxies may, in either header, and compares with the rule.
func TestClientAddressOfRandomWays(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same ways in each run
	trusted := func(a netip.Addr) bool { return a.As16()[15] < 8 }
	ours := []string{"10.0.0.0/29", "fd00::/125"}
	for range 5000 {
		way := make([]hop, r.IntN(6))
		for i := range way {
			last := byte(r.IntN(16)) //nolint:gosec // less than 16
			way[i] = hop{netip.AddrFrom4([4]byte{10, 0, 0, last}), r.IntN(8) > 0}
			if r.IntN(2) == 0 {
				way[i].a = netip.AddrFrom16([16]byte{0: 0xfd, 15: last})
			}
		}
		peer := netip.AddrFrom4([4]byte{10, 0, 0, 1})
		lines := write(r, way, r.IntN(2) == 0)
		want := rightMost(peer, way, trusted)
		if got := clientOf(t, ours, peer.String(), lines...); got != want.String() {
			t.Fatalf("%q: %s, want %s", lines, got, want)
		}
	}
}

// write writes a way in one of the headers.
func write(r *rand.Rand, way []hop, forwarded bool) (lines []string) {
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	for _, h := range way {
		text := h.a.String()
		switch {
		case !h.known:
			text = one("unknown", "_x1")
		case h.a.Is6():
			text = one("["+text+"]", "["+text+"]:"+strconv.Itoa(r.IntN(65536)))
			if !forwarded {
				text = one(text, h.a.String())
			}
		default:
			text = one(text, text+":80", "::ffff:"+text)
		}
		name := "X-Forwarded-For: "
		if forwarded {
			name = "Forwarded: "
			text = one("for", "For", "FOR") + "=" + one(`"`+text+`"`, text)
			text = one(text, text+";proto=https", `host="a,b;for=192.0.2.1";`+text, text+` ; by="\""`)
		}
		if len(lines) > 0 && r.IntN(2) == 0 {
			lines[len(lines)-1] += one(",", ", ", " , ", ",,") + text
		} else {
			lines = append(lines, name+text)
		}
	}
	return lines
}
