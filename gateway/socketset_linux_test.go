package gateway

import (
	"net"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// listens is a socket that says what a loop is told of it.
type listens func(what told)

func (h listens) ready(_ *loop, what told) { h(what) }

// started gives loops that end with the test.
func started(t testing.TB) *loops {
	t.Helper()
	ls := new(loops)
	ls.start(zerolog.Nop())
	t.Cleanup(ls.close)
	return ls
}

// socketPair gives a socket, and its peer's descriptor.
func socketPair(t testing.TB) (s *sock, peer int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	s = newSock(fds[0], &net.UnixAddr{}, &net.UnixAddr{})
	t.Cleanup(func() {
		_ = s.Close()
		_ = unix.Close(fds[1])
	})
	return s, fds[1]
}

func say(t testing.TB, peer int) {
	t.Helper()
	if _, err := unix.Write(peer, []byte("x")); err != nil {
		t.Fatal(err)
	}
}

// soon fails the test if nothing comes.
func soon[T any](t *testing.T, c <-chan T, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(5 * time.Second):
		t.Fatal(what)
	}
}

// TestSlowLoops: as long as one loop of a set has nothing to do, nobody waits for the others.
func TestSlowLoops(t *testing.T) {
	ls := started(t)
	set := ls.sets[0]
	slow := loopsOf(len(ls.sets)) - 1
	begun, end, quick := make(chan bool, slow), make(chan bool), make(chan bool, 1)
	defer close(end)
	enter := func(h listens) (peer int) {
		s, peer := socketPair(t)
		if !set.enter(h, int(s.fd.Load()), func(uint64) bool { return true }) {
			t.Fatal("a socket is not taken")
		}
		return peer
	}
	for range slow {
		say(t, enter(func(told) {
			select {
			case begun <- true:
				<-end
			default: // told once more
			}
		}))
		soon(t, begun, "a loop waits for another one")
	}
	peer := enter(func(told) {
		select {
		case quick <- true:
		default:
		}
	})
	for range 100 {
		say(t, peer)
		soon(t, quick, "the last loop waits for another one")
	}
}

// TestMissed: what a loop is told of an engine's connection while that is taken is told again when it is left.
func TestMissed(t *testing.T) {
	ls := started(t)
	f := func(name string, leave func(*enginePool, *engineConn)) {
		t.Run(name, func(t *testing.T) {
			s, peer := socketPair(t)
			e := &engineConn{count: &counted{Conn: s, raw: socketOf(s)}, set: ls.sets[0]}
			tells := make(chan bool, 1)
			if !e.set.enter(listens(func(told) { tells <- true }), int(s.fd.Load()), func(name uint64) bool {
				e.name = name
				return true
			}) {
				t.Fatal("a socket is not taken")
			}
			defer e.set.leave(&e.name)
			p := new(enginePool)
			say(t, peer)
			soon(t, tells, "a loop hears nothing")
			if _, ok := p.land(e); ok {
				t.Fatal("a connection that is taken is taken")
			}
			leave(p, e)
			soon(t, tells, "a loop does not hear it again")
			if e.missed {
				t.Error("it is told for ever")
			}
		})
	}
	f("resting", func(p *enginePool, e *engineConn) { p.put(e) })
	f("flying", func(p *enginePool, e *engineConn) { p.fly(e, flight{}) })
}

// BenchmarkTold is from a peer's write to the loop that reads it.
func BenchmarkTold(b *testing.B) {
	ls := started(b)
	s, peer := socketPair(b)
	tells, said := make(chan bool), make([]byte, 1)
	reads := func(told) {
		_, err := tryRead((*rawSock)(s), said)
		tells <- err == nil
	}
	if !ls.sets[0].enter(listens(reads), int(s.fd.Load()), func(uint64) bool { return true }) {
		b.Fatal("a socket is not taken")
	}
	b.ReportAllocs()
	for b.Loop() {
		say(b, peer)
		if !<-tells {
			b.Fatal("nothing was said")
		}
	}
}
