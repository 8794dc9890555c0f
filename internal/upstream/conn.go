package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/internal/eventloop"
)

// conn is a connection to the engine. The package's comment says who may do what with it.
type conn struct {
	eventloop.Conn

	// Fixed.
	client *Client
	secure bool // TLS

	// The owner's.
	phase     phase
	fresh     bool     // it has carried nothing yet
	exchange  exchange // of the phases dialled and sent
	part      *part    // of an answer; nil: no byte has come
	idleSince time.Time
	scratch   [1]byte

	listed bool // in the pool's list; guarded by its mutex
}

// phase is what a connection is for.
type phase uint8

const (
	dialled phase = iota // the first request will be sent
	sent                 // an answer is waited for
	idle
)

// part is an answer that has not come whole yet.
type part struct {
	answer
	b []byte
}

// readsAtOnce bounds what a loop reads of one answer before it looks at other connections.
const readsAtOnce = 16

// HungUp implements eventloop.Socket. Somebody has the connection, and will see it.
func (k *conn) HungUp() {}

// Expired implements eventloop.Socket.
func (k *conn) Expired(o eventloop.Owner) { k.client.endConn(lease{k, o}, ErrLate) }

// Ready implements eventloop.Socket.
func (k *conn) Ready(o eventloop.Owner, buf []byte, ev eventloop.Events) {
	c, l := k.client, lease{k, o}
	switch k.phase {
	case dialled:
		c.run(k.exchange, l)
	case sent:
		c.receive(l, buf, ev)
	default:
		c.checkIdle(l, buf)
	}
}

// endConn closes a connection whatever it is for. err is why.
func (c *Client) endConn(l lease, err error) {
	k := l.conn
	switch k.phase {
	case dialled:
		x := k.exchange
		c.discard(l)
		c.run(c.failUnsent(x, err, unsent), lease{})
	case sent:
		c.fail(l, err)
	default:
		c.discard(l)
		c.run(c.releasePlace(), lease{})
	}
}

// checkIdle closes an idle connection: the engine has closed it, or has sent what nobody asked for. With TLS there may be something that
// only TLS wants, and an event may come late, when all was read: then the connection stays.
func (c *Client) checkIdle(l lease, buf []byte) {
	if n, err := l.owner.Read(buf); n == 0 && wouldBlock(err) && !l.owner.PeerGone() {
		c.run(c.putIdle(l))
		return
	}
	c.endConn(l, ErrBroken)
}

// receive reads what has come of an answer. While the request is not completely written it writes more of that, and an answer counts
// though that should fail: the engine need not have read it all.
func (c *Client) receive(l lease, buf []byte, ev eventloop.Events) {
	var broken error
	if ev&eventloop.Writable != 0 {
		_, broken = l.owner.Flush()
	}
	for i := 0; i < readsAtOnce || l.owner.Pending() > 0; i++ { // while bytes are pending the loops report nothing that is left unread
		n, err := l.owner.Read(buf)
		c.in.Add(int64(n))
		if n > 0 && c.take(l, buf[:n]) {
			return
		}
		switch {
		case err != nil && !wouldBlock(err):
			c.readFailed(l, err)
			return
		case err != nil && broken != nil:
			c.fail(l, connectionError("send to the engine", broken))
			return
		case err != nil, n < len(buf) && broken == nil && !l.owner.PeerGone():
			c.release(l)
			return
		}
	}
	c.release(l)
}

// take takes bytes of an answer. Over: that was the last of them, or they are malformed.
func (c *Client) take(l lease, in []byte) (over bool) {
	k := l.conn
	if k.part == nil { // it often comes whole, and then nothing is copied
		var a answer
		if err := a.parse(in); err != nil {
			c.fail(l, err)
			return true
		}
		if a.stage == complete {
			c.complete(l, &a, in)
			return true
		}
		k.part = c.parts.Get().(*part) // only New fills the pool
		k.part.answer, k.part.b = a, append(k.part.b[:0], in...)
		k.part.b = k.part.compact(k.part.b)
		return false
	}
	p := k.part
	p.b = append(p.b, in...)
	if err := p.parse(p.b); err != nil {
		c.fail(l, err)
		return true
	}
	if p.stage == complete {
		c.complete(l, &p.answer, p.b)
		return true
	}
	p.b = p.compact(p.b)
	return false
}

