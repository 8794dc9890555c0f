package eventloop_test

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/internal/eventloop"
)

// TestSlowLoops: as long as one loop of a set has nothing to do, nobody waits for the others.
func TestSlowLoops(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		slow := eventloop.LoopsOf(runtime.GOMAXPROCS(0)) - 1
		begun, end := make(chan bool, slow), make(chan bool)
		for range slow { // all in the same set
			_, peer := attached(t, g, &handler{ready: func(o eventloop.Owner, _ []byte, _ eventloop.Events) {
				begun <- true
				<-end
				_ = o.Close()
			}})
			send(t, peer, "x")
			receive(t, begun, "a loop that is free")
			for range eventloop.Sets(g) - 1 {
				attached(t, g, new(handler))
			}
		}
		h := newHandOver(t)
		c, peer := attached(t, g, h)
		for range 100 {
			send(t, peer, "x")
			got := h.next(t)
			wantRead(t, got.o, 10, "x", nil)
			got.o.Release(never())
		}
		close(end)
		eventually(t, "the connection is idle", func() bool {
			o, ok := c.TryOwn()
			if ok {
				_ = o.Close()
			}
			return ok
		})
	})
}

// TestIdle closes the idle connections of one kind.
func TestIdle(t *testing.T) { bothWays(t, testIdle) }

func testIdle(t *testing.T, g *eventloop.Group) {
	kinds := make(map[*eventloop.Conn]bool)
	var busy []eventloop.Owner
	for i := range 20 {
		c, _ := attached(t, g, new(handler))
		kinds[c] = i%2 == 0
		if i%5 == 0 {
			busy = append(busy, own(t, c))
		}
	}
	limit := 3
	closeSome := func() (count int) {
		g.Idle(func(o eventloop.Owner) bool {
			if err := o.Close(); err != nil || !kinds[o.Conn()] {
				t.Errorf("close: %v; of the right kind: %v", err, kinds[o.Conn()])
			}
			count++
			return count != limit
		}, func(c *eventloop.Conn) bool { return kinds[c] })
		return count
	}
	if n := closeSome(); n != limit {
		t.Errorf("%d are closed; want %d, as yield wanted no more", n, limit)
	}
	limit = -1
	if n := closeSome(); n != 5 { // 10, less 3, less the two that are owned
		t.Errorf("%d are closed; want 5", n)
	}
	wantAttached(t, g, 12)
	if g.Entered() != 20 {
		t.Errorf("%d were attached", g.Entered())
	}
	for _, o := range busy {
		_ = o.Close()
	}
}

// TestGroupClose: what is attached can be used, but is not watched any more.
func TestGroupClose(t *testing.T) { bothWays(t, testGroupClose) }

func testGroupClose(t *testing.T, g *eventloop.Group) {
	h := newHandOver(t)
	c, peer := attached(t, g, h)
	c2, peer2 := attached(t, g, h)
	o2 := own(t, c2)
	g.Close()
	g.Close()
	if g.Start() == nil {
		t.Error("a closed group is started")
	}
	send(t, peer, "unseen")
	h.nothing(t)
	o := own(t, c)
	eventually(t, "the bytes come", func() bool { return o.Look() != 0 })
	wantRead(t, o, 2, "un", nil)
	o.Release(never()) // with more to read
	h.nothing(t)
	o = own(t, c)
	wantRead(t, o, 10, "seen", nil)
	wantWritten(t, o2, "answer")
	wantPeerReads(t, peer2, "answer")
	if err := errors.Join(o.Close(), o2.Close()); err != nil {
		t.Error(err)
	}
	wantAttached(t, g, 0)
}

// panics notes what a group has heard of.
type panics struct {
	t     *testing.T
	mu    sync.Mutex
	heard map[string]int
}

func (p *panics) note(value any, stack []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard[fmt.Sprint(value)]++
	if len(stack) == 0 {
		p.t.Error("no stack")
	}
}

func (p *panics) want(what string) {
	p.t.Helper()
	eventually(p.t, "the panic in "+what+" is heard of", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.heard[what] > 0
	})
}

// TestPanics: a Socket panics in each of its methods. Everybody else goes on, its peer hears of the end, and its connection
// leaves.
func TestPanics(t *testing.T) {
	p := &panics{t: t, heard: make(map[string]int)}
	withOptions(t, eventloop.Options{Expiry: 100 * time.Millisecond, Panicked: p.note}, func(t *testing.T, g *eventloop.Group) {
		p.t = t
		clear(p.heard)
		testPanicInReady(t, g)
		p.want("ready")
		ours, peer := tcpPair(t)
		if err := g.Attach(new(eventloop.Conn), &handler{expired: func(eventloop.Owner) { panic("expired") }}, ours, time.Now()); err != nil {
			t.Fatal(err)
		}
		wantEnd(t, peer)
		p.want("expired")
		c, peer := attached(t, g, &handler{hungUp: func() { panic("hungUp") }})
		o := own(t, c)
		_ = peer.CloseWrite()
		eventually(t, "HungUp is called", o.PeerGone)
		wantWritten(t, o, "still owned")
		wantPeerReads(t, peer, "still owned")
		_ = o.Close()
		eventually(t, "all have left", func() bool { return g.Len() == 0 })
		p.want("hungUp")
		h := newHandOver(t)
		_, peer = attached(t, g, h)
		for range 2 * eventloop.LoopsOf(runtime.GOMAXPROCS(0)) { // no loop is missing
			send(t, peer, "x")
			got := h.next(t)
			wantRead(t, got.o, 10, "x", nil)
			got.o.Release(never())
		}
	})
}

