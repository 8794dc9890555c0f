package gateway

import (
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// errHungUp ends the wait of a client that has closed its side, or reset it.
var errHungUp = errors.New("gateway: the client hung up")

// watchAfter is how long a client is parked before it is watched, or up to twice that: shorter waits cost nothing.
const watchAfter = round

// watcher sees clients hang up that fasthttp has parked, which it cannot while a handler runs; of those that a loop has parked
// a loop tells. It owns one set of descriptors, and one goroutine, which also looks at everybody's time-outs once in a round.
// Where the set cannot be had, a hang-up shows when the reply is written.
type watcher struct {
	log   zerolog.Logger
	loops *loops
	set   *fdset              // nil: nobody is watched
	round func(now time.Time) // called once in a round
	stop  chan struct{}
	done  chan struct{}

	memory tidier // owned by run

	mu      sync.Mutex       // guards the rest, and what the set holds
	fresh   [2][]*conn       // whose clients are parked since the last round, and since the one before it
	watched map[uint64]*conn // by the name under which the set tells of them
	last    uint64
	gone    []*trip // whose clients have hung up, as the loops say
}

// watch is a connection's place with the watcher, whose mutex guards it.
type watch struct {
	trip   *trip  // of a parked client
	fresh  int    // place among the fresh ones, from 1; 0: not there
	second bool   // among those of the round before
	name   uint64 // in the set; 0: not there
}

// newWatcher starts a watcher, which calls each once in a round.
func newWatcher(log zerolog.Logger, ls *loops, each func(now time.Time)) *watcher {
	w := &watcher{log: log, loops: ls, round: each, stop: make(chan struct{}), done: make(chan struct{}), watched: make(map[uint64]*conn)}
	var err error
	if w.set, err = newFDSet(); err != nil {
		log.Warn().Err(err).Msg("clients that hang up are not seen before their reply")
	}
	go w.run()
	return w
}

// add begins to watch the client of a trip; it must be removed when the client is not parked any more.
func (w *watcher) add(t *trip, c *conn) {
	if w.set == nil || c.raw == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fresh[0] = append(w.fresh[0], c)
	c.watch.trip, c.watch.fresh = t, len(w.fresh[0])
}

// remove ends a watch. The connection must still be open.
func (w *watcher) remove(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(c)
}

// drop takes c out of all that the watcher has. Called with mu held.
func (w *watcher) drop(c *conn) {
	if at := c.watch.fresh; at != 0 {
		round := &w.fresh[0]
		if c.watch.second {
			round = &w.fresh[1]
		}
		end := len(*round) - 1
		last := (*round)[end]
		(*round)[at-1], last.watch.fresh = last, at
		(*round)[end], *round = nil, (*round)[:end]
	}
	if c.watch.name != 0 {
		delete(w.watched, c.watch.name)
		w.set.remove(c.raw)
	}
	c.watch = watch{}
}

// enter puts c into the set, which tells once. Called with mu held.
func (w *watcher) enter(c *conn) bool {
	w.last++
	if err := w.set.add(c.raw, w.last); err != nil {
		w.log.Warn().Err(err).Msg("a connection cannot be watched")
		return false
	}
	c.watch.name = w.last
	w.watched[w.last] = c
	return true
}

// run acts on what the set tells, and once in a round on what time has come for.
func (w *watcher) run() {
	defer close(w.done)
	defer w.set.close()
	defer w.memory.wait()
	for last := time.Now(); ; {
		for _, name := range w.set.wait(round) {
			w.told(name)
		}
		select {
		case <-w.stop:
			return
		default:
		}
		if now := time.Now(); now.Sub(last) >= round {
			last = now
			w.takeIn()
			w.letGo(now)
			w.tidy(now)
			w.round(now)
		}
	}
}

// told acts on an event: a parked client has hung up.
func (w *watcher) told(name uint64) {
	w.mu.Lock()
	var t *trip
	if c := w.watched[name]; c != nil {
		t = c.watch.trip
	}
	w.mu.Unlock()
	if t != nil {
		t.failed(errHungUp)
	}
}

// hungUp is how a loop tells that a parked client has closed its side.
func (w *watcher) hungUp(t *trip) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone = append(w.gone, t)
}

// letGo ends the waits of clients that have hung up. One that has closed its side at once, as some do behind their request, has
// as long as every other one before it counts as gone.
func (w *watcher) letGo(now time.Time) {
	w.mu.Lock()
	gone := w.gone
	w.gone = nil
	for _, t := range gone {
		if now.Sub(t.accepted) < watchAfter {
			w.gone = append(w.gone, t)
		}
	}
	w.mu.Unlock()
	for _, t := range gone {
		if now.Sub(t.accepted) >= watchAfter {
			t.failed(errHungUp)
		}
	}
}

// takeIn watches those that have been parked for a whole round. What waits for less is not worth it.
func (w *watcher) takeIn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, c := range w.fresh[1] {
		w.fresh[1][i], c.watch.fresh, c.watch.second = nil, 0, false
		if w.enter(c) {
			c.watch.trip.wake <- struct{}{} // once: it may leave its handler now
		}
	}
	w.fresh[0], w.fresh[1] = w.fresh[1][:0], w.fresh[0]
	for _, c := range w.fresh[1] {
		c.watch.second = true
	}
}

// close ends the goroutine, within a round.
func (w *watcher) close() {
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	<-w.done
}
