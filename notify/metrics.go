package notify

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a Sender counts, and what its store counts when somebody asks.
type metrics struct {
	store    Store
	registry prometheus.Registerer
	attempts *prometheus.CounterVec
	open     *prometheus.Desc
	ended    *prometheus.Desc
	oldest   *prometheus.Desc
}

// statsTimeout bounds what a scrape waits for the store.
const statsTimeout = time.Second

func newMetrics(store Store, registry prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		store: store, registry: registry,
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "syncgate_notify_attempts_total", Help: "Attempts to deliver a notification, by outcome.",
		}, []string{"outcome"}),
		open: prometheus.NewDesc("syncgate_notify_open",
			"Notifications that are not delivered yet, of the whole store: nodes that share it have the same figure.", nil, nil),
		ended: prometheus.NewDesc("syncgate_notify_undelivered",
			"Notifications of the last 7 days that are not delivered and not tried again, of the whole store, by state.", []string{"state"}, nil),
		oldest: prometheus.NewDesc("syncgate_notify_oldest_open_seconds", "Age of the oldest open notification of the whole store, 0 without one.", nil, nil),
	}
	for _, o := range outcomes() {
		m.attempts.WithLabelValues(string(o))
	}
	if registry == nil {
		return m, nil
	}
	return m, registry.Register(m)
}

func (m *metrics) count(o Outcome) { m.attempts.WithLabelValues(string(o)).Inc() }

func (m *metrics) unregister() {
	if m.registry != nil {
		m.registry.Unregister(m)
	}
}

// Describe is prometheus.Collector's.
func (m *metrics) Describe(to chan<- *prometheus.Desc) {
	m.attempts.Describe(to)
	to <- m.open
	to <- m.ended
	to <- m.oldest
}

// Collect is prometheus.Collector's. Without an answer of the store its figures are missing.
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	m.attempts.Collect(to)
	ctx, cancel := context.WithTimeout(context.Background(), statsTimeout)
	defer cancel()
	stats, err := m.store.Stats(ctx)
	if err != nil {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(m.open, float64(stats.Open))
	gauge(m.ended, float64(stats.Dead), string(Dead))
	gauge(m.ended, float64(stats.Refused), string(Refused))
	gauge(m.ended, float64(stats.Gone), string(Gone))
	gauge(m.oldest, stats.Oldest.Seconds())
}
