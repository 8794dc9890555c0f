package eventloop_test

import (
	"bytes"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/internal/eventloop"
)

// readAll reads slowly to the end.
func readAll(peer net.Conn, pauses int) ([]byte, error) {
	var all []byte
	buf := make([]byte, 64<<10)
	for i := 0; ; i++ {
		if i < pauses {
			<-time.After(time.Millisecond)
		}
		n, err := peer.Read(buf)
		all = append(all, buf[:n]...)
		if err == io.EOF { //nolint:errorlint // as it is
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

// reader reads all in the background.
func reader(t *testing.T, peer net.Conn, pauses int) <-chan []byte {
	got := make(chan []byte, 1)
	go func() {
		all, err := readAll(peer, pauses)
		if err != nil {
			t.Error(err)
		}
		got <- all
	}()
	return got
}

// TestSlowReader writes 8 MiB, in parts of all sizes, to a peer that reads slowly, and then a FIN.
func TestSlowReader(t *testing.T) { bothWays(t, testSlowReader) }

func testSlowReader(t *testing.T, g *eventloop.Group) {
	sent, d := pattern(8<<20), newDice(t)
	h := newHandOver(t)
	c, peer := attached(t, g, h)
	o := own(t, c)
	for rest := sent; len(rest) > 0; {
		n := min(len(rest), 1+d.n(1<<20))
		done, err := o.Write(rest[:n])
		if err != nil || done != (o.Pending() == 0) {
			t.Fatalf("done: %v, %v, %d pending", done, err, o.Pending())
		}
		rest = rest[n:]
	}
	if o.Pending() == 0 {
		t.Fatal("the socket takes 8 MiB at once")
	}
	if _, err := o.Detach(); err != eventloop.ErrPending { //nolint:errorlint // as it is
		t.Errorf("detach with bytes pending: %v", err)
	}
	if err := o.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Write([]byte("more")); err == nil {
		t.Error("written after CloseWrite")
	}
	got := reader(t, peer, 200)
	o.Release(never())
	flushAll(t, h).Release(never())
	if all := receive(t, got, "the peer"); !bytes.Equal(all, sent) {
		t.Errorf("the peer has read %d other bytes", len(all))
	}
	h.nothing(t)
	shut(t, c)
}

// flushAll flushes whenever it is said that the socket takes more.
func flushAll(t *testing.T, h *handOver) eventloop.Owner {
	t.Helper()
	for {
		got := h.next(t)
		if got.ev != eventloop.Writable {
			t.Fatalf("event %b", got.ev)
		}
		before := got.o.Pending()
		done, err := got.o.Flush()
		switch {
		case err != nil:
			t.Fatal(err)
		case done:
			return got.o
		case got.o.Pending() == before:
			t.Fatal("it was writable, and takes nothing")
		}
		got.o.Release(never())
	}
}

// fill writes until neither the socket nor what is behind it takes more.
func fill(t *testing.T, h *handOver, o eventloop.Owner) {
	t.Helper()
	wantFull(t, o, make([]byte, 1<<20))
	for {
		o.Release(never())
		select {
		case got := <-h.turns:
			o = got.o
			_, _ = o.Flush()
		case <-time.After(500 * time.Millisecond):
			return
		}
	}
}

// TestWritableUnused: an owner that releases without writing gets the event again.
func TestWritableUnused(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		h := newHandOver(t)
		c, peer := attached(t, g, h)
		fill(t, h, own(t, c))
		got := reader(t, peer, 0)
		h.next(t).o.Release(never())
		o := h.next(t).o
		_, _ = o.Write([]byte("!"))
		o.Release(never())
		_ = flushAll(t, h).Close()
		if n := len(receive(t, got, "the peer")); n != 1<<20+1 {
			t.Errorf("the peer has read %d bytes", n)
		}
	})
}

// unreading is a Socket with bytes pending for a peer that does not read.
type unreading struct {
	t       *testing.T
	unread  string // what it leaves unread until all is flushed
	events  atomic.Int64
	drained chan bool
}

func (u *unreading) HungUp()                   {}
func (u *unreading) Expired(o eventloop.Owner) { _ = o.Close() }

func (u *unreading) Ready(o eventloop.Owner, buf []byte, ev eventloop.Events) {
	u.events.Add(1)
	if ev&eventloop.HangUp != 0 {
		drain(o, buf)
	}
	if ev&eventloop.Writable != 0 {
		if done, _ := o.Flush(); done {
			if u.unread != "" {
				wantRead(u.t, o, 100, u.unread, nil)
			}
			close(u.drained)
			_ = o.Close()
			return
		}
	}
	o.Release(never())
}

// testUnreading has a peer do something that does not make it read. That costs an event or two, and does not keep a loop busy.
func testUnreading(t *testing.T, unread string, act func(peer *net.TCPConn)) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		u := &unreading{t: t, unread: unread, drained: make(chan bool)}
		c, peer := attached(t, g, u)
		o := own(t, c)
		wantFull(t, o, make([]byte, 1<<20))
		o.Release(never())
		act(peer)
		eventually(t, "the event", func() bool { return u.events.Load() > 0 })
		<-time.After(300 * time.Millisecond)
		if n := u.events.Load(); n > 100 { // each 64 KiB that the system takes is one where sockets are emulated
			t.Errorf("%d events", n)
		}
		if n, err := io.CopyN(io.Discard, peer, 1<<20); err != nil {
			t.Errorf("the peer reads %d: %v", n, err)
		}
		receive(t, u.drained, "the end")
	})
}

func TestPeerSendsAndDoesNotRead(t *testing.T) {
	testUnreading(t, "unread", func(peer *net.TCPConn) { _, _ = peer.Write([]byte("unread")) })
}

func TestPeerHangsUpAndDoesNotRead(t *testing.T) {
	testUnreading(t, "", func(peer *net.TCPConn) { _ = peer.CloseWrite() })
}

// TestWriteErrors is a peer that has gone.
func TestWriteErrors(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		h := newHandOver(t)
		_, peer := attached(t, g, h)
		_ = peer.SetLinger(0)
		_ = peer.Close()
		got := h.next(t)
		eventually(t, "a write fails", func() bool {
			_, err := got.o.Write([]byte("x"))
			return err != nil
		})
		if err := got.o.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

// TestCloseWrite: the other direction goes on.
func TestCloseWrite(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		h := newHandOver(t)
		c, peer := attached(t, g, h)
		o, _ := c.TryOwn()
		_, _ = o.Write([]byte("bye"))
		for range 2 {
			if err := o.CloseWrite(); err != nil {
				t.Fatal(err)
			}
		}
		o.Release(never())
		all, err := readAll(peer, 0)
		if string(all) != "bye" || err != nil {
			t.Errorf("the peer reads %q, %v", all, err)
		}
		send(t, peer, "still here")
		got := h.next(t)
		wantRead(t, got.o, 100, "still here", nil)
		_ = got.o.Close()
	})
}

// TestLastWords: what a socket has taken reaches the peer after Close.
func TestLastWords(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		for range 20 {
			c, peer := attached(t, g, new(handler))
			o, _ := c.TryOwn()
			_, _ = o.Write([]byte("last words"))
			_ = o.Close()
			all, err := readAll(peer, 0)
			if string(all) != "last words" || err != nil {
				t.Fatalf("the peer reads %q, %v", all, err)
			}
		}
	})
}
