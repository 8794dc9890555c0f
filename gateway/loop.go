package gateway

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// A goroutine for each connection costs a wake-up and a read in vain for each message, and its stack. So a few loops, two for
// each processor, hold all plain connections: those of clients and engines that idle or are parked, and those to the engine.
// A loop reads what has come, and does itself what needs nobody to wait (desk.go, flight.go). Everything else gets a goroutine
// and is fasthttp's, until its connection idles again.

// loopsPerProcessor is measured: where the system takes a loop's thread away, what that loop has been told of waits, and Go's scheduler
// can move nothing of it elsewhere. Two take as much processor time as one, and less of the clients' time at the slow end.
const loopsPerProcessor = 2

// loops are all of them, and the time-outs of the connections that they hold.
type loops struct {
	all     []*loop // empty where there is no epoll
	next    atomic.Uint32
	entered atomic.Uint64 // connections and parked clients that they have ever taken in
	held    atomic.Int64  // sockets that they hold
	clock   atomic.Int64  // Unix nanoseconds, as of the last round of the watcher
	ring    ring
}

// loop is one goroutine and the sockets that it is told of.
type loop struct {
	log    zerolog.Logger
	of     *loops
	poller *poller
	done   chan struct{}

	desk desk // owned by run

	mu     sync.Mutex // guards the rest
	places []place    // by the lower half of a socket's name
	free   []uint32   // places without a socket
}

// place is where a loop has a socket. Its age makes the upper half of the name: what was told of one that has left is not taken
// for the next one's.
type place struct {
	socket socket
	age    uint32
}

// socket is what a loop is told of.
type socket interface {
	// ready is called by the loop's goroutine and must not block.
	ready(lp *loop, what told)
}

// start starts the loops. Where there is no epoll there are none.
func (ls *loops) start(log zerolog.Logger) {
	ls.tick(time.Now()) // the ring begins
	for range loopsPerProcessor * runtime.GOMAXPROCS(0) {
		p, err := newPoller()
		if err != nil {
			log.Warn().Err(err).Msg("every connection takes a goroutine")
			break
		}
		lp := &loop{log: log, of: ls, poller: p, done: make(chan struct{})}
		lp.desk.open(lp)
		ls.all = append(ls.all, lp)
		go lp.run()
	}
}

// pick gives the loop for one more socket; nil: there are none.
func (ls *loops) pick() *loop {
	if len(ls.all) == 0 {
		return nil
	}
	return ls.all[ls.next.Add(1)%uint32(len(ls.all))] //nolint:gosec // a few
}

// close ends the loops. What they hold is not told of any more.
func (ls *loops) close() {
	for _, lp := range ls.all {
		lp.poller.close()
		<-lp.done
	}
}

// run has every socket served that there is something to tell of.
func (lp *loop) run() {
	defer close(lp.done)
	for {
		n, ok := lp.poller.wait()
		if !ok {
			return
		}
		for i := range n {
			name, what := lp.poller.event(i)
			if s := lp.find(name); s != nil {
				lp.serve(s, what)
			}
		}
		runtime.Gosched() // a loop that is always busy must not keep a processor from everybody else
	}
}

// serve survives a panic: thousands of others are behind it.
func (lp *loop) serve(s socket, what told) {
	defer func() {
		if p := recover(); p != nil {
			lp.log.Error().Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("serving a socket panicked")
		}
	}()
	s.ready(lp, what)
}

func (lp *loop) find(name uint64) socket {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	if p := &lp.places[uint32(name)]; p.age == uint32(name>>32) { //nolint:gosec // both halves, as they are
		return p.socket
	}
	return nil
}

// enter gives a socket a place, under a name that is not 0, and begins to be told of it, at once if there is something to tell.
// What allows is called with the lock held: it says whether it is still wanted, and learns the name.
func (lp *loop) enter(s socket, fd int, allows func(name uint64) bool) bool {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	if len(lp.free) == 0 {
		lp.free = append(lp.free, uint32(len(lp.places))) //nolint:gosec // fewer than descriptors
		lp.places = append(lp.places, place{age: 1})
	}
	at := lp.free[len(lp.free)-1]
	p := &lp.places[at]
	name := uint64(p.age)<<32 | uint64(at)
	if !allows(name) {
		return false
	}
	if err := lp.poller.add(fd, name); err != nil {
		lp.log.Warn().Err(err).Msg("a connection cannot be watched")
		allows(0)
		return false
	}
	lp.free = lp.free[:len(lp.free)-1]
	p.socket = s
	lp.of.held.Add(1)
	return true
}

// vacate frees the place of a name. Called with mu held. The descriptor is about to be closed, or removed by the caller.
func (lp *loop) vacate(name uint64) {
	p := &lp.places[uint32(name)] //nolint:gosec // the half of it
	p.socket = nil
	p.age++
	lp.free = append(lp.free, uint32(name)) //nolint:gosec // likewise
	lp.of.held.Add(-1)
}
