package gateway

import (
	"sync"
	"syscall"

	"syncgate/internal/nowait"
)

// The points of a test's hook.
const (
	pointLook  = "look"  // at a connection to the engine, before a request is written to it
	pointWrite = "write" // of a request to the engine, with the descriptor in hand
	pointReply = "reply" // the same for an answer to a client or an engine
)

// attempt is a read or a write of what a socket can give or take at once, in a form that needs no memory of its own each time.
type attempt struct {
	p     []byte
	n     int
	err   error
	hook  func(point string) // nil: there is none
	point string
	read  func(fd uintptr)
	write func(fd uintptr)
}

// attempts are used again: each lasts for one system call.
var attempts = sync.Pool{New: func() any {
	a := new(attempt)
	a.read = func(fd uintptr) { a.n, a.err = nowait.Read(int(fd), a.p) }
	a.write = func(fd uintptr) {
		if a.hook != nil {
			a.hook(a.point)
		}
		a.n, a.err = nowait.Write(int(fd), a.p)
	}
	return a
}}

// tryRead reads what there is, without waiting. The error is unix.EAGAIN where there is nothing.
func tryRead(raw syscall.RawConn, p []byte) (n int, err error) {
	a := attempts.Get().(*attempt) //nolint:forcetypeassert // only New fills the pool
	a.p = p
	err = raw.Control(a.read) // and not Read, which would wait
	return a.done(err)
}

// tryWrite writes what there is room for, without waiting. That there is none is no error. A test's hook is called when the descriptor
// is in hand.
func tryWrite(raw syscall.RawConn, p []byte, hook func(point string), point string) (n int, err error) {
	a := attempts.Get().(*attempt) //nolint:forcetypeassert // only New fills the pool
	a.p, a.hook, a.point = p, hook, point
	err = raw.Control(a.write)
	if n, err = a.done(err); err != nil && wouldBlock(err) {
		err = nil
	}
	return n, err
}

func (a *attempt) done(closed error) (n int, err error) {
	n, err = max(a.n, 0), a.err
	if closed != nil {
		n, err = 0, closed
	}
	a.p, a.n, a.err, a.hook, a.point = nil, 0, nil, nil, ""
	attempts.Put(a)
	return n, err
}
