package eventloop_test

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"syncgate/internal/eventloop"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what has to happen.
const patience = 20 * time.Second

// socketBuffer is how much the sockets of a test hold in the direction to the peer, more or less.
const socketBuffer = 64 << 10

// never is a deadline that does not pass during a test.
func never() time.Time { return time.Now().Add(time.Hour) }

// bothWays runs a test with the system's sockets and with emulated ones.
func bothWays(t *testing.T, f func(t *testing.T, g *eventloop.Group)) {
	withOptions(t, eventloop.Options{Expiry: time.Second}, f)
}

func withOptions(t *testing.T, o eventloop.Options, f func(t *testing.T, g *eventloop.Group)) {
	t.Helper()
	for name, portable := range map[string]bool{"system": false, "portable": true} {
		t.Run(name, func(t *testing.T) {
			o := o
			o.Portable = portable
			f(t, newGroup(t, o))
		})
	}
}

// newGroup starts a group that ends with the test; what is attached by then is closed.
func newGroup(t testing.TB, o eventloop.Options) *eventloop.Group {
	t.Helper()
	if o.Panicked == nil {
		o.Panicked = func(value any, stack []byte) { t.Errorf("panic: %v\n%s", value, stack) }
	}
	if o.Failed == nil {
		o.Failed = func(err error) { t.Error(err) }
	}
	g, err := eventloop.NewGroup(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.Close()
		g.Idle(func(o eventloop.Owner) bool { _ = o.Close(); return true }, func(*eventloop.Conn) bool { return true })
		if n := g.Len(); n > 0 {
			t.Errorf("%d connections are still owned", n)
		}
	})
	return g
}

// handler is a Socket of functions; nil: what is reported is dropped, and the connection released.
type handler struct {
	ready   func(o eventloop.Owner, buf []byte, ev eventloop.Events)
	hungUp  func()
	expired func(o eventloop.Owner)
}

func (h *handler) Ready(o eventloop.Owner, buf []byte, ev eventloop.Events) {
	if h.ready == nil {
		drain(o, buf)
		o.Release(never())
		return
	}
	h.ready(o, buf, ev)
}

func (h *handler) HungUp() {
	if h.hungUp != nil {
		h.hungUp()
	}
}

func (h *handler) Expired(o eventloop.Owner) {
	if h.expired == nil {
		o.Release(never())
		return
	}
	h.expired(o)
}

// drain reads what there is.
func drain(o eventloop.Owner, buf []byte) {
	for {
		if _, err := o.Read(buf); err != nil {
			return
		}
	}
}

// turn is what Ready has handed over.
type turn struct {
	o  eventloop.Owner
	ev eventloop.Events
}

// handOver is a Socket that hands its connection to the test, which owns it then. What comes after the test is closed.
type handOver struct {
	turns   chan turn
	expired chan eventloop.Owner
	hangUps atomic.Int64

	mu   sync.Mutex
	over bool
}

func newHandOver(t testing.TB) *handOver {
	h := &handOver{turns: make(chan turn, 1), expired: make(chan eventloop.Owner, 1)}
	t.Cleanup(h.end)
	return h
}

func (h *handOver) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
	for {
		select {
		case got := <-h.turns:
			_ = got.o.Close()
		case o := <-h.expired:
			_ = o.Close()
		default:
			return
		}
	}
}

func (h *handOver) Ready(o eventloop.Owner, _ []byte, ev eventloop.Events) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		_ = o.Close()
		return
	}
	h.turns <- turn{o, ev}
}

func (h *handOver) HungUp() { h.hangUps.Add(1) }

func (h *handOver) Expired(o eventloop.Owner) { h.expired <- o }

// next waits for a turn.
func (h *handOver) next(t testing.TB) turn {
	t.Helper()
	return receive(t, h.turns, "an event")
}

// nothing fails the test if an event comes within a moment.
func (h *handOver) nothing(t testing.TB) {
	t.Helper()
	select {
	case got := <-h.turns:
		t.Fatalf("an event that nothing has caused: %b", got.ev)
	case <-time.After(150 * time.Millisecond):
	}
}

