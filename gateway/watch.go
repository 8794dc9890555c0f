package gateway

import (
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

// errHungUp ends the wait of a client that has closed its side, or reset it.
var errHungUp = errors.New("gateway: the client hung up")

// watchAfter is how long a client is parked before it is watched, and how exactly that is kept: shorter waits cost nothing.
const watchAfter = 100 * time.Millisecond

// watcher sees parked clients hang up: fasthttp cannot while a handler runs. It owns one set of descriptors and one
// goroutine. Where that cannot be had nobody is watched, and a hang-up shows when the reply is written.
type watcher struct {
	log  zerolog.Logger
	set  *fdset // nil: nobody is watched
	stop chan struct{}
	done chan struct{}

	mu      sync.Mutex        // guards the rest, and what the set holds
	fresh   []*watch          // since the last round, in the order of parking
	watched map[uint64]*watch // by the name under which the set tells of them
	last    uint64
}

// watch is one parked client. The watcher's mutex guards it.
type watch struct {
	trip *trip
	raw  syscall.RawConn
	name uint64 // in the set; 0: not there
	over bool
}

func newWatcher(log zerolog.Logger) *watcher {
	w := &watcher{log: log, stop: make(chan struct{}), done: make(chan struct{}), watched: make(map[uint64]*watch)}
	set, err := newFDSet()
	if err != nil {
		log.Warn().Err(err).Msg("clients that hang up are not seen before their reply")
		close(w.done)
		return w
	}
	w.set = set
	go w.run()
	return w
}

// add begins to watch the client of a trip; it must be removed when the client is not parked any more.
func (w *watcher) add(t *trip, c *conn) *watch {
	if w.set == nil || c.raw == nil {
		return nil
	}
	entry := &watch{trip: t, raw: c.raw}
	w.mu.Lock()
	w.fresh = append(w.fresh, entry)
	w.mu.Unlock()
	return entry
}

// remove ends a watch. The connection must still be open.
func (w *watcher) remove(entry *watch) {
	if entry == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	entry.over = true
	if entry.name != 0 {
		delete(w.watched, entry.name)
		w.set.remove(entry.raw)
	}
}

// run tells trips of hang-ups as they come, and once in a while takes those into the set that are still parked.
func (w *watcher) run() {
	defer close(w.done)
	defer w.set.close()
	for round := time.Now(); ; {
		for _, name := range w.set.wait(watchAfter) {
			w.hungUp(name)
		}
		select {
		case <-w.stop:
			return
		default:
		}
		if now := time.Now(); now.Sub(round) >= watchAfter {
			round = now
			w.takeIn()
		}
	}
}

func (w *watcher) hungUp(name uint64) {
	w.mu.Lock()
	entry := w.watched[name]
	w.mu.Unlock()
	if entry != nil {
		entry.trip.failed(errHungUp)
	}
}

// takeIn watches those that have been parked since before the last round.
func (w *watcher) takeIn() {
	w.mu.Lock()
	fresh := w.fresh
	w.fresh = nil
	w.mu.Unlock()
	for _, entry := range fresh {
		w.register(entry)
	}
}

func (w *watcher) register(entry *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if entry.over {
		return
	}
	w.last++
	if err := w.set.add(entry.raw, w.last); err != nil {
		w.log.Warn().Err(err).Stringer("trip", entry.trip.id).Msg("a parked client cannot be watched")
		return
	}
	entry.name = w.last
	w.watched[entry.name] = entry
	entry.trip.wake <- struct{}{} // once: it may leave its handler now
}

// close ends the goroutine, within watchAfter.
func (w *watcher) close() {
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	<-w.done
}
