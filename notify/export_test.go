package notify

import "time"

// Next is the schedule's.
func Next(offsets []time.Duration, step int, age, window, retryAfter time.Duration, jitter float64) (time.Duration, int, bool) {
	s, err := newSchedule(offsets)
	if err != nil {
		panic(err)
	}
	return s.next(step, age, window, retryAfter, jitter)
}

// Hosts are a Sender's.
type Hosts = hosts

// NewHosts makes them.
func NewHosts(slots, each int) *Hosts { return newHosts(slots, each) }

// Room is theirs.
func (h *Hosts) Room() Room { return h.room() }

// Begin is theirs.
func (h *Hosts) Begin(name string, size int) { h.begin(name, size) }

// End is theirs.
func (h *Hosts) End(name string, size int, slow bool) { h.end(name, size, slow) }