// testPanicInReady: the peer hears of the end at once, and the descriptor stays for a while.
func testPanicInReady(t *testing.T, g *eventloop.Group) {
	t.Helper()
	var stale atomic.Pointer[eventloop.Owner]
	c, peer := attached(t, g, &handler{ready: func(o eventloop.Owner, _ []byte, _ eventloop.Events) {
		stale.Store(&o)
		panic("ready")
	}})
	began := time.Now()
	send(t, peer, "x")
	wantEnd(t, peer)
	wantAttached(t, g, 1)
	wantOver(t, *stale.Load())
	wantNotIdle(t, c)
	eventually(t, "it is closed", func() bool { return g.Len() == 0 })
	if after := time.Since(began); after < time.Second {
		t.Errorf("it is closed after %v, and an Owner may be in the middle of a write", after)
	}
}

// TestPanicAfterHandOver: Ready gives its Owner away and panics then. The other owner may be in the middle of something: the
// descriptor stays until that must have ended.
func TestPanicAfterHandOver(t *testing.T) {
	o := eventloop.Options{Expiry: 100 * time.Millisecond, Panicked: func(any, []byte) {}}
	withOptions(t, o, func(t *testing.T, g *eventloop.Group) {
		for range 20 {
			given := make(chan eventloop.Owner, 1)
			_, peer := attached(t, g, &handler{ready: func(o eventloop.Owner, _ []byte, _ eventloop.Events) {
				given <- o
				panic("too late")
			}})
			send(t, peer, "x")
			own := receive(t, given, "the owner")
			for {
				if _, err := own.Write([]byte("x")); errors.Is(err, eventloop.ErrNotOwner) {
					break
				} else if err != nil {
					_ = own.Close()
				}
			}
			wantOver(t, own)
		}
		eventually(t, "all have left", func() bool { return g.Len() == 0 })
	})
}

// wantEnd waits for the end of a connection.
func wantEnd(t *testing.T, peer net.Conn) {
	t.Helper()
	_ = peer.SetReadDeadline(time.Now().Add(patience))
	n, err := peer.Read(make([]byte, 1))
	if timeout, ok := errors.AsType[net.Error](err); n > 0 || err == nil || ok && timeout.Timeout() {
		t.Errorf("the peer hears %d bytes, %v; want an end", n, err)
	}
}

// TestListen accepts connections, for the loops and to be waited for.
func TestListen(t *testing.T) { bothWays(t, testListen) }

func testListen(t *testing.T, g *eventloop.Group) {
	l, err := g.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Listen("tcp", l.Addr().String()); err == nil {
		t.Error("an address is bound twice")
	}
	a, peer := accept(t, l)
	h, c := newHandOver(t), new(eventloop.Conn)
	if err := a.Attach(g, c, h, never()); err != nil {
		t.Fatal(err)
	}
	if a.Close() == nil || a.Attach(g, new(eventloop.Conn), h, never()) == nil {
		t.Error("an attached connection is closed or attached twice")
	}
	wantExchange(t, c, h, peer)

	a, peer = accept(t, l)
	nc, err := a.NetConn()
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(10*time.Millisecond, func() { _, _ = peer.Write([]byte("header")) })
	wantPeerReads(t, nc, "header")
	if err := g.Attach(c, h, nc, never()); err != nil {
		t.Fatal(err)
	}
	wantExchange(t, c, h, peer)

	a, peer = accept(t, l)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	wantEOF(t, peer)
	ended := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	<-time.After(10 * time.Millisecond)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := receive(t, ended, "Accept"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close, Accept gives %v", err)
	}
}

// accept gives a connection and its peer.
func accept(t *testing.T, l *eventloop.Listener) (*eventloop.Accepted, net.Conn) {
	t.Helper()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peer.Close() })
	a, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if a.RemoteAddr != addrOf(t, peer) {
		t.Errorf("the peer is %v; want %v", a.RemoteAddr, addrOf(t, peer))
	}
	return a, peer
}

// wantExchange has both sides say something, and closes.
func wantExchange(t *testing.T, c *eventloop.Conn, h *handOver, peer net.Conn) {
	t.Helper()
	if c.RemoteAddr() != addrOf(t, peer) {
		t.Errorf("the peer is %v; want %v", c.RemoteAddr(), addrOf(t, peer))
	}
	send(t, peer, "abc")
	got := h.next(t)
	wantRead(t, got.o, 10, "abc", nil)
	wantWritten(t, got.o, "answer")
	wantPeerReads(t, peer, "answer")
	_ = got.o.Close()
}
