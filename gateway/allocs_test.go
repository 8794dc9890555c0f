package gateway_test

import (
	"bytes"
	"net"
	"sync"
	"testing"

	"syncgate/gateway"
)

// exchanger sends one request over a kept connection and reads its answer, without memory of its own.
func exchanger(tb testing.TB, c net.Conn, request, part string) func() {
	sent, answer := []byte(request), make([]byte, 4<<10)
	wanted := []byte(part)
	return func() {
		if _, err := c.Write(sent); err != nil {
			tb.Fatal(err)
		}
		if n, err := c.Read(answer); err != nil || !bytes.Contains(answer[:n], wanted) {
			tb.Fatalf("%q %v", answer[:n], err)
		}
	}
}

// leanEngine acknowledges each create and calls back at once, without memory of its own: what is counted is the gateway's.
type leanEngine struct {
	net.Listener
	mu        sync.Mutex
	callbacks net.Conn // to the gateway; guarded by mu while a callback is under way: the next trip begins before its answer is read
	running   sync.WaitGroup
}

func newLeanEngine(tb testing.TB) *leanEngine {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	e := &leanEngine{Listener: ln}
	e.running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			e.running.Go(func() { e.serve(c) })
		}
	})
	tb.Cleanup(func() {
		_ = ln.Close()
		e.running.Wait()
	})
	return e
}

// serve answers creates that come whole, one after the other.
func (e *leanEngine) serve(c net.Conn) {
	defer c.Close()
	ack := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n" +
		`{"request_proc":"ok","ops":[{"id":"","proc":"ok","obj":"task","ref":null,"obj_id":"5cf67011094b"}]}`)
	path, end := []byte("/api/1/plugins/callback/"), []byte(" HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n{\"answer\":42}")
	create, callback := make([]byte, 8<<10), make([]byte, 0, 1<<10)
	for {
		n, err := c.Read(create)
		if err != nil {
			return
		}
		token := create[bytes.Index(create[:n], path):n]
		token = token[:bytes.IndexByte(token, '"')]
		callback = append(append(append(callback[:0], "POST "...), token...), end...)
		if _, err := c.Write(ack); err != nil {
			return
		}
		if e.call(callback, create) != nil {
			return
		}
	}
}

// call sends a callback and reads its answer, for which there is room.
func (e *leanEngine) call(callback, room []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, err := e.callbacks.Write(callback); err != nil {
		return err
	}
	_, err := e.callbacks.Read(room)
	return err
}

// tripper makes a gateway and a client that plays one whole trip at each call.
func tripper(t testing.TB, replace ...func(*gateway.Parts)) func() {
	e := newLeanEngine(t)
	n := startParts(t, "http://"+e.Addr().String(), func(_ *node, p *gateway.Parts) {
		for _, r := range replace {
			r(p)
		}
	})
	e.callbacks = n.dial()
	return exchanger(t, n.dial(), rawCreate(oneOp(`{"param":1}`)), `"answer":42`)
}

// What a connection does for each request (reading ahead, deadlines, waiting for the next one) allocates nothing of its own.
func TestConnectionAllocations(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	exchange := exchanger(t, n.dial(), healthRequest, "alive")
	const most = 6 // those that there are, of routing and of the answer, are 5
	if got := testing.AllocsPerRun(500, exchange); got > most && !raced {
		t.Errorf("%v allocations a request; at most %d", got, most)
	}
}

// A trip, with the callback that comes for it.
func TestTripAllocations(t *testing.T) {
	trip := tripper(t)
	const most = 24
	if got := testing.AllocsPerRun(1000, trip); got > most && !raced {
		t.Errorf("%v allocations a trip; at most %d", got, most)
	} else {
		t.Logf("%v allocations a trip", got)
	}
}
