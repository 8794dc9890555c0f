package eventloop

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"syncgate/internal/timerwheel"
)

// round is how often Tick is called, and how exactly deadlines are kept.
const round = 100 * time.Millisecond

// Events say what happened to a socket.
type Events uint8

// What can happen to a socket.
const (
	Readable Events = 1 << iota // there may be bytes to read, or an end
	Writable                    // pending bytes may be written now
	HangUp                      // the peer has closed or reset its side, perhaps behind unread bytes
)

// Socket is what a Conn belongs to. Its methods are called by loops and by the timer, several at the same time, and must not
// block. If Ready or Expired panics, the turn ends, the peer hears of the end, and the connection is closed soon after.
type Socket interface {
	// Ready hands the connection over: the callee owns it by o and must end that with Release, Close or Detach, now or later, on
	// any goroutine. buf is the loop's, and valid until Ready returns.
	Ready(o Owner, buf []byte, ev Events)
	// HungUp says that the peer has hung up while an Owner has the connection: ask Owner.PeerGone after whatever makes
	// that matter. The callee does not own it. It may be called more than once.
	HungUp()
	// Expired hands the connection over as Ready does: its deadline has passed and nobody owned it.
	Expired(o Owner)
}

// Options of a Group. All functions may be nil, and must not block.
type Options struct {
	// Expiry is how far away deadlines are at least. A connection is looked at that often, however often its deadline changes.
	// A closer one may be noticed that much later. At least 100 ms.
	Expiry   time.Duration
	Panicked func(value any, stack []byte) // a Socket's method or Tick has panicked; the loop goes on
	Failed   func(error)                   // a socket is not watched any more
	Tick     func(now time.Time)           // called every 100 ms on a goroutine of the group's
	Portable bool                          // for tests: what systems without epoll have
	Hook     func(point string)            // for tests: where a goroutine is
}

// Group is the loops and the sets of sockets that they share.
type Group struct {
	o        Options
	began    time.Time
	sets     []*socketSet
	next     atomic.Uint32 // the set for one more socket
	entered  atomic.Uint64
	attached atomic.Int64
	clock    atomic.Int64 // as of the last round, since began

	mu      sync.Mutex // guards the rest, until Start and from Close on
	state   groupState
	wheel   *timerwheel.Wheel[*Conn] // fixed by Start
	quit    chan struct{}
	running sync.WaitGroup
}

type groupState uint8

const (
	prepared groupState = iota
	started
	ended
)

// NewGroup makes a Group. It starts nothing, but takes descriptors: Close gives them back.
func NewGroup(o Options) (*Group, error) {
	o.Expiry = max(o.Expiry, round)
	g := &Group{o: o, began: time.Now(), quit: make(chan struct{})}
	for range setsOf(processors()) {
		s, err := newSocketSet(g)
		if err != nil {
			g.Close()
			return nil, err
		}
		g.sets = append(g.sets, s)
	}
	return g, nil
}

// Start starts the loops and the timer. Before that nothing can be attached.
func (g *Group) Start() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state != prepared {
		return errors.New("eventloop: a group is started once")
	}
	g.state = started
	g.wheel = timerwheel.New(round, g.look)
	g.clock.Store(int64(time.Since(g.began)))
	for _, s := range g.sets {
		s.begin()
		for range loopsOf(processors()) {
			lp := &loop{set: s}
			g.running.Go(lp.run)
		}
	}
	g.running.Go(g.tick)
	return nil
}

// Close ends the loops and the timer, and returns when they have ended: so it must not be called by a method of a Socket. What
// is attached stays open, and can still be owned, used and closed, but is not watched any more.
func (g *Group) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == started {
		close(g.quit)
		defer g.wheel.Close()
	}
	g.state = ended
	for _, s := range g.sets {
		s.close()
	}
	g.running.Wait()
}

// tick keeps the clock, and calls Tick.
func (g *Group) tick() {
	rounds := time.NewTicker(round)
	defer rounds.Stop()
	for {
		select {
		case now := <-rounds.C:
			g.clock.Store(int64(now.Sub(g.began)))
			g.callTick(now)
		case <-g.quit:
			return
		}
	}
}

func (g *Group) callTick(now time.Time) {
	defer func() {
		if p := recover(); p != nil {
			g.panicked(p)
		}
	}()
	if g.o.Tick != nil {
		g.o.Tick(now)
	}
}

// Now is the time as of the last round of 100 ms.
func (g *Group) Now() time.Time { return g.began.Add(time.Duration(g.clock.Load())) }

