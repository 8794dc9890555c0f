package eventloop_test

import (
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"syncgate/internal/eventloop"
)

// twoTicks is how late an end may be.
const twoTicks = 200 * time.Millisecond

// ends is a Socket that notes when its deadline has passed.
type ends struct {
	handler
	at chan time.Time
}

func newEnds() *ends {
	e := &ends{at: make(chan time.Time, 1)}
	e.expired = func(o eventloop.Owner) {
		e.at <- time.Now()
		_ = o.Close()
	}
	return e
}

func wantInTime(t *testing.T, at, deadline time.Time, late time.Duration) {
	t.Helper()
	if after := at.Sub(deadline); after < 0 || after > late {
		t.Errorf("a deadline is noticed %v late; at most %v", after, late)
	}
}

// TestDeadlineOnSockets checks with real time that no deadline passes early, and that all do.
func TestDeadlineOnSockets(t *testing.T) {
	withOptions(t, eventloop.Options{Expiry: 300 * time.Millisecond}, func(t *testing.T, g *eventloop.Group) {
		var all sync.WaitGroup
		for i := range 20 {
			ours, peer := tcpPair(t)
			defer func() { _ = peer.Close() }()
			e := newEnds()
			deadline := time.Now().Add(300*time.Millisecond + time.Duration(i)*37*time.Millisecond)
			if err := g.Attach(new(eventloop.Conn), e, ours, deadline); err != nil {
				t.Fatal(err)
			}
			all.Go(func() { wantInTime(t, <-e.at, deadline, 5*time.Second) }) // on a busy machine
		}
		all.Wait()
	})
}

// inBubble runs a test in time that passes at once. Only emulated sockets, of pipes, can be in a bubble.
func inBubble(t *testing.T, expiry time.Duration, f func(t *testing.T, g *eventloop.Group)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g, err := eventloop.NewGroup(eventloop.Options{Expiry: expiry, Portable: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Start(); err != nil {
			t.Fatal(err)
		}
		defer g.Idle(func(o eventloop.Owner) bool { _ = o.Close(); return true }, func(*eventloop.Conn) bool { return true })
		defer g.Close()
		f(t, g)
	})
}

// inPipe gives a connection with that deadline.
func inPipe(t *testing.T, g *eventloop.Group, s eventloop.Socket, deadline time.Time) (*eventloop.Conn, net.Conn) {
	t.Helper()
	ours, peer := net.Pipe()
	c := new(eventloop.Conn)
	if err := g.Attach(c, s, ours, deadline); err != nil {
		t.Fatal(err)
	}
	return c, peer
}

func TestDeadlines(t *testing.T) {
	const expiry = 3 * time.Second
	inBubble(t, expiry, func(t *testing.T, g *eventloop.Group) {
		for _, after := range []time.Duration{expiry, expiry + 1, expiry + 77*time.Millisecond, 2 * expiry, 10*time.Minute + 333*time.Millisecond} {
			e := newEnds()
			deadline := time.Now().Add(after)
			inPipe(t, g, e, deadline)
			wantInTime(t, <-e.at, deadline, twoTicks)
		}
		e := newEnds()
		inPipe(t, g, e, time.Time{})
		select {
		case <-e.at:
			t.Error("no deadline has passed")
		case <-time.After(time.Hour):
		}
	})
}

// TestMovedDeadlines has releases move the deadline, earlier and later, at all moments of an Expiry.
func TestMovedDeadlines(t *testing.T) {
	const expiry = time.Second
	inBubble(t, expiry, func(t *testing.T, g *eventloop.Group) {
		for i := range 200 {
			e := newEnds()
			c, _ := inPipe(t, g, e, time.Now().Add(expiry+time.Duration(i)*41*time.Millisecond))
			var deadline time.Time
			for j := range 1 + i%7 {
				<-time.After(time.Duration((i*j)%31) * 29 * time.Millisecond)
				o, ok := c.TryOwn()
				if !ok {
					t.Fatal("the deadline has passed")
				}
				<-time.After(time.Duration((i*j)%13) * 41 * time.Millisecond) // it is looked at while it is owned
				deadline = time.Now().Add(expiry + time.Duration((i*7+j*5)%11)*300*time.Millisecond)
				o.Release(deadline)
			}
			wantInTime(t, <-e.at, deadline, twoTicks)
		}
	})
}

// TestExpiredTurn: after Expired the connection is owned, and its next deadline counts.
func TestExpiredTurn(t *testing.T) {
	const expiry = time.Second
	inBubble(t, expiry, func(t *testing.T, g *eventloop.Group) {
		h := newHandOver(t)
		c, peer := inPipe(t, g, h, time.Now().Add(expiry))
		o := <-h.expired
		if _, ok := c.TryOwn(); ok {
			t.Fatal("it is owned twice")
		}
		_, _ = peer.Write([]byte("late"))
		<-time.After(time.Minute)
		select {
		case <-h.turns:
			t.Fatal("Ready is called for a connection that is owned")
		case <-h.expired:
			t.Fatal("Expired is called for a connection that is owned")
		default:
		}
		deadline := time.Now().Add(expiry)
		o.Release(deadline)
		got := <-h.turns
		wantRead(t, got.o, 10, "late", nil)
		got.o.Release(deadline)
		o = <-h.expired
		wantInTime(t, time.Now(), deadline, twoTicks)
		_ = o.Close()
	})
}

// TestTick: rounds of 100 ms, and the time as of the last one.
func TestTick(t *testing.T) { synctest.Test(t, testTick) }

func testTick(t *testing.T) {
	var g *eventloop.Group
	var rounds []time.Duration
	panicked := 0
	began := time.Now()
	g, err := eventloop.NewGroup(eventloop.Options{
		Portable: true,
		Panicked: func(any, []byte) { panicked++ },
		Tick: func(now time.Time) {
			rounds = append(rounds, now.Sub(began))
			if !g.Now().Equal(now) {
				t.Errorf("Now is %v; want %v", g.Now(), now)
			}
			if len(rounds) == 5 {
				panic("in Tick")
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	<-time.After(1050 * time.Millisecond)
	g.Close()
	for i, after := range rounds {
		if after != time.Duration(i+1)*100*time.Millisecond {
			t.Errorf("round %d after %v", i, after)
		}
	}
	if len(rounds) != 10 || panicked != 1 {
		t.Errorf("%d rounds in a second, %d panics", len(rounds), panicked)
	}
}
