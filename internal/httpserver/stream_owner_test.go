package httpserver

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"syncgate/internal/eventloop"
)

// steal makes the test the owner of a stream's connection, as a loop is when it has taken an event and has not come to Ready yet.
func (s *suspension) steal(t *testing.T) eventloop.Owner {
	t.Helper()
	s.fill(t)
	var o eventloop.Owner
	eventually(t, "idle", func() (ok bool) { o, ok = s.c.TryOwn(); return ok })
	return o
}

// TestStreamOwned has calls while a loop owns the connection: it does what they have left to it.
func TestStreamOwned(t *testing.T) {
	send := func(t *testing.T, s *suspension) (sent string) {
		t.Helper()
		for i := range 10 {
			piece := fmt.Sprintf("piece %d.", i)
			if !s.Send([]byte(piece)) {
				t.Fatal("the stream has ended")
			}
			sent += piece
		}
		return sent
	}
	start := func(t *testing.T) (*rig, *suspension, io.Reader, eventloop.Owner) {
		t.Helper()
		r := newRig(t, Config{}, ListenConfig{})
		_, s, body := r.open()
		return r, s, body, s.steal(t)
	}
	t.Run("Send", func(t *testing.T) {
		_, s, body, o := start(t)
		sent := send(t, s)
		s.c.Ready(o, nil, 0)
		sent += send(t, s)
		s.End()
		if got, err := io.ReadAll(body); !strings.HasSuffix(string(got), filling+sent) || err != nil {
			t.Errorf("%d bytes have come, %v", len(got), err)
		}
		s.heard(t, true)
	})
	t.Run("End", func(t *testing.T) {
		_, s, body, o := start(t)
		sent := send(t, s)
		s.End()
		if s.Send([]byte("late")) {
			t.Error("a piece was sent behind the end")
		}
		s.End()
		s.Abort()
		s.c.Ready(o, nil, 0)
		if got, err := io.ReadAll(body); !strings.HasSuffix(string(got), filling+sent) || err != nil {
			t.Errorf("%d bytes have come, %v", len(got), err)
		}
		s.heard(t, true)
	})
	t.Run("End, and the time is over", func(t *testing.T) {
		r, s, _, o := start(t)
		s.End()
		s.c.Expired(o)
		s.heard(t, false)
		eventually(t, "closed", func() bool { return r.s.Open() == 0 })
	})
	for name, end := range map[string]func(c *conn, o eventloop.Owner){
		"Ready":       func(c *conn, o eventloop.Owner) { c.Ready(o, nil, 0) },
		"Expired":     func(c *conn, o eventloop.Owner) { c.Expired(o) },
		"release":     func(c *conn, o eventloop.Owner) { c.o = o; c.release() },
		"closeIfIdle": func(c *conn, o eventloop.Owner) { c.o = o; c.closeIfIdle() },
	} {
		t.Run("Abort and "+name, func(t *testing.T) {
			r, s, body, o := start(t)
			s.Abort()
			if s.Send([]byte("late")) {
				t.Error("a piece was sent behind the end")
			}
			end(s.c, o)
			if n := r.s.Open(); n != 0 {
				t.Errorf("%d connections are open", n)
			}
			if _, err := io.ReadAll(body); err == nil {
				t.Error("the body has an end")
			}
			if s.gone.Load()+s.written.Load()+s.unwritten.Load() > 0 {
				t.Error("the Waiter was called")
			}
		})
	}
	t.Run("backlog", func(t *testing.T) {
		r, s, _, o := start(t)
		for s.Send([]byte(filling)) {
			if n, _ := s.has(); n > streamBacklog+len(filling)+len("1000\r\n\r\n") {
				t.Fatalf("%d bytes are unsent", n)
			}
		}
		s.c.Ready(o, nil, 0)
		eventually(t, "closed", func() bool { return r.s.Open() == 0 })
		s.heard(t, false)
		if s.gone.Load() != 1 {
			t.Errorf("ClientGone was called %d times", s.gone.Load())
		}
	})
	t.Run("Close", func(t *testing.T) {
		r, s, _, o := start(t)
		r.close()
		s.c.Ready(o, nil, 0)
		s.heard(t, false)
		eventually(t, "closed", func() bool { return r.s.Open() == 0 })
	})
}

