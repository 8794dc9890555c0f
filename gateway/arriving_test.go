package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/gateway"
)

// A body is paid for as it comes: what is announced and does not come takes nothing from others, and what comes and stalls is given up.

const (
	hogAddress, goodAddress = "127.0.0.1", "127.0.0.2"
	megabyte                = 1 << 20
)

// dialFrom connects from an address of the loopback.
func (n *node) dialFrom(t *testing.T, address string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: 30 * time.Second}
	c, err := d.Dial("tcp", n.PublicAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// padded is a modify of so many bytes, which the engine answers itself.
func padded(size int) string {
	body := strings.Replace(modifyOp, `"data":{}`, `"data":{"pad":"x"}`, 1)
	return strings.Replace(body, `"x"`, `"`+strings.Repeat("x", max(size-len(body)+1, 1))+`"`, 1)
}

// asks sends a create of so many bytes from an address, head and body apart, and gives the status.
func (n *node) asks(t *testing.T, address string, size int, headers ...string) int {
	t.Helper()
	c := n.dialFrom(t, address)
	defer func() { _ = c.Close() }()
	body := padded(size)
	raw := request("POST", sign(body), body, headers...)
	head := len(raw) - len(body)
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(c, raw[:head])
	go func() { _, _ = io.WriteString(c, raw[head:]) }()
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Errorf("%d bytes from %s: %v", size, address, err)
		return 0
	}
	b, _ := io.ReadAll(r.Body)
	if (r.StatusCode == 503) != (r.Header.Get("Retry-After") != "") {
		t.Errorf("%d bytes from %s: %d %s %v", size, address, r.StatusCode, b, r.Header)
	}
	return r.StatusCode
}

// hogs are connections that do not go on.
type hogs struct {
	all      sync.WaitGroup
	conns    []net.Conn
	statuses [600]atomic.Int64 // of the answers that they get, all the same
}

// add opens connections that send what they are told and then wait for an answer.
func (h *hogs) add(t *testing.T, n *node, count int, sent string) {
	t.Helper()
	for range count {
		c := n.dialFrom(t, hogAddress)
		h.conns = append(h.conns, c)
		h.all.Go(func() {
			h.all.Go(func() { _, _ = io.WriteString(c, sent) })
			if r, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
				h.statuses[r.StatusCode].Add(1)
			}
		})
	}
}

func (h *hogs) leave() {
	for _, c := range h.conns {
		_ = c.Close()
	}
	h.all.Wait()
}

func manyServes() (all []func(*rawEngine, net.Conn, *bufio.Reader)) {
	for range 200 {
		all = append(all, serves)
	}
	return all
}

// TestAnnouncedBytesTakeNothing: 1,200 connections without credentials that announce a megabyte each and send one byte of it keep nobody
// out, of whatever size and from whatever address, theirs too.
func TestAnnouncedBytesTakeNothing(t *testing.T) {
	head := "POST /api/1/json/1/1/1 HTTP/1.1\r\nHost: x\r\n"
	for name, sent := range map[string]string{
		"with a length":        head + fmt.Sprintf("Content-Length: %d\r\n\r\nx", megabyte),
		"with a length, alone": head + fmt.Sprintf("Content-Length: %d\r\n\r\n", megabyte),
		"in a chunk":           head + fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\nx", megabyte),
		"in small chunks":      head + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n1\r\nx\r\n1",
		"and asks first":       head + fmt.Sprintf("Expect: 100-continue\r\nContent-Length: %d\r\n\r\n", megabyte),
	} {
		t.Run(name, func(t *testing.T) {
			e := newRawEngine(t, manyServes()...)
			n := start(t, e.url)
			h := new(hogs)
			defer h.leave()
			h.add(t, n, 1200, sent)
			for range 3 {
				n.serves(t, goodAddress)
				n.serves(t, hogAddress)
			}
			for status := range h.statuses {
				if k := h.statuses[status].Load(); k > 0 && status != 100 {
					t.Errorf("%d of the idle ones were answered %d", k, status)
				}
			}
		})
	}
}

// serves wants creates of all sizes served for an address.
func (n *node) serves(t *testing.T, address string, headers ...string) {
	t.Helper()
	for _, size := range []int{100, 10 << 10, 500 << 10, megabyte} {
		if status := n.asks(t, address, size, headers...); status != 200 {
			t.Errorf("%d bytes from %s %v got %d", size, address, headers, status)
		}
	}
}

