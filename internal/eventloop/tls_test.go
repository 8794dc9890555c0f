package eventloop_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/internal/eventloop"
)

// frame is a message with its length.
func frame(text []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...) //nolint:gosec // short
}

// echo answers each frame with itself.
type echo struct {
	t    *testing.T
	dice *dice
	read []byte
}

func (e *echo) HungUp()                   {}
func (e *echo) Expired(o eventloop.Owner) { _ = o.Close() }

func (e *echo) Ready(o eventloop.Owner, buf []byte, ev eventloop.Events) {
	if ev&eventloop.Writable != 0 {
		if _, err := o.Flush(); err != nil {
			e.t.Error(err)
		}
	}
	n, err := o.Read(buf[:1+e.dice.n(len(buf))])
	switch {
	case err == io.EOF: //nolint:errorlint // as it is
		_ = o.Close()
		return
	case err != nil && !errors.Is(err, eventloop.ErrWouldBlock):
		e.t.Error(err)
		_ = o.Close()
		return
	}
	e.read = append(e.read, buf[:n]...)
	for len(e.read) >= 4 {
		size := 4 + int(binary.BigEndian.Uint32(e.read))
		if len(e.read) < size {
			break
		}
		if _, err := o.Write(e.read[:size]); err != nil {
			e.t.Error(err)
		}
		e.read = append([]byte(nil), e.read[size:]...)
	}
	o.Release(never())
}

// cutAnywhere writes p in pieces of random sizes.
func (d *dice) cutAnywhere(w net.Conn, p []byte) (int, error) {
	for n := 0; n < len(p); {
		end := min(n+1+d.n(1<<d.n(12)), len(p))
		if _, err := w.Write(p[n:end]); err != nil {
			return n, err
		}
		n = end
		if d.n(8) == 0 {
			runtime.Gosched()
		}
	}
	return len(p), nil
}

// TestTLSMessages exchanges messages of random sizes, cut at random bytes, in the roles of server and client.
func TestTLSMessages(t *testing.T) {
	server, client := tlsConfigs(t)
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		server, client := server.Clone(), client.Clone()
		server.MaxVersion, client.MaxVersion = version, version
		t.Run(name+" server", func(t *testing.T) { testTLSMessages(t, server, client, true) })
		t.Run(name+" client", func(t *testing.T) { testTLSMessages(t, client, server, false) })
	}
}

func testTLSMessages(t *testing.T, ours, peers *tls.Config, server bool) {
	const messages = 1000
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		d := newDice(t)
		one := tlsPair(t, g, &echo{t: t, dice: d}, ours, peers, server)
		one.wire.cut = d.cutAnywhere
		all := pattern(40 << 10)
		sent := make([][]byte, messages)
		for i := range sent {
			size := d.n(1 << (1 + d.n(15)))
			sent[i] = frame(all[size%1000:][:size])
		}
		go func() {
			for _, m := range sent {
				if _, err := one.peer.Write(m); err != nil {
					t.Error(err)
					return
				}
			}
		}()
		_ = one.peer.SetReadDeadline(time.Now().Add(5 * patience))
		for i, want := range sent {
			got := make([]byte, len(want))
			if n, err := io.ReadFull(one.peer, got); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("message %d: %d of %d bytes, %v", i, n, len(want), err)
			}
		}
		_ = one.peer.Close()
		eventually(t, "it is closed", func() bool { return g.Len() == 0 })
	})
}

// TestTLSNothingStays: many records come in one segment. They are read in small parts, one in a turn, while the socket is
// silent.
func TestTLSNothingStays(t *testing.T) { bothWays(t, testTLSNothingStays) }

func testTLSNothingStays(t *testing.T, g *eventloop.Group) {
	h := newHandOver(t)
	one := served(t, g, h)
	h.quiet(t)
	text := strings.Repeat("0123456789", 30)
	segment := one.wire.hold(func() {
		for record := range strings.SplitAfterSeq(text, "9") {
			_, _ = one.peer.Write([]byte(record))
		}
	})
	if _, err := one.wire.Conn.Write(segment); err != nil {
		t.Fatal(err)
	}
	var all []byte
	p := make([]byte, 7)
	for len(all) < len(text) {
		got := h.next(t)
		n, err := got.o.Read(p)
		if err != nil || got.ev&eventloop.Readable == 0 {
			t.Fatalf("event %b, read %v", got.ev, err)
		}
		if n == len(p) {
			wantLook(t, got.o, eventloop.Readable) // of what crypto/tls has
		}
		all = append(all, p[:n]...)
		got.o.Release(never())
	}
	if string(all) != text {
		t.Errorf("read %q", all)
	}
	h.quiet(t)
}

