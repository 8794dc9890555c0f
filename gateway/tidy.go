package gateway

import (
	"runtime"
	"runtime/debug"
	"time"
)

// A burst of clients leaves behind what it took while goroutines held them: stacks, buffers and garbage, several times what
// remains of them. The collector would find that out only when as much has been allocated again, which takes minutes where
// clients only wait. So memory is given back once after a burst, and never in the middle of traffic.

const (
	tidyLook  = time.Second // how often is looked whether a burst is over
	tidyLeast = 1024        // connections have to have come since, or a third of those that are held: a few us for each
	tidyQuiet = 64          // and since the last look fewer than one in so many
)

// tidier knows when memory was given back. The watcher's goroutine owns it.
type tidier struct {
	looked  time.Time
	entered uint64        // connections that the loops and the watcher had ever taken in, when it last looked
	done    uint64        // when memory was last given back
	running chan struct{} // closed when that has ended; nil: it never began
}

// due reports whether memory is to be given back, with held connections after so many had entered.
func (m *tidier) due(now time.Time, held, entered uint64) bool {
	if now.Sub(m.looked) < tidyLook {
		return false
	}
	came := entered - m.entered
	m.looked, m.entered = now, entered
	if entered-m.done < max(tidyLeast, held/3) || came > held/tidyQuiet {
		return false
	}
	m.done = entered
	return true
}

// tidy gives back what a burst has left behind: tens of milliseconds of one processor for tens of thousands of clients.
func (w *watcher) tidy(now time.Time) {
	w.mu.Lock()
	held, entered := uint64(len(w.watched)), w.last
	w.mu.Unlock()
	held += uint64(w.loops.held.Load()) //nolint:gosec // a count
	if w.memory.due(now, held, entered+w.loops.entered.Load()) {
		w.memory.wait()
		w.memory.running = make(chan struct{})
		go w.memory.giveBack()
	}
}

// giveBack collects twice: what is in a pool survives the first time.
func (m *tidier) giveBack() {
	runtime.GC()
	debug.FreeOSMemory()
	close(m.running)
}

// wait returns when nothing is given back any more.
func (m *tidier) wait() {
	if m.running != nil {
		<-m.running
	}
}
