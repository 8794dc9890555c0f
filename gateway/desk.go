package gateway

import (
	"bufio"
	"bytes"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// A desk is where a loop does what needs nobody to wait: it serves the requests that come whole, alone, and in the plainest
// HTTP, as those of nearly all clients and engines do. fasthttp reads the head and holds request and response, as ever; what is
// left out is its loop around them, and its goroutine. Whatever is not so plain is fasthttp's from its first byte.

// deskBytes is what is read at once. A request that is longer goes to fasthttp.
const deskBytes = 16 << 10

// desk is owned by its loop's goroutine.
type desk struct {
	conn *conn // whose request is served
	left bool  // its answer comes later: somebody else has the connection

	in     [deskBytes]byte
	bytes  bytes.Reader
	reader *bufio.Reader
	ctx    fasthttp.RequestCtx
	answer fasthttp.Response // of an engine
}

// deskConn is the connection of the desk's context: the one whose request is served.
type deskConn struct {
	*conn
	desk *desk
}

func (d *desk) open(lp *loop) {
	d.reader = bufio.NewReaderSize(nil, deskBytes)
	d.ctx.Init2(&deskConn{desk: d}, quiet{lp.set.log}, false)
}

// deskOf gives the desk that serves a request; nil: fasthttp does.
func deskOf(ctx *fasthttp.RequestCtx) *desk {
	if at, ok := ctx.Conn().(*deskConn); ok {
		return at.desk
	}
	return nil
}

// serve serves a request. False: it is one for fasthttp, and nothing has happened.
func (d *desk) serve(c *conn, in []byte) bool {
	if c.l.name == "admin" || !mayBePlain(in) {
		return false
	}
	d.conn, d.left = c, false
	d.ctx.Conn().(*deskConn).conn = c //nolint:forcetypeassert // open made it
	defer func() { d.conn = nil }()
	d.ctx.Request.Reset()
	d.ctx.Response.Reset()
	a, ok := d.read(in)
	if !ok {
		return false
	}
	c.l.serveRead(&d.ctx, a)
	if d.left {
		return true
	}
	if d.ctx.Request.Header.ConnectionClose() {
		d.ctx.SetConnectionClose()
	}
	c.respond(&d.ctx.Response)
	return true
}

// mayBePlain tells most requests that are not for a desk from their first bytes.
func mayBePlain(in []byte) bool {
	return len(in) > 0 && in[0] == 'P' // POST, PUT or PATCH
}

// read reads a request. Not ok: it is one for fasthttp.
func (d *desk) read(in []byte) (a announced, ok bool) {
	d.bytes.Reset(in)
	d.reader.Reset(&d.bytes)
	h := &d.ctx.Request.Header
	if h.Read(d.reader) != nil || !h.IsHTTP11() {
		return a, false
	}
	spell(h)
	length := h.ContentLength()
	if length < 0 || length != d.reader.Buffered() || len(h.Peek("Expect")) > 0 || len(h.Peek(keyHeader)) > 0 || framingProblem(h) != "" {
		return a, false
	}
	l := d.conn.l
	if a = l.look(h); a.verdict != nil || a.route != routeCreate && a.route != routeCallback || int64(length) > a.limit {
		return a, false
	}
	if a.body, ok = reserve(l.budgetOf(a.route), a.length); !ok {
		return a, false
	}
	body, err := d.reader.Peek(length)
	if err != nil {
		a.body.release()
		return a, false
	}
	d.ctx.Request.SetBodyRaw(body)
	return a, true
}

// respond writes the answer of whoever owns c, and releases or closes c. Nobody waits for a peer that does not read: that is a
// goroutine's, for as long as the write time-out.
func (c *conn) respond(resp *fasthttp.Response) {
	out := outs.Get().(*out) //nolint:forcetypeassert // only New fills the pool
	defer out.giveBack()
	out.b = appendResponse(out.b, resp)
	n, err := tryWrite(c.raw, out.b, c.l.g.hook, pointReply)
	c.wrote.Store(true)
	closes := resp.ConnectionClose()
	if err == nil && n == len(out.b) && !c.gone {
		c.conclude(closes)
		return
	}
	c.l.g.answering.add()
	if err != nil || c.gone { // what the client does not get is kept, which may take a while
		c.failed.Store(true)
		go c.finish(nil, true)
		return
	}
	rest := out.b[n:]
	out.b = nil
	go c.finish(rest, closes)
}

// out has room for an answer or a request, head and body.
type out struct{ b []byte }

// outs are used again: each for the length of a write.
var outs = sync.Pool{New: func() any { return &out{make([]byte, 0, 4<<10)} }}

func (o *out) giveBack() {
	if cap(o.b) <= 4*deskBytes { // a few large ones must not stay
		o.b = o.b[:0]
		outs.Put(o)
	}
}

// appendResponse appends what fasthttp would write.
func appendResponse(dst []byte, resp *fasthttp.Response) []byte {
	body := resp.Body()
	resp.Header.SetContentLength(len(body))
	return append(resp.Header.AppendBytes(dst), body...)
}

// conclude tells what became of an answer, and releases or closes c.
func (c *conn) conclude(closes bool) {
	c.settle()
	if closes {
		_ = c.Close()
		return
	}
	c.restBy.Store(c.l.g.loops.clock.Load() + int64(c.l.g.cfg.Listen.IdleTimeout))
	c.release()
}

// finish writes the rest of an answer, for which it waits, and tells what became of it. The loop has c again afterwards.
func (c *conn) finish(rest []byte, closes bool) {
	defer c.l.g.answering.done()
	if len(rest) > 0 {
		err := net.ErrClosed
		if c.takeOut() {
			if err = c.Conn.SetWriteDeadline(time.Now().Add(c.l.g.cfg.Listen.WriteTimeout)); err == nil {
				_, err = c.Conn.Write(rest)
			}
		}
		if err != nil {
			c.failed.Store(true)
		}
	}
	c.settle()
	if closes || c.failed.Load() {
		_ = c.Close()
		return
	}
	c.goOn()
}
