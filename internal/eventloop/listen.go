package eventloop

import (
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Listener accepts connections for the loops: on Linux as sockets that Go's runtime never hears of.
type Listener struct {
	ln   net.Listener // nil, if there is bare
	bare *bareListener
}

// Listen listens on an address, as net.Listen does.
func (g *Group) Listen(network, address string) (*Listener, error) {
	ln, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	if g.emulates() {
		return &Listener{ln: ln}, nil
	}
	return listenBare(ln)
}

// Accept waits for a connection. After Close the error is net.ErrClosed.
func (l *Listener) Accept() (*Accepted, error) {
	if l.bare != nil {
		return l.bare.accept()
	}
	nc, err := l.ln.Accept()
	if err != nil {
		return nil, err
	}
	return &Accepted{RemoteAddr: addrPort(nc.RemoteAddr()), fd: -1, nc: nc}, nil
}

// Addr is where it listens.
func (l *Listener) Addr() net.Addr {
	if l.bare != nil {
		return l.bare.addr
	}
	return l.ln.Addr()
}

// Close ends Accept.
func (l *Listener) Close() error {
	if l.bare != nil {
		return l.bare.close()
	}
	return l.ln.Close()
}

// Accepted is a connection that nobody watches yet. Who has accepted it ends it with Attach, NetConn or Close, once.
type Accepted struct {
	RemoteAddr netip.AddrPort
	fd         int
	nc         net.Conn // nil, if there is fd, and when it was ended
}

// Attach gives the connection to the loops, as Group.Attach does.
func (a *Accepted) Attach(g *Group, c *Conn, socket Socket, deadline time.Time) error {
	if a.fd < 0 || g.emulates() {
		nc, err := a.NetConn()
		if err != nil {
			return err
		}
		return g.Attach(c, socket, nc, deadline)
	}
	one := attachment{fd: a.fd, remote: a.RemoteAddr}
	a.fd = -1
	return g.attach(c, socket, one, deadline)
}

// NetConn gives a net.Conn that can be waited for, for a handshake of TLS or a header of the PROXY protocol. Group.Attach and
// AttachTLS take it back.
func (a *Accepted) NetConn() (net.Conn, error) {
	if a.fd < 0 {
		nc := a.nc
		if a.nc = nil; nc == nil {
			return nil, net.ErrClosed
		}
		return nc, nil
	}
	nc, err := fdDup(a.fd)
	_ = a.Close() // one of two descriptors
	if err != nil {
		return nil, fmt.Errorf("eventloop: wait for a socket: %w", err)
	}
	return nc, nil
}

// Close closes the connection.
func (a *Accepted) Close() error {
	switch fd, nc := a.fd, a.nc; {
	case fd >= 0:
		a.fd = -1
		return fdClose(fd)
	case nc != nil:
		a.nc = nil
		return nc.Close()
	default:
		return net.ErrClosed
	}
}
