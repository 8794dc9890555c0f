// Package metrics counts what operators watch: requests, trips, callbacks and exchanges with engines, and how the node is.
package metrics

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// durations are the histogram buckets, in seconds: from what the gateway itself takes to the longest waits.
var durations = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}

// Config says what is counted. Labels come from these closed sets, and from logins that are configured. Every counter with labels of closed sets
// exists from the start, and so do those of logins that are configured.
type Config struct {
	Registry  *prometheus.Registry
	Routes    []string        // of requests
	Reasons   []string        // of refusals
	Outcomes  []string        // of trips
	Callbacks []string        // outcomes of callbacks
	Logins    func() []string // that are configured now; nil: none is known in advance
	NoLogin   string          // the label of requests that did not prove to come from a known login
	Sources   Sources
}

// Metrics are what operators watch. What is only looked at when somebody asks is in gauges.go.
type Metrics struct {
	Parked    prometheus.Gauge   // clients that wait for a callback
	Streams   prometheus.Gauge   // clients that hear events of a task
	Abandoned prometheus.Counter // replies that could not be written

	latency   *prometheus.HistogramVec // code, login
	trips     *tripCounts
	routes    []prometheus.Counter
	refusals  map[string]prometheus.Counter // by reason
	callbacks map[string]prometheus.Counter // by outcome
	engines   *prometheus.HistogramVec
}

// New makes the metrics, and registers them.
func New(cfg Config) *Metrics {
	m := &Metrics{
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sync_api_http_request_duration_seconds", Help: "Create requests, from acceptance to the written reply.", Buckets: durations,
		}, []string{"code", "login"}),
		Parked: prometheus.NewGauge(prometheus.GaugeOpts{Name: "syncgate_parked_clients", Help: "Clients that wait for a callback."}),
		engines: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "syncgate_engine_request_duration_seconds", Help: "Requests to the engine until its own answer.", Buckets: durations,
		}, []string{"code"}),
		Abandoned: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "syncgate_abandoned_total", Help: "Replies that could not be written: the client had gone.",
		}),
		Streams: prometheus.NewGauge(prometheus.GaugeOpts{Name: "syncgate_streams", Help: "Clients that hear events of a task."}),
		trips:   newTripCounts(cfg), refusals: make(map[string]prometheus.Counter), callbacks: make(map[string]prometheus.Counter),
	}
	routes := counters(cfg.Registry, "syncgate_requests_total", "Requests on the public and the callback listener, by route; none: no such path or method.", "route")
	for _, name := range cfg.Routes {
		m.routes = append(m.routes, routes.WithLabelValues(name))
	}
	refusals := counters(cfg.Registry, "syncgate_refusals_total", "Requests of clients that were refused, by reason.", "reason")
	for _, reason := range cfg.Reasons {
		m.refusals[reason] = refusals.WithLabelValues(reason)
	}
	callbacks := counters(cfg.Registry, "syncgate_callbacks_total", "Callbacks by what became of them.", "outcome")
	for _, outcome := range cfg.Callbacks {
		m.callbacks[outcome] = callbacks.WithLabelValues(outcome)
	}
	cfg.Registry.MustRegister(m.latency, m.Parked, m.trips, m.engines, m.Abandoned, m.Streams)
	cfg.Sources.register(cfg.Registry)
	return m
}

// counters makes and registers a family of counters with one label.
func counters(reg prometheus.Registerer, name, help, label string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	reg.MustRegister(c)
	return c
}

// Trip counts a create request that has ended.
func (m *Metrics) Trip(outcome, login string, status int, took time.Duration) {
	m.latency.WithLabelValues(strconv.Itoa(status), login).Observe(took.Seconds())
	m.trips.vec.WithLabelValues(outcome, login).Inc()
}

// Route counts a request of a route: that of Config.Routes with this index.
func (m *Metrics) Route(index int) { m.routes[index].Inc() }

// Refused counts a refusal, by one of Config.Reasons.
func (m *Metrics) Refused(reason string) { m.refusals[reason].Inc() }

// Callback gives the counter of callbacks with one of the outcomes of Config.Callbacks.
func (m *Metrics) Callback(outcome string) prometheus.Counter { return m.callbacks[outcome] }

// Engine notes an exchange: code is the engine's status, or what went wrong instead.
func (m *Metrics) Engine(code string, took time.Duration) {
	m.engines.WithLabelValues(code).Observe(took.Seconds())
}

// tripCounts counts trips by outcome and login. It has every outcome of every login that is known, also of those that a reload has
// added, so that the first of a kind is a step from 0.
type tripCounts struct {
	vec *prometheus.CounterVec
	cfg Config

	mu    sync.Mutex
	known map[string]struct{} // guarded by mu; as many as there have been credentials
}

func newTripCounts(cfg Config) *tripCounts {
	return &tripCounts{
		cfg: cfg, known: make(map[string]struct{}),
		vec: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "syncgate_trips_total", Help: "Create requests by how they ended, and by login.",
		}, []string{"outcome", "login"}),
	}
}

// Describe implements prometheus.Collector.
func (c *tripCounts) Describe(to chan<- *prometheus.Desc) { c.vec.Describe(to) }

// Collect implements prometheus.Collector.
func (c *tripCounts) Collect(to chan<- prometheus.Metric) {
	c.complete()
	c.vec.Collect(to)
}

// complete makes the counters that are missing.
func (c *tripCounts) complete() {
	c.mu.Lock()
	defer c.mu.Unlock()
	logins := []string{c.cfg.NoLogin}
	if c.cfg.Logins != nil {
		logins = append(logins, c.cfg.Logins()...)
	}
	for _, login := range logins {
		if _, there := c.known[login]; there {
			continue
		}
		c.known[login] = struct{}{}
		for _, outcome := range c.cfg.Outcomes {
			c.vec.WithLabelValues(outcome, login)
		}
	}
}
