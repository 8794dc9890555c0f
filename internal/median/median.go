// Package median remembers how long the last tasks of each route took.
package median

import (
	"slices"
	"sync"
	"time"
)

// Durations are those of the last 32 tasks of each route. The zero value has none.
type Durations struct {
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

// Add notes how long a task of a route took.
func (m *Durations) Add(route string, took time.Duration) {
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

// Of gives the median of a route's last tasks in whole seconds, at least 1 s; 1 s when there were none.
func (m *Durations) Of(route string) time.Duration {
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
