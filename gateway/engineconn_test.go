package gateway_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/gateway"
)

// rawEngine serves each connection with the next of the given functions; past the last it refuses.
type rawEngine struct {
	url      string
	accepted atomic.Int32 // connections
	asked    atomic.Int32 // requests that have come whole
}

func newRawEngine(t *testing.T, conns ...func(*rawEngine, net.Conn, *bufio.Reader)) *rawEngine {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &rawEngine{url: "http://" + ln.Addr().String()}
	var running sync.WaitGroup
	running.Go(func() {
		for _, serve := range conns {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			e.accepted.Add(1)
			running.Go(func() {
				serve(e, c, bufio.NewReader(c))
				_ = c.Close()
			})
		}
		_ = ln.Close()
	})
	t.Cleanup(func() {
		_ = ln.Close()
		running.Wait()
	})
	return e
}

// ask reads one request.
func (e *rawEngine) ask(r *bufio.Reader) bool {
	req, err := http.ReadRequest(r)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, req.Body)
	e.asked.Add(1)
	return true
}

// engineAnswer answers an op that is not parked: it is the reply.
const (
	engineSays   = `{"request_proc":"ok","ops":[{"proc":"ok","obj_id":"1"}]}`
	engineAnswer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 56\r\n\r\n" + engineSays
	modifyOp     = `{"timeout":0.5,"ops":[{"type":"modify","obj":"task","obj_id":"1","data":{}}]}`
)

// says answers one request with each text, and goes on.
func says(texts ...string) func(*rawEngine, net.Conn, *bufio.Reader) {
	return func(e *rawEngine, c net.Conn, r *bufio.Reader) {
		for _, text := range texts {
			if !e.ask(r) {
				return
			}
			_, _ = io.WriteString(c, text)
		}
	}
}

// serves answers until the gateway closes.
func serves(e *rawEngine, c net.Conn, r *bufio.Reader) {
	for e.ask(r) {
		_, _ = io.WriteString(c, engineAnswer)
	}
}

func TestEngineRefusesConnections(t *testing.T) {
	e := newRawEngine(t)
	n := start(t, e.url)
	<-time.After(50 * time.Millisecond)
	began := time.Now()
	if a := n.create(modifyOp); a.status != 502 || !strings.Contains(a.body, "nothing was sent") {
		t.Errorf("%+v; want 502", a)
	}
	if took := time.Since(began); took > 200*time.Millisecond {
		t.Errorf("a refused connection took %v to say so", took)
	}
}

// A connection rests between two exchanges, and its second one holds no goroutine.
func TestEngineConnectionIsKept(t *testing.T) {
	e := newRawEngine(t, serves, serves)
	n := start(t, e.url)
	for range 5 {
		want(t, n.create(modifyOp), 200, engineSays)
	}
	if got := e.accepted.Load(); got != 1 {
		t.Errorf("%d connections; want 1", got)
	}
}

func TestStaleConnectionCostsNoTrip(t *testing.T) {
	f := func(name string, between time.Duration) {
		t.Run(name, func(t *testing.T) {
			once, twice := says(engineAnswer), says(engineAnswer, engineAnswer)
			e := newRawEngine(t, once, twice, once, serves) // the engine closes after its answers, and does not say so
			n := start(t, e.url)
			for range 5 {
				want(t, n.create(modifyOp), 200, engineSays)
				<-time.After(between)
			}
			if got := e.accepted.Load(); got != 4 {
				t.Errorf("%d connections; want 4", got)
			}
		})
	}
	f("at once", 5*time.Millisecond)
	f("later", 100*time.Millisecond)
}

// A connection is dropped before the engine would drop it.
func TestIdleEngineConnectionIsDropped(t *testing.T) {
	closed := make(chan time.Time, 1)
	e := newRawEngine(t, func(e *rawEngine, c net.Conn, r *bufio.Reader) {
		serves(e, c, r)
		closed <- time.Now()
	})
	n := start(t, e.url, func(c *gateway.Config) { c.Engine.Idle = 300 * time.Millisecond })
	want(t, n.create(modifyOp), 200, engineSays)
	began := time.Now()
	if took := (<-closed).Sub(began); took < 200*time.Millisecond || took > time.Second {
		t.Errorf("dropped after %v; want 300 ms", took)
	}
}

