package gateway

import (
	"errors"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

const (
	firstBackoff = 5 * time.Millisecond
	lastBackoff  = time.Second
)

// patient is a listener that outlives running out of descriptors or memory: fasthttp would stop serving for good.
type patient struct {
	net.Listener
	log    zerolog.Logger
	closed chan struct{}
	once   sync.Once
}

func newPatient(ln net.Listener, log zerolog.Logger) *patient {
	return &patient{Listener: ln, log: log, closed: make(chan struct{})}
}

// Accept waits for a connection, and for the descriptors to have one.
func (p *patient) Accept() (net.Conn, error) {
	for backoff := firstBackoff; ; backoff = min(2*backoff, lastBackoff) {
		c, err := p.Listener.Accept()
		if err == nil || !passing(err) {
			return c, err
		}
		p.log.Warn().Err(err).Dur("again_in", backoff).Msg("a connection cannot be accepted; raise the limit of open files if this stays")
		select {
		case <-time.After(backoff):
		case <-p.closed:
			return nil, net.ErrClosed
		}
	}
}

// Close ends Accept.
func (p *patient) Close() error {
	p.once.Do(func() { close(p.closed) })
	return p.Listener.Close()
}

// passing reports whether an error of accept(2) says nothing about the listener.
func passing(err error) bool {
	for _, e := range []error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.ECONNABORTED, unix.EPERM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// connListener makes what it accepts ours, and gives plain connections to the loops.
type connListener struct {
	net.Listener
	l *listener
}

// Accept waits for a connection that fasthttp is to serve.
func (l connListener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := newConn(raw, l.l)
		if c.plain && l.l.g.loops.adopt(c, time.Now().Add(l.l.g.cfg.Listen.HeaderTimeout)) {
			continue
		}
		if c.dress() {
			return c, nil
		}
		_ = c.Close()
	}
}

// room counts connections against the descriptors that the process may have. Those that come when there are hardly any
// left are served one request each: callbacks as ever, as they make room, while creates are refused.
type room struct {
	open atomic.Int64
	most int64 // open connections that leave a reserve
}

// spareFiles is the most descriptors that are kept for callbacks and whatever else a process opens.
const spareFiles = 512

// newRoom leaves a tenth of the descriptors in reserve, and what the engine's connections may need of the rest.
func newRoom(engineConnections int) *room {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > math.MaxInt32 {
		return &room{most: math.MaxInt32}
	}
	files := int64(limit.Cur)
	return &room{most: files - min(files/10, spareFiles) - min(int64(engineConnections), files/4)}
}

func (r *room) enter() (crowded bool) { return r.open.Add(1) > r.most }

func (r *room) leave() { r.open.Add(-1) }

// quiet gives fasthttp's own lines to the log, at the level that they deserve: each is about one bad connection. What would be put into
// the format is left out: errors that quote requests.
type quiet struct{ log zerolog.Logger }

// Printf logs.
func (q quiet) Printf(format string, _ ...any) {
	q.log.Debug().Str("line", format).Msg("fasthttp")
}
