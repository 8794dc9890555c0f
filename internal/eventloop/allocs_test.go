package eventloop_test

import (
	"net"
	"reflect"
	"testing"
	"time"

	"syncgate/internal/eventloop"
)

// answers is a Socket that answers what comes in the loop, without memory of its own.
type answers struct{ t testing.TB }

func (a *answers) HungUp()                   {}
func (a *answers) Expired(o eventloop.Owner) { _ = o.Close() }

func (a *answers) Ready(o eventloop.Owner, buf []byte, ev eventloop.Events) {
	n, err := o.Read(buf)
	if err != nil {
		if ev&eventloop.HangUp != 0 {
			_ = o.Close()
			return
		}
		o.Release(a.deadline())
		return
	}
	if _, err := o.Write(buf[:n]); err != nil {
		a.t.Error(err)
	}
	_ = o.PeerGone() || o.Look() != 0
	o.Release(a.deadline())
}

func (*answers) deadline() time.Time { return never() }

// exchange sends a byte and waits for it to come back, without memory of its own.
func exchange(t testing.TB, peer net.Conn) func() {
	p := []byte("x")
	return func() {
		if _, err := peer.Write(p); err != nil {
			t.Fatal(err)
		}
		if _, err := peer.Read(p); err != nil {
			t.Fatal(err)
		}
	}
}

// An event, with all that is done about it: a turn, a read, a look, a write, a release.
func TestEventAllocations(t *testing.T) {
	g := newGroup(t, eventloop.Options{})
	_, peer := attached(t, g, &answers{t})
	if got := testing.AllocsPerRun(2000, exchange(t, peer)); got >= 1 && !raced && !emulates() {
		t.Errorf("%v allocations an event; want none", got)
	}
}

// The same with TLS. crypto/tls makes 24 bytes for each of its reads: the peer's, ours, and the one that finds nothing more.
func TestTLSEventAllocations(t *testing.T) {
	g := newGroup(t, eventloop.Options{})
	one := served(t, g, &answers{t})
	const most = 3
	if got := testing.AllocsPerRun(2000, exchange(t, one.peer)); got > most && !raced && !emulates() {
		t.Errorf("%v allocations an event; at most %d", got, most)
	}
}

// Bytes that the socket does not take at once, and are pending for a while.
func TestPendingAllocations(t *testing.T) {
	g := newGroup(t, eventloop.Options{})
	h := newHandOver(t)
	c, peer := attached(t, g, h)
	o, _ := c.TryOwn()
	p, sink := make([]byte, 32<<10), make([]byte, 1<<20)
	received := 0
	round := func() {
		sent, done := 0, true
		for done {
			var err error
			if done, err = o.Write(p); err != nil {
				t.Fatal(err)
			}
			sent += len(p)
		}
		for received < sent {
			n, err := peer.Read(sink)
			if err != nil {
				t.Fatal(err)
			}
			received += n
			if !done {
				o.Release(never())
				o = (<-h.turns).o
				done, _ = o.Flush()
			}
		}
		received = 0
	}
	round()
	if got := testing.AllocsPerRun(20, round); got >= 1 && !raced && !emulates() {
		t.Errorf("%v allocations for a socket that was full", got)
	}
	_ = o.Close()
}

// TestSize: there is a Conn for each client.
func TestSize(t *testing.T) {
	if n := reflect.TypeFor[eventloop.Conn]().Size(); n > 144 {
		t.Errorf("a Conn has %d bytes", n)
	} else {
		t.Logf("a Conn has %d bytes", n)
	}
}

// BenchmarkEvent is from a peer's write to the answer.
func BenchmarkEvent(b *testing.B) {
	for name, portable := range map[string]bool{"system": false, "portable": true} {
		b.Run(name, func(b *testing.B) {
			g := newGroup(b, eventloop.Options{Portable: portable})
			_, peer := attached(b, g, &answers{b})
			f := exchange(b, peer)
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
	b.Run("TLS", func(b *testing.B) {
		g := newGroup(b, eventloop.Options{})
		one := served(b, g, &answers{b})
		f := exchange(b, one.peer)
		b.ReportAllocs()
		for b.Loop() {
			f()
		}
	})
}
