package httpserver

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"
)

// TestStreamBacklog has peers that never read: their connections are closed, and what is unsent is bounded.
func TestStreamBacklog(t *testing.T) {
	const framing = 64 // of a piece: the chunk's, and that of TLS
	for _, secure := range []bool{false, true} {
		r := newTLSRig(t, secure)
		_, s, _ := r.open()
		s.fill(t)
		for most := streamBacklog/len(filling) + 2; s.Send([]byte(filling)); most-- {
			if n, _ := s.has(); n > streamBacklog+len(filling)+framing || most == 0 {
				t.Fatalf("%d bytes are unsent", n)
			}
		}
		eventually(t, "closed", func() bool { return r.s.Open() == 0 })
		s.heard(t, false)
		if s.gone.Load() != 1 {
			t.Errorf("ClientGone was called %d times", s.gone.Load())
		}
		if _, unsent := s.has(); unsent || s.Send([]byte("late")) {
			t.Error("the stream keeps something")
		}
		s.End()
		s.Abort()
		s.heard(t, false)
	}
}

// TestStreamSlowInLocks has callers that hold a lock of the Waiter's when the peer is too slow. The Waiter hears of that, unless the exchange
// is aborted before.
func TestStreamSlowInLocks(t *testing.T) {
	for _, aborted := range []bool{false, true} {
		r := newRig(t, Config{}, ListenConfig{})
		_, s, _ := r.open()
		s.fill(t)
		s.lock.Lock()
		for s.Send([]byte(filling)) {
		}
		eventually(t, "closed", func() bool { return r.s.Open() == 0 })
		if aborted {
			s.Abort()
		}
		s.lock.Unlock()
		if !aborted {
			s.heard(t, false)
		}
		eventually(t, "over", func() bool { return s.stateIs(none) })
		r.s.Close() // and the tick
		if n := s.written.Load() + s.unwritten.Load(); aborted && n > 0 {
			t.Errorf("Replied was called behind Abort")
		}
	}
}

// TestStreamLargePiece has a piece that is larger than the backlog and than the socket, to a peer that reads.
func TestStreamLargePiece(t *testing.T) {
	t.Run("plain", func(t *testing.T) { largePiece(t, newTLSRig(t, false)) })
	t.Run("TLS", func(t *testing.T) { largePiece(t, newTLSRig(t, true)) })
}

func largePiece(t *testing.T, r *rig) {
	t.Helper()
	p, s, body := r.open()
	large := strings.Repeat(filling, (16<<20)/len(filling))
	if !s.Send([]byte("small.")) || !s.Send([]byte(large)) {
		t.Fatal("the stream has ended")
	}
	if _, unsent := s.has(); !unsent {
		t.Fatal("the socket has taken all of it: the test needs a larger piece")
	}
	if n := r.s.answering.n.Load(); n != 0 {
		t.Errorf("%d answers are under way to their end before End", n)
	}
	s.End()
	if n := r.s.answering.n.Load(); n != 1 {
		t.Errorf("%d answers are under way to their end", n)
	}
	settled := make(chan struct{})
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		r.s.Settle(ctx)
		close(settled)
	}()
	if n := s.written.Load() + s.unwritten.Load(); n > 0 {
		t.Error("the Waiter heard of the end before the last byte")
	}
	if got, err := io.ReadAll(body); string(got) != "small."+large || err != nil {
		t.Errorf("%d bytes have come, %v", len(got), err)
	}
	<-settled
	s.heard(t, true)
	p.plain()
}

// TestStreamWriteTimeout has peers that read nothing for too long, each with little unsent and nothing sent behind it.
func TestStreamWriteTimeout(t *testing.T) {
	for _, ended := range []bool{false, true} {
		r := newRig(t, Config{WriteTimeout: 200 * time.Millisecond}, ListenConfig{})
		_, s, _ := r.open()
		s.fill(t)
		if ended {
			s.End()
		}
		eventually(t, "closed", func() bool { return r.s.Open() == 0 })
		s.heard(t, false)
		if !ended && s.gone.Load() != 1 {
			t.Errorf("ClientGone was called %d times", s.gone.Load())
		}
	}
}

