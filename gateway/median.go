package gateway

import (
	"slices"
	"sync"
	"time"
)

// medians remembers how long the last tasks of each route took, so that clients hear when it is worth asking again.
type medians struct {
	mu     sync.Mutex
	routes map[string]*lately // by name: as many as have been configured
}

// lately has the last durations of one route, in a ring.
type lately struct {
	took [32]time.Duration
	n    int // that there were
}

// mostRoutes bounds the routes that are remembered. Names are the configuration's; those that a reload has removed stay.
const mostRoutes = 10_000

// add notes how long a task of a route took.
func (m *medians) add(route string, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.routes[route]
	if l == nil {
		if len(m.routes) >= mostRoutes {
			return
		}
		if m.routes == nil {
			m.routes = make(map[string]*lately)
		}
		l = new(lately)
		m.routes[route] = l
	}
	l.took[l.n%len(l.took)] = took
	l.n++
}

// of gives the median of a route's last tasks in whole seconds, at least 1 s; 1 s when there were none.
func (m *medians) of(route string) time.Duration {
	m.mu.Lock()
	l := m.routes[route]
	if l == nil {
		m.mu.Unlock()
		return time.Second
	}
	took := l.took
	n := min(l.n, len(took))
	m.mu.Unlock()
	slices.Sort(took[:n])
	return max(time.Second, took[n/2].Round(time.Second))
}
