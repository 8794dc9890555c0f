package eventloop_test

import (
	"bytes"
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"time"

	"syncgate/internal/eventloop"
	"syncgate/internal/tlstest"
)

// tlsConfigs gives those of a server and a client that know each other.
func tlsConfigs(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	return tlstest.New(t, 1, time.Now().Add(time.Hour)).Configs()
}

// wire is a net.Conn whose writes a test can gather and cut.
type wire struct {
	net.Conn
	mu   sync.Mutex
	held *bytes.Buffer                           // nil: nothing is gathered
	cut  func(w net.Conn, p []byte) (int, error) // nil: as it is
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.held != nil:
		return w.held.Write(p)
	case w.cut != nil:
		return w.cut(w.Conn, p)
	default:
		return w.Conn.Write(p)
	}
}

// hold gathers what f writes.
func (w *wire) hold(f func()) []byte {
	w.mu.Lock()
	w.held = new(bytes.Buffer)
	w.mu.Unlock()
	f()
	w.mu.Lock()
	defer w.mu.Unlock()
	held := w.held.Bytes()
	w.held = nil
	return held
}

// secured is a connection with TLS that the loops have, and its peer.
type secured struct {
	c     *eventloop.Conn
	ours  *tls.Conn // over layer; the loops have both
	layer *eventloop.Layer
	peer  *tls.Conn
	wire  *wire // below peer
}

// tlsPair makes the handshake, and attaches our end.
func tlsPair(t testing.TB, g *eventloop.Group, s eventloop.Socket, ours, peers *tls.Config, server bool) secured {
	t.Helper()
	raw, peerRaw := tcpPair(t)
	one := secured{c: new(eventloop.Conn), wire: &wire{Conn: peerRaw}}
	l := eventloop.NewLayer(raw)
	tc := tls.Client(l, ours)
	one.peer = tls.Server(one.wire, peers)
	if server {
		tc, one.peer = tls.Server(l, ours), tls.Client(one.wire, peers)
	}
	_ = l.SetDeadline(time.Now().Add(patience))
	failed := make(chan error, 1)
	go func() { failed <- one.peer.Handshake() }()
	if err := tc.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	one.ours, one.layer = tc, l
	if err := g.AttachTLS(one.c, s, l, tc, never()); err != nil {
		t.Fatal(err)
	}
	return one
}

// served is a server's connection.
func served(t testing.TB, g *eventloop.Group, s eventloop.Socket) secured {
	t.Helper()
	server, client := tlsConfigs(t)
	return tlsPair(t, g, s, server, client, true)
}

// quiet waits until the connection is idle, and stays so: the first Ready comes with the attachment.
func (h *handOver) quiet(t testing.TB) {
	t.Helper()
	for {
		select {
		case got := <-h.turns:
			wantRead(t, got.o, 100, "", eventloop.ErrWouldBlock)
			got.o.Release(never())
		case <-time.After(150 * time.Millisecond):
			return
		}
	}
}
