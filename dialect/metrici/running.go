package metrici

import (
	"sync"
	"time"

	"syncgate/correlator"
	"syncgate/dialect"
)

// mostRunning bounds running, in tasks.
const mostRunning = 10_000

// running remembers when tasks time out of which something was reported at this node, so that a report asks the store for that once.
type running struct {
	mu    sync.Mutex
	until map[correlator.ID]time.Time // guarded by mu
}

// inTime reports whether a task is known to have time left.
func (r *running) inTime(id correlator.ID, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return now.Before(r.until[id])
}

// note takes what is known of a task. When there are too many tasks all are forgotten: then each is asked for once more.
func (r *running) note(id correlator.ID, s dialect.OpState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.Status.Final() {
		delete(r.until, id)
		return
	}
	if r.until == nil || len(r.until) >= mostRunning {
		r.until = make(map[correlator.ID]time.Time)
	}
	r.until[id] = s.Until
}
