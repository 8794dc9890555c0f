// Package eventstream has the connections of clients that hear server-sent events as they come. A stream has no goroutine and no buffer: the
// goroutine that brings an event writes it.
package eventstream

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"syncgate/internal/httpserver"
	"syncgate/internal/timerwheel"
)

// Streams are the open ones, and when each says the next time that it is there. The wheel has the one goroutine, which runs until Close.
type Streams struct {
	every time.Duration
	open  prometheus.Gauge
	n     atomic.Int64 // as open
	wheel *timerwheel.Wheel[*Stream]
}

// heartbeatTick is how exactly heartbeats come.
const heartbeatTick = 100 * time.Millisecond

// New makes an empty set. Each stream sends a comment after every, and is counted in open.
func New(every time.Duration, open prometheus.Gauge) *Streams {
	return &Streams{every: every, open: open, wheel: timerwheel.New(heartbeatTick, (*Stream).heartbeat)}
}

// Len is how many streams are open.
func (l *Streams) Len() int { return int(l.n.Load()) }

// Close ends the heartbeats.
func (l *Streams) Close() { l.wheel.Close() }

// Stream is one of them. The zero value has not begun.
type Stream struct {
	// Set by Begin, read-only afterwards.
	in       *Streams
	exchange httpserver.Exchange
	ended    func()
	beat     timerwheel.Timer[*Stream]

	mu    sync.Mutex // guards what follows; the exchange is never called with it held, as that may call back
	armed bool       // the heartbeat is, or was
	left  bool       // nothing more is waited for
}

// Begin answers a suspended exchange with a stream, and makes w its Waiter: the head of resp, and first as the first event; nil: there is none.
// w calls Leave when its client is gone, or the last byte is written. ended is called once: when the stream has ended, however that was. False:
// it has ended already, as the client was gone.
func (s *Stream) Begin(in *Streams, x httpserver.Exchange, w httpserver.Waiter, resp *fasthttp.Response, first []byte, ended func()) bool {
	s.in, s.exchange, s.ended = in, x, ended
	resp.Header.SetContentType("text/event-stream")
	resp.Header.Set("X-Accel-Buffering", "no") // nginx would collect events
	resp.SetBodyRaw(append(first, ":\n\n"...)) // so that proxies send the head on
	in.add(s)
	gone := x.SetWaiter(w)
	return !gone && x.Begin(resp)
}

// Write sends a piece, and ends the stream behind the last one. The caller holds no lock that its Waiter takes: the exchange may call back.
func (s *Stream) Write(piece []byte, last bool) {
	sent := len(piece) == 0 || s.exchange.Send(piece)
	if last {
		s.exchange.End()
	}
	if last || !sent {
		s.Leave()
	}
}

// Abort closes the connection in the middle of the stream.
func (s *Stream) Abort() { s.exchange.Abort() }

// Leave ends the stream for its owner. It reports whether it was the first to do so.
func (s *Stream) Leave() (first bool) {
	s.mu.Lock()
	first = !s.left
	s.left = true
	s.mu.Unlock()
	if first {
		s.in.remove(s)
		s.ended()
	}
	return first
}

// heartbeat keeps the way to the client open: what is on it may close connections that say nothing.
func (s *Stream) heartbeat() {
	s.mu.Lock()
	left := s.left
	s.mu.Unlock()
	if !left {
		s.Write([]byte(":\n\n"), false)
		s.in.arm(s)
	}
}

// add counts a stream and arms its heartbeat.
func (l *Streams) add(s *Stream) {
	l.open.Inc()
	l.n.Add(1)
	s.beat.Value = s
	l.arm(s)
}

// arm has the stream say later that it is there, unless it has ended.
func (l *Streams) arm(s *Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.left {
		s.armed = true
		l.wheel.Add(&s.beat, time.Now().Add(l.every))
	}
}

// remove undoes add, if that was called.
func (l *Streams) remove(s *Stream) {
	s.mu.Lock()
	armed := s.armed
	s.mu.Unlock()
	if !armed {
		return
	}
	l.open.Dec()
	l.n.Add(-1)
	s.beat.End()
	l.wheel.Remove(&s.beat)
}
