package httpserver

import (
	"bufio"
	"bytes"
	"runtime/debug"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/internal/eventloop"
)

// partial is a request of which some has come.
type partial struct {
	head    head
	bytes   []byte            // of the head, while it is not complete
	req     *fasthttp.Request // once it is
	verdict Verdict
	began   time.Time // of the body
	body    body
}

// workspace is what it takes to read and serve a request. It is used again for the next one.
type workspace struct {
	bytes  bytes.Reader
	reader *bufio.Reader
	part   partial // of a request that has come whole
	in     Incoming
	answer fasthttp.Response
}

func newWorkspace() *workspace {
	w := &workspace{reader: bufio.NewReaderSize(nil, HeadLimit)}
	w.in.Request, w.in.Response = new(fasthttp.Request), &w.answer
	return w
}

func (s *Server) borrow() *workspace { return s.workspaces.Get().(*workspace) } // New fills the pool with nothing else

func (s *Server) giveBack(w *workspace) { s.workspaces.Put(w) }

// feed reads requests from bytes that have come, and serves them. False: the connection is not the caller's any more. A peer that has
// closed its side is gone: what it has pipelined behind a request that was answered is not served.
func (c *conn) feed(w *workspace, in []byte) bool {
	for len(in) > 0 {
		p := c.part
		if p == nil {
			p = &w.part
			*p = partial{head: newHead()}
		}
		rest, o, why := c.advance(w, p, in)
		switch o {
		case complete:
			if !c.serve(w, p, rest) {
				return false
			}
			if in = rest; len(in) > 0 && c.peerGone() {
				c.linger()
				return false
			}
		case refused:
			c.refuse(w, p, why)
			return false
		case wantsMore:
			c.keep(w, p)
			return true
		}
	}
	return true
}

// keep keeps what has come of a request until more comes.
func (c *conn) keep(w *workspace, p *partial) {
	if p.req != nil && p.req == w.in.Request {
		w.in.Request = fasthttp.AcquireRequest() // p has the other one, in whichever turn its head was complete
	}
	if p != &w.part {
		c.hurry(p)
		return
	}
	defer func() { c.hurry(c.part) }()
	c.part = new(partial)
	*c.part = *p
	*p = partial{}
	p = c.part
	if p.req == nil {
		p.bytes = bytes.Clone(p.bytes)
		c.deadline = time.Now().Add(c.l.s.cfg.HeaderTimeout)
	}
}

const (
	// bodyStall is how long a body that costs memory may pause, and bodyRate how many bytes of it have to come a second, after the first
	// bodyStall.
	bodyStall = 5 * time.Second
	bodyRate  = 1 << 10
)

// hurry brings the deadline of a body nearer that costs memory and comes too slowly: others need the memory.
func (c *conn) hurry(p *partial) {
	if p.req == nil || p.body.paid.n == 0 {
		return
	}
	paused := time.Now().Add(bodyStall)
	slow := p.began.Add(bodyStall + time.Duration(len(p.body.bytes))*time.Second/bodyRate)
	c.deadline = earliest(p.began.Add(c.l.s.cfg.BodyTimeout), paused, slow)
}

func earliest(first time.Time, others ...time.Time) time.Time {
	for _, t := range others {
		if t.Before(first) {
			first = t
		}
	}
	return first
}

// advance reads on. rest is what follows a complete request.
func (c *conn) advance(w *workspace, p *partial, in []byte) (rest []byte, o outcome, why ReadError) {
	if p.req != nil {
		return p.body.add(in)
	}
	if p == &w.part {
		p.bytes = in // the caller's
	} else {
		p.bytes = append(p.bytes, in...)
	}
	done, problem := p.head.scan(p.bytes)
	switch {
	case problem != "":
		return nil, refused, ReadError{Kind: Malformed, Problem: problem}
	case !done && len(p.bytes) >= HeadLimit:
		return nil, refused, ReadError{Kind: HeadTooLarge}
	case !done:
		return nil, wantsMore, why
	}
	if problem = c.parse(w, p); problem != "" {
		return nil, refused, ReadError{Kind: Malformed, Problem: problem}
	}
	rest = p.bytes[p.head.size:]
	if o, why = c.beginBody(p); o == refused {
		return nil, o, why
	}
	if p.head.length >= 0 && int64(len(rest)) >= p.head.length { // in place, without a copy
		n := int(p.head.length)
		if !p.body.paid.Resize(p.verdict.Budget, int64(n)) {
			return nil, refused, ReadError{Kind: Overloaded}
		}
		p.body.bytes = rest[:n:n]
		return rest[n:], complete, why
	}
	p.bytes = nil // req has its own copy
	return p.body.add(rest)
}