func receive[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// eventually waits until what holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// tcpPair gives the two ends of a connection.
func tcpPair(t testing.TB) (ours, peer *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	ours, peer = s.(*net.TCPConn), c.(*net.TCPConn) // as dialled
	_ = ours.SetWriteBuffer(socketBuffer)
	_ = peer.SetReadBuffer(socketBuffer)
	return ours, peer
}

// attached gives a connection that the loops have, and its peer.
func attached(t testing.TB, g *eventloop.Group, s eventloop.Socket) (c *eventloop.Conn, peer *net.TCPConn) {
	t.Helper()
	ours, peer := tcpPair(t)
	c = new(eventloop.Conn)
	if err := g.Attach(c, s, ours, never()); err != nil {
		t.Fatal(err)
	}
	return c, peer
}

// own takes an idle connection.
func own(t testing.TB, c *eventloop.Conn) eventloop.Owner {
	t.Helper()
	o, ok := c.TryOwn()
	if !ok {
		t.Fatal("the connection is not idle")
	}
	return o
}

// shut closes an idle connection.
func shut(t testing.TB, c *eventloop.Conn) {
	t.Helper()
	if err := own(t, c).Close(); err != nil {
		t.Error(err)
	}
}

// wantWritten writes text, and wants the socket to take it.
func wantWritten(t testing.TB, o eventloop.Owner, text string) {
	t.Helper()
	if done, err := o.Write([]byte(text)); !done || err != nil {
		t.Fatalf("write: done %v, %v", done, err)
	}
}

// wantFull writes so much that the socket does not take all.
func wantFull(t testing.TB, o eventloop.Owner, p []byte) {
	t.Helper()
	if done, err := o.Write(p); done || err != nil || o.Pending() == 0 {
		t.Fatalf("write: done %v, %v, %d pending", done, err, o.Pending())
	}
}

// wantEOF wants the peer to read the end.
func wantEOF(t testing.TB, peer net.Conn) {
	t.Helper()
	_ = peer.SetReadDeadline(time.Now().Add(patience))
	if n, err := peer.Read(make([]byte, 1)); n > 0 || err != io.EOF { //nolint:errorlint // as it is
		t.Errorf("the peer reads %d bytes, %v; want an end", n, err)
	}
}

// wantAttached checks how many there are.
func wantAttached(t testing.TB, g *eventloop.Group, n int) {
	t.Helper()
	if g.Len() != n {
		t.Errorf("%d are attached; want %d", g.Len(), n)
	}
}

func send(t testing.TB, peer net.Conn, text string) {
	t.Helper()
	if _, err := peer.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// wantRead reads at most size bytes, and wants text or an error.
func wantRead(t testing.TB, o eventloop.Owner, size int, text string, want error) {
	t.Helper()
	p := make([]byte, size)
	n, err := o.Read(p)
	if string(p[:n]) != text || err != want { //nolint:errorlint // they come as they are
		t.Fatalf("read %q, %v; want %q, %v", p[:n], err, text, want)
	}
}

// wantPeerReads reads what has come at the peer.
func wantPeerReads(t testing.TB, peer net.Conn, text string) {
	t.Helper()
	_ = peer.SetReadDeadline(time.Now().Add(patience))
	p := make([]byte, len(text))
	n := 0
	for n < len(p) {
		some, err := peer.Read(p[n:])
		if n += some; err != nil {
			t.Fatalf("the peer has read %q: %v", p[:n], err)
		}
	}
	if string(p) != text {
		t.Fatalf("the peer has read %q; want %q", p, text)
	}
}

// wantOver checks that an Owner whose turn is over does nothing.
func wantOver(t testing.TB, o eventloop.Owner) {
	t.Helper()
	_, read := o.Read(make([]byte, 1))
	_, write := o.Write([]byte("stale"))
	_, flush := o.Flush()
	_, detach := o.Detach()
	o.Release(time.Now())
	for what, err := range map[string]error{
		"Read": read, "Write": write, "Flush": flush, "Detach": detach, "CloseWrite": o.CloseWrite(), "Close": o.Close(),
	} {
		if err != eventloop.ErrNotOwner { //nolint:errorlint // it comes as it is
			t.Errorf("%s after the turn: %v; want ErrNotOwner", what, err)
		}
	}
	if !o.PeerGone() || o.Pending() != 0 || o.Look() != eventloop.HangUp {
		t.Errorf("an Owner whose turn is over says of the peer %v, of pending bytes %d, of the socket %b", o.PeerGone(), o.Pending(), o.Look())
	}
}

func addrOf(t testing.TB, c net.Conn) netip.AddrPort {
	t.Helper()
	a, err := netip.ParseAddrPort(c.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	return a
}
