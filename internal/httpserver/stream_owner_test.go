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

// stolen is a stream whose connection the test owns, as a loop does when it has taken an event and has not come to Ready yet.
type stolen struct {
	*suspension
	t    *testing.T
	r    *rig
	body io.Reader
	o    eventloop.Owner
}

func steal(t *testing.T) *stolen {
	t.Helper()
	r := newRig(t, Config{}, ListenConfig{})
	_, s, body := r.open()
	s.fill(t)
	st := &stolen{s, t, r, body, eventloop.Owner{}}
	eventually(t, "idle", func() (ok bool) { st.o, ok = s.c.TryOwn(); return ok })
	return st
}

func (s *stolen) ready() { s.c.Ready(s.o, nil, 0) }

// sendTen gives what it has sent.
func (s *stolen) sendTen() (sent string) {
	s.t.Helper()
	for i := range 10 {
		piece := fmt.Sprintf("piece %d.", i)
		if !s.Send([]byte(piece)) {
			s.t.Fatal("the stream has ended")
		}
		sent += piece
	}
	return sent
}

// comes checks the end of the body.
func (s *stolen) comes(sent string) {
	s.t.Helper()
	if got, err := io.ReadAll(s.body); !strings.HasSuffix(string(got), filling+sent) || err != nil {
		s.t.Errorf("%d bytes have come, %v", len(got), err)
	}
	s.heard(s.t, true)
}

func (s *stolen) closed() {
	s.t.Helper()
	eventually(s.t, "closed", func() bool { return s.r.s.Open() == 0 })
}

// TestStreamOwned has calls while a loop owns the connection: it does what they have left to it.
func TestStreamOwned(t *testing.T) {
	t.Run("Send", func(t *testing.T) {
		s := steal(t)
		sent := s.sendTen()
		s.ready()
		sent += s.sendTen()
		s.End()
		s.comes(sent)
	})
	t.Run("End", func(t *testing.T) {
		s := steal(t)
		sent := s.sendTen()
		s.End()
		if s.Send([]byte("late")) {
			t.Error("a piece was sent behind the end")
		}
		s.End()
		s.Abort()
		s.ready()
		s.comes(sent)
	})
	t.Run("End, and the time is over", func(t *testing.T) {
		s := steal(t)
		s.End()
		s.c.Expired(s.o)
		s.heard(t, false)
		s.closed()
	})
	t.Run("backlog", func(t *testing.T) {
		s := steal(t)
		for s.Send([]byte(filling)) {
			if n, _ := s.has(); n > streamBacklog+len(filling)+len("1000\r\n\r\n") {
				t.Fatalf("%d bytes are unsent", n)
			}
		}
		s.ready()
		s.closed()
		s.heard(t, false)
		if s.gone.Load() != 1 {
			t.Errorf("ClientGone was called %d times", s.gone.Load())
		}
	})
	t.Run("Close", func(t *testing.T) {
		s := steal(t)
		s.r.close()
		s.ready()
		s.heard(t, false)
		s.closed()
	})
}

// TestStreamAbortOwned aborts while a loop, the timer or a look at all connections owns the connection.
func TestStreamAbortOwned(t *testing.T) {
	for name, end := range map[string]func(c *conn, o eventloop.Owner){
		"Ready":       func(c *conn, o eventloop.Owner) { c.Ready(o, nil, 0) },
		"Expired":     func(c *conn, o eventloop.Owner) { c.Expired(o) },
		"release":     func(c *conn, o eventloop.Owner) { c.o = o; c.release() },
		"closeIfIdle": func(c *conn, o eventloop.Owner) { c.o = o; c.closeIfIdle() },
	} {
		t.Run(name, func(t *testing.T) {
			s := steal(t)
			s.Abort()
			if s.Send([]byte("late")) {
				t.Error("a piece was sent behind the end")
			}
			end(s.c, s.o)
			if n := s.r.s.Open(); n != 0 {
				t.Errorf("%d connections are open", n)
			}
			if _, err := io.ReadAll(s.body); err == nil {
				t.Error("the body has an end")
			}
			if s.gone.Load()+s.written.Load()+s.unwritten.Load() > 0 {
				t.Error("the Waiter was called")
			}
		})
	}
}

