package eventloop

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// emulatedRead is what is read at once.
	emulatedRead = 4 << 10
	// emulatedBuffer bounds what was received and not read, and what was written and not sent, of each socket.
	emulatedBuffer = 64 << 10
	// emulatedFarewell is how long a closed socket goes on sending what was written.
	emulatedFarewell = 5 * time.Second
)

// emulated is a socket that never waits, made of a net.Conn, for systems without epoll: a goroutine (receive) waits for bytes,
// and a second one (send) for the peer, while there is something to send. Its two buffers are what a system's socket has.
type emulated struct {
	nc      net.Conn
	stopped chan struct{} // receive has ended

	mu      sync.Mutex // guards the rest
	room    *sync.Cond // for receive: in has room, or receiving ends
	in      []byte     // received
	inErr   error      // what follows it
	stop    bool       // receiving ends: closed or detached
	out     []byte     // written, and not handed to nc yet
	sending bool       // there is a goroutine that sends
	outErr  error
	sent    *sync.Cond // sending has become false
	fin     bool       // a FIN follows out
	closed  bool
	given   bool // to a net.Conn that closes it
	short   bool // out had no room for all of a write, and had none since
	tell    bool // report when it has
	set     *socketSet
	name    uint64
}

func newEmulated(nc net.Conn) *emulated {
	e := &emulated{nc: nc, stopped: make(chan struct{})}
	e.room, e.sent = sync.NewCond(&e.mu), sync.NewCond(&e.mu)
	return e
}

// start begins to receive, and reports to the set.
func (e *emulated) start(s *socketSet, name uint64) {
	e.set, e.name = s, name
	_ = e.nc.SetDeadline(time.Time{})
	go e.receive()
}

// receive waits for bytes until the connection ends.
func (e *emulated) receive() {
	defer close(e.stopped)
	buf := make([]byte, emulatedRead)
	for {
		n, err := e.nc.Read(buf)
		ev, more := e.received(buf[:n], err)
		if ev != 0 {
			e.set.post(e.name, ev)
		}
		if !more || !e.waitForRoom() {
			return
		}
	}
}

func (e *emulated) received(p []byte, err error) (ev Events, more bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.in = append(e.in, p...)
	if len(p) > 0 {
		ev |= Readable
	}
	if err != nil && e.stop && errors.Is(err, os.ErrDeadlineExceeded) {
		return ev, false
	}
	if err != nil {
		e.inErr = err
		ev |= HangUp
	}
	return ev, err == nil
}

func (e *emulated) waitForRoom() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.in) >= emulatedBuffer && !e.stop {
		e.room.Wait()
	}
	return !e.stop
}

func (e *emulated) read(p []byte) (n int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case len(e.in) > 0:
		n = copy(p, e.in)
		if e.in = e.in[n:]; len(e.in) == 0 {
			e.in = nil
		}
		e.room.Signal()
		return n, nil
	case e.inErr != nil:
		return 0, e.inErr
	default:
		return 0, ErrWouldBlock
	}
}

func (e *emulated) write(p []byte) (n int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.outErr != nil {
		return 0, e.outErr
	}
	n = min(len(p), emulatedBuffer-len(e.out))
	e.short = n < len(p)
	e.out = append(e.out, p[:n]...)
	e.begin()
	return n, nil
}

// begin has a goroutine send what there is. Called with mu held.
func (e *emulated) begin() {
	if !e.sending && len(e.out) > 0 {
		e.sending = true
		go e.send()
	}
}

// send waits for the peer to take what was written.
func (e *emulated) send() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.out) > 0 && e.outErr == nil {
		p := e.out
		e.mu.Unlock()
		n, err := e.nc.Write(p)
		e.mu.Lock()
		if e.outErr == nil { // else shutdown was called
			e.out, e.outErr = e.out[n:], err
		}
		if e.tell && e.short && e.writable() {
			e.short = false
			e.mu.Unlock()
			e.set.post(e.name, Writable)
			e.mu.Lock()
		}
	}
	e.out, e.sending = nil, false
	e.sent.Broadcast()
	if e.fin {
		_ = e.shutWrite()
	}
	if e.closed {
		_ = e.nc.Close()
	}
}

// arm gives what there is to report now, and reports later what a asks for. Called with the set's mutex held.
func (e *emulated) arm(a arming) (ev Events) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ev = e.readable()
	switch e.tell = a.out; {
	case a.out && e.writable():
		ev |= Writable
	case a.out:
		e.short = true
	}
	return ev
}

func (e *emulated) readable() (ev Events) {
	if len(e.in) > 0 || e.inErr != nil {
		ev |= Readable
	}
	if e.inErr != nil {
		ev |= HangUp
	}
	return ev
}

func (e *emulated) writable() bool { return len(e.out) < emulatedBuffer || e.outErr != nil }

func (e *emulated) look(out bool) (ev Events) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ev = e.readable()
	if out && e.writable() {
		ev |= Writable
	}
	return ev
}

func (e *emulated) closeWrite() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fin = true
	if e.sending {
		return nil
	}
	return e.shutWrite()
}

func (e *emulated) shutWrite() error {
	if half, ok := e.nc.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// shutdown ends both directions.
func (e *emulated) shutdown() {
	e.mu.Lock()
	defer e.mu.Unlock()
	_ = e.nc.SetDeadline(time.Now()) // it is not closed: its Owner may be using it
	e.out, e.outErr = nil, io.ErrClosedPipe
	_ = e.shutWrite()
}

// close closes the socket, unless it was given away.
func (e *emulated) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.given {
		return nil
	}
	return e.end()
}

// end closes nc, when what was written is sent. Called with mu held.
func (e *emulated) end() error {
	e.closed, e.stop = true, true
	e.room.Signal()
	if !e.sending {
		return e.nc.Close()
	}
	_ = e.nc.SetReadDeadline(time.Now()) // receive ends
	return e.nc.SetWriteDeadline(time.Now().Add(emulatedFarewell))
}

// detach gives nc, with what was received and not read. It waits until receive has ended.
func (e *emulated) detach() (net.Conn, error) {
	e.mu.Lock()
	e.stop, e.tell = true, false
	e.room.Signal()
	e.mu.Unlock()
	if err := e.nc.SetReadDeadline(time.Now()); err != nil {
		return nil, err
	}
	<-e.stopped
	if err := e.nc.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.given = true
	return &detached{Conn: e.nc, e: e}, nil
}

// detached is a connection whose socket was an emulated one: what that has in its buffers goes first.
type detached struct {
	net.Conn
	e *emulated
}

// Read waits for bytes.
func (d *detached) Read(p []byte) (int, error) {
	n, err := d.e.read(p)
	if errors.Is(err, ErrWouldBlock) {
		return d.Conn.Read(p)
	}
	return n, err
}

// Write waits for the peer.
func (d *detached) Write(p []byte) (int, error) {
	if err := d.e.waitSent(); err != nil {
		return 0, err
	}
	return d.Conn.Write(p)
}

// CloseWrite sends a FIN.
func (d *detached) CloseWrite() error { return d.e.closeWrite() }

// Close closes the connection.
func (d *detached) Close() error {
	d.e.mu.Lock()
	defer d.e.mu.Unlock()
	return d.e.end()
}

// waitSent returns when there is nothing to send any more.
func (e *emulated) waitSent() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.sending {
		e.sent.Wait()
	}
	return e.outErr
}