// TestStreamLooks looks at all connections while a stream has unsent bytes: those that look own it for a moment, and neither close it nor lose
// what was queued.
func TestStreamLooks(t *testing.T) {
	looks := map[string]func(r *rig){
		"shed":      func(r *rig) { r.s.shed(r.l, kept, time.Now().Add(time.Hour)) },
		"closeIdle": func(r *rig) { r.l.closeIdle(false) },
	}
	for name, look := range looks {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{}, ListenConfig{})
			_, s, body := r.open()
			sent := s.fill(t)
			stop := make(chan struct{})
			var looking sync.WaitGroup
			for range 2 {
				looking.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
							look(r)
						}
					}
				})
			}
			got := make(chan int)
			go func() {
				b, _ := io.ReadAll(body)
				got <- len(b)
			}()
			for range 2000 {
				eventually(t, "sent", func() bool { n, _ := s.has(); return n < streamBacklog/2 })
				if !s.Send([]byte(filling)) {
					t.Error("the stream has ended")
					break
				}
				sent += len(filling)
			}
			s.End()
			if n := <-got; n != sent {
				t.Errorf("%d bytes have come, want %d", n, sent)
			}
			close(stop)
			looking.Wait()
			s.heard(t, true)
		})
	}
}

// TestStreamSenders has 50 goroutines that send to one stream, over sockets that are full most of the time, while the peer sends what is
// pipelined. Pieces come whole, and in the order of each goroutine.
func TestStreamSenders(t *testing.T) {
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			r := newTLSRig(t, Config{}, secure)
			p, s, body := r.open()
			const pieces, size = 100, 1 << 10
			var sending sync.WaitGroup
			for who := range 50 {
				sending.Go(func() { s.sendNumbers(t, who, pieces, size) })
			}
			go func() {
				for range pieces {
					p.write("GET /plain HTTP/1.1\r\nHost: x\r\n\r\n")
				}
			}()
			go func() {
				sending.Wait()
				s.End()
			}()
			next := make(map[int]int)
			for range 50 * pieces {
				var who, i int
				if n, err := fmt.Sscanf(strings.TrimRight(p.read(body, size), "."), "%d %d", &who, &i); n != 2 || err != nil || i != next[who] {
					t.Fatalf("piece %d of goroutine %d has come instead of %d, %v", i, who, next[who], err)
				}
				next[who]++
			}
			if rest, err := io.ReadAll(body); len(rest) > 0 || err != nil {
				t.Errorf("the end is %q, %v", rest, err)
			}
			s.heard(t, true)
			for range pieces {
				p.isPlain()
			}
		})
	}
}

// sendNumbers sends numbered pieces, none while much is unsent.
func (s *suspension) sendNumbers(t *testing.T, who, pieces, size int) {
	for i := range pieces {
		piece := fmt.Sprintf("%d %d", who, i)
		piece += strings.Repeat(".", size-len(piece))
		eventually(t, "sent", func() bool { n, _ := s.has(); return n < streamBacklog/8 })
		if !s.Send([]byte(piece)) {
			t.Error("the stream has ended")
			return
		}
	}
}

// TestStreamSendersHangUp has 50 goroutines that send to one stream until it ends, because the peer, which also sends, hangs up, or because
// somebody aborts or ends it.
func TestStreamSendersHangUp(t *testing.T) {
	ways := map[string]func(p *peer, s *suspension){
		"FIN": func(p *peer, _ *suspension) { _ = p.Conn.(*net.TCPConn).CloseWrite() },
		"RST": func(p *peer, _ *suspension) {
			_ = p.Conn.(*net.TCPConn).SetLinger(0)
			_ = p.Close()
		},
		"Abort": func(_ *peer, s *suspension) { s.Abort() },
		"End":   func(_ *peer, s *suspension) { s.End() },
	}
	for name, end := range ways {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				r := newRig(t, Config{}, ListenConfig{})
				p, s, body := r.open()
				var sending sync.WaitGroup
				for range 50 {
					sending.Go(func() {
						for s.Send([]byte(filling)) {
							if s.gone.Load() > 0 {
								s.End()
							}
						}
					})
				}
				p.read(body, 20*len(filling))
				p.write("GET /plain HTTP/1.1\r\nHost: x\r\n\r\n")
				end(p, s)
				go func() { _, _ = io.Copy(io.Discard, p.Conn) }()
				sending.Wait()
				if name == "Abort" {
					continue // the peer may have been too slow before
				}
				eventually(t, "heard of the end", func() bool { return s.written.Load()+s.unwritten.Load() > 0 })
			}
		})
	}
}
