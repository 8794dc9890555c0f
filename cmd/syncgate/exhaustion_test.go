package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/internal/enginesim"
)

// hogs are connections that take up room and ask for nothing, or never to the end.
type hogs struct {
	t       *testing.T
	address string
	open    []net.Conn
	refused atomic.Int64   // told that there is no room
	readers sync.WaitGroup // of what they are told
}

// add opens more of them; each says the same.
func (h *hogs) add(n int, say string) {
	h.t.Helper()
	for range n {
		c, err := net.Dial("tcp", h.address)
		if err != nil {
			h.t.Fatal(err)
		}
		h.open = append(h.open, c)
		if _, err := io.WriteString(c, say); err != nil {
			h.t.Fatal(err)
		}
		h.readers.Go(func() {
			r, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err == nil && r.StatusCode == 503 && r.Header.Get("Retry-After") != "" && r.Close {
				h.refused.Add(1)
			}
		})
	}
}

// leave closes all of them, by a reset if so.
func (h *hogs) leave(reset bool) {
	for _, c := range h.open {
		if reset {
			_ = c.(*net.TCPConn).SetLinger(0)
		}
		_ = c.Close()
	}
	h.open = nil
	h.readers.Wait()
}

// TestDescriptorsRunOut opens more connections than a gate may have. Callbacks have a reserve, nothing is lost, and when
// there is room again it goes on.
func TestDescriptorsRunOut(t *testing.T) {
	e := simulate(t, func(c *enginesim.Config) { c.Behaviour.RetryDelay = 100 * time.Millisecond })
	at := free(t, 1)[0]
	g := launch(t, exec.Command("sh", "-c", "ulimit -n 256; exec syncgate serve"), at, "SYNCGATE_ENGINE_URL="+e.URL(), "SYNCGATE_LISTEN_HEADER_TIMEOUT=60s")
	kept := caller(t, at, 1)
	storm(t, kept, 1, 1)
	parked := caller(t, at, 20)
	park := func(milliseconds, n int) (replies []<-chan answer) {
		for range n {
			body := `{"timeout":60,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{"n":1,"__sim":{"delay_ms":%d}}}]}`
			replies = append(replies, parked.createLater(fmt.Sprintf(body, milliseconds)))
		}
		return replies
	}
	answered := func(replies []<-chan answer) {
		t.Helper()
		for _, r := range replies {
			if a := <-r; a.status != 200 || !strings.Contains(a.body, `"data":{"n":1}`) {
				t.Errorf("a parked client got %+v", a)
			}
		}
	}

	// Hardly any are left: who was there is served, callbacks are heard, further clients are refused.
	early := park(1000, 20)
	eventually(t, "all are parked", func() bool { return g.metric("syncgate_parked_clients") == 20 })
	h := &hogs{t: t, address: at}
	defer h.leave(true)
	h.add(160, "POST /")
	body, _ := task("1")
	if a, err := caller(t, at, 1).create(body); err != nil || a.status != 503 || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, `"description":"Overloaded`) {
		t.Errorf("a client too many got %+v %v", a, err)
	}
	answered(early)

	// None is left: whoever comes waits in the kernel, and is served when there is room again.
	made := e.Stats().Tasks
	late := park(1000, 20)
	eventually(t, "all are parked", func() bool { return e.Stats().Tasks == made+20 }) // metrics would need a descriptor
	h.add(300, "POST /")
	g.logged(`"message":"a connection cannot be accepted`)
	storm(t, kept, 5, 1)
	h.leave(true)
	answered(late)
	storm(t, caller(t, at, 20), 100, 20)
	g.stop()
}

