package upstream_test

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/internal/eventloop"
	"syncgate/internal/upstream"
)

// The moment between the look at a connection that was kept and the write: the engine closes, and the next socket would get the
// descriptor if anybody but the owner closed it. The request goes nowhere else.
func TestEngineClosesBetweenLookAndWrite(t *testing.T) {
	f := func(name string, end func(*peer), check func(*testing.T, *call)) {
		t.Run(name, func(t *testing.T) { checkMoment(t, end, check) })
	}
	failed := func(t *testing.T, got *call) {
		if got.err == nil || !got.sent || got.code != "incomplete" {
			t.Errorf("error %v, sent %t, code %q", got.err, got.sent, got.code)
		}
	}
	f("closes", func(p *peer) { _ = p.tcp.Close() }, failed)
	f("closes its side", func(p *peer) { _ = p.tcp.CloseWrite() }, failed)
	f("resets", (*peer).reset, func(t *testing.T, got *call) { wantAnswer(t, got, "second") }) // over another connection
}

func checkMoment(t *testing.T, end func(*peer), check func(*testing.T, *call)) {
	closing, closed := make(chan struct{}), make(chan struct{})
	e := newEngine(t, onlyFirst(func(p *peer) {
		a, _ := p.ask()
		p.say(answer(a.body))
		<-closing
		end(p)
		close(closed)
		p.hears()
	}))
	s := newStrangers(t)
	var writes atomic.Int32
	c := start(t, e, hook(func(point string) {
		if point == "write" && writes.Add(1) == 2 {
			close(closing)
			<-closed
			<-time.After(50 * time.Millisecond) // the loops hear of it
			s.come()
		}
	}))
	c.wantEcho("first")
	check(t, c.ask("second"))
	if heard := s.hear(); len(heard) > 0 {
		t.Errorf("a stranger heard %q", heard)
	}
	c.wantEcho("third")
}

// strangers are connections whose descriptors are new.
type strangers struct {
	t     *testing.T
	ln    net.Listener
	conns []net.Conn
}

func newStrangers(t *testing.T) *strangers {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &strangers{t: t, ln: ln}
	t.Cleanup(func() {
		_ = ln.Close()
		for _, c := range s.conns {
			_ = c.Close()
		}
	})
	return s
}

// come makes some, and takes the lowest numbers that are free.
func (s *strangers) come() {
	for range 8 {
		c, err := net.Dial("tcp", s.ln.Addr().String())
		if err != nil {
			s.t.Error(err)
			return
		}
		s.conns = append(s.conns, c)
		if c, err = s.ln.Accept(); err != nil {
			s.t.Error(err)
			return
		}
		s.conns = append(s.conns, c)
	}
}

// hear gives what has come on any of them.
func (s *strangers) hear() (heard []byte) {
	if len(s.conns) == 0 {
		s.t.Error("no stranger has come")
	}
	for _, c := range s.conns {
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		b := make([]byte, 1<<10)
		n, _ := c.Read(b)
		heard = append(heard, b[:n]...)
	}
	return heard
}

// The engine answers, or closes, before the connection is given to the loops.
func TestAnswerBeforeRelease(t *testing.T) {
	f := func(name string, serve func(*peer), want func(*call) bool) {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, serve)
			c := start(t, e, hook(func(point string) {
				if point == "release" {
					waitFor(t, "the request", func() bool { return e.asked.Load() > 0 })
					<-time.After(30 * time.Millisecond)
				}
			}))
			for range 3 {
				if got := c.ask("x"); !want(got) {
					t.Errorf("status %d, error %v, code %q", got.status, got.err, got.code)
				}
			}
		})
	}
	f("answers", echo, func(c *call) bool { return c.answer == "x" })
	f("answers and closes", func(p *peer) {
		a, _ := p.ask()
		p.say(answer(a.body))
	}, func(c *call) bool { return c.answer == "x" })
	f("closes", func(p *peer) { p.ask() }, func(c *call) bool { return c.sent && errors.Is(c.err, io.ErrUnexpectedEOF) })
}

// A loop may have a new connection before the goroutine that has dialled gets to it, and even finish the exchange: with TLS there
// are session tickets to read. The request is sent once all the same.
func TestLoopIsFaster(t *testing.T) {
	t.Run("the connection rests", func(t *testing.T) {
		got := newCall("x")
		e := newTLSEngine(t, echo)
		c := start(t, e, maxConnections(1), hook(func(point string) {
			if point == "attached" {
				wait(t, got)
			}
		}))
		c.Do(got)
		wantAnswer(t, wait(t, got), "x")
		<-time.After(20 * time.Millisecond)
		c.wantEcho("last")
		e.wantConnections(1)
		if n := e.asked.Load(); n != 2 || got.finished != 1 {
			t.Errorf("%d requests for 2 calls; the first has finished %d times", n, got.finished)
		}
	})
	t.Run("the connection carries another call", func(t *testing.T) {
		got, next := newCall("x"), newCall("next")
		may, queued := make(chan struct{}), make(chan struct{})
		e := newTLSEngine(t, each(func(p *peer, a asked) {
			if a.body == "next" {
				<-may
			}
			p.say(answer(a.body))
		}))
		c := start(t, e, maxConnections(1), hook(func(point string) {
			if point == "attached" {
				<-queued
				waitFor(t, "the next request", func() bool { return e.asked.Load() == 2 })
			}
		}))
		c.Do(got)
		c.Do(next)
		close(queued)
		wantAnswer(t, wait(t, got), "x")
		<-time.After(20 * time.Millisecond)
		close(may)
		wantAnswer(t, wait(t, next), "next")
		c.wantEcho("last")
		e.wantConnections(1)
		if n := e.asked.Load(); n != 3 {
			t.Errorf("%d requests for 3 calls", n)
		}
	})
}

