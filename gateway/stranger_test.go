package gateway_test

import (
	"bufio"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/gateway"

	"syncgate/correlator"
)

// A descriptor's number is another socket's as soon as it is closed. Whoever writes has to be sure that nobody closes meanwhile. These
// tests have a peer hang up at that very moment, and let strangers in, who would get the number.

// trap runs once, at a point of the gateway that the test names when it is ready.
type trap struct {
	point atomic.Pointer[string]
	run   func()
	ran   chan struct{}
}

func newTrap(run func()) *trap { return &trap{run: run, ran: make(chan struct{})} }

func (tr *trap) set(point string) { tr.point.Store(&point) }

// reach is a gateway's hook.
func (tr *trap) reach(point string) {
	if want := tr.point.Load(); want != nil && *want == point && tr.point.CompareAndSwap(want, nil) {
		tr.run()
		close(tr.ran)
	}
}

// sprung waits until the trap has run.
func (tr *trap) sprung(t *testing.T) {
	t.Helper()
	select {
	case <-tr.ran:
	case <-time.After(10 * time.Second):
		t.Fatal("the gateway did not come to the point within 10 s")
	}
}

// strangers are clients that have asked for nothing.
type strangers []net.Conn

// let connects a few, and waits until the gateway has them.
func (s *strangers) let(t *testing.T, n *node) {
	_, before := n.Leaks()
	const some = 5
	for range some {
		c, err := net.Dial("tcp", n.PublicAddr().String())
		if err != nil {
			t.Errorf("a stranger cannot come: %v", err)
			return
		}
		*s = append(*s, c)
	}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); <-time.After(time.Millisecond) {
		if _, now := n.Leaks(); now >= before+some-1 { // one that has hung up may be gone
			return
		}
	}
	t.Error("the gateway did not accept the strangers within 5 s")
}

// heardNothing fails where a stranger was sent anything.
func (s *strangers) heardNothing(t *testing.T) {
	t.Helper()
	for _, c := range *s {
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if b, err := io.ReadAll(c); len(b) > 0 || err != nil && !isTimeout(err) {
			t.Errorf("a stranger was sent %d bytes, %.300q: %v", len(b), b, err)
		}
		_ = c.Close()
	}
}

// givesBack waits for the peer to close its descriptor, for a while: here it must not.
func givesBack(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	_, err := c.Read(make([]byte, 1))
	_ = c.SetReadDeadline(time.Time{})
	return err != nil && !isTimeout(err)
}

// A request, which is signed and has the token of a callback, is the engine's alone, also where the engine closes its connection at the
// moment when the request is written.
func TestRequestNeverReachesAStranger(t *testing.T) {
	for _, how := range []string{"closes", "resets"} {
		t.Run(how, func(t *testing.T) {
			leave, left := make(chan struct{}), make(chan struct{})
			e := newRawEngine(t, func(e *rawEngine, c net.Conn, r *bufio.Reader) {
				says(engineAnswer, engineAnswer)(e, c, r)
				<-leave
				defer close(left)
				if how == "resets" {
					_ = c.(*net.TCPConn).SetLinger(0)
					_ = c.Close()
					<-time.After(100 * time.Millisecond) // nothing says when the gateway has closed its side, too
					return
				}
				_ = c.(*net.TCPConn).CloseWrite()
				if givesBack(c) {
					t.Error("the gateway has closed a connection that it was about to write to")
				}
			}, serves)
			var n *node
			var some strangers
			tr := newTrap(func() {
				close(leave)
				<-left
				some.let(t, n)
			})
			n = startParts(t, e.url, func(_ *node, p *gateway.Parts) { p.SetHook(tr.reach) })
			want(t, n.create(modifyOp), 200, engineSays)
			want(t, n.create(modifyOp), 200, engineSays) // a loop has the connection now
			tr.set("write")
			n.create(modifyOp)
			tr.sprung(t)
			some.heardNothing(t)
			want(t, n.create(modifyOp), 200, engineSays) // on another connection
		})
	}
}

// A reply is its client's alone, and an engine's answer the engine's, also where they hang up when it is written.
func TestReplyNeverReachesAStranger(t *testing.T) {
	f := func(name string, hangsUp func(client, engine net.Conn), result string, status int) {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t)
			var n *node
			var client, caller net.Conn
			var some strangers
			tr := newTrap(func() {
				hangsUp(client, caller)
				<-time.After(300 * time.Millisecond) // a loop hears of it
				some.let(t, n)
			})
			n = startParts(t, e.URL, func(_ *node, p *gateway.Parts) { p.SetHook(tr.reach) })
			client, caller = n.dial(), n.dial()
			_, _ = io.WriteString(client, rawCreate(oneOp(`{}`)))
			a := e.next(t)
			a.accept()
			token := a.tokens[0]
			if status == 410 {
				token = string(n.keys.AppendToken(nil, correlator.Token{Trip: n.memo.NewID(time.Now().Add(-time.Hour))}))
			}
			tr.set("reply")
			_, _ = io.WriteString(caller, request("POST", "/api/1/plugins/callback/"+token, result))
			tr.sprung(t)
			some.heardNothing(t)
			n.callback(a.tokens[0], result)
		})
	}
	closes := func(c net.Conn) { _ = c.Close() }
	resets := func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0); _ = c.Close() }
	f("the client closes", func(client, _ net.Conn) { closes(client) }, `{}`, 200)
	f("the client resets", func(client, _ net.Conn) { resets(client) }, `{}`, 200)
	f("the engine closes", func(_, engine net.Conn) { closes(engine) }, `{}`, 410)
	f("the engine resets", func(_, engine net.Conn) { resets(engine) }, `{}`, 410)
}