// since is a time as connections keep it; the zero time never comes.
func (g *Group) since(t time.Time) int64 {
	if t.IsZero() {
		return math.MaxInt64
	}
	return int64(t.Sub(g.began))
}

// Len is how many connections are attached.
func (g *Group) Len() int { return int(g.attached.Load()) }

// Entered is how many connections were ever attached.
func (g *Group) Entered() uint64 { return g.entered.Load() }

// Attach gives nc to the loops as c: it is idle, and socket hears of it from now on, perhaps before Attach returns. nc itself
// is closed in any case: there is another descriptor for its socket, which Go's runtime does not wait for.
func (g *Group) Attach(c *Conn, socket Socket, nc net.Conn, deadline time.Time) error {
	remote := addrPort(nc.RemoteAddr())
	one, err := g.take(nc)
	if err != nil {
		return fmt.Errorf("eventloop: attach: %w", err)
	}
	one.remote = remote
	return g.attach(c, socket, one, deadline)
}

// AttachTLS gives the connection under l to the loops as c, with TLS: t is what was made over l, and its handshake is complete.
// From now on nobody may use t or l.
func (g *Group) AttachTLS(c *Conn, socket Socket, l *Layer, t *tls.Conn, deadline time.Time) error {
	switch {
	case l.nc == nil:
		return errors.New("eventloop: attach: the Layer is attached already")
	case !t.ConnectionState().HandshakeComplete:
		_ = l.nc.Close()
		return errors.New("eventloop: attach: the TLS handshake is not complete")
	}
	remote := addrPort(l.nc.RemoteAddr())
	one, err := g.take(l.nc)
	if err != nil {
		return fmt.Errorf("eventloop: attach: %w", err)
	}
	one.remote, one.tls = remote, l
	l.t = t
	return g.attach(c, socket, one, deadline)
}

// attachment is a socket that is to be attached.
type attachment struct {
	fd       int
	emulated *emulated
	tls      *Layer
	remote   netip.AddrPort
}

func (a attachment) close() {
	if a.emulated != nil {
		_ = a.emulated.close()
	} else {
		_ = fdClose(a.fd)
	}
}

// take takes nc's socket for the group's pollers. nc is not the caller's any more.
func (g *Group) take(nc net.Conn) (a attachment, err error) {
	if g.emulates() {
		return attachment{fd: -1, emulated: newEmulated(nc)}, nil
	}
	a.fd, err = strip(nc)
	return a, err
}

// emulates reports whether sockets are emulated.
func (g *Group) emulates() bool { return g.sets[0].epoll == nil }

func (g *Group) attach(c *Conn, socket Socket, a attachment, deadline time.Time) error {
	word := c.word.Load()
	turn := nextTurn(word)
	if word&phases != closed || !c.word.CompareAndSwap(word, turn) {
		a.close()
		return errors.New("eventloop: attach: the Conn is attached already")
	}
	turn >>= turnShift
	if c.set == nil {
		c.set = g.sets[g.next.Add(1)%uint32(len(g.sets))] //nolint:gosec // a few
		c.timer.Value = c
	}
	err := errors.New("the Conn belongs to another group")
	var name uint64
	if c.set.group == g {
		c.fd, c.socket, c.tls, c.flags = int32(a.fd), a.emulated, a.tls, c.flags&addressed //nolint:gosec // descriptors are small
		if !c.flags.has(addressed) {
			c.remote = a.remote
		}
		if c.tls != nil { // it may have read more than the handshake
			c.tls.attach(c)
			c.flags.set(unread, true)
		}
		c.deadline.Store(g.since(deadline))
		name, err = c.set.enter(c, socket, turn)
	}
	if err != nil {
		a.close()
		c.end(turn, c.flags&addressed)
		return fmt.Errorf("eventloop: attach: %w", err)
	}
	if a.tls != nil {
		c.set.post(name, Readable)
	}
	return nil
}

// Idle takes each idle connection for which only is true, one after the other, and hands it over: yield owns it as if by
// TryOwn, and returns whether to go on. What is attached meanwhile may be left out.
func (g *Group) Idle(yield func(Owner) bool, only func(*Conn) bool) {
	for _, s := range g.sets {
		for i := 0; ; i++ {
			c, more := s.conn(i)
			if !more {
				break
			}
			if c == nil || !only(c) {
				continue
			}
			if o, ok := c.TryOwn(); ok && !yield(o) {
				return
			}
		}
	}
}

// addrPort is an address of TCP; the zero AddrPort, if it is another one's.
func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
