package notify

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
)

// outboxMetrics are what an Outbox counts, and what its store counts when somebody asks.
type outboxMetrics struct {
	store    OutboxStore
	registry prometheus.Registerer
	looks    *prometheus.CounterVec
	tasks    *prometheus.Desc
	late     *prometheus.Desc
}

func newOutboxMetrics(store OutboxStore, registry prometheus.Registerer) (*outboxMetrics, error) {
	m := &outboxMetrics{
		store: store, registry: registry,
		looks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "syncgate_outbox_looks_total", Help: "Looks at tasks whose results are to be pushed, by outcome.",
		}, []string{"outcome"}),
		tasks: prometheus.NewDesc("syncgate_outbox_tasks",
			"Tasks whose results are to be pushed, or were handed over for that in the last minutes, of the whole store: nodes that share it have the same figure.", nil, nil),
		late: prometheus.NewDesc("syncgate_outbox_late_seconds",
			"For how long the task of the whole store that has waited the longest should have been looked at, 0 where none is late.", nil, nil),
	}
	for _, outcome := range lookOutcomes() {
		m.looks.WithLabelValues(outcome)
	}
	if registry == nil {
		return m, nil
	}
	return m, registry.Register(m)
}

func (m *outboxMetrics) count(outcome string) { m.looks.WithLabelValues(outcome).Inc() }

func (m *outboxMetrics) unregister() {
	if m.registry != nil {
		m.registry.Unregister(m)
	}
}

// Describe is prometheus.Collector's.
func (m *outboxMetrics) Describe(to chan<- *prometheus.Desc) {
	m.looks.Describe(to)
	to <- m.tasks
	to <- m.late
}

// Collect is prometheus.Collector's. Without an answer of the store its figures are missing.
func (m *outboxMetrics) Collect(to chan<- prometheus.Metric) {
	m.looks.Collect(to)
	ctx, cancel := context.WithTimeout(context.Background(), statsTimeout)
	defer cancel()
	n, late, err := m.store.Count(ctx)
	if err != nil {
		return
	}
	to <- prometheus.MustNewConstMetric(m.tasks, prometheus.GaugeValue, float64(n))
	to <- prometheus.MustNewConstMetric(m.late, prometheus.GaugeValue, late.Seconds())
}
