package gateway

import (
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

const (
	// loopsPerProcessor is measured: where the system takes a loop's thread off the processor, another loop goes on.
	loopsPerProcessor = 2
	// processorsPerSet is how many processors' loops share sockets: enough that one of them is free, and few that they do not
	// get into each other's way.
	processorsPerSet = 4
)

// loops are all of them, and the time-outs of the connections that they hold.
type loops struct {
	sets    []*socketSet // empty where there is no epoll
	next    atomic.Uint32
	entered atomic.Uint64 // connections and parked clients that they have ever taken in
	held    atomic.Int64  // sockets that they hold
	clock   atomic.Int64  // Unix nanoseconds, as of the last round of the watcher
	ring    ring
	running sync.WaitGroup
}

// loop is one goroutine, which serves what is told of the sockets of a set.
type loop struct {
	set  *socketSet
	desk desk
}

// socket is what a loop is told of.
type socket interface {
	// ready is called by a loop's goroutine and must not block. Two loops may call it at the same time.
	ready(lp *loop, what told)
}

// start starts the loops. Where there is no epoll there are none.
func (ls *loops) start(log zerolog.Logger) {
	ls.tick(time.Now()) // the ring begins
	sets := (runtime.GOMAXPROCS(0) + processorsPerSet - 1) / processorsPerSet
	for range sets {
		set, err := newSocketSet(ls, log)
		if err != nil {
			log.Warn().Err(err).Msg("every connection takes a goroutine")
			break
		}
		ls.sets = append(ls.sets, set)
		for range loopsOf(sets) {
			lp := &loop{set: set}
			lp.desk.open(lp)
			ls.running.Go(lp.run)
		}
	}
}

// loopsOf is how many loops each of so many sets has.
func loopsOf(sets int) int { return (loopsPerProcessor*runtime.GOMAXPROCS(0) + sets - 1) / sets }

// pick gives the set for one more socket; nil: there is none.
func (ls *loops) pick() *socketSet {
	if len(ls.sets) == 0 {
		return nil
	}
	return ls.sets[ls.next.Add(1)%uint32(len(ls.sets))] //nolint:gosec // a few
}

// close ends the loops. What they hold is not told of any more.
func (ls *loops) close() {
	for _, set := range ls.sets {
		set.poller.close()
	}
	ls.running.Wait()
}

// run serves what is told, until the set is closed.
func (lp *loop) run() {
	for {
		s, what, ok := lp.set.take()
		if !ok {
			return
		}
		lp.serve(s, what)
	}
}

// serve survives a panic: thousands of others are behind it.
func (lp *loop) serve(s socket, what told) {
	defer func() {
		if p := recover(); p != nil {
			lp.set.log.Error().Str("panic", panicText(p)).Bytes("stack", debug.Stack()).Msg("serving a socket panicked")
		}
	}()
	s.ready(lp, what)
}
