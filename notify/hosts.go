package notify

import "sync"

const (
	batch        = 16        // notifications that one claim gives at most
	batchBytes   = 32 << 20  // of their bodies, so that no script of Redis answers more
	mostBytes    = 256 << 20 // of the bodies of all attempts that run, about
	hostBytes    = 32 << 20  // of those of one host
	mostSlow     = 256       // hosts that are remembered as slow while nothing of them runs
	slotsOfSlow  = 1
	defaultSlots = 512
	defaultHost  = 8
)

// hosts counts the attempts that run, so that a receiver that hangs costs the slots of its host, and when one attempt has run out of time one slot.
type hosts struct {
	slots, each int

	mu      sync.Mutex
	running int
	bytes   int
	of      map[string]*host
}

type host struct {
	running, bytes int
	slow           bool // its last attempt ran out of time
}

func newHosts(slots, each int) *hosts {
	return &hosts{slots: slots, each: each, of: make(map[string]*host)}
}

// room gives what may be claimed now. Most is 0 when nothing may.
func (h *hosts) room() Room {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := Room{Most: min(batch, h.slots-h.running), Bytes: batchBytes, Slots: h.each, Free: make(map[string]int, len(h.of))}
	if h.bytes >= mostBytes {
		r.Most = 0
	}
	for name, of := range h.of {
		bound := h.each
		if of.slow {
			bound = slotsOfSlow
		}
		if of.bytes >= hostBytes {
			bound = 0
		}
		r.Free[name] = max(0, bound-of.running)
	}
	return r
}

func (h *hosts) begin(name string, size int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	of := h.of[name]
	if of == nil {
		of = new(host)
		h.of[name] = of
	}
	of.running++
	of.bytes += size
	h.running++
	h.bytes += size
}

// end is for each begin. slow says that the attempt ran out of time.
func (h *hosts) end(name string, size int, slow bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	of := h.of[name]
	of.running--
	of.bytes -= size
	of.slow = slow
	h.running--
	h.bytes -= size
	switch {
	case of.running > 0:
	case !slow:
		delete(h.of, name)
	case len(h.of) > mostSlow:
		h.forget(name)
	}
}

// forget forgets one host of which nothing runs, and not the one that a name is of.
func (h *hosts) forget(but string) {
	for name, of := range h.of {
		if of.running == 0 && name != but {
			delete(h.of, name)
			return
		}
	}
}
