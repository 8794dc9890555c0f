package eventloop

import (
	"net/netip"
	"sync/atomic"

	"syncgate/internal/timerwheel"
)

// Conn is a connection whose socket the loops watch. At each moment the loops have it, or one Owner has it, or it is closed;
// the package comment has the table. The zero Conn is closed, until Attach. A Conn must not be copied after that.
//
// A Conn belongs to one Group. It may be attached again after Close or Detach.
type Conn struct {
	word     atomic.Uint64 // phase, flags and turn, see below
	name     atomic.Uint64 // in its set; 0: it is not there. Written under the set's mutex
	deadline atomic.Int64  // nanoseconds since the group began
	set      *socketSet    // fixed by the first Attach
	timer    timerwheel.Timer[*Conn]

	// Owned by the Owner, and passed on by word.
	fd     int32     // the socket's descriptor, if emulated is nil
	flags  connFlags // what the Owner knows of the socket
	socket *emulated // the socket where there is no descriptor
	tls    *Layer    // nil: there is no TLS
	out    *output   // what the socket has not taken yet; nil: nothing is pending
	remote netip.AddrPort
}

// connFlags are what the Owner of a connection knows.
type connFlags uint8

const (
	unread    connFlags = 1 << iota // there may be bytes, or an end, that nobody has read
	full                            // the socket has not taken all, and has not been reported to be writable since
	armedOut                        // the loops report when the socket is writable
	finish                          // a FIN is to follow what is pending
	finished                        // it was sent
	addressed                       // SetRemoteAddr was called
)

func (f connFlags) has(one connFlags) bool { return f&one != 0 }

func (f *connFlags) set(one connFlags, on bool) {
	if on {
		*f |= one
	} else {
		*f &^= one
	}
}

// The word of a connection. Its lowest bits are the phase, the next ones flags, the rest counts the turns. A turn begins when
// the phase becomes owned; the number then belongs to the Owner, and to nobody else ever.
const (
	closed uint64 = iota // nobody has it: never attached, closed or detached
	idle                 // the loops have it
	owned                // the Owner of this turn has it
	doomed               // the Socket panicked in this turn: nobody may use it, and the timer closes it

	phases    uint64 = 3
	missed    uint64 = 1 << 2 // something was reported in this turn
	gone      uint64 = 1 << 3 // a hang-up was reported, in this turn or before
	looked    uint64 = 1 << 4 // the timer has seen it doomed
	turnShift        = 8
)

// nextTurn is the word with which a new turn begins.
func nextTurn(word uint64) uint64 { return (word>>turnShift+1)<<turnShift | word&gone | owned }

// ownerOf is the Owner of the turn that word began.
func (c *Conn) ownerOf(word uint64) Owner { return Owner{c: c, turn: word >> turnShift} }

// RemoteAddr is the address of the peer: that of the socket, or what SetRemoteAddr has set.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.remote }

// SetRemoteAddr sets what RemoteAddr gives until the connection is closed, where a proxy knows better than the socket. It
// must be called before Attach.
func (c *Conn) SetRemoteAddr(a netip.AddrPort) {
	c.remote = a
	c.flags.set(addressed, true)
}

// TryOwn takes the connection if it is idle. False: somebody has it, or it is closed.
func (c *Conn) TryOwn() (o Owner, ok bool) {
	for {
		word := c.word.Load()
		if word&phases != idle {
			return Owner{}, false
		}
		if next := nextTurn(word); c.word.CompareAndSwap(word, next) {
			return c.ownerOf(next), true
		}
	}
}

// report makes the caller, a loop, the Owner, if the connection is idle. If another Owner has it, the event is remembered
// until Release; busy says so. Neither: the event is not about this connection any more, or nobody may use it.
func (c *Conn) report(name uint64, hangUp bool) (o Owner, ok, busy bool) {
	for {
		word := c.word.Load()
		if c.name.Load() != name { // after word: if the connection was attached anew since, the word has changed
			return Owner{}, false, false
		}
		next := word
		if hangUp {
			next |= gone
		}
		switch word & phases {
		case idle:
			next = nextTurn(next)
		case owned:
			next |= missed
		default:
			return Owner{}, false, false
		}
		if c.word.CompareAndSwap(word, next) {
			return c.ownerOf(next), word&phases == idle, word&phases == owned
		}
	}
}

// doom ends the turn of an Owner whose Socket has panicked. Another goroutine may be inside a method of the Owner, so the
// descriptor stays open; the peer hears of the end at once, and the timer closes the connection later.
func (c *Conn) doom(o Owner, name uint64) {
	for {
		word := c.word.Load()
		if word>>turnShift != o.turn || word&phases != owned {
			return
		}
		if c.word.CompareAndSwap(word, word&^phases|doomed) {
			break
		}
	}
	c.set.shutdown(name)
}