// TestAnnouncedBodies opens 400 connections that announce a large body each and send one byte of it.
func TestAnnouncedBodies(t *testing.T) {
	const announced, most = 4 << 20, 400 << 20 // bytes; all of them would be 1.6 GB
	e := simulate(t)
	at := free(t, 1)[0]
	g := serve(t, at, "SYNCGATE_ENGINE_URL="+e.URL(), "SYNCGATE_LIMITS_BODY=4MiB", "SYNCGATE_LISTEN_BODY_TIMEOUT=60s")
	padded := func(n int) string {
		return strings.Replace(`{"ops":[{"type":"create","obj":"task","conv_id":1,"data":{"pad":"x"}}]}`, "x", strings.Repeat("x", n-100), 1)
	}
	small, large := padded(10<<10), padded(announced)
	c := caller(t, at, 1)
	trip := func(body string, status int) {
		t.Helper()
		if a, err := c.create(body); err != nil || a.status != status || (status == 503) != (a.header.Get("Retry-After") != "") {
			t.Errorf("%d bytes got %d %.200s %v, want %d", len(body), a.status, a.body, err, status)
		}
	}
	before := g.metric("process_resident_memory_bytes")
	h := &hogs{t: t, address: at}
	defer h.leave(true)
	for _, reset := range []bool{false, true} {
		h.add(400, fmt.Sprintf("POST /api/1/json/1/1/1 HTTP/1.1\r\nHost: gateway\r\nContent-Length: %d\r\n\r\nx", announced))
		eventually(t, "all but 64 are refused", func() bool { return h.refused.Load() == 400-64 })
		h.refused.Store(0)
		if grown := g.metric("process_resident_memory_bytes") - before; grown > most {
			t.Errorf("it has grown by %.0f MB", grown/1e6)
		} else {
			t.Logf("it has grown by %.0f MB", grown/1e6)
		}
		body, _ := task("1")
		trip(body, 200)  // it takes no room
		trip(small, 200) // it has room of its own
		trip(large, 503)
		h.leave(reset)
		eventually(t, "there is room again", func() bool { a, err := c.create(large); return err == nil && a.status == 200 })
	}
	g.stop()
}

// TestSlowClients sends requests byte by byte over many connections: each is ended in time, and others are served.
func TestSlowClients(t *testing.T) {
	e := simulate(t)
	at := free(t, 1)[0]
	g := serve(t, at, "SYNCGATE_ENGINE_URL="+e.URL(), "SYNCGATE_LISTEN_HEADER_TIMEOUT=1s", "SYNCGATE_LISTEN_BODY_TIMEOUT=1s")
	var all sync.WaitGroup
	for _, begin := range []string{
		"", // of the header
		"POST /api/1/json/1/1/1 HTTP/1.1\r\nHost: gateway\r\nX: ",
		"POST /api/1/json/1/1/1 HTTP/1.1\r\nHost: gateway\r\nContent-Length: 1000\r\n\r\n",
		"POST /api/1/json/1/1/1 HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n1;",
		"POST /api/1/json/1/1/1 HTTP/1.1\r\nHost: gateway\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n",
	} {
		for range 50 {
			all.Go(func() { dribble(t, at, begin) })
		}
	}
	storm(t, caller(t, at, 10), 300, 10)
	all.Wait()
	g.stop()
}

// dribble sends a request that never ends, and wants to be told so.
func dribble(t *testing.T, address, begin string) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	began := time.Now()
	_ = c.SetDeadline(began.Add(patience))
	over := make(chan struct{})
	defer close(over)
	go func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for piece := begin; ; piece = "x" {
			if _, err := io.WriteString(c, piece); err != nil {
				return
			}
			select {
			case <-tick.C:
			case <-over:
				return
			}
		}
	}()
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err == nil && resp.StatusCode == http.StatusContinue {
		resp, err = http.ReadResponse(r, nil)
	}
	if err != nil {
		t.Errorf("%q: no answer: %v", begin, err)
		return
	}
	b, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 408 || !resp.Close || !strings.Contains(string(b), `"description":"Request took too long`) {
		t.Errorf("%q: %d %s", begin, resp.StatusCode, b)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}