// TestStreamLooks looks at all connections while a stream has unsent bytes: those that look own it for a moment, and neither close it nor lose
// what was queued.
func TestStreamLooks(t *testing.T) {
	t.Run("shed", func(t *testing.T) {
		sendBetweenLooks(t, func(r *rig) { r.s.shed(r.l, kept, time.Now().Add(time.Hour)) })
	})
	t.Run("closeIdle", func(t *testing.T) { sendBetweenLooks(t, func(r *rig) { r.l.closeIdle(false) }) })
}

func sendBetweenLooks(t *testing.T, look func(r *rig)) {
	t.Helper()
	r := newRig(t, Config{}, ListenConfig{})
	_, s, body := r.open()
	sent := s.fill(t)
	stop := make(chan struct{})
	var looking sync.WaitGroup
	defer looking.Wait()
	defer close(stop)
	looks := func() {
		for {
			select {
			case <-stop:
				return
			default:
				look(r)
			}
		}
	}
	looking.Go(looks)
	looking.Go(looks)
	got := make(chan int, 1)
	go func() {
		b, _ := io.ReadAll(body)
		got <- len(b)
	}()
	for range 2000 {
		eventually(t, "sent", func() bool { n, _ := s.has(); return n < streamBacklog/2 })
		if !s.Send([]byte(filling)) {
			t.Fatal("the stream has ended")
		}
		sent += len(filling)
	}
	s.End()
	if n := <-got; n != sent {
		t.Errorf("%d bytes have come, want %d", n, sent)
	}
	s.heard(t, true)
}

// The pieces of each sender of TestStreamSenders, and their size in bytes.
const (
	senders      = 50
	senderPieces = 100
	senderSize   = 1 << 10
)

// TestStreamSenders has 50 goroutines that send to one stream, over sockets that are full most of the time, while the peer sends what is
// pipelined. Pieces come whole, and in the order of each goroutine.
func TestStreamSenders(t *testing.T) {
	t.Run("plain", func(t *testing.T) { sendTogether(t, newTLSRig(t, false)) })
	t.Run("TLS", func(t *testing.T) { sendTogether(t, newTLSRig(t, true)) })
}

func sendTogether(t *testing.T, r *rig) {
	t.Helper()
	p, s, body := r.open()
	p.shrink()
	var sending sync.WaitGroup
	for who := range senders {
		sending.Go(func() { s.sendNumbers(t, who) })
	}
	go func() {
		for range senderPieces {
			p.write("GET /plain HTTP/1.1\r\nHost: x\r\n\r\n")
		}
	}()
	go func() {
		sending.Wait()
		s.End()
	}()
	next := make(map[int]int)
	for range senders * senderPieces {
		var who, i int
		if n, err := fmt.Sscanf(strings.TrimRight(p.read(body, senderSize), "."), "%d %d", &who, &i); n != 2 || err != nil || i != next[who] {
			t.Fatalf("piece %d of goroutine %d has come instead of %d, %v", i, who, next[who], err)
		}
		next[who]++
	}
	if rest, err := io.ReadAll(body); len(rest) > 0 || err != nil {
		t.Errorf("the end is %q, %v", rest, err)
	}
	s.heard(t, true)
	for range senderPieces {
		p.isPlain()
	}
}

// sendNumbers sends numbered pieces, none while much is unsent.
func (s *suspension) sendNumbers(t *testing.T, who int) {
	for i := range senderPieces {
		piece := fmt.Sprintf("%d %d", who, i)
		piece += strings.Repeat(".", senderSize-len(piece))
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
	for name, end := range map[string]func(p *peer, s *suspension){
		"FIN": func(p *peer, _ *suspension) { _ = p.Conn.(*net.TCPConn).CloseWrite() },
		"RST": func(p *peer, _ *suspension) {
			_ = p.Conn.(*net.TCPConn).SetLinger(0)
			_ = p.Close()
		},
		"Abort": func(_ *peer, s *suspension) { s.Abort() },
		"End":   func(_ *peer, s *suspension) { s.End() },
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				s := sendUntil(t, end)
				if name == "Abort" {
					continue // the peer may have been too slow before
				}
				eventually(t, "heard of the end", func() bool { return s.written.Load()+s.unwritten.Load() > 0 })
			}
		})
	}
}

func sendUntil(t *testing.T, end func(p *peer, s *suspension)) *suspension {
	t.Helper()
	r := newRig(t, Config{}, ListenConfig{})
	p, s, body := r.open()
	var sending sync.WaitGroup
	for range senders {
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
	return s
}
