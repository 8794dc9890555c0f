package gateway

import (
	"bufio"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/valyala/fasthttp"
)

func TestRawPath(t *testing.T) {
	f := func(uri, want string) {
		t.Helper()
		if got := string(RawPath([]byte(uri))); got != want {
			t.Errorf("RawPath(%q) = %q; want %q", uri, got, want)
		}
	}
	f("/api/2/json/1/2/3", "/api/2/json/1/2/3")
	f("/api/2/json/1/2/3?x=/y", "/api/2/json/1/2/3")
	f("/a%2Fb//../c", "/a%2Fb//../c")
	f("http://host:1/a?b", "/a")
	f("http://host", "/")
	f("*", "*")
	f("/x?u=http://y/z", "/x")
}

func header(t *testing.T, raw string) *fasthttp.RequestHeader {
	t.Helper()
	h := new(fasthttp.RequestHeader)
	if err := h.Read(bufio.NewReader(strings.NewReader(raw))); err != nil {
		t.Fatalf("fasthttp itself refuses %q: %v", raw, err)
	}
	return h
}

func TestFramingProblem(t *testing.T) {
	f := func(lines, want string) {
		t.Helper()
		got := framingProblem(header(t, "POST / HTTP/1.1\r\n"+lines+"\r\n"))
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q; want %q", lines, got, want)
		}
	}
	f("Host: a\r\nContent-Length: 1\r\n", "")
	f("Host: a\r\nTransfer-Encoding: chunked\r\n", "")
	f("Host: a\r\nTransfer-Encoding: Chunked\r\n", "")
	f("Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n", "both")
	f("Host: a\r\nTransfer-Encoding: chunked\r\ncontent-length: 1\r\n", "both")
	f("Host: a\r\nTransfer-Encoding: identity\r\n", "not chunked")
	f("Host: a\r\nX: 1\r\n 2\r\n", "folded")
	f("Host: a\nX: 1\r\n", "CRLF")
}

func TestBudget(t *testing.T) {
	b := new(budget)
	b.free.Store(2000)
	f := func(length int, want int64, wantOK bool) {
		t.Helper()
		r, ok := reserve(b, length)
		if r.n != want || ok != wantOK {
			t.Errorf("reserve(%d) = %d, %v; want %d, %v", length, r.n, ok, want, wantOK)
		}
	}
	f(512, 0, true)
	f(513, 513, true)
	f(1000, 1000, true)
	f(600, 0, false) // 487 are left
	r := reservation{of: b, n: 1513}
	r.shrink(1000)
	if got := b.free.Load(); got != 1000 {
		t.Errorf("%d free after shrink; want 1000", got)
	}
	r.release()
	r.release()
	if got := b.free.Load(); got != 2000 {
		t.Errorf("%d free at the end; want 2000", got)
	}
}

// Large bodies leave room for small ones.
func TestBudgetKeepsBack(t *testing.T) {
	b := newBudget(1 << 20)
	f := func(length int, wantOK bool) {
		t.Helper()
		if _, ok := reserve(b, length); ok != wantOK {
			t.Errorf("reserve(%d) = %v", length, ok)
		}
	}
	for range 64 {
		f(1<<20, true)
	}
	f(smallBody+1, false)
	for range 16 << 20 / smallBody {
		f(smallBody, true)
	}
	f(smallBody, false)
	f(freeBody, true)
}

// One sender has its share of a budget, for what has not come whole, and others have the rest.
func TestBudgetShare(t *testing.T) {
	b := newBudget(1 << 20) // 80 MiB, and a share of 40
	one, other := network(netip.MustParseAddr("2001:db8::1")), network(netip.MustParseAddr("10.0.0.1"))
	f := func(from netip.Prefix, n, size int64, want bool) {
		t.Helper()
		if got := b.arrive(from, n, size); got != want {
			t.Errorf("arrive(%v, %d) = %v", from, n, got)
		}
	}
	f(one, 40<<20, 1<<20, true)
	f(network(netip.MustParseAddr("2001:db8::ffff:0:0:1")), 1, 1, false) // it is the same network
	f(network(netip.MustParseAddr("2001:db8:0:1::1")), 1, 1, true)
	f(other, 1<<20, 1<<20, true)
	f(netip.Prefix{}, 1<<20, 1<<20, true)
	b.arrived(one, 39<<20)
	f(one, 39<<20+1, 1, false)
	f(one, 1<<20, 1<<20, true)
	b.arrived(one, 2<<20)
	b.arrived(other, 1<<20)
	if len(b.arriving) != 2 {
		t.Errorf("%d senders are known, of which two have something on its way", len(b.arriving))
	}
}

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

func TestTidierIsDue(t *testing.T) {
	now := time.Unix(0, 0)
	m := new(tidier)
	look := func(held, entered uint64, want bool) {
		t.Helper()
		now = now.Add(tidyLook)
		if got := m.due(now, held, entered); got != want {
			t.Errorf("%d held after %d had come: %v", held, entered, got)
		}
	}
	look(5000, 5000, false) // they come
	look(5000, 5000, true)  // and have come
	look(5000, 5000, false)
	look(5500, 5500, false)
	look(6000, 6000, false)
	look(6000, 6000, false) // a fifth more
	look(10000, 10000, false)
	look(10000, 10100, true) // some always do
	look(10000, 13000, false)
	look(0, 13000, true) // and have left
}

// TestWatchingIsSmall: that a parked client's hang-up is noticed takes at most 100 bytes, whoever has parked it. The kernel's part
// comes on top.
func TestWatchingIsSmall(t *testing.T) {
	const clients = 18_000
	var c conn
	var set socketSet
	byLoop := measured(func() any {
		for range clients {
			set.places = append(set.places, place{})
		}
		set.free = make([]uint32, len(set.places))
		return &set
	})/clients + int(unsafe.Sizeof(c.set)+unsafe.Sizeof(c.name)+unsafe.Sizeof(c.state)+unsafe.Sizeof(c.waiting))
	w := watcher{watched: make(map[uint64]*conn)}
	byWatcher := measured(func() any {
		for i := range clients {
			w.watched[uint64(i)] = &c
		}
		return &w
	})/clients + int(unsafe.Sizeof(c.watch))
	t.Logf("%d bytes by a loop, %d by the watcher", byLoop, byWatcher)
	if byLoop > 100 || byWatcher > 100 {
		t.Errorf("%d bytes by a loop, %d by the watcher", byLoop, byWatcher)
	}
}

// measured is how many live bytes make has made.
func measured(made func() any) int {
	live := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc) //nolint:gosec // megabytes
	}
	before := live()
	all := made()
	after := live()
	runtime.KeepAlive(all)
	return after - before
}
