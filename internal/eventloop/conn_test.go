package eventloop_test

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/internal/eventloop"
)

func TestTurns(t *testing.T) { bothWays(t, testTurns) }

func testTurns(t *testing.T, g *eventloop.Group) {
	h := newHandOver(t)
	c, peer := attached(t, g, h)
	if c.RemoteAddr() != addrOf(t, peer) {
		t.Errorf("the peer is %v; want %v", c.RemoteAddr(), addrOf(t, peer))
	}
	h.nothing(t)
	send(t, peer, "abc")
	got := h.next(t)
	if got.ev != eventloop.Readable || got.o.Conn() != c || got.o.PeerGone() {
		t.Fatalf("event %b, peer gone: %v", got.ev, got.o.PeerGone())
	}
	wantNotIdle(t, c)
	wantLook(t, got.o, eventloop.Readable)
	wantRead(t, got.o, 2, "ab", nil)
	got.o.Release(never())
	wantOver(t, got.o)
	again := h.next(t) // there was more
	wantRead(t, again.o, 10, "c", nil)
	wantRead(t, again.o, 10, "", eventloop.ErrWouldBlock)
	wantLook(t, again.o, 0)
	wantWritten(t, again.o, "answer")
	wantPeerReads(t, peer, "answer")
	wantOver(t, got.o)
	again.o.Release(never())
	h.nothing(t)
	o := own(t, c)
	wantOver(t, again.o)
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	wantOver(t, o)
	wantNotIdle(t, c)
	wantAttached(t, g, 0)
	if g.Entered() != 1 {
		t.Errorf("%d were attached", g.Entered())
	}
	wantOver(t, eventloop.Owner{})
	wantNotIdle(t, new(eventloop.Conn))
}

func wantNotIdle(t *testing.T, c *eventloop.Conn) {
	t.Helper()
	if _, ok := c.TryOwn(); ok {
		t.Fatal("a connection is owned that is not idle")
	}
}

func wantLook(t *testing.T, o eventloop.Owner, ev eventloop.Events) {
	t.Helper()
	if got := o.Look(); got != ev {
		t.Errorf("the socket has %b; want %b", got, ev)
	}
}

// TestNotRead: what was reported and is not read is reported again, and what comes in a turn after that.
func TestNotRead(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		h := newHandOver(t)
		c, peer := attached(t, g, h)
		send(t, peer, "abc")
		h.next(t).o.Release(never())
		got := h.next(t)
		wantRead(t, got.o, 10, "abc", nil)
		send(t, peer, "def") // in the turn
		eventually(t, "the bytes come", func() bool { return got.o.Look() != 0 })
		got.o.Release(never())
		got = h.next(t)
		wantRead(t, got.o, 10, "def", nil)
		got.o.Release(never())
		h.nothing(t)
		o, ok := c.TryOwn()
		if !ok {
			t.Fatal("not idle")
		}
		send(t, peer, "ghi")
		eventually(t, "the bytes come", func() bool { return o.Look() != 0 })
		o.Release(never())
		got = h.next(t)
		wantRead(t, got.o, 10, "ghi", nil)
		_ = got.o.Close()
	})
}

// TestDataThenEnd has bytes and a FIN come together: before the connection is attached, and after.
func TestDataThenEnd(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		for range 50 {
			testDataThenEnd(t, g, true)
			testDataThenEnd(t, g, false)
		}
	})
}

func testDataThenEnd(t *testing.T, g *eventloop.Group, before bool) {
	t.Helper()
	h := newHandOver(t)
	ours, peer := tcpPair(t)
	defer func() { _ = peer.Close() }()
	end := func(now bool) {
		if now {
			send(t, peer, "last words")
			_ = peer.CloseWrite()
		}
	}
	end(before)
	if err := g.Attach(new(eventloop.Conn), h, ours, never()); err != nil {
		t.Fatal(err)
	}
	end(!before)
	got := h.next(t)
	wantRead(t, got.o, 100, "last words", nil)
	got.o.Release(never())
	for got = h.next(t); got.ev&eventloop.HangUp == 0; got = h.next(t) {
		drainNothing(t, got.o)
	}
	wantRead(t, got.o, 100, "", io.EOF)
	if !got.o.PeerGone() {
		t.Error("the peer is not gone")
	}
	wantWritten(t, got.o, "answer") // a peer that has closed its side still reads
	wantPeerReads(t, peer, "answer")
	got.o.Release(never())
}

// drainNothing wants nothing to read, and releases.
func drainNothing(t *testing.T, o eventloop.Owner) {
	t.Helper()
	wantRead(t, o, 100, "", eventloop.ErrWouldBlock)
	o.Release(never())
}

// TestEndIsReportedOnce: an end that was read does not keep a loop busy.
func TestEndIsReportedOnce(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		var events, ends atomic.Int64
		_, peer := attached(t, g, &handler{ready: func(o eventloop.Owner, buf []byte, _ eventloop.Events) {
			events.Add(1)
			if _, err := o.Read(buf); errors.Is(err, io.EOF) {
				ends.Add(1)
			}
			o.Release(never())
		}})
		_ = peer.CloseWrite()
		eventually(t, "the end is read", func() bool { return ends.Load() > 0 })
		<-time.After(200 * time.Millisecond)
		if n := events.Load(); n > 3 {
			t.Fatalf("an end is reported %d times", n)
		}
	})
}

