package eventloop

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

var (
	// ErrWouldBlock says that there is nothing to read at the moment. It is a net.Error that is Temporary: after such an
	// error crypto/tls goes on where it was.
	ErrWouldBlock error = wouldBlock{}
	// ErrNotOwner says that the Owner's turn is over. Nothing was done.
	ErrNotOwner = errors.New("eventloop: not the owner of the connection")
	// ErrPending says that bytes are pending: a connection cannot be detached with them.
	ErrPending = errors.New("eventloop: bytes are pending")
)

type wouldBlock struct{}

var _ net.Error = wouldBlock{}

func (wouldBlock) Error() string   { return "eventloop: nothing to read yet" }
func (wouldBlock) Timeout() bool   { return false }
func (wouldBlock) Temporary() bool { return true }

// Owner is the right to use a connection, for one turn: from the TryOwn, Ready or Expired that gave it until its Release, Close
// or Detach. It may be handed from goroutine to goroutine, and is used by one at a time. When the turn is over, the methods
// do nothing and return ErrNotOwner: they cannot touch a descriptor that is another connection's by now. The zero Owner
// owns nothing.
type Owner struct {
	c    *Conn
	turn uint64
}

// Conn is the connection.
func (o Owner) Conn() *Conn { return o.c }

// mine reports whether the turn lasts.
func (o Owner) mine() bool {
	if o.c == nil {
		return false
	}
	word := o.c.word.Load()
	return word>>turnShift == o.turn && word&phases == owned
}

// Read reads what there is, without waiting: ErrWouldBlock, if there is nothing; io.EOF at the end. If it fills p there may
// be more: read on, or Release, which then has Ready called at once.
func (o Owner) Read(p []byte) (n int, err error) {
	if !o.mine() {
		return 0, ErrNotOwner
	}
	if len(p) == 0 {
		return 0, nil
	}
	if o.c.tls != nil {
		return o.c.tls.read(p)
	}
	n, err = o.c.sysRead(p)
	// Behind a part of p there is nothing, unless the peer has hung up: an end makes no bytes.
	o.c.flags.set(unread, err == nil && (n == len(p) || o.c.word.Load()&gone != 0))
	return n, err
}

// Write writes p without waiting. What the socket does not take is copied and stays pending; done means that nothing is. Bytes
// go out in the order of the writes. The caller bounds what is pending.
func (o Owner) Write(p []byte) (done bool, err error) {
	switch c := o.c; {
	case !o.mine():
		return false, ErrNotOwner
	case c.flags.has(finish):
		return false, io.ErrClosedPipe
	case c.tls != nil:
		return c.tls.write(p)
	case c.out == nil:
		n, err := c.sysWrite(p)
		if err == nil && n < len(p) {
			c.flags.set(full, true)
			c.pend(p[n:])
		}
		return c.out == nil && err == nil, err
	default:
		c.pend(p)
		return c.flush()
	}
}

// Flush writes what is pending, as far as the socket takes it. Done means that nothing is pending any more.
func (o Owner) Flush() (done bool, err error) {
	if !o.mine() {
		return false, ErrNotOwner
	}
	return o.c.flush()
}

// Pending is how many bytes are pending.
func (o Owner) Pending() int {
	if !o.mine() || o.c.out == nil {
		return 0
	}
	return o.c.out.size()
}

// PeerGone reports whether a hang-up has been reported, in this turn or before. It asks nobody. When the turn is over it is
// true.
func (o Owner) PeerGone() bool {
	return !o.mine() || o.c.word.Load()&gone != 0
}

// Look asks the system what the socket has right now, whatever was reported: Readable for unread bytes, HangUp, and Writable
// only while bytes are pending. With TLS, Readable may be a record without data. When the turn is over it is HangUp.
func (o Owner) Look() Events {
	if !o.mine() {
		return HangUp
	}
	c := o.c
	ev := c.sysLook(c.out != nil)
	if c.tls != nil && c.flags.has(unread) {
		ev |= Readable
	}
	return ev
}

