package eventloop_test

import (
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"syncgate/internal/eventloop"
)

// gate is a Hook that stops the next goroutine at a point.
type gate struct {
	mu      sync.Mutex
	point   string // "": nobody is stopped
	stopped chan bool
	open    chan bool
}

func newGate() *gate { return &gate{stopped: make(chan bool), open: make(chan bool)} }

func (g *gate) hook(point string) {
	g.mu.Lock()
	stop := point == g.point
	if stop {
		g.point = ""
	}
	g.mu.Unlock()
	if stop {
		g.stopped <- true
		<-g.open
	}
}

func (g *gate) shut(point string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.point = point
}

// withGate runs a test in both ways.
func withGate(t *testing.T, f func(t *testing.T, g *eventloop.Group, at *gate)) {
	t.Helper()
	for name, portable := range map[string]bool{"system": false, "portable": true} {
		t.Run(name, func(t *testing.T) {
			at := newGate()
			f(t, newGroup(t, eventloop.Options{Portable: portable, Hook: at.hook}), at)
		})
	}
}

// replace closes c, which is idle, and gives one more connection to the loops, with the same descriptor's number, as next.
func replace(t *testing.T, g *eventloop.Group, c, next *eventloop.Conn, s eventloop.Socket) (peer io.ReadWriteCloser) {
	t.Helper()
	o, ok := c.TryOwn()
	if !ok {
		t.Fatal("not idle")
	}
	number := eventloop.FD(c)
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		ours, peer := tcpPair(t)
		if err := g.Attach(next, s, ours, never()); err != nil {
			t.Fatal(err)
		}
		o, ok := next.TryOwn()
		if !ok {
			t.Fatal("not idle")
		}
		if eventloop.FD(next) == number {
			o.Release(never())
			return peer
		}
		next = new(eventloop.Conn) // the number is one of another test's, or will be free soon
		_ = peer
	}
	t.Fatal("no connection gets the number")
	return nil
}

// TestStaleEvent: a loop has taken an event, and before it serves that, the connection is closed and its Conn attached anew.
func TestStaleEvent(t *testing.T) {
	withGate(t, func(t *testing.T, g *eventloop.Group, at *gate) {
		old := &handler{
			ready:  func(eventloop.Owner, []byte, eventloop.Events) { t.Error("Ready is called for what is closed") },
			hungUp: func() { t.Error("HungUp is called for what is closed") },
		}
		c, peer := attached(t, g, old)
		at.shut("taken")
		_ = peer.Close()
		receive(t, at.stopped, "the loop")
		o, _ := c.TryOwn()
		_ = o.Close()
		h := newHandOver(t)
		ours, peer := tcpPair(t)
		if err := g.Attach(c, h, ours, never()); err != nil {
			t.Fatal(err)
		}
		at.open <- true
		h.nothing(t)
		send(t, peer, "new")
		got := h.next(t)
		if got.ev != eventloop.Readable || got.o.PeerGone() || h.hangUps.Load() > 0 {
			t.Errorf("the new connection has the event %b, its peer is gone: %v", got.ev, got.o.PeerGone())
		}
		wantRead(t, got.o, 10, "new", nil)
		wantOver(t, o)
		_ = got.o.Close()
	})
}

// TestStaleEventWhileOwned: the same, and somebody owns the new connection.
func TestStaleEventWhileOwned(t *testing.T) {
	withGate(t, func(t *testing.T, g *eventloop.Group, at *gate) {
		h := newHandOver(t)
		c, peer := attached(t, g, h)
		at.shut("taken")
		_ = peer.Close()
		receive(t, at.stopped, "the loop")
		o, _ := c.TryOwn()
		_ = o.Close()
		ours, _ := tcpPair(t)
		if err := g.Attach(c, h, ours, never()); err != nil {
			t.Fatal(err)
		}
		o, _ = c.TryOwn()
		at.open <- true
		<-time.After(100 * time.Millisecond)
		if o.PeerGone() || h.hangUps.Load() > 0 {
			t.Error("the hang-up of another connection")
		}
		_ = o.Close()
	})
}

