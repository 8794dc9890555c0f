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
func TestIdle(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		kinds := make(map[*eventloop.Conn]bool)
		var busy []eventloop.Owner
		for i := range 20 {
			c, _ := attached(t, g, new(handler))
			kinds[c] = i%2 == 0
			if i%5 == 0 {
				o, ok := c.TryOwn()
				if !ok {
					t.Fatal("not idle")
				}
				busy = append(busy, o)
			}
		}
		count, limit := 0, 3
		yield := func(o eventloop.Owner) bool {
			if !kinds[o.Conn()] {
				t.Error("one of another kind")
			}
			if err := o.Close(); err != nil {
				t.Error(err)
			}
			count++
			return count != limit
		}
		only := func(c *eventloop.Conn) bool { return kinds[c] }
		g.Idle(yield, only)
		if count != limit {
			t.Errorf("%d are closed; want %d, as yield wanted no more", count, limit)
		}
		g.Idle(yield, only)
		if want := 8; count != want { // 10, less the two that are owned
			t.Errorf("%d are closed; want %d", count, want)
		}
		if want := 12; g.Len() != want || g.Entered() != 20 {
			t.Errorf("%d are attached of %d; want %d of 20", g.Len(), g.Entered(), want)
		}
		for _, o := range busy {
			_ = o.Close()
		}
	})
}

// TestGroupClose: what is attached can be used, but is not watched any more.
func TestGroupClose(t *testing.T) {
	for name, portable := range map[string]bool{"system": false, "portable": true} {
		t.Run(name, func(t *testing.T) {
			g, err := eventloop.NewGroup(eventloop.Options{Portable: portable})
			if err != nil {
				t.Fatal(err)
			}
			if err := g.Start(); err != nil {
				t.Fatal(err)
			}
			h := newHandOver(t)
			c, peer := attached(t, g, h)
			owned, peer2 := attached(t, g, h)
			o2, _ := owned.TryOwn()
			g.Close()
			g.Close()
			if g.Start() == nil {
				t.Error("a closed group is started")
			}
			send(t, peer, "unseen")
			h.nothing(t)
			o, ok := c.TryOwn()
			if !ok {
				t.Fatal("not idle")
			}
			eventually(t, "the bytes come", func() bool { return o.Look() != 0 })
			o.Release(never()) // unread
			h.nothing(t)
			o, _ = c.TryOwn()
			wantRead(t, o, 10, "unseen", nil)
			if done, err := o2.Write([]byte("answer")); !done || err != nil {
				t.Error(done, err)
			}
			wantPeerReads(t, peer2, "answer")
			if o.Close() != nil || o2.Close() != nil || g.Len() != 0 {
				t.Error("they cannot be closed")
			}
		})
	}
}

// TestPanics: a Socket panics in each of its methods. Everybody else goes on, its peer hears of the end, and its connection
// leaves.
func TestPanics(t *testing.T) {
	var mu sync.Mutex
	heard := make(map[string]int)
	o := eventloop.Options{Expiry: 100 * time.Millisecond, Panicked: func(value any, stack []byte) {
		mu.Lock()
		defer mu.Unlock()
		heard[fmt.Sprint(value)]++
		if len(stack) == 0 {
			t.Error("no stack")
		}
	}}
	withOptions(t, o, func(t *testing.T, g *eventloop.Group) {
		clear(heard)
		var stale atomic.Pointer[eventloop.Owner]
		c, peer := attached(t, g, &handler{
			ready: func(o eventloop.Owner, _ []byte, _ eventloop.Events) {
				stale.Store(&o)
				panic("ready")
			},
		})
		send(t, peer, "x")
		wantEnd(t, peer)
		if g.Len() != 1 {
			t.Error("the peer hears of the end only when the connection is closed")
		}
		wantOver(t, *stale.Load())
		if _, ok := c.TryOwn(); ok {
			t.Error("it can be owned")
		}
		ours, peer := tcpPair(t)
		if err := g.Attach(new(eventloop.Conn), &handler{expired: func(eventloop.Owner) { panic("expired") }}, ours, time.Now()); err != nil {
			t.Fatal(err)
		}
		wantEnd(t, peer)
		owned, peer := attached(t, g, &handler{hungUp: func() { panic("hungUp") }})
		own, _ := owned.TryOwn()
		_ = peer.CloseWrite()
		eventually(t, "HungUp is called", own.PeerGone)
		if done, err := own.Write([]byte("still owned")); !done || err != nil {
			t.Error(done, err)
		}
		wantPeerReads(t, peer, "still owned")
		_ = own.Close()
		eventually(t, "all have left", func() bool { return g.Len() == 0 })
		mu.Lock()
		if heard["ready"] != 1 || heard["expired"] != 1 || heard["hungUp"] < 1 {
			t.Errorf("heard of %v", heard)
		}
		mu.Unlock()
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
func TestListen(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		l, err := g.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Listen("tcp", l.Addr().String()); err == nil {
			t.Error("an address is bound twice")
		}
		dial := func() (*eventloop.Accepted, net.Conn) {
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
		exchange := func(c *eventloop.Conn, h *handOver, peer net.Conn) {
			if c.RemoteAddr() != addrOf(t, peer) {
				t.Errorf("the peer is %v; want %v", c.RemoteAddr(), addrOf(t, peer))
			}
			send(t, peer, "abc")
			got := h.next(t)
			wantRead(t, got.o, 10, "abc", nil)
			_, _ = got.o.Write([]byte("answer"))
			wantPeerReads(t, peer, "answer")
			_ = got.o.Close()
		}
		a, peer := dial()
		h, c := newHandOver(t), new(eventloop.Conn)
		if err := a.Attach(g, c, h, never()); err != nil {
			t.Fatal(err)
		}
		if a.Close() == nil || a.Attach(g, new(eventloop.Conn), h, never()) == nil {
			t.Error("an attached connection is closed or attached twice")
		}
		exchange(c, h, peer)

		a, peer = dial()
		nc, err := a.NetConn()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			<-time.After(10 * time.Millisecond)
			_, _ = peer.Write([]byte("header"))
		}()
		wantPeerReads(t, nc, "header")
		if err := g.Attach(c, h, nc, never()); err != nil {
			t.Fatal(err)
		}
		exchange(c, h, peer)

		a, peer = dial()
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		wantEnd(t, peer)
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
	})
}
