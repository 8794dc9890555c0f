// Package eventloop watches many sockets with a few goroutines. This is the skeleton of its API: the rest follows.
package eventloop

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"time"
)

var errSkeleton = errors.New("eventloop: not built yet")

// Events say what happened to a socket.
type Events uint8

// What can happen to a socket.
const (
	Readable Events = 1 << iota // there may be bytes to read
	Writable                    // pending bytes may be written now
	HangUp                      // the peer has closed or reset its side, perhaps behind unread bytes
)

var (
	// ErrWouldBlock says that there is nothing to read at the moment.
	ErrWouldBlock = errors.New("eventloop: nothing to read yet")
	// ErrNotOwner says that the turn of an Owner is over. Nothing was done.
	ErrNotOwner = errors.New("eventloop: not the owner of the connection")
)

// Socket is what a Conn belongs to. Its methods are called by loops and by the timer, and must not block.
type Socket interface {
	Ready(o Owner, buf []byte, ev Events)
	HungUp()
	Expired(o Owner)
}

// Conn is a connection whose socket the loops watch.
type Conn struct{ remote netip.AddrPort }

// RemoteAddr is the peer's address.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.remote }

// SetRemoteAddr sets what RemoteAddr gives, before Attach.
func (c *Conn) SetRemoteAddr(a netip.AddrPort) { c.remote = a }

// TryOwn takes an idle connection.
func (c *Conn) TryOwn() (o Owner, ok bool) { return Owner{}, false }

// Owner is the right to use a connection.
type Owner struct {
	c    *Conn
	turn uint64
}

// Conn is the connection.
func (o Owner) Conn() *Conn { return o.c }

// Read reads what there is, without waiting.
func (o Owner) Read([]byte) (n int, err error) { return 0, errSkeleton }

// Write writes what the socket takes, without waiting.
func (o Owner) Write([]byte) (done bool, err error) { return false, errSkeleton }

// Flush writes what is pending.
func (o Owner) Flush() (done bool, err error) { return false, errSkeleton }

// Pending is how many bytes are pending.
func (o Owner) Pending() int { return 0 }

// PeerGone reports whether a hang-up was reported.
func (o Owner) PeerGone() bool { return false }

// Look asks what the socket has right now.
func (o Owner) Look() Events { return 0 }

// CloseWrite sends a FIN.
func (o Owner) CloseWrite() error { return errSkeleton }

// Release gives the connection to the loops.
func (o Owner) Release(time.Time) {}

// Detach gives a net.Conn that can be waited for.
func (o Owner) Detach() (net.Conn, error) { return nil, errSkeleton }

// Close closes the connection.
func (o Owner) Close() error { return errSkeleton }

// Options of a Group.
type Options struct {
	Expiry   time.Duration
	Panicked func(value any, stack []byte)
	Failed   func(error)
	Tick     func(now time.Time)
	Portable bool
	Hook     func(point string)
}

// Group is the loops and the sets of sockets that they share.
type Group struct{ o Options }

// NewGroup makes a Group. It starts nothing.
func NewGroup(o Options) (*Group, error) { return &Group{o: o}, nil }

// Start starts the loops.
func (g *Group) Start() error { return errSkeleton }

// Now is the time of the last round.
func (g *Group) Now() time.Time { return time.Time{} }

// Attach gives a connection to the loops.
func (g *Group) Attach(*Conn, Socket, net.Conn, time.Time) error { return errSkeleton }

// AttachTLS gives a connection with TLS to the loops.
func (g *Group) AttachTLS(*Conn, Socket, *Layer, *tls.Conn, time.Time) error {
	return errSkeleton
}

// Len is how many connections are attached.
func (g *Group) Len() int { return 0 }

// Entered is how many connections were ever attached.
func (g *Group) Entered() uint64 { return 0 }

// Idle owns each idle connection for which only is true.
func (g *Group) Idle(func(Owner) bool, func(*Conn) bool) {}

// Close ends the loops and the timer.
func (g *Group) Close() {}

// Listen listens for connections that the loops can have.
func (g *Group) Listen(_, _ string) (*Listener, error) { return nil, errSkeleton }

// Listener accepts connections.
type Listener struct{}

// Accept waits for a connection.
func (l *Listener) Accept() (*Accepted, error) { return nil, errSkeleton }

// Addr is where it listens.
func (l *Listener) Addr() net.Addr { return nil }

// Close ends Accept.
func (l *Listener) Close() error { return errSkeleton }

// Accepted is a connection that was accepted and belongs to no Conn yet.
type Accepted struct{ RemoteAddr netip.AddrPort }

// Attach gives it to the loops.
func (a *Accepted) Attach(*Group, *Conn, Socket, time.Time) error { return errSkeleton }

// NetConn gives a net.Conn that can be waited for.
func (a *Accepted) NetConn() (net.Conn, error) { return nil, errSkeleton }

// Close closes it.
func (a *Accepted) Close() error { return errSkeleton }

// Layer is what TLS reads and writes.
type Layer struct{ net.Conn }

// NewLayer makes a Layer over nc.
func NewLayer(nc net.Conn) *Layer { return &Layer{Conn: nc} }
