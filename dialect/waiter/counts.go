package waiter

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Words of counts beside the outcomes.
const (
	countedRefused      = "refused"      // the body has no name, or is no body
	countedUnauthorized = "unauthorized" // it is not verified
)

// counts are the completions by waiter and by what became of them.
type counts struct {
	vec *prometheus.CounterVec

	known []string // owned by the caller of keep
}

func newCounts(to prometheus.Registerer) *counts {
	c := &counts{vec: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "syncgate_waiter_completions_total", Help: "Completions by name, by waiter and by what became of them.",
	}, []string{"waiter", "outcome"})}
	if to != nil {
		to.MustRegister(c.vec)
	}
	return c
}

// keep makes the counters of the waiters that there are, and forgets those of others.
func (c *counts) keep(cfg []Config) {
	for _, name := range c.known {
		if !slices.ContainsFunc(cfg, func(w Config) bool { return w.Name == name }) {
			c.vec.DeletePartialMatch(prometheus.Labels{"waiter": name})
		}
	}
	c.known = nil
	for i := range cfg {
		c.known = append(c.known, cfg[i].Name)
		for _, outcome := range append(outcomeNames[:], countedRefused, countedUnauthorized) {
			c.vec.WithLabelValues(cfg[i].Name, outcome)
		}
	}
}

// count counts a completion.
func (c *counts) count(w *waiter, outcome string) { c.vec.WithLabelValues(w.Name, outcome).Inc() }