// Once a byte may have arrived, a create is not sent again: neither on the connection's first exchange nor on one that was kept.
func TestNeverSentTwice(t *testing.T) {
	reset := func(e *rawEngine, c net.Conn, r *bufio.Reader) {
		e.ask(r)
		_ = c.(*net.TCPConn).SetLinger(0)
	}
	hang := func(e *rawEngine, c net.Conn, r *bufio.Reader) {
		e.ask(r)
		_, _ = io.Copy(io.Discard, c)
	}
	f := func(name string, bad func(*rawEngine, net.Conn, *bufio.Reader)) {
		for _, kept := range []int{0, 1, 2} {
			t.Run(name, func(t *testing.T) {
				e := newRawEngine(t, func(e *rawEngine, c net.Conn, r *bufio.Reader) {
					for range kept {
						says(engineAnswer)(e, c, r)
					}
					bad(e, c, r)
				}, serves)
				n := start(t, e.url)
				for range kept {
					want(t, n.create(modifyOp), 200, engineSays)
				}
				want(t, n.create(modifyOp), 200, `{"request_proc":"ok","ops":[{"proc":"error","description":"Timeout for create task"}]}`)
				if got := e.asked.Load(); int(got) != kept+1 {
					t.Errorf("%d requests were sent for %d", got, kept+1)
				}
				want(t, n.create(modifyOp), 200, engineSays) // on another connection
			})
		}
	}
	f("closed", func(e *rawEngine, _ net.Conn, r *bufio.Reader) { e.ask(r) })
	f("reset", reset)
	f("hang", hang)
	f("truncated", says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}"))
	f("bad chunks", says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"))
	f("not HTTP", says("hello\r\n\r\n"))
}

// An answer may come in any pieces, in chunks, at the end of the connection, or with something behind it.
func TestEngineAnswersInPieces(t *testing.T) {
	slowly := func(at ...int) func(*rawEngine, net.Conn, *bufio.Reader) {
		return func(e *rawEngine, c net.Conn, r *bufio.Reader) {
			for e.ask(r) {
				last := 0
				for _, i := range append(at, len(engineAnswer)) {
					_, _ = io.WriteString(c, engineAnswer[last:i])
					last = i
					<-time.After(20 * time.Millisecond)
				}
			}
		}
	}
	f := func(name string, serve func(*rawEngine, net.Conn, *bufio.Reader), conns int32) {
		t.Run(name, func(t *testing.T) {
			e := newRawEngine(t, serve, serve, serve)
			n := start(t, e.url)
			for range 3 {
				want(t, n.create(modifyOp), 200, engineSays)
			}
			if got := e.accepted.Load(); got != conns {
				t.Errorf("%d connections; want %d", got, conns)
			}
		})
	}
	repeated := func(text string) func(*rawEngine, net.Conn, *bufio.Reader) { return says(text, text, text) }
	head := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	f("in the head", slowly(20), 1)
	f("between head and body", slowly(len(engineAnswer)-len(engineSays)), 1)
	f("in the body", slowly(len(engineAnswer)-5, len(engineAnswer)-1), 1)
	f("chunked", repeated(head+"Transfer-Encoding: chunked\r\n\r\n38\r\n"+engineSays+"\r\n0\r\n\r\n"), 1)
	f("larger than what is read at once", repeated(head+"X: "+strings.Repeat("x", 3000)+"\r\nContent-Length: 20056\r\n\r\n"+engineSays+strings.Repeat(" ", 20_000)), 1)
	f("after an interim one", repeated("HTTP/1.1 100 Continue\r\n\r\n"+engineAnswer), 1)
	f("closing", repeated(head+"Connection: close\r\nContent-Length: 56\r\n\r\n"+engineSays), 3)
	f("up to the end", says(head+"\r\n"+engineSays), 3)
	f("and another that nobody asked for", repeated(engineAnswer+engineAnswer), 3)
}