// readFailed ends an answer: its end may be that of the connection.
func (c *Client) readFailed(l lease, err error) {
	p := l.conn.part
	switch {
	case errors.Is(err, errNoCloseNotify):
		c.fail(l, ErrTruncated)
	case !errors.Is(err, io.EOF):
		c.fail(l, connectionError("read the engine's answer", err))
	case p == nil:
		c.fail(l, ErrTruncated)
	default:
		if err := p.ended(); err != nil {
			c.fail(l, err)
			return
		}
		c.complete(l, &p.answer, p.b)
	}
}

// complete gives a complete answer, which is in b, to the call.
func (c *Client) complete(l lease, a *answer, b []byte) {
	x := l.conn.exchange
	d := c.heads.Get().(*headReader) // only New fills the pool
	if !d.read(a.headOf(b)) {
		c.heads.Put(d)
		c.fail(l, badHead)
		return
	}
	code := panicked
	usable, ok := c.answered(x.call, a.head.status, &d.header, a.bodyOf(b))
	if ok {
		code = c.codes.of(a.head.status)
		c.heads.Put(d)
	}
	keep := usable && a.keep && !a.surplus(b) && l.owner.Pending() == 0 && !l.owner.PeerGone()
	c.dropPart(l.conn)
	c.run(c.endExchange(x, l, keep, code))
}

// fail ends an exchange of which something was sent.
func (c *Client) fail(l lease, err error) {
	x := l.conn.exchange
	c.run(c.endExchange(x, l, false, c.failed(x.call, err, true)))
}

// release gives a connection to the loops, until the time-out of its exchange.
func (c *Client) release(l lease) {
	by := l.conn.exchange.began.Add(c.timeout)
	l.owner.Release(by)
	if c.aborting.Load() {
		c.abort(l.conn)
	}
}

// abort ends a connection that nobody has. Its owner, if it has one, finds that Close waits no more when it releases the connection.
func (c *Client) abort(k *conn) {
	if o, ok := k.TryOwn(); ok {
		c.endConn(lease{k, o}, ErrClosed)
	}
}

// discard closes a connection. Its place stays the caller's.
func (c *Client) discard(l lease) {
	k := l.conn
	c.dropPart(k)
	k.exchange = exchange{}
	c.pool.forget(k)
	_ = l.owner.Close()
}

// dropPart frees the memory of an answer.
func (c *Client) dropPart(k *conn) {
	p := k.part
	if k.part = nil; p != nil && cap(p.b) <= kept {
		c.parts.Put(p)
	}
}

// closeIdle closes the idle connections.
func (c *Client) closeIdle() {
	for _, l := range c.pool.takeAllIdle() {
		c.discard(l)
	}
}

func wouldBlock(err error) bool { return errors.Is(err, eventloop.ErrWouldBlock) }

// headReader is what a head is read with, for Call.Answered.
type headReader struct {
	header fasthttp.ResponseHeader
	bytes  bytes.Reader
	reader *bufio.Reader
}

func newHeadReader() *headReader {
	d := new(headReader)
	d.reader = bufio.NewReaderSize(&d.bytes, maxHead)
	return d
}

// read reads a complete head, which was checked. Not ok: fasthttp does not take it. Its error is dropped, as it has bytes of the answer.
func (d *headReader) read(head []byte) (ok bool) {
	d.bytes.Reset(head)
	d.reader.Reset(&d.bytes)
	return d.header.Read(d.reader) == nil
}

// statusTexts are the codes of answers, as text.
type statusTexts []string

const firstStatus = 100

func newStatusTexts() statusTexts {
	texts := make(statusTexts, 1000-firstStatus)
	for i := range texts {
		texts[i] = strconv.Itoa(firstStatus + i)
	}
	return texts
}

func (s statusTexts) of(status int) string { return s[status-firstStatus] }