// parse has fasthttp read the head, which the scanner has found good.
func (c *conn) parse(w *workspace, p *partial) (problem string) {
	w.bytes.Reset(p.bytes[:p.head.size])
	w.reader.Reset(&w.bytes)
	req := w.in.Request
	req.Reset()
	if req.Header.Read(w.reader) != nil { // its text would show bytes of the request
		return "its head is not HTTP/1.1"
	}
	p.req = req
	if p.head.length < 0 && !p.head.chunked {
		p.head.length = 0
	}
	return ""
}

// beginBody asks the Handler what body may follow, and invites it where the client waits for that.
func (c *conn) beginBody(p *partial) (o outcome, why ReadError) {
	if !c.verdict(p) {
		return refused, ReadError{Kind: Panicked}
	}
	p.body = body{budget: p.verdict.Budget, limit: p.verdict.Limit, length: p.head.length}
	switch {
	case p.head.length > p.verdict.Limit:
		return refused, ReadError{Kind: BodyTooLarge}
	case p.head.length == 0:
		return wantsMore, why
	case p.head.expects && p.verdict.Decided:
		return refused, ReadError{Kind: Uninvited}
	}
	p.began = time.Now()
	c.deadline = p.began.Add(c.l.s.cfg.BodyTimeout)
	if p.head.expects {
		_, _ = c.o.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n")) // an error comes again with the next read
	}
	return wantsMore, why
}

// verdict asks the Handler. False: it has panicked.
func (c *conn) verdict(p *partial) (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			c.l.panicked(v)
		}
	}()
	p.verdict = c.l.s.handler.Head(c.l, &p.req.Header)
	return true
}

// serve has a whole request served. False: the connection is not the caller's any more.
func (c *conn) serve(w *workspace, p *partial, rest []byte) bool {
	if p.req != w.in.Request {
		fasthttp.ReleaseRequest(w.in.Request)
		w.in.Request = p.req
	}
	p.req.SetBodyRaw(p.body.bytes)
	c.closes, c.http0, c.bodiless = p.head.closes || p.head.http0 && !p.head.stays, p.head.http0, p.req.Header.IsHead()
	if len(rest) > 0 {
		c.ahead = bytes.Clone(rest) // before anybody may reply
	}
	w.in.Listener, w.in.Verdict, w.in.body = c.l, p.verdict, p.body.paid
	c.part, w.part = nil, partial{}
	w.in.Exchange = c.begin()
	w.answer.Reset()
	suspended := c.l.call(&w.in)
	w.in.body.Release()
	w.in.Request.ResetBody()
	if suspended {
		return false
	}
	if !c.write(&w.answer) {
		return false // ahead is for when the loops have written the rest
	}
	c.ahead = nil
	return c.written()
}

// call has the Handler serve a request. A panic becomes an answer, or ends the exchange if it is suspended.
func (l *Listener) call(in *Incoming) (suspended bool) {
	defer func() {
		if v := recover(); v != nil {
			l.panicked(v)
			if suspended = !in.serving(); suspended {
				in.Abort()
				return
			}
			in.Response.Reset()
			l.word(in.Response, &ReadError{Kind: Panicked, Verdict: in.Verdict, Peer: in.RemoteAddr(), Target: in.Request.Header.RequestURI(), Origin: in.Request.Header.Peek("Origin")})
			in.Response.SetConnectionClose()
		}
	}()
	return l.s.handler.Serve(in)
}

// refuse answers a request that is not served, and closes the connection.
func (c *conn) refuse(w *workspace, p *partial, why ReadError) {
	why.Verdict, why.Length, why.Peer = p.verdict, p.head.length, c.RemoteAddr()
	if p.req != nil {
		why.Target, why.Origin = p.req.Header.RequestURI(), p.req.Header.Peek("Origin")
	} else {
		why.Target, why.Origin = p.head.target.of(p.bytes), field(p.bytes, "origin")
	}
	w.answer.Reset()
	c.l.word(&w.answer, &why)
	p.body.paid.Release()
	c.part = nil
	c.closes, c.unread = true, true
	c.http0, c.bodiless = p.head.http0, p.req != nil && p.req.Header.IsHead()
	if c.write(&w.answer) {
		c.written()
	}
}

// word has the Handler word a refusal.
func (l *Listener) word(dst *fasthttp.Response, why *ReadError) {
	defer func() {
		if v := recover(); v != nil {
			l.panicked(v)
			dst.Reset()
			dst.SetStatusCode(fasthttp.StatusInternalServerError)
		}
	}()
	l.s.handler.Refuse(l, dst, why)
}

// PanicText is what a log may say of a panic.
func PanicText(value any) string { return eventloop.PanicText(value) }

func (l *Listener) panicked(v any) {
	l.s.log.Error().Str("panic", eventloop.PanicText(v)).Bytes("stack", debug.Stack()).Str("listener", l.cfg.Name).Msg("a handler panicked")
}
