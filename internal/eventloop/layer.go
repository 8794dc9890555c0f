package eventloop

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// layerRead is how much is read of a socket at once: a record of TLS, and what is around it.
	layerRead = 16<<10 + 512
	// layerWrite is how much ciphertext is gathered before the socket is tried.
	layerWrite = 64 << 10
	// layerControl bounds what reading makes crypto/tls write (alerts, changes of keys) to a peer that does not read.
	layerControl = 16 << 10
)

// Layer is what crypto/tls reads and writes. First it is nc, which waits: for the handshake. AttachTLS gives it the Conn instead,
// which does not wait. That is possible because crypto/tls keeps what it has of a record when a read fails with a net.Error
// that is Temporary, and because a write here takes all bytes: what the socket does not take is pending.
type Layer struct {
	nc net.Conn // until it is attached

	// Owned by the Owner of the Conn.
	c       *Conn // nil: not attached
	t       *tls.Conn
	buf     *[layerRead]byte // of in; nil: in is empty
	in      []byte           // read from the socket, and not by crypto/tls
	dry     bool             // the socket had nothing more, in this call of read
	reading bool             // crypto/tls reads
	control int              // bytes that it wrote meanwhile, since nothing was pending
	err     error            // the end of reading
}

var _ net.Conn = (*Layer)(nil)

// errFlood ends a connection whose peer has us write more than layerControl.
var errFlood = errors.New("eventloop: the peer asks for much and reads nothing")

// NewLayer makes a Layer over nc, for tls.Server or tls.Client.
func NewLayer(nc net.Conn) *Layer { return &Layer{nc: nc} }

// layerBuffers are used again: a connection has one while it is read.
var layerBuffers = sync.Pool{New: func() any { return new([layerRead]byte) }}

func (l *Layer) attach(c *Conn) { l.c, l.nc = c, nil }

// Read is called by crypto/tls.
func (l *Layer) Read(p []byte) (n int, err error) {
	if l.c == nil {
		return l.nc.Read(p)
	}
	if len(l.in) == 0 {
		if err := l.fill(); err != nil {
			return 0, err
		}
	}
	n = copy(p, l.in)
	if l.in = l.in[n:]; len(l.in) == 0 {
		l.free()
	}
	return n, nil
}

// fill reads the socket.
func (l *Layer) fill() error {
	if l.dry {
		return ErrWouldBlock
	}
	if l.buf == nil {
		l.buf = layerBuffers.Get().(*[layerRead]byte) // only New fills the pool
	}
	n, err := l.c.sysRead(l.buf[:])
	if err != nil {
		l.free()
		return err
	}
	l.in = l.buf[:n]
	l.dry = n < len(l.buf) && l.c.word.Load()&gone == 0 // else there may be an end behind it
	return nil
}

func (l *Layer) free() {
	if l.buf != nil {
		layerBuffers.Put(l.buf)
		l.buf, l.in = nil, nil
	}
}

// Write is called by crypto/tls. It takes all of p.
func (l *Layer) Write(p []byte) (n int, err error) {
	if l.c == nil {
		return l.nc.Write(p)
	}
	if l.reading {
		if l.control += len(p); l.control > layerControl {
			l.err = errFlood
			return 0, errFlood
		}
	}
	l.c.pend(p)
	if l.c.out.size() >= layerWrite {
		if _, err := l.c.flush(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// read decrypts what there is, until p is full or the socket has nothing more: nothing stays in crypto/tls that the loops would
// have to report, but never would as the socket is silent. A p that is full leaves the connection unread.
func (l *Layer) read(p []byte) (n int, err error) {
	c := l.c
	if err = l.err; err == nil {
		if c.out == nil {
			l.control = 0
		}
		l.dry, l.reading = false, true
		for n < len(p) && err == nil {
			var some int
			some, err = l.t.Read(p[n:])
			n += some
			if l.err != nil { // crypto/tls keeps to itself that it could not write
				err = l.err
			}
		}
		l.reading = false
		if c.out != nil {
			_, _ = c.flush() // an error is the next write's, or is read
		}
	}
	blocked := errors.Is(err, ErrWouldBlock)
	if err != nil && !blocked {
		l.err = err
		l.free()
	}
	c.flags.set(unread, !blocked && n > 0) // more data, or an end
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// write encrypts p and writes what the socket takes.
func (l *Layer) write(p []byte) (done bool, err error) {
	if _, err := l.t.Write(p); err != nil {
		return false, err
	}
	return l.c.flush()
}

// end says good-bye, as far as the socket takes it at once.
func (l *Layer) end() {
	_ = l.t.Close()
	_, _ = l.c.flush()
	l.free()
}

// Close is called by crypto/tls. Attached, the Owner closes.
func (l *Layer) Close() error {
	if l.c == nil {
		return l.nc.Close()
	}
	return nil
}

// LocalAddr is the address of this side, until the connection is attached.
func (l *Layer) LocalAddr() net.Addr {
	if l.c == nil {
		return l.nc.LocalAddr()
	}
	return &net.TCPAddr{}
}

// RemoteAddr is the address of the peer.
func (l *Layer) RemoteAddr() net.Addr {
	if l.c == nil {
		return l.nc.RemoteAddr()
	}
	return net.TCPAddrFromAddrPort(l.c.RemoteAddr())
}

// SetDeadline sets nc's. Attached, nothing waits, and there is nothing to set.
func (l *Layer) SetDeadline(t time.Time) error {
	if l.c == nil {
		return l.nc.SetDeadline(t)
	}
	return nil
}

// SetReadDeadline is like SetDeadline.
func (l *Layer) SetReadDeadline(t time.Time) error {
	if l.c == nil {
		return l.nc.SetReadDeadline(t)
	}
	return nil
}

// SetWriteDeadline is like SetDeadline.
func (l *Layer) SetWriteDeadline(t time.Time) error {
	if l.c == nil {
		return l.nc.SetWriteDeadline(t)
	}
	return nil
}
