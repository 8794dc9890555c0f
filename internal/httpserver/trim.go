package httpserver

import (
	"runtime"
	"runtime/debug"
	"time"
)

// A burst of clients leaves behind what it took while goroutines served it: stacks, buffers and garbage, several times what remains of
// the clients. The collector would find that out only when as much has been allocated again, which takes minutes where clients only
// wait. So memory is given back once after a burst, and never in the middle of traffic.

const (
	trimLook  = time.Second // how often the trimmer looks whether a burst is over
	trimLeast = 1024        // connections that must have come since, or a third of those that are held: a few us for each
	trimQuiet = 64          // and since the last look fewer than one in so many
)

// trimmer knows when memory was given back. The group's tick owns it.
type trimmer struct {
	looked  time.Time
	entered uint64        // connections ever attached, at the last look
	done    uint64        // the same when memory was last given back
	running chan struct{} // closed when that has ended; nil: it never began
}

// tick gives memory back after a burst: tens of milliseconds of one processor for tens of thousands of clients.
func (m *trimmer) tick(now time.Time, held, entered uint64) {
	if m.due(now, held, entered) {
		m.wait()
		m.running = make(chan struct{})
		go m.giveBack()
	}
}

// due reports whether memory is to be given back, with held connections after so many were attached.
func (m *trimmer) due(now time.Time, held, entered uint64) bool {
	if now.Sub(m.looked) < trimLook {
		return false
	}
	came := entered - m.entered
	m.looked, m.entered = now, entered
	if entered-m.done < max(trimLeast, held/3) || came > held/trimQuiet {
		return false
	}
	m.done = entered
	return true
}

// giveBack collects twice: what is in a pool survives the first time.
func (m *trimmer) giveBack() {
	runtime.GC()
	debug.FreeOSMemory()
	close(m.running)
}

// wait returns when no memory is being given back.
func (m *trimmer) wait() {
	if m.running != nil {
		<-m.running
	}
}
