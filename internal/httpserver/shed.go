package httpserver

import (
	"errors"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"syncgate/internal/eventloop"
)

// When descriptors run short, connections that ask for nothing are closed. Else a callback would wait behind them, in the kernel's queue or
// for a place.

const (
	// shedAge is how long a connection must have asked for nothing: the bytes of a request come right behind their connection.
	shedAge = 50 * time.Millisecond
	// shedPause is the time between two looks that find nothing, and shedQuiet that between two lines in the log.
	shedPause = 100 * time.Millisecond
	shedQuiet = 10 * time.Second
)

// use is what is lost with a connection that has no whole request: more with a later one.
type use uint8

const (
	silent  use = iota // it has sent nothing, or its handshake is under way
	halting            // of its first request, or its next, a part of the head has come
	kept               // it was used, and may be again
	needed             // anything else
)

// shedder is what a Server needs to close connections that ask for nothing. Guarded by mu.
type shedder struct {
	mu     sync.Mutex
	paused time.Time // no look before it
	quiet  time.Time // no line in the log before it
}

// idler is a connection that asks for nothing.
type idler struct {
	use   use
	since time.Time
	c     *conn    // nil: its handshake is under way
	nc    net.Conn // then
}

// makeRoom closes connections where hardly any descriptor is left: silent ones, and others too when the reserve is half used. It does not
// look again at once where it has found none.
func (s *Server) makeRoom(l *Listener) {
	s.shedder.mu.Lock()
	defer s.shedder.mu.Unlock()
	upTo := silent
	if s.limit.open.Load() > s.limit.last {
		upTo = kept
	}
	if now := time.Now(); !now.Before(s.shedder.paused) && s.shed(l, upTo, now) == 0 {
		s.shedder.paused = now.Add(shedPause)
	}
}

// free closes connections after accept(2) had no descriptor. False: none can be closed.
func (s *Server) free(l *Listener, err error) bool {
	if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
		return false
	}
	s.shedder.mu.Lock()
	defer s.shedder.mu.Unlock()
	return s.shed(l, kept, time.Now()) > 0
}

// shed closes a part of the connections that ask for nothing: of the least useful ones, up to a use, those that have done so for longest.
// Where these are too young it closes none, and no more useful ones instead. Called with shedder.mu held.
func (s *Server) shed(l *Listener, upTo use, now time.Time) (n int) {
	const part = 8
	all := s.idlers(l, upTo)
	least := upTo
	for _, i := range all {
		least = min(least, i.use)
	}
	all = slices.DeleteFunc(all, func(i idler) bool { return i.use != least || now.Sub(i.since) < shedAge })
	slices.SortFunc(all, func(a, b idler) int { return a.since.Compare(b.since) })
	for _, i := range all[:(len(all)+part-1)/part] {
		if i.close() {
			n++
		}
	}
	if n > 0 && now.After(s.shedder.quiet) {
		s.shedder.quiet = now.Add(shedQuiet)
		s.log.Warn().Int("closed", n).Int64("open", s.Open()).
			Msg("connections that ask for nothing are closed, as hardly any descriptor is left; raise the limit of open files if this stays")
	}
	return n
}

// idlers gives the connections that ask for nothing, up to a use.
func (s *Server) idlers(l *Listener, upTo use) (all []idler) {
	s.group.Idle(func(o eventloop.Owner) bool {
		c, _ := o.Conn().Socket().(*conn)
		c.o = o
		if u, since := c.use(); u <= upTo {
			all = append(all, idler{u, since, c, nil})
		}
		c.release()
		return true
	}, func(ec *eventloop.Conn) bool {
		c, ok := ec.Socket().(*conn)
		return ok && !c.l.cfg.Bypass
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	for nc, since := range l.greeting {
		if !l.cfg.Bypass {
			all = append(all, idler{silent, since, nil, nc})
		}
	}
	return all
}

// use gives what is lost with a connection, and since when it asks for nothing. The caller owns it.
func (c *conn) use() (u use, since time.Time) {
	c.mu.Lock()
	used := c.serial > 0
	c.mu.Unlock()
	switch {
	case c.phase != reading, c.part != nil && c.part.req != nil:
		return needed, since
	case c.part != nil:
		return halting, c.deadline.Add(-c.l.s.cfg.HeaderTimeout)
	case used:
		return kept, c.deadline.Add(-c.l.s.cfg.IdleTimeout)
	default:
		return silent, c.deadline.Add(-c.l.s.cfg.HeaderTimeout)
	}
}

// close closes the connection, unless it asks for something by now.
func (i idler) close() bool {
	if i.c == nil {
		return i.nc.Close() == nil
	}
	o, ok := i.c.TryOwn()
	if !ok {
		return false
	}
	i.c.o = o
	if u, _ := i.c.use(); u > i.use || o.Look()&eventloop.Readable != 0 {
		i.c.release()
		return false
	}
	i.c.lost()
	return true
}
