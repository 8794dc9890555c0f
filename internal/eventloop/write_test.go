package eventloop_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/internal/eventloop"
)

// pattern is bytes of which no two places look the same.
func pattern(n int) []byte {
	p := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // not a secret
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

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

// TestSlowReader writes 8 MiB, in parts of all sizes, to a peer that reads slowly, and then a FIN.
func TestSlowReader(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		sent := pattern(8 << 20)
		h := newHandOver(t)
		c, peer := attached(t, g, h)
		o, _ := c.TryOwn()
		rest := sent
		done, partly := true, false
		for len(rest) > 0 {
			n := min(len(rest), 1+rand.IntN(1<<20))
			var err error
			if done, err = o.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			if done != (o.Pending() == 0) {
				t.Fatalf("done: %v, %d pending", done, o.Pending())
			}
			partly = partly || !done
			rest = rest[n:]
		}
		if !partly {
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
		got := make(chan []byte, 1)
		go func() {
			all, err := readAll(peer, 200)
			if err != nil {
				t.Error(err)
			}
			got <- all
		}()
		for writes := 0; !done; writes++ {
			before := o.Pending()
			o.Release(never())
			turn := h.next(t)
			o = turn.o
			if turn.ev != eventloop.Writable {
				t.Fatalf("event %b", turn.ev)
			}
			var err error
			if done, err = o.Flush(); err != nil {
				t.Fatal(err)
			}
			if !done && o.Pending() == before {
				t.Fatal("it was writable, and takes nothing")
			}
		}
		o.Release(never())
		if all := receive(t, got, "the peer"); !bytes.Equal(all, sent) {
			t.Errorf("the peer has read %d other bytes", len(all))
		}
		h.nothing(t)
		o, _ = c.TryOwn()
		_ = o.Close()
	})
}

// TestWritableUnused: an owner that releases without writing is told again that it could.
func TestWritableUnused(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		h := newHandOver(t)
		c, peer := attached(t, g, h)
		o, _ := c.TryOwn()
		if done, err := o.Write(make([]byte, 1<<20)); done || err != nil {
			t.Fatal(done, err)
		}
		for full := false; !full; { // the system takes some of it
			o.Release(never())
			select {
			case got := <-h.turns:
				o = got.o
				_, _ = o.Flush()
			case <-time.After(500 * time.Millisecond):
				full = true
			}
		}
		ended := make(chan int, 1)
		go func() {
			all, _ := readAll(peer, 0)
			ended <- len(all)
		}()
		h.next(t).o.Release(never())
		for done := false; !done; {
			got := h.next(t)
			done, _ = got.o.Write([]byte("!"))
			if done {
				_ = got.o.Close()
			} else {
				got.o.Release(never())
			}
		}
		if n := receive(t, ended, "the peer"); n <= 1<<20 {
			t.Errorf("the peer has read %d bytes", n)
		}
	})
}

// TestPeerThatDoesNotRead sends on and on, or hangs up, while bytes are pending for it that it does not read. That costs an event
// for what it sends, and does not keep a loop busy.
func TestPeerThatDoesNotRead(t *testing.T) {
	for name, act := range map[string]func(peer *net.TCPConn){
		"sends":    func(peer *net.TCPConn) { _, _ = peer.Write([]byte("unread")) },
		"hangs up": func(peer *net.TCPConn) { _ = peer.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, g *eventloop.Group) {
				var events atomic.Int64
				drained := make(chan bool)
				h := &handler{ready: func(o eventloop.Owner, buf []byte, ev eventloop.Events) {
					events.Add(1)
					if ev&eventloop.HangUp != 0 {
						drain(o, buf)
					}
					if ev&eventloop.Writable != 0 {
						if done, _ := o.Flush(); done {
							if name == "sends" {
								wantRead(t, o, 100, "unread", nil)
							}
							close(drained)
							_ = o.Close()
							return
						}
					}
					o.Release(never())
				}}
				c, peer := attached(t, g, h)
				o, _ := c.TryOwn()
				if done, err := o.Write(make([]byte, 1<<20)); done || err != nil {
					t.Fatal(done, err)
				}
				o.Release(never())
				act(peer)
				eventually(t, "the event", func() bool { return events.Load() > 0 })
				<-time.After(300 * time.Millisecond)
				if n := events.Load(); n > 200 { // each 64 KiB that the system takes is one where sockets are emulated
					t.Errorf("%d events", n)
				}
				if n, err := io.CopyN(io.Discard, peer, 1<<20); err != nil {
					t.Errorf("the peer reads %d: %v", n, err)
				}
				receive(t, drained, "the end")
			})
		})
	}
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
