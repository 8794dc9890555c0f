package eventloop

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
)

// errNotRunning says that a Group was not started, or is closed.
var errNotRunning = errors.New("eventloop: the group is not running")

// socketSet is what some loops share: sockets, and what is reported about them. One loop at a time waits for reports, as the
// leader. Each takes one report, and before it serves that another one follows: it takes the next, or becomes the leader. So
// nothing waits behind a busy loop while another has nothing to do (docs/decisions/loops.md).
type socketSet struct {
	group  *Group
	poller poller
	epoll  *epoll // the poller, if it is one

	mu        sync.Mutex // guards the rest
	followers *sync.Cond // loops that wait for something to do
	events    int        // how many the poller has
	taken     int        // how many of them were taken
	leading   bool       // a loop waits for more; then all was taken
	waiting   bool       // it has to be woken for a post
	running   bool       // from Start to Close
	closed    bool
	places    []place  // by the lower half of a socket's name
	free      []uint32 // places without a socket

	// Events that were posted, not polled. A place is in one of the two at most once.
	posts  []uint32
	batch  []uint32 // posts of before the last wait
	served int      // how many of batch were taken
}

// poller waits for events.
type poller interface {
	// wait gives how many events there are; with block it waits until there is one, or wake was called. Not ok: it is closed.
	wait(block bool) (n int, ok bool)
	// event gives one of those of the last wait: the name of a socket, 0 for none, and what happened to it.
	event(i int) (name uint64, ev Events)
	// wake ends a wait, also one that is about to begin.
	wake()
	close()
}

// place is where a set has a socket. Its age is the upper half of the socket's name: what was reported about one that has left
// does not reach the next one. The age is never 0.
type place struct {
	conn   *Conn
	socket Socket
	age    uint32
	posted Events // and not taken yet
	queued bool   // among the posts
}

// arming is what it takes to have a socket reported.
type arming struct {
	name   uint64
	fd     int
	socket *emulated
	out    bool // report also that it is writable
}

// report is an event and whom it concerns.
type report struct {
	conn   *Conn
	socket Socket
	name   uint64
	ev     Events
}

func newSocketSet(g *Group) (*socketSet, error) {
	p, err := newPoller(g.o.Portable)
	if err != nil {
		return nil, err
	}
	s := &socketSet{group: g, poller: p}
	s.epoll, _ = p.(*epoll)
	s.followers = sync.NewCond(&s.mu)
	return s, nil
}

// take gives the next report, and waits for it. Not ok: the set is closed.
func (s *socketSet) take() (r report, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.closed:
			s.followers.Broadcast()
			return report{}, false
		case s.taken < s.events:
			name, ev := s.poller.event(s.taken)
			s.taken++
			if p := s.at(name); p != nil {
				s.followers.Signal()
				return report{p.conn, p.socket, name, ev}, true
			}
		case s.served < len(s.batch):
			i := s.batch[s.served]
			s.served++
			p := &s.places[i]
			ev := p.posted
			p.posted, p.queued = 0, false
			if p.conn != nil && ev != 0 {
				s.followers.Signal()
				return report{p.conn, p.socket, nameOf(p, i), ev}, true
			}
		case s.leading:
			s.followers.Wait()
		default:
			s.lead()
		}
	}
}

// lead waits for more events or posts. Called with mu held, which it lets go of meanwhile.
func (s *socketSet) lead() {
	block := len(s.posts) == 0
	s.leading, s.waiting = true, block
	s.mu.Unlock()
	runtime.Gosched() // loops that are always busy must not keep a processor from everybody else
	n, ok := s.poller.wait(block)
	s.mu.Lock()
	s.leading, s.waiting = false, false
	s.closed = s.closed || !ok
	s.events, s.taken = n, 0
	s.batch, s.posts, s.served = s.posts, s.batch[:0], 0
}

// post reports an event, from whatever goroutine, unless the socket has left. Called without mu.
func (s *socketSet) post(name uint64, ev Events) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.postLocked(name, ev)
}