// TestStaleRelease: between the end of a turn and the second half of Release, another owner closes the connection, and its
// descriptor's number becomes another's.
func TestStaleRelease(t *testing.T) {
	withGate(t, func(t *testing.T, g *eventloop.Group, at *gate) {
		h := newHandOver(t)
		c, peer := attached(t, g, h)
		send(t, peer, "unread")
		got := h.next(t)
		at.shut("released")
		released := make(chan bool)
		go func() {
			got.o.Release(never()) // it has to be reported again
			close(released)
		}()
		receive(t, at.stopped, "Release")
		next := newHandOver(t)
		c2 := new(eventloop.Conn)
		peer2 := replace(t, g, c, c2, next)
		at.open <- true
		receive(t, released, "Release")
		next.nothing(t)
		_, _ = peer2.Write([]byte("new"))
		turn := next.next(t)
		wantRead(t, turn.o, 10, "new", nil)
		turn.o.Release(never())
		h.nothing(t)
		wantOver(t, got.o)
		o, _ := c2.TryOwn()
		_ = o.Close()
	})
}

// TestPanicInRelease: the Socket panics while another goroutine, which has its Owner, is in the middle of Release.
func TestPanicInRelease(t *testing.T) {
	for name, portable := range map[string]bool{"system": false, "portable": true} {
		t.Run(name, func(t *testing.T) {
			at := newGate()
			g := newGroup(t, eventloop.Options{Portable: portable, Hook: at.hook, Panicked: func(any, []byte) {}})
			released := make(chan bool)
			c, peer := attached(t, g, &handler{ready: func(o eventloop.Owner, _ []byte, _ eventloop.Events) {
				go func() {
					o.Release(never())
					close(released)
				}()
				<-at.stopped
				panic("too late")
			}})
			at.shut("releasing")
			send(t, peer, "x")
			wantEnd(t, peer)
			at.open <- true
			receive(t, released, "Release")
			wantNotIdle(t, c)
			eventually(t, "it is closed", func() bool { return g.Len() == 0 })
		})
	}
}

// TestStaleOwner: an Owner that somebody has kept touches nothing, also when the number of its descriptor is another
// connection's, and when its Conn is.
func TestStaleOwner(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		c, _ := attached(t, g, new(handler))
		stale, _ := c.TryOwn()
		stale.Release(never())
		h := newHandOver(t)
		c2 := new(eventloop.Conn)
		peer := replace(t, g, c, c2, h)
		wantOver(t, stale)
		peer3 := replace(t, g, c2, c, h)
		wantOver(t, stale)
		o, _ := c.TryOwn()
		wantOver(t, stale)
		_, _ = o.Write([]byte("true"))
		_ = o.Close()
		all, err := io.ReadAll(peer3)
		if string(all) != "true" || err != nil {
			t.Errorf("the peer reads %q, %v", all, err)
		}
		if all, _ := io.ReadAll(peer); len(all) > 0 {
			t.Errorf("the other peer reads %q", all)
		}
	})
}

// TestClosedIsForgotten: nothing keeps a connection that is closed, though the timer would have looked at it much later.
func TestClosedIsForgotten(t *testing.T) {
	withOptions(t, eventloop.Options{Expiry: time.Hour}, func(t *testing.T, g *eventloop.Group) {
		closed := func() weak.Pointer[eventloop.Conn] {
			c, peer := attached(t, g, new(handler))
			send(t, peer, "x")
			o, ok := c.TryOwn()
			for !ok {
				o, ok = c.TryOwn()
			}
			_ = o.Close()
			return weak.Make(c)
		}()
		for range 200 { // what loops and pools have in their hands is another one's
			c, _ := attached(t, g, new(handler))
			shut(t, c)
		}
		eventually(t, "it is collected", func() bool {
			runtime.GC()
			return closed.Value() == nil
		})
	})
}

// TestCloseDuringEvents closes connections while their peers send and hang up.
func TestCloseDuringEvents(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		for range 100 {
			testCloseDuringEvents(t, g)
		}
	})
}

func testCloseDuringEvents(t *testing.T, g *eventloop.Group) {
	t.Helper()
	var owners atomic.Int32
	c, peer := attached(t, g, &handler{ready: func(o eventloop.Owner, _ []byte, _ eventloop.Events) {
		if owners.Add(1) != 1 {
			t.Error("two owners at the same time")
		}
		owners.Add(-1)
		o.Release(never())
	}})
	var running sync.WaitGroup
	running.Go(func() {
		for range 20 {
			_, _ = peer.Write([]byte("x"))
		}
		_ = peer.Close()
	})
	running.Go(func() {
		o, ok := c.TryOwn()
		for !ok {
			o, ok = c.TryOwn()
		}
		if owners.Add(1) != 1 {
			t.Error("two owners at the same time")
		}
		owners.Add(-1)
		if err := o.Close(); err != nil {
			t.Error(err)
		}
		wantOver(t, o)
	})
	running.Wait()
	wantAttached(t, g, 0)
}