// A connection that the engine has closed while it was idle costs no call, whether the loops have seen that yet or not.
func TestStaleConnectionCostsNoCall(t *testing.T) {
	f := func(name string, end func(*peer), heard time.Duration) {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, func(p *peer) {
				a, _ := p.ask()
				p.say(answer(a.body))
				<-time.After(5 * time.Millisecond)
				end(p)
			})
			c := start(t, e)
			for range 20 {
				c.wantEcho("x")
				waitFor(t, "the end of the connection", func() bool { return e.open.Load() == 0 })
				<-time.After(heard)
			}
			e.wantConnections(20)
		})
	}
	f("closed", func(*peer) {}, 0)
	f("closed, and heard", func(*peer) {}, 20*time.Millisecond)
	f("reset", (*peer).reset, 0)
	f("reset, and heard", (*peer).reset, 20*time.Millisecond)
}

// An idle connection is closed in time, and not used after it, however late the loops are.
func TestIdle(t *testing.T) {
	idle := func(d time.Duration) func(*upstream.Config, *upstream.Options, *eventloop.Options) {
		return func(c *upstream.Config, _ *upstream.Options, _ *eventloop.Options) { c.Idle = d }
	}
	t.Run("closed", func(t *testing.T) {
		closed := make(chan time.Time, 1)
		e := newEngine(t, func(p *peer) {
			echo(p)
			closed <- time.Now()
		})
		c := start(t, e, idle(300*time.Millisecond))
		c.wantEcho("x")
		began := time.Now()
		if took := (<-closed).Sub(began); took < 150*time.Millisecond || took > 5*time.Second {
			t.Errorf("closed after %v; want 300 ms", took)
		}
	})
	late := func(_ *upstream.Config, _ *upstream.Options, o *eventloop.Options) { o.Expiry = time.Hour }
	t.Run("several are not used", func(t *testing.T) {
		e := newEngine(t, each(func(p *peer, a asked) {
			waitFor(t, "both calls", func() bool { return p.e.asked.Load() >= 2 })
			p.say(answer(a.body))
		}))
		c := start(t, e, idle(20*time.Millisecond), late, maxConnections(2))
		first, second := newCall("1"), newCall("2")
		c.Do(first)
		c.Do(second)
		wantAnswer(t, wait(t, first), "1")
		wantAnswer(t, wait(t, second), "2")
		<-time.After(50 * time.Millisecond)
		c.wantEcho("x")
		e.wantConnections(3)
		c.wantPlaces(e, 2)
	})
	t.Run("not used", func(t *testing.T) {
		e := newEngine(t, echo)
		c := start(t, e, idle(20*time.Millisecond), late)
		for range 3 {
			c.wantEcho("x")
			<-time.After(50 * time.Millisecond)
		}
		e.wantConnections(3)
	})
}

// All idle connections go when one could not be written at all.
func TestStaleConnectionsGoTogether(t *testing.T) {
	const last = "3"
	release := map[string]chan struct{}{"0": make(chan struct{}), "1": make(chan struct{}), "2": make(chan struct{}), last: make(chan struct{})}
	closing, closed := make(chan struct{}), make(chan struct{})
	e := newEngine(t, func(p *peer) {
		a, _ := p.ask()
		if ch := release[a.body]; ch != nil {
			<-ch
		}
		p.say(answer(a.body))
		if a.body != last {
			echo(p)
			return
		}
		<-closing
		p.reset()
		close(closed)
	})
	var armed atomic.Bool
	c := start(t, e, hook(func(point string) {
		if point == "write" && armed.Swap(false) {
			close(closing)
			<-closed
			<-time.After(30 * time.Millisecond)
		}
	}))
	var all []*call
	for _, body := range []string{"0", "1", "2", last} {
		got := newCall(body)
		c.Do(got)
		all = append(all, got)
	}
	for _, got := range all {
		close(release[got.body])
		wantAnswer(t, wait(t, got), got.body)
	}
	armed.Store(true)
	c.wantEcho("again") // the connection that was used last is taken first
	e.wantConnections(5)
	waitFor(t, "the end of the idle ones", func() bool { return e.open.Load() == 1 })
	c.wantPlaces(e, 4)
}