// TestAnnouncedCallbacksTakeNothing: the same of callbacks, whose token is genuine.
func TestAnnouncedCallbacksTakeNothing(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	reply := n.createLater(strings.Replace(oneOp(`{}`), `"timeout":5`, `"timeout":100`, 1))
	a := e.next(t)
	a.accept()
	h := new(hogs)
	defer h.leave()
	h.add(t, n, 500, fmt.Sprintf("POST /api/1/plugins/callback/%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\nx", a.tokens[0], 5*megabyte))
	for _, size := range []int{100, 10 << 10, 500 << 10, 5 * megabyte} {
		other := n.createLater(oneOp(`{}`))
		a := e.next(t)
		a.accept()
		want(t, n.callback(a.tokens[0], `"`+strings.Repeat("x", size-2)+`"`), 200, `{}`)
		if r := got(t, other); r.status != 200 || len(r.body) < size {
			t.Errorf("%d bytes got %d", size, r.status)
		}
	}
	want(t, n.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
	want(t, got(t, reply), 200, accepted)
}

// TestStalledBodies: connections that send all but a byte of a large body and then stall have the budget for seconds, not for
// listen.body_timeout. What takes no room is served meanwhile, and everything when they are given up.
func TestStalledBodies(t *testing.T) {
	e := newRawEngine(t, manyServes()...)
	n := start(t, e.url, func(c *gateway.Config) { c.Listen.BodyTimeout = 60 * time.Second })
	h := new(hogs)
	defer h.leave()
	began := time.Now()
	head := "POST /api/1/json/1/1/1 HTTP/1.1\r\nHost: x\r\nContent-Length: " + strconv.Itoa(megabyte)
	h.add(t, n, 90, head+"\r\n\r\n"+strings.Repeat("x", megabyte-1))
	eventually(t, "there is no room for more", func() bool { return h.statuses[503].Load() > 0 })
	if status := n.asks(t, goodAddress, 100); status != 200 {
		t.Errorf("100 bytes got %d", status)
	}
	if status := n.asks(t, goodAddress, 10<<10); status != 200 { // from the reserve for small ones
		t.Errorf("10 KiB got %d", status)
	}
	eventually(t, "what stalls is given up", func() bool { return h.statuses[408].Load()+h.statuses[503].Load() == int64(len(h.conns)) })
	if took := time.Since(began); took > 25*time.Second {
		t.Errorf("it took %v", took)
	}
	n.serves(t, goodAddress)
}

// TestRateOfBodies: what holds memory has to come at a rate; what holds none may take listen.body_timeout.
func TestRateOfBodies(t *testing.T) {
	e := newRawEngine(t, manyServes()...)
	n := start(t, e.url, func(c *gateway.Config) { c.Listen.BodyTimeout = 20 * time.Second })
	f := func(name string, size, first, each int, pause time.Duration, status int, least, most time.Duration) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			r, text := slowly(t, n, size, first, each, pause)
			if took := time.Since(began); r.StatusCode != status || took < least || took > most || r.Close != (status == 408) {
				t.Errorf("%d %s after %v; want %d within %v", r.StatusCode, text, took, status, most)
			}
			if status == 408 && !strings.Contains(text, `"description":"Request took too long`) {
				t.Errorf("%s", text)
			}
		})
	}
	f("steady and slow enough", 12<<10, 1<<10, 1<<10, 500*time.Millisecond, 200, 4*time.Second, 20*time.Second)
	f("a pause", 20<<10, 10<<10, 10<<10, 3*time.Second, 200, 2*time.Second, 15*time.Second)
	f("too slow", 100<<10, 2<<10, 100, 500*time.Millisecond, 408, 4*time.Second, 15*time.Second)
	f("all but the end", 100<<10, 100<<10-1, 1, 15*time.Second, 408, 4*time.Second, 15*time.Second)
	f("small", 400, 200, 200, 7*time.Second, 200, 6*time.Second, 20*time.Second)
	f("small and too slow", 400, 200, 1, 15*time.Second, 408, 15*time.Second, 40*time.Second)
}

// slowly sends a create of so many bytes: the first of them at once, and then each some after a pause.
func slowly(t *testing.T, n *node, size, first, each int, pause time.Duration) (r *http.Response, text string) {
	t.Helper()
	c := n.dialFrom(t, hogAddress)
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(60 * time.Second))
	body := padded(size)
	raw := request("POST", sign(body), body)
	rest := raw[len(raw)-len(body)+first:]
	done := make(chan struct{})
	defer close(done)
	go func() {
		_, _ = io.WriteString(c, raw[:len(raw)-len(rest)])
		for len(rest) > 0 {
			select {
			case <-time.After(pause):
			case <-done:
				return
			}
			k := min(each, len(rest))
			_, _ = io.WriteString(c, rest[:k])
			rest = rest[k:]
		}
	}()
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(r.Body)
	return r, string(b)
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); <-time.After(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}