// TestTLSBusyConnection is one that always has more to read: others have their turn.
func TestTLSBusyConnection(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		end := make(chan bool)
		var turns atomic.Int64
		busy := &handler{ready: func(o eventloop.Owner, _ []byte, _ eventloop.Events) {
			turns.Add(1)
			select {
			case <-end:
				_ = o.Close()
			default:
				o.Release(never()) // unread, and so it is reported again
			}
		}}
		defer close(end)
		for range 2 * runtime.GOMAXPROCS(0) {
			one := served(t, g, busy)
			_, _ = one.peer.Write([]byte("unread"))
			defer func() { _ = one.peer.Close() }()
		}
		h := newHandOver(t)
		c, peer := attached(t, g, h)
		for range 20 {
			send(t, peer, "a")
			got := h.next(t)
			wantRead(t, got.o, 10, "a", nil)
			got.o.Release(never())
		}
		o, _ := c.TryOwn()
		_ = o.Close()
		before := turns.Load()
		eventually(t, "the busy connections have had their turns", func() bool { return turns.Load() > before+1000 })
	})
}

// TestTLSEarlyData: what comes with the end of the handshake may be in crypto/tls when the connection is attached.
func TestTLSEarlyData(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		server, client := tlsConfigs(t)
		raw, peerRaw := tcpPair(t)
		w := &wire{Conn: peerRaw}
		peer := tls.Client(w, client)
		l := eventloop.NewLayer(raw)
		tc := tls.Server(l, server)
		failed := make(chan error, 1)
		go func() { failed <- tc.Handshake() }()
		// The client's last flight is held back until its data is there too.
		hello := w.hold(func() { go func() { _ = peer.Handshake() }(); awaitHeld(t, w) })
		_, _ = peerRaw.Write(hello)
		flight := w.hold(func() {
			eventually(t, "the handshake is complete", func() bool { return peer.ConnectionState().HandshakeComplete })
			_, _ = peer.Write([]byte("early"))
		})
		_, _ = peerRaw.Write(flight)
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
		h := newHandOver(t)
		if err := g.AttachTLS(new(eventloop.Conn), h, l, tc, never()); err != nil {
			t.Fatal(err)
		}
		got := h.next(t)
		wantRead(t, got.o, 100, "early", nil)
		_ = got.o.Close()
	})
}

// awaitHeld waits until something is gathered.
func awaitHeld(t *testing.T, w *wire) {
	t.Helper()
	eventually(t, "something is written", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.held.Len() > 0
	})
}

// TestTLSHalfRecord: a part of a record stays until the rest comes, over several turns.
func TestTLSHalfRecord(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		h := newHandOver(t)
		one := served(t, g, h)
		h.quiet(t)
		record := one.wire.hold(func() { _, _ = one.peer.Write([]byte("whole")) })
		for _, part := range [][]byte{record[:3], record[3:6], record[6 : len(record)-1]} {
			_, _ = one.wire.Conn.Write(part)
			got := h.next(t)
			wantRead(t, got.o, 100, "", eventloop.ErrWouldBlock)
			got.o.Release(never())
			h.nothing(t)
			o, ok := one.c.TryOwn()
			if !ok {
				t.Fatal("not idle")
			}
			wantRead(t, o, 100, "", eventloop.ErrWouldBlock)
			o.Release(never())
		}
		_, _ = one.wire.Conn.Write(record[len(record)-1:])
		got := h.next(t)
		wantRead(t, got.o, 100, "whole", nil)
		if _, err := got.o.Detach(); err == nil {
			t.Error("a connection with TLS is detached")
		}
		_ = got.o.Close()
	})
}

// quietly gives a connection with TLS that is idle.
func quietly(t *testing.T, g *eventloop.Group) (secured, *handOver) {
	t.Helper()
	h := newHandOver(t)
	one := served(t, g, h)
	h.quiet(t)
	return one, h
}

