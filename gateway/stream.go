package gateway

import (
	"errors"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/cors"
	"syncgate/internal/eventstream"
	"syncgate/internal/httpserver"
)

// stream is a client that hears the events of a task as they come. It is the correlator's Receiver and the exchange's Waiter. Package eventstream has
// its connection.
type stream struct {
	// Set before it begins, read-only afterwards.
	g         *Gateway
	id        correlator.ID
	exchange  httpserver.Exchange
	call      *dialect.Call
	dialect   uint8 // of the request, which words the events
	maker     uint8 // that made the task
	own       bool  // the request made the task
	requestID string
	applied   string    // the preferences that are honoured
	accepted  time.Time // of the task; zero: not known
	places    func()    // gives back the places that admission gave; nil: there are none
	events    eventstream.Stream

	mu     sync.Mutex // guards what follows; events is never called with it held, as that may call back
	detach func()
	finals []correlator.Callback
	open   int
	last   uint32 // the number of the last event
	over   bool   // nothing more is written
	left   bool   // nothing more is waited for
}

// newStream makes the stream of a trip whose task has a record. It takes the exchange over.
func (t *trip) newStream() *stream {
	s := &stream{
		g: t.g, id: t.id, exchange: t.exchange, call: t.call, dialect: t.dialect, maker: t.dialect, own: t.kind == creates, requestID: t.requestID,
		accepted: t.accepted, finals: make([]correlator.Callback, len(t.call.Ops)), open: len(t.call.Ops),
	}
	for i := range s.finals {
		s.finals[i].Op = i
	}
	switch {
	case t.task != nil:
		s.maker, s.accepted, s.last, s.applied = t.task.maker, t.task.created, t.task.After, t.task.Applied
	case t.call.Options != nil:
		s.applied = t.call.Options.Applied
	}
	return s
}

// begin writes the head and the first event, and follows the task up to the deadline. It asks the store.
func (s *stream) begin(p cors.Page, deadline time.Time) {
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	r := s.reply(dialect.ErrPending)
	first, err := s.g.dialects.AppendAccepted(s.dialect, nil, s.call, r)
	if err != nil {
		s.refuse(resp, p, err)
		return
	}
	if s.last > 0 { // it goes on
		first = nil
	}
	resp.Header.Set("Vary", "Prefer, Accept")
	if s.applied != "" {
		resp.Header.Set("Preference-Applied", s.applied)
	}
	s.g.finishHeader(resp, s.requestID, p)
	noStore(resp)
	if !s.events.Begin(s.g.streams, s.exchange, s, resp, first, s.ended) {
		s.ClientGone()
		return
	}
	ctx, cancel := s.g.storeContext()
	defer cancel()
	detach, err := s.g.keeper.Follow(ctx, s.id, s, s.last, deadline)
	if err != nil {
		s.end(err)
		return
	}
	s.mu.Lock()
	left := s.left
	if !left {
		s.detach = detach
	}
	s.mu.Unlock()
	if left {
		detach()
	}
}

// refuse answers a stream that has not begun.
func (s *stream) refuse(resp *fasthttp.Response, p cors.Page, err error) {
	if s.places != nil {
		s.places()
	}
	of := dialect.Refused{RequestID: s.requestID}
	if s.maker == s.dialect { // who follows a task may read it
		of.Call = s.call
	}
	s.g.refuse(s.dialect, resp, s.g.failed(err, s.requestID), of)
	s.g.finishHeader(resp, s.requestID, p)
	noStore(resp)
	s.exchange.Reply(resp)
}

// reply is what is known of the task. Called with mu held, or before the stream is shared.
func (s *stream) reply(open error) *dialect.Reply {
	if s.open == 0 {
		open = nil
	}
	return &dialect.Reply{
		Finals: s.finals, Open: open, RequestID: s.requestID, Accepted: s.accepted, Task: string(s.g.keys.AppendTaskID(nil, s.id)),
		RetryAfter: retrySoon,
	}
}

// Deliver takes an event, or a final. The correlator calls it for one after the other.
func (s *stream) Deliver(cb correlator.Callback, done func(correlator.Disposition)) {
	s.events.Write(s.take(cb))
	done(correlator.Written)
}

// take gives what is to be written of a callback. last: the stream ends behind it.
func (s *stream) take(cb correlator.Callback) (piece []byte, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over:
	case cb.Status.Running() && cb.Seq > s.last:
		s.last = cb.Seq
		piece, _ = s.g.dialects.AppendEvent(s.dialect, nil, s.call, cb) // what cannot be worded is not shown
	case cb.Status.Final() && cb.Op < len(s.finals) && !s.finals[cb.Op].Status.Final():
		s.finals[cb.Op] = cb
		if s.open--; s.open == 0 {
			return s.conclude(nil), true
		}
	}
	return piece, false
}

// conclude gives the last event. Called with mu held.
func (s *stream) conclude(open error) []byte {
	s.over = true
	piece, _ := s.g.dialects.AppendEnd(s.dialect, s.maker, nil, s.call, s.reply(open))
	return piece
}

// Expire ends the stream: at its deadline with an event that says so. At a drain it only ends, so that the client comes back, to another node.
func (s *stream) Expire(reason error) { s.end(reason) }

func (s *stream) end(reason error) {
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return
	}
	var piece []byte
	switch {
	case errors.Is(reason, correlator.ErrDeadline):
		piece = s.conclude(correlator.ErrDeadline)
	case errors.Is(reason, correlator.ErrReleased), errors.Is(reason, correlator.ErrGone): // the engine has not taken it after all
		for i := range s.finals {
			if !s.finals[i].Status.Final() {
				s.finals[i].Status = correlator.Failed
			}
		}
		s.open = 0
		piece = s.conclude(nil)
	default:
		s.over = true
	}
	s.mu.Unlock()
	s.events.Write(piece, true)
}

// ClientGone ends the stream of a client that has left.
func (s *stream) ClientGone() {
	if s.events.Leave() && s.own && s.call.Options != nil && s.call.Options.OnDisconnect == dialect.Cancel {
		s.g.work.run(func() { s.g.forsakeTask(s.id, len(s.call.Ops)) })
	}
	s.events.Abort()
}

// Replied says that the last byte is written, or the connection lost.
func (s *stream) Replied(written bool) {
	if !written {
		s.g.metrics.Abandoned.Inc()
	}
	s.events.Leave()
}

// ended ends the wait. The connection is over; this is called once.
func (s *stream) ended() {
	s.mu.Lock()
	s.over, s.left = true, true
	detach := s.detach
	s.detach = nil
	s.mu.Unlock()
	if detach != nil {
		detach()
	}
	if s.places != nil {
		s.places()
	}
}
