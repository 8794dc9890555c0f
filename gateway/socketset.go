package gateway

import (
	"runtime"
	"sync"
	"syscall"

	"github.com/rs/zerolog"
)

// socketSet is what some loops share: sockets, and what the kernel tells of them. One loop at a time waits for that, as the
// leader. Each takes one thing that was told, and before it serves that another one follows: it takes the next, or becomes the
// leader. So nothing waits behind a busy loop while another has nothing to do (docs/decisions/loops.md).
type socketSet struct {
	log    zerolog.Logger
	of     *loops
	poller *poller

	mu        sync.Mutex // guards the rest
	followers *sync.Cond // who waits for something to do
	told      int        // how much the poller has told
	taken     int        // how much of that was taken
	leading   bool       // somebody waits for more; then all was taken
	closed    bool
	places    []place  // by the lower half of a socket's name
	free      []uint32 // places without a socket
}

// place is where a set has a socket. Its age makes the upper half of the name: what was told of one that has left is not taken
// for the next one's.
type place struct {
	socket socket
	age    uint32
}

func newSocketSet(of *loops, log zerolog.Logger) (*socketSet, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	s := &socketSet{log: log, of: of, poller: p}
	s.followers = sync.NewCond(&s.mu)
	return s, nil
}

// take gives the next thing that was told: of which socket, and what. It waits for that. Not ok: the set is closed.
func (s *socketSet) take() (one socket, what told, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.taken < s.told:
			name, what := s.poller.event(s.taken)
			s.taken++
			if p := &s.places[uint32(name)]; p.age == uint32(name>>32) { //nolint:gosec // both halves, as they are
				s.followers.Signal()
				return p.socket, what, true
			}
		case s.closed:
			s.followers.Broadcast()
			return nil, 0, false
		case s.leading:
			s.followers.Wait()
		default:
			s.lead()
		}
	}
}

// lead waits for the kernel to tell more. Called with mu held, which it lets go of meanwhile.
func (s *socketSet) lead() {
	s.leading = true
	s.mu.Unlock()
	runtime.Gosched() // loops that are always busy must not keep a processor from everybody else
	n, ok := s.poller.wait()
	s.mu.Lock()
	s.leading, s.closed = false, !ok
	s.told, s.taken = n, 0
}

// enter gives a socket a place, under a name that is not 0, and begins to tell of it, at once if there is something to tell.
// What allows is called with the lock held: it says whether it is still wanted, and learns the name.
func (s *socketSet) enter(one socket, fd int, allows func(name uint64) bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.free) == 0 {
		s.free = append(s.free, uint32(len(s.places))) //nolint:gosec // fewer than descriptors
		s.places = append(s.places, place{age: 1})
	}
	at := s.free[len(s.free)-1]
	p := &s.places[at]
	name := uint64(p.age)<<32 | uint64(at)
	if !allows(name) {
		return false
	}
	if err := s.poller.add(fd, name); err != nil {
		s.log.Warn().Err(err).Msg("a connection cannot be watched")
		allows(0)
		return false
	}
	s.free = s.free[:len(s.free)-1]
	p.socket = one
	s.of.held.Add(1)
	return true
}

// leave takes away the socket of a name that mu guards, and makes that 0, unless it is. The descriptor is about to be closed, or
// was removed by the caller.
func (s *socketSet) leave(name *uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *name == 0 {
		return
	}
	p := &s.places[uint32(*name)] //nolint:gosec // the half of it
	p.socket = nil
	p.age++
	s.free = append(s.free, uint32(*name)) //nolint:gosec // likewise
	s.of.held.Add(-1)
	*name = 0
}

// retell tells once more of a socket by a name that mu guards, as far as there still is something to tell. With 0 for a name the
// descriptor may be closed already.
func (s *socketSet) retell(raw syscall.RawConn, name *uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *name != 0 {
		_ = raw.Control(func(fd uintptr) { s.poller.again(int(fd), *name) })
	}
}