func (s *socketSet) postLocked(name uint64, ev Events) {
	p := s.at(name)
	if p == nil || s.closed {
		return
	}
	p.posted |= ev
	if p.queued {
		return
	}
	p.queued = true
	s.posts = append(s.posts, uint32(name)) //nolint:gosec // the half of it
	if s.waiting {
		s.waiting = false
		s.poller.wake()
	}
}

// at is the place of the socket of that name; nil: it has left. Called with mu held.
func (s *socketSet) at(name uint64) *place {
	if name == 0 {
		return nil
	}
	if p := &s.places[uint32(name)]; p.age == uint32(name>>32) { //nolint:gosec // both halves, as they are
		return p
	}
	return nil
}

func nameOf(p *place, i uint32) uint64 { return uint64(p.age)<<32 | uint64(i) }

// enter gives c, which the caller owns in this turn, a place, and hands it to the loops: from then on it is idle.
func (s *socketSet) enter(c *Conn, socket Socket, turn uint64) (name uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running {
		return 0, errNotRunning
	}
	if len(s.free) == 0 {
		s.free = append(s.free, uint32(len(s.places))) //nolint:gosec // fewer than descriptors
		s.places = append(s.places, place{age: 1})
	}
	i := s.free[len(s.free)-1]
	p := &s.places[i]
	name = nameOf(p, i)
	a := arming{name: name, fd: int(c.fd), socket: c.socket}
	if c.socket != nil {
		c.socket.start(s, name)
	} else if err := s.epoll.add(a); err != nil { // no loop takes its first event before mu is free
		return 0, err
	}
	s.free = s.free[:len(s.free)-1]
	p.conn, p.socket = c, socket
	s.group.attached.Add(1)
	s.group.entered.Add(1)
	c.name.Store(name)
	s.group.schedule(c, c.deadline.Load())
	c.word.Store(turn<<turnShift | idle)
	return name, nil
}

// leave takes c, which the caller owns, out of the set. After that its descriptor may be closed; keep: somebody else has
// it too, so that the kernel would go on to report it.
func (s *socketSet) leave(c *Conn, keep bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := c.name.Load()
	p := s.at(name)
	if p == nil {
		return
	}
	if keep && c.socket == nil && !s.closed {
		s.epoll.remove(int(c.fd))
	}
	p.conn, p.socket, p.posted = nil, nil, 0
	if p.age++; p.age == 0 {
		p.age = 1
	}
	s.free = append(s.free, uint32(name)) //nolint:gosec // the half of it
	s.group.attached.Add(-1)
	s.group.wheel.Remove(&c.timer)
	c.name.Store(0)
}

// rearm has the loops report a socket again, as far as there still is something to report. If it has left, the descriptor may be
// closed already.
func (s *socketSet) rearm(a arming) {
	if err := s.tryRearm(a); err != nil {
		s.group.failed(fmt.Errorf("eventloop: a socket is not watched any more: %w", err))
	}
}

func (s *socketSet) tryRearm(a arming) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.at(a.name) == nil || s.closed:
		return nil
	case a.socket == nil:
		return s.epoll.rearm(a)
	}
	if ev := a.socket.arm(a); ev != 0 {
		s.postLocked(a.name, ev)
	}
	return nil
}

// shutdown ends a socket in both directions, and leaves it open.
func (s *socketSet) shutdown(name uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.at(name)
	switch {
	case p == nil:
	case p.conn.socket != nil:
		p.conn.socket.shutdown()
	default:
		fdShutdown(int(p.conn.fd))
	}
}

// conn gives the socket and the Conn of place i. More: there may be further places.
func (s *socketSet) conn(i int) (c *Conn, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i >= len(s.places) {
		return nil, false
	}
	return s.places[i].conn, true
}

// begin lets sockets enter.
func (s *socketSet) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = true
}

// close ends the loops. The sockets stay open.
func (s *socketSet) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed && !s.running {
		return
	}
	s.running, s.closed = false, true
	s.poller.close()
	s.followers.Broadcast()
}

// socketOf is whom the connection of that name belongs to; nil: it has left.
func (s *socketSet) socketOf(name uint64) Socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.at(name); p != nil {
		return p.socket
	}
	return nil
}
