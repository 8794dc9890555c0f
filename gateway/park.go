package gateway

import (
	"bufio"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// Who holds a client while nobody runs. A request that a loop has served leaves its connection with the loops, and nothing else.
// One that fasthttp has served blocks its handler for a moment; then it gives back the goroutine, the request and all buffers
// and keeps only the connection; the reply is then written by a goroutine of its own, which goes on to serve the connection as
// fasthttp does.

// client is what a reply needs to know of a request that is gone.
type client struct {
	origin string
	close  bool // after the reply, as the client wished
	old    bool // it speaks HTTP/1.0, and has to be told that the connection stays open
}

// wait holds the client until the trip is decided, and watches whether it is still there. False: the handler is to end,
// as the connection is parked without it.
func (t *trip) wait(ctx *fasthttp.RequestCtx) (decided bool) {
	c := connOf(ctx)
	if d := deskOf(ctx); d != nil {
		return !t.parkHeld(ctx, d)
	}
	t.g.watcher.add(t, c)
	for {
		<-t.wake
		if !t.isWaiting() {
			t.g.watcher.remove(c)
			return true
		}
		if !t.joined && t.submitted { // a joiner may yet have to make its own trip, and a reader has none
			t.handOver(ctx)
			return false
		}
	}
}

// parkHeld leaves the client's connection with the loops. False: the trip is decided already, and the handler has it still.
func (t *trip) parkHeld(ctx *fasthttp.RequestCtx, d *desk) bool {
	c := d.conn
	t.client.close = ctx.Request.Header.ConnectionClose()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.phase != waiting {
		return false
	}
	t.left, d.left = true, true
	t.parked, t.held = c, true
	c.waiting.Store(t)
	t.g.loops.entered.Add(1)
	return true
}

// resumeHeld answers a client whose connection is the loops', and does not wait for it.
func (t *trip) resumeHeld(c *conn) {
	defer t.g.answering.done()
	c.waiting.Store(nil)
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	if t.word(resp, c) {
		c.respond(resp)
	} else {
		_ = c.Close()
	}
}

// resumeLater answers on a goroutine of its own: what becomes of a reply may have to be stored.
func (t *trip) resumeLater(c *conn, held bool) {
	if held {
		go t.resumeHeld(c)
	} else {
		go t.resume(c)
	}
}

// handOver has the connection parked when the handler has returned: until fasthttp gives it away it is not ours.
func (t *trip) handOver(ctx *fasthttp.RequestCtx) {
	c := connOf(ctx)
	t.client.close = ctx.Request.Header.ConnectionClose()
	t.client.old = !ctx.Request.Header.IsHTTP11()
	t.left = true
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(hijacked net.Conn) {
		c.takeBack(hijacked)
		t.mu.Lock()
		t.parked = c
		t.wake = nil // nobody blocks on it any more
		decided, _ := t.unpark()
		t.mu.Unlock()
		if decided != nil {
			t.resumeLater(decided, false)
		}
	})
}

// resume answers a parked client and serves its connection on. It is called by whoever finds the trip decided and the
// connection parked, which is so once.
func (t *trip) resume(c *conn) {
	t.g.watcher.remove(c)
	open := t.answer(c)
	t.g.answering.done()
	if open {
		c.goOn()
	} else {
		_ = c.Close()
	}
}

// answer writes the reply, and reports whether the connection can take another request.
func (t *trip) answer(c *conn) (open bool) {
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	if !t.word(resp, c) {
		return false
	}
	sent := c.send(resp, t.g.cfg.Listen.WriteTimeout)
	c.settle()
	return sent && !resp.ConnectionClose()
}

// word words the reply of a parked client. False: there is none to be written, and the connection is to be closed.
func (t *trip) word(resp *fasthttp.Response, c *conn) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			t.g.log.Error().Str("panic", panicText(p)).Bytes("stack", debug.Stack()).Stringer("trip", t.id).Msg("answering a parked client panicked")
			t.giveUp()
			ok = false
		}
	}()
	t.reply(resp, c)
	if !t.replied {
		t.observe(false)
		return false
	}
	t.g.dress(resp, t.requestID, t.client.origin)
	switch {
	case t.client.close || t.g.stage.Load() >= leaving:
		resp.SetConnectionClose()
	case t.client.old:
		resp.Header.Set("Connection", "keep-alive")
	}
	return true
}

// writers are used again: a reply needs one for a moment.
var writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 4<<10) }}

// send writes a reply.
func (c *conn) send(resp *fasthttp.Response, timeout time.Duration) (ok bool) {
	if c.SetWriteDeadline(time.Now().Add(timeout)) != nil {
		return false
	}
	w := writers.Get().(*bufio.Writer) //nolint:forcetypeassert // only New fills the pool
	w.Reset(c)
	err := resp.Write(w)
	if err == nil {
		err = w.Flush()
	}
	w.Reset(nil)
	writers.Put(w)
	return err == nil
}

// takeBack takes what fasthttp had read of a next request out of the wrapper that it gives a connection away in. What was
// read ahead and not yet by fasthttp comes behind it.
func (c *conn) takeBack(hijacked net.Conn) {
	c.probed = true // nothing but what is in the wrapper is read
	defer func() { c.probed = false }()
	var before []byte
	buf := make([]byte, 512)
	for {
		n, err := hijacked.Read(buf)
		before = append(before, buf[:n]...)
		if err != nil {
			break
		}
	}
	if len(before) > 0 {
		c.ahead = append(before, c.ahead...)
		c.freeHead()
	}
}