// TestTLSCloseNotify: a good-bye of the peer comes in one segment with data, and is no FIN.
func TestTLSCloseNotify(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		one, h := quietly(t, g)
		segment := one.wire.hold(func() {
			_, _ = one.peer.Write([]byte("bye"))
			_ = one.peer.CloseWrite()
		})
		_ = one.wire.SetWriteDeadline(time.Time{}) // which CloseWrite has set
		_, _ = one.wire.Conn.Write(segment)
		got := h.next(t)
		wantRead(t, got.o, 100, "bye", nil)
		got.o.Release(never())
		got = h.next(t)
		wantRead(t, got.o, 100, "", io.EOF)
		wantRead(t, got.o, 100, "", io.EOF)
		wantWritten(t, got.o, "answer")
		wantPeerReads(t, one.peer, "answer")
		_ = got.o.Close()
	})
}

// TestTLSEndBehindData is a FIN without a good-bye, behind data that is read in one turn and alone.
func TestTLSEndBehindData(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		one, h := quietly(t, g)
		o := own(t, one.c)
		_, _ = one.peer.Write([]byte("bye"))
		_ = one.wire.Conn.(*net.TCPConn).CloseWrite() // as dialled
		eventually(t, "HungUp is called", func() bool { return h.hangUps.Load() > 0 && o.PeerGone() })
		o.Release(never())
		got := h.next(t)
		wantRead(t, got.o, 100, "bye", nil)
		got.o.Release(never())
		got = h.next(t)
		wantRead(t, got.o, 100, "", io.EOF)
		_ = got.o.Close()
	})
}

// TestTLSGoodBye: Close and CloseWrite say it, behind what was written.
func TestTLSGoodBye(t *testing.T) {
	server, client := tlsConfigs(t)
	server.MaxVersion = tls.VersionTLS12 // where an alert can be told from data
	for name, end := range map[string]func(o eventloop.Owner) error{"Close": eventloop.Owner.Close, "CloseWrite": eventloop.Owner.CloseWrite} {
		t.Run(name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, g *eventloop.Group) {
				h := newHandOver(t)
				one := tlsPair(t, g, h, server, client, true)
				h.quiet(t)
				o := own(t, one.c)
				wantWritten(t, o, "bye")
				if err := end(o); err != nil {
					t.Error(err)
				}
				raw, err := io.ReadAll(one.wire.Conn)
				if err != nil {
					t.Fatal(err)
				}
				_ = o.Close()
				const header, data, alert = 5, 23, 21
				first := header + int(binary.BigEndian.Uint16(raw[3:]))
				if raw[0] != data || len(raw) < first+header || raw[first] != alert {
					t.Errorf("the peer gets % x; want data and an alert", raw)
				}
			})
		})
	}
}

// TestTLSGarbage: the peer hears an alert, and the error stays.
func TestTLSGarbage(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		one, h := quietly(t, g)
		_, _ = one.wire.Conn.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
		got := h.next(t)
		for range 2 {
			if n, err := got.o.Read(make([]byte, 100)); n != 0 || err == nil || errors.Is(err, eventloop.ErrWouldBlock) {
				t.Errorf("read %d, %v", n, err)
			}
		}
		_ = got.o.Close()
		if _, err := one.peer.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "remote error") {
			t.Errorf("the peer hears %v; want an alert", err)
		}
	})
}

// TestTLSSlowReader writes 8 MiB to a peer that reads slowly.
func TestTLSSlowReader(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		sent := pattern(8 << 20)
		one, h := quietly(t, g)
		o := own(t, one.c)
		wantFull(t, o, sent)
		if err := o.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got := reader(t, one.peer, 100)
		o.Release(never())
		o = flushAll(t, h)
		if all := receive(t, got, "the peer"); !bytes.Equal(all, sent) {
			t.Errorf("the peer has read %d other bytes", len(all))
		}
		_ = o.Close()
	})
}

// TestTLSAttach wants a complete handshake, and a Layer that is not attached.
func TestTLSAttach(t *testing.T) {
	bothWays(t, func(t *testing.T, g *eventloop.Group) {
		server, _ := tlsConfigs(t)
		raw, peer := tcpPair(t)
		l := eventloop.NewLayer(raw)
		if err := g.AttachTLS(new(eventloop.Conn), new(handler), l, tls.Server(l, server), never()); err == nil {
			t.Error("no error")
		}
		wantEOF(t, peer)
		one := served(t, g, new(handler))
		if err := g.AttachTLS(new(eventloop.Conn), new(handler), one.layer, one.ours, never()); err == nil {
			t.Error("attached twice")
		}
	})
}