// CloseWrite says to the peer that nothing follows what was written, and what is still pending: with TLS by a close_notify, then
// by a FIN.
func (o Owner) CloseWrite() error {
	c := o.c
	switch {
	case !o.mine():
		return ErrNotOwner
	case c.flags.has(finish):
		return nil
	case c.tls != nil:
		if err := c.tls.t.CloseWrite(); err != nil {
			return err
		}
	}
	c.flags.set(finish, true)
	_, err := c.flush()
	return err
}

// Release ends the turn: the loops have the connection again. Ready is called on the next event, which includes Writable while
// bytes are pending, and Expired when the deadline has passed; the zero time is none. What was reported during the turn, or was
// not read to its end, is reported again; unread bytes alone wait until nothing is pending, so that a peer that sends and does
// not read cannot keep a loop busy.
func (o Owner) Release(deadline time.Time) {
	if !o.mine() {
		return
	}
	c, set := o.c, o.c.set
	c.deadline.Store(set.group.since(deadline))
	next, rearm, more := c.arms()
	set.group.hook("releasing")
	again, ok := c.giveBack(o.turn)
	if !ok {
		return // the Socket panicked meanwhile
	}
	// From here on c may be somebody else's.
	set.group.hook("released")
	if rearm || again {
		set.rearm(next)
	}
	if more {
		set.post(next.name, Readable)
	}
}

// arms says how the loops are to report c from now on: whether epoll has to be asked anew, and whether crypto/tls may have more
// to read.
func (c *Conn) arms() (next arming, rearm, more bool) {
	pending, tls := c.out != nil, c.tls != nil
	if pending { // a socket that was full is reported once it takes more, if the loops were asked for that
		rearm = !c.flags.has(armedOut) || !c.flags.has(full)
	} else {
		rearm = c.flags.has(armedOut) || c.flags.has(unread) && !tls
		more = c.flags.has(unread) && tls
		c.flags.set(full, false)
	}
	c.flags.set(armedOut, pending)
	return arming{name: c.name.Load(), fd: int(c.fd), socket: c.socket, out: pending}, rearm, more
}

// giveBack makes c idle. Again: an event was missed in this turn, and has to be reported again. Not ok: the turn is over.
func (c *Conn) giveBack(turn uint64) (again, ok bool) {
	for {
		word := c.word.Load()
		if word>>turnShift != turn || word&phases != owned {
			return false, false
		}
		if c.word.CompareAndSwap(word, word&^(phases|missed)|idle) {
			return word&missed != 0, true
		}
	}
}

// Detach ends the turn and gives a net.Conn that can be waited for, in the place of the connection. After an error the turn
// lasts: with TLS, and with ErrPending.
func (o Owner) Detach() (net.Conn, error) {
	c := o.c
	switch {
	case !o.mine():
		return nil, ErrNotOwner
	case c.tls != nil:
		return nil, errors.New("eventloop: detach: with TLS a connection stays with the loops")
	case c.out != nil:
		return nil, ErrPending
	}
	nc, err := c.sysDup()
	if err != nil {
		return nil, fmt.Errorf("eventloop: detach: %w", err)
	}
	c.set.leave(c, true)
	_ = c.sysClose() // nc has the socket now
	c.end(o.turn, c.flags&addressed)
	return nc, nil
}

// Close ends the turn and closes the connection. What is pending is lost; with TLS the peer hears a close_notify if the socket
// takes it at once.
func (o Owner) Close() error {
	if !o.mine() {
		return ErrNotOwner
	}
	c := o.c
	if c.tls != nil {
		c.tls.end()
	}
	c.set.leave(c, false)
	err := c.sysClose()
	c.end(o.turn, 0)
	return err
}

// end leaves c closed. The caller owns it, and it has left its set.
func (c *Conn) end(turn uint64, flags connFlags) {
	c.drop()
	c.tls, c.socket, c.fd, c.flags = nil, nil, -1, flags
	c.word.Store(turn << turnShift) // closed, and last: from here on c may be attached again
}
