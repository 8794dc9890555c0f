package eventloop_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"syncgate/internal/eventloop"
)

func TestTurns(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
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
		if _, ok := c.TryOwn(); ok {
			t.Fatal("an owned connection is owned twice")
		}
		if got.o.Look() != eventloop.Readable {
			t.Errorf("the socket has %b", got.o.Look())
		}
		wantRead(t, got.o, 2, "ab", nil)
		got.o.Release(never())
		wantOver(t, got.o)
		again := h.next(t) // there was more
		wantRead(t, again.o, 10, "c", nil)
		wantRead(t, again.o, 10, "", eventloop.ErrWouldBlock)
		if again.o.Look() != 0 {
			t.Errorf("the socket has %b", again.o.Look())
		}
		if done, err := again.o.Write([]byte("answer")); !done || err != nil {
			t.Fatalf("write: %v %v", done, err)
		}
		wantPeerReads(t, peer, "answer")
		wantOver(t, got.o)
		again.o.Release(never())
		h.nothing(t)
		o, ok := c.TryOwn()
		if !ok {
			t.Fatal("an idle connection cannot be owned")
		}
		wantOver(t, again.o)
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
		wantOver(t, o)
		if _, ok := c.TryOwn(); ok || g.Len() != 0 || g.Entered() != 1 {
			t.Errorf("a closed connection: owned %v, %d attached, %d entered", ok, g.Len(), g.Entered())
		}
		wantOver(t, eventloop.Owner{})
	})
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
		for _, before := range []bool{true, false} {
			for range 50 {
				h := newHandOver(t)
				ours, peer := tcpPair(t)
				end := func() {
					send(t, peer, "last words")
					_ = peer.CloseWrite()
				}
				if before {
					end()
				}
				if err := g.Attach(new(eventloop.Conn), h, ours, never()); err != nil {
					t.Fatal(err)
				}
				if !before {
					end()
				}
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
				if done, err := got.o.Write([]byte("answer")); !done || err != nil {
					t.Fatalf("write to a peer that has closed its side: %v %v", done, err)
				}
				wantPeerReads(t, peer, "answer")
				got.o.Release(never())
				select {
				case got = <-h.turns: // FIN and bytes were two events; it was missed
					wantRead(t, got.o, 100, "", io.EOF)
					_ = got.o.Close()
				default:
				}
				_ = peer.Close()
			}
		}
	})
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
		h := newHandOver(t)
		_, peer := attached(t, g, h)
		_ = peer.CloseWrite()
		for {
			got := h.next(t)
			_, err := got.o.Read(make([]byte, 1))
			got.o.Release(never())
			if errors.Is(err, io.EOF) {
				break
			}
		}
		count := 0
		for quiet := false; !quiet; {
			select {
			case got := <-h.turns:
				if count++; count > 2 {
					t.Fatal("an end is reported again and again")
				}
				got.o.Release(never())
			case <-time.After(200 * time.Millisecond):
				quiet = true
			}
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
func TestDetach(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
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
			if g.Len() != 0 {
				t.Errorf("%d are attached", g.Len())
			}
			h.nothing(t)
			wantPeerReads(t, nc, "bc")
			go func() {
				<-time.After(20 * time.Millisecond)
				_, _ = peer.Write([]byte("later"))
			}()
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
		o, _ := c.TryOwn()
		nc, err := o.Detach()
		if err != nil {
			t.Fatal(err)
		}
		if half, ok := nc.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
			t.Errorf("a %T cannot be closed for writing", nc)
		}
		if _, err := peer.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // as it is
			t.Errorf("the peer reads %v", err)
		}
		_ = nc.Close()
	})
}

// TestAttachErrors: nc is closed, whatever is wrong.
func TestAttachErrors(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		refused := func(t *testing.T, g *eventloop.Group, c *eventloop.Conn) {
			t.Helper()
			ours, peer := tcpPair(t)
			if err := g.Attach(c, new(handler), ours, never()); err == nil {
				t.Error("no error")
			}
			_ = peer.SetReadDeadline(time.Now().Add(patience))
			if _, err := peer.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // as it is
				t.Errorf("it is not closed: the peer reads %v", err)
			}
		}
		c, peer := attached(t, g, newHandOver(t))
		t.Run("attached already", func(t *testing.T) { refused(t, g, c) })
		other, err := eventloop.NewGroup(eventloop.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Run("not started", func(t *testing.T) { refused(t, other, new(eventloop.Conn)) })
		if err := other.Start(); err != nil || other.Start() == nil {
			t.Errorf("start: %v, and once more", err)
		}
		o, _ := c.TryOwn()
		t.Run("owned", func(t *testing.T) { refused(t, g, c) })
		_ = o.Close()
		t.Run("another group's", func(t *testing.T) { refused(t, other, c) })
		other.Close()
		other.Close()
		t.Run("closed", func(t *testing.T) { refused(t, other, new(eventloop.Conn)) })
		_ = peer.Close()
		if other.Len() != 0 {
			t.Errorf("%d are attached", other.Len())
		}
	})
	t.Run("no socket", func(t *testing.T) {
		g := newGroup(t, eventloop.Options{})
		a, b := net.Pipe()
		defer func() { _ = b.Close() }()
		if err := g.Attach(new(eventloop.Conn), new(handler), a, never()); err == nil && !emulates() {
			t.Error("no error")
		}
	})
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
