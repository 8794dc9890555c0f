package httpserver

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"syncgate/internal/eventloop"
)

const (
	firstBackoff = 5 * time.Millisecond
	lastBackoff  = time.Second
)

// accept accepts connections, also after the process had no descriptor or memory for one.
func (l *Listener) accept() error {
	for backoff := firstBackoff; ; {
		a, err := l.ln.Accept()
		switch {
		case err == nil:
			backoff = firstBackoff
			l.admit(a)
			continue
		case !passing(err):
			return err
		case l.s.free(l, err):
			continue
		}
		l.s.log.Warn().Err(err).Dur("again_in", backoff).Msg("a connection cannot be accepted; raise the limit of open files if this stays")
		select {
		case <-time.After(backoff):
		case <-l.stop:
			return net.ErrClosed
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// passing reports whether an error of accept(2) says nothing about the listener.
func passing(err error) bool {
	for _, e := range [...]error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EPERM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// admit takes a connection in.
func (l *Listener) admit(a *eventloop.Accepted) {
	c := &conn{l: l}
	if !l.cfg.Bypass {
		if c.overLimit = l.s.limit.enter(); c.overLimit {
			l.s.makeRoom(l)
			c.overLimit = l.s.limit.over()
		}
	}
	l.open.Add(1)
	if l.cfg.TLS != nil || l.cfg.Proxied != nil && l.cfg.Proxied(a.RemoteAddr.Addr().Unmap()) {
		go l.greet(c, a)
		return
	}
	c.deadline = time.Now().Add(l.s.cfg.HeaderTimeout)
	if a.Attach(l.s.group, &c.Conn, c, c.deadline) != nil {
		c.left()
		return
	}
	c.closeIfClosing()
}

// greet reads the PROXY header of a connection and makes its TLS handshake. It ends within twice Config.HeaderTimeout, or when l closes.
func (l *Listener) greet(c *conn, a *eventloop.Accepted) {
	nc, err := a.NetConn()
	if err != nil {
		c.left()
		return
	}
	if !l.beginGreeting(nc) {
		_ = nc.Close()
		c.left()
		return
	}
	err = l.introduceSafely(c, a.RemoteAddr, nc)
	l.endGreeting(nc)
	if err != nil {
		_ = nc.Close()
		c.left()
		l.s.log.Debug().Stringer("peer", a.RemoteAddr).Str("listener", l.cfg.Name).Msg("a connection has not made its PROXY header or TLS handshake")
		return
	}
	c.closeIfClosing()
}

func (l *Listener) beginGreeting(nc net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.greeting == nil {
		return false
	}
	l.greeting[nc] = time.Now()
	return true
}

func (l *Listener) endGreeting(nc net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.greeting, nc)
}

// introduceSafely makes an error of a panic: libraries read what a stranger has sent.
func (l *Listener) introduceSafely(c *conn, peer netip.AddrPort, nc net.Conn) (err error) {
	defer func() {
		if v := recover(); v != nil {
			l.panicked(v)
			err = errors.New("httpserver: a library panicked")
		}
	}()
	return l.introduce(c, peer, nc)
}

// introduce gives the connection to the loops at its end. With an error nc is still the caller's.
func (l *Listener) introduce(c *conn, peer netip.AddrPort, nc net.Conn) error {
	if err := nc.SetDeadline(time.Now().Add(l.s.cfg.HeaderTimeout)); err != nil {
		return err
	}
	if l.cfg.Proxied != nil && l.cfg.Proxied(peer.Addr().Unmap()) {
		client, err := readProxyHeader(nc)
		if err != nil {
			return err
		}
		if client.IsValid() {
			peer = client
		}
	}
	c.SetRemoteAddr(peer)
	if l.cfg.TLS == nil {
		c.deadline = time.Now().Add(l.s.cfg.HeaderTimeout)
		return l.s.group.Attach(&c.Conn, c, nc, c.deadline)
	}
	if err := nc.SetDeadline(time.Now().Add(l.s.cfg.HeaderTimeout)); err != nil {
		return err
	}
	layer := eventloop.NewLayer(nc)
	secure := tls.Server(layer, l.cfg.TLS)
	if err := secure.Handshake(); err != nil {
		return err
	}
	c.deadline = time.Now().Add(l.s.cfg.HeaderTimeout)
	return l.s.group.AttachTLS(&c.Conn, c, layer, secure, c.deadline)
}

// connLimit counts connections against the descriptors that the process may have. Those that come when hardly any are left are served
// one request each: callbacks as ever, as they end a wait, while creates are refused.
type connLimit struct {
	open atomic.Int64
	most int64 // connections that leave a reserve
	last int64 // that leave half of what is spare: a handshake needs descriptors beside its connection's
}

// spareFiles is the most descriptors that are kept for callbacks and for whatever else a process opens.
const spareFiles = 512

// newConnLimit leaves a tenth of the descriptors in reserve, and of the rest what others will need, at most a quarter.
func newConnLimit(reserved int) *connLimit {
	files := maxFiles()
	spare := min(files/10, spareFiles)
	most := files - spare - min(int64(reserved), files/4)
	return &connLimit{most: most, last: most + spare/2}
}

func (r *connLimit) enter() (overLimit bool) { return r.open.Add(1) > r.most }

func (r *connLimit) over() bool { return r.open.Load() > r.most }

func (r *connLimit) leave() { r.open.Add(-1) }