// TestStreamTooOld has a piece that comes when the time is over and the timer has not looked yet.
func TestStreamTooOld(t *testing.T) {
	r := newRig(t, Config{}, ListenConfig{})
	_, s, _ := r.open()
	s.fill(t)
	c := s.c
	c.mu.Lock()
	o, ok := c.TryOwn()
	if !ok {
		t.Fatal("a loop has the connection")
	}
	c.o, c.deadline = o, time.Now()
	o.Release(time.Time{})
	c.mu.Unlock()
	if s.Send([]byte("piece")) {
		t.Error("a piece was sent behind bytes that are too old")
	}
	s.heard(t, false)
}

// TestStreamSlowPeer has a peer that reads little by little: the time-out begins anew when the bytes have gone that it was for.
func TestStreamSlowPeer(t *testing.T) {
	r := newRig(t, Config{}, ListenConfig{})
	p, s, body := r.open()
	p.shrink()
	left := s.fill(t)
	for range 3 {
		first, _ := s.timeOut()
		left += s.fillHalf(t)
		if now, _ := s.timeOut(); !now.Equal(first) {
			t.Error("the time-out has begun anew, and the peer has read nothing")
		}
		eventually(t, "a new time-out", func() bool {
			now, marked := s.timeOut()
			if marked == 0 {
				t.Fatal("all is written, and the time-out has not begun anew")
			}
			if now.Equal(first) {
				left -= len(p.read(body, 1<<10))
			}
			return !now.Equal(first)
		})
	}
	s.End()
	if rest, err := io.ReadAll(body); len(rest) != left || err != nil {
		t.Errorf("%d bytes have come at the end, %v; want %d", len(rest), err, left)
	}
	s.heard(t, true)
}

// fillHalf sends pieces until half of the backlog is unsent, and gives how many bytes it has sent.
func (s *suspension) fillHalf(t *testing.T) (sent int) {
	t.Helper()
	for n := 0; n < streamBacklog/2; n, _ = s.has() {
		sent += len(filling)
		if !s.Send([]byte(filling)) {
			t.Fatal("the stream has ended")
		}
	}
	return sent
}

// timeOut gives by when the unsent bytes must have gone, and how many of them.
func (s *suspension) timeOut() (deadline time.Time, marked int) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.c.unsent != nil {
		marked = s.c.unsent.marked
	}
	return s.c.deadline, marked
}

// TestStreamIdle has a stream that is open for longer than every time-out.
func TestStreamIdle(t *testing.T) {
	const short = 100 * time.Millisecond
	r := newRig(t, Config{IdleTimeout: short, HeaderTimeout: short, BodyTimeout: short, WriteTimeout: short}, ListenConfig{})
	p, s, body := r.open()
	<-time.After(10 * short)
	if !s.Send([]byte("piece")) || p.read(body, 5) != "piece" {
		t.Error("the stream was closed")
	}
	s.End()
	s.heard(t, true)
	eventually(t, "closed, as it is idle now", func() bool { return r.s.Open() == 0 })
}

// TestStreamClose closes a listener with open streams: those that end are whole, and the others are cut.
func TestStreamClose(t *testing.T) {
	r := newRig(t, Config{}, ListenConfig{})
	_, held, heldBody := r.open()
	_, full, _ := r.open()
	full.fill(t)
	endsPeer, ends, endsBody := r.open()
	waits := r.dial()
	waits.write(streamRequest)
	late := r.next()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	closed := make(chan bool)
	go func() { closed <- r.l.Close(ctx) }()
	eventually(t, "closing", func() bool { return r.l.closing.Load() })
	if !ends.Send([]byte("piece")) {
		t.Error("a stream has ended when the listener began to close")
	}
	ends.End()
	if got, err := io.ReadAll(endsBody); string(got) != "piece" || err != nil {
		t.Errorf("the stream that ends: %q, %v", got, err)
	}
	endsPeer.ends("")
	ends.heard(t, true)
	cancel()
	if <-closed {
		t.Error("the listener has closed as if no stream were open")
	}
	r.s.Close() // and the tick
	for _, s := range []*suspension{held, full} {
		if s.gone.Load() != 1 || s.unwritten.Load() != 1 || s.Send([]byte("late")) {
			t.Errorf("ClientGone was called %d times, Replied(false) %d times", s.gone.Load(), s.unwritten.Load())
		}
	}
	if _, err := io.ReadAll(heldBody); err == nil {
		t.Error("a stream that was cut has an end")
	}
	if late.Begin(newAnswer("")) {
		t.Error("a stream has begun on a closed listener")
	}
	late.heard(t, false)
	waits.ends("")
	if n := r.s.Open(); n != 0 {
		t.Errorf("%d connections are open", n)
	}
}