// TestHungUp: a hang-up while somebody owns the connection.
func TestHungUp(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		h := newHandOver(t)
		c, peer := attached(t, g, h)
		o, ok := c.TryOwn()
		if !ok || o.PeerGone() {
			t.Fatal("the connection is not idle, or the peer gone")
		}
		send(t, peer, "unread")
		_ = peer.CloseWrite()
		eventually(t, "HungUp is called", func() bool { return h.hangUps.Load() > 0 })
		if !o.PeerGone() || o.Look()&eventloop.HangUp == 0 {
			t.Errorf("peer gone: %v, the socket has %b", o.PeerGone(), o.Look())
		}
		o.Release(never())
		got := h.next(t)
		if got.ev&(eventloop.HangUp|eventloop.Readable) != eventloop.HangUp|eventloop.Readable || !got.o.PeerGone() {
			t.Errorf("released, the event is %b, peer gone: %v", got.ev, got.o.PeerGone())
		}
		wantRead(t, got.o, 100, "unread", nil)
		wantRead(t, got.o, 100, "", io.EOF)
		got.o.Release(never())
		o, ok = c.TryOwn()
		if !ok {
			got = h.next(t)
			o = got.o
		}
		if !o.PeerGone() {
			t.Error("in the next turn the peer is not gone")
		}
		_ = o.Close()
	})
}

// TestReset is a peer that resets the connection.
func TestReset(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		h := newHandOver(t)
		_, peer := attached(t, g, h)
		_ = peer.SetLinger(0)
		_ = peer.Close()
		got := h.next(t)
		if got.ev&eventloop.HangUp == 0 {
			t.Errorf("a reset is %b", got.ev)
		}
		if n, err := got.o.Read(make([]byte, 10)); n > 0 || err == nil || errors.Is(err, eventloop.ErrWouldBlock) {
			t.Errorf("read %d, %v", n, err)
		}
		_ = got.o.Close()
	})
}

// TestDetach gives connections away and takes them back.
func TestDetach(t *testing.T) { bothWays(t, testDetach) }

func testDetach(t *testing.T, g *eventloop.Group) {
	h := newHandOver(t)
	c, peer := attached(t, g, h)
	for range 3 {
		send(t, peer, "abc")
		got := h.next(t)
		wantRead(t, got.o, 1, "a", nil)
		nc, err := got.o.Detach()
		if err != nil {
			t.Fatal(err)
		}
		wantOver(t, got.o)
		wantAttached(t, g, 0)
		h.nothing(t)
		wantPeerReads(t, nc, "bc")
		time.AfterFunc(20*time.Millisecond, func() { _, _ = peer.Write([]byte("later")) })
		wantPeerReads(t, nc, "later")
		send(t, nc, "answer")
		wantPeerReads(t, peer, "answer")
		_ = nc.SetDeadline(time.Now().Add(-time.Second)) // of no consequence for the loops
		if err := g.Attach(c, h, nc, never()); err != nil {
			t.Fatal(err)
		}
		if c.RemoteAddr() != addrOf(t, peer) {
			t.Errorf("the peer is %v", c.RemoteAddr())
		}
	}
	nc, err := own(t, c).Detach()
	if err != nil {
		t.Fatal(err)
	}
	if half, ok := nc.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		t.Errorf("a %T cannot be closed for writing", nc)
	}
	wantEOF(t, peer)
	_ = nc.Close()
}

// wantRefused: nc is closed, whatever is wrong.
func wantRefused(t *testing.T, g *eventloop.Group, c *eventloop.Conn, what string) {
	t.Helper()
	ours, peer := tcpPair(t)
	if err := g.Attach(c, new(handler), ours, never()); err == nil {
		t.Error("attached though it is " + what)
	}
	wantEOF(t, peer)
}

func TestAttachErrors(t *testing.T) { bothWays(t, testAttachErrors) }

func testAttachErrors(t *testing.T, g *eventloop.Group) {
	c, _ := attached(t, g, newHandOver(t))
	wantRefused(t, g, c, "attached already")
	other, err := eventloop.NewGroup(eventloop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	wantRefused(t, other, new(eventloop.Conn), "of a group that was not started")
	if err := other.Start(); err != nil || other.Start() == nil {
		t.Errorf("start: %v, and once more", err)
	}
	o := own(t, c)
	wantRefused(t, g, c, "owned")
	_ = o.Close()
	wantRefused(t, other, c, "another group's")
	other.Close()
	other.Close()
	wantRefused(t, other, new(eventloop.Conn), "of a group that is closed")
	wantAttached(t, other, 0)
}

// TestAttachPipe wants a socket, where sockets are not emulated.
func TestAttachPipe(t *testing.T) {
	g := newGroup(t, eventloop.Options{})
	a, b := net.Pipe()
	defer func() { _ = b.Close() }()
	if err := g.Attach(new(eventloop.Conn), new(handler), a, never()); (err == nil) != emulates() {
		t.Errorf("attach: %v", err)
	}
}

// TestSetRemoteAddr: what a proxy has said stays until the connection is closed.
func TestSetRemoteAddr(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		ours, peer := tcpPair(t)
		c, said := new(eventloop.Conn), addrOf(t, ours)
		c.SetRemoteAddr(said)
		if err := g.Attach(c, new(handler), ours, never()); err != nil {
			t.Fatal(err)
		}
		o, _ := c.TryOwn()
		nc, err := o.Detach()
		if err != nil || c.RemoteAddr() != said {
			t.Fatalf("the peer is %v, %v", c.RemoteAddr(), err)
		}
		if err := g.Attach(c, new(handler), nc, never()); err != nil || c.RemoteAddr() != said {
			t.Fatalf("the peer is %v, %v", c.RemoteAddr(), err)
		}
		_ = peer
		o, _ = c.TryOwn()
		_ = o.Close()
		ours, peer = tcpPair(t)
		if err := g.Attach(c, new(handler), ours, never()); err != nil || c.RemoteAddr() != addrOf(t, peer) {
			t.Fatalf("of another connection the peer is %v, %v", c.RemoteAddr(), err)
		}
	})
}
