package gateway

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// durations are the histogram buckets, in seconds: from what the gateway itself takes to the longest waits.
var durations = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}

// metrics are what operators watch. Labels come from closed sets, and from logins that are configured. Every counter with labels of closed
// sets exists from the start, and so do those of logins that are configured. What is only looked at when somebody asks is in gauges.go.
type metrics struct {
	latency   *prometheus.HistogramVec // code, login
	parked    prometheus.Gauge
	trips     *tripCounts
	routes    [len(routeNames)]prometheus.Counter
	refusals  map[Reason]prometheus.Counter
	callbacks map[string]prometheus.Counter // by outcome
	delivered prometheus.Counter            // one of them
	engines   *prometheus.HistogramVec
	abandoned prometheus.Counter
	streams   prometheus.Gauge
}

// Outcomes of callbacks: what became of one, and so what the engine heard.
const (
	callbackDelivered   = "delivered"   // 200: handed to its trip at this node
	callbackRelayed     = "relayed"     // 200: handed on to another node
	callbackKept        = "kept"        // 200: late, and kept for a client that comes back
	callbackRepeated    = "repeated"    // 200: the first one stands
	callbackReported    = "reported"    // 200: progress
	callbackGone        = "gone"        // 410: late, and not kept
	callbackForged      = "forged"      // 404
	callbackTooLarge    = "too_large"   // 413
	callbackBadRequest  = "bad_request" // 400, 405, 408, 415
	callbackUnavailable = "unavailable" // 503
	callbackFailed      = "failed"      // 500
)

func callbackOutcomes() []string {
	return []string{
		callbackDelivered, callbackRelayed, callbackKept, callbackRepeated, callbackReported, callbackGone, callbackForged, callbackTooLarge, callbackBadRequest,
		callbackUnavailable, callbackFailed,
	}
}

func newMetrics(g *Gateway, p Parts) *metrics {
	m := &metrics{
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sync_api_http_request_duration_seconds", Help: "Create requests, from acceptance to the written reply.", Buckets: durations,
		}, []string{"code", "login"}),
		parked: prometheus.NewGauge(prometheus.GaugeOpts{Name: "syncgate_parked_clients", Help: "Clients that wait for a callback."}),
		engines: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "syncgate_engine_request_duration_seconds", Help: "Requests to the engine until its own answer.", Buckets: durations,
		}, []string{"code"}),
		abandoned: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "syncgate_abandoned_total", Help: "Replies that could not be written: the client had gone.",
		}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{Name: "syncgate_streams", Help: "Clients that hear events of a task."}),
		trips:   newTripCounts(p.Logins), refusals: make(map[Reason]prometheus.Counter), callbacks: make(map[string]prometheus.Counter),
	}
	routes := counters(p.Metrics, "syncgate_requests_total", "Requests on the public and the callback listener, by route; none: no such path or method.", "route")
	for i, name := range routeNames {
		m.routes[i] = routes.WithLabelValues(name)
	}
	refusals := counters(p.Metrics, "syncgate_refusals_total", "Requests of clients that were refused, by reason.", "reason")
	for _, row := range reasons() {
		m.refusals[row.reason] = refusals.WithLabelValues(string(row.reason))
	}
	callbacks := counters(p.Metrics, "syncgate_callbacks_total", "Callbacks by what became of them.", "outcome")
	for _, outcome := range callbackOutcomes() {
		m.callbacks[outcome] = callbacks.WithLabelValues(outcome)
	}
	m.delivered = m.callbacks[callbackDelivered]
	p.Metrics.MustRegister(m.latency, m.parked, m.trips, m.engines, m.abandoned, m.streams)
	g.registerGauges(p)
	return m
}

// counters makes and registers a family of counters with one label.
func counters(reg prometheus.Registerer, name, help, label string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	reg.MustRegister(c)
	return c
}

// trip counts a create request that has ended.
func (m *metrics) trip(outcome, login string, status int, took time.Duration) {
	m.latency.WithLabelValues(statusText(status), login).Observe(took.Seconds())
	m.trips.vec.WithLabelValues(outcome, login).Inc()
}

// refused counts a refusal.
func (m *metrics) refused(f *Fault) { m.refusals[f.why().reason].Inc() }

// callback counts a callback.
func (m *metrics) callback(outcome string) { m.callbacks[outcome].Inc() }

// engine notes an exchange: code is the engine's status, or what went wrong instead.
func (m *metrics) engine(code string, took time.Duration) {
	m.engines.WithLabelValues(code).Observe(took.Seconds())
}

// tripCounts counts trips by outcome and login. It has every outcome of every login that is known, also of those that a reload has
// added, so that the first of a kind is a step from 0.
type tripCounts struct {
	vec    *prometheus.CounterVec
	logins func() []string // nil: none is known in advance

	mu    sync.Mutex
	known map[string]struct{} // guarded by mu; as many as there have been credentials
}

func newTripCounts(logins func() []string) *tripCounts {
	return &tripCounts{
		logins: logins, known: make(map[string]struct{}),
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
	logins := []string{unknownLogin}
	if c.logins != nil {
		logins = append(logins, c.logins()...)
	}
	for _, login := range logins {
		if _, there := c.known[login]; there {
			continue
		}
		c.known[login] = struct{}{}
		for _, outcome := range outcomes() {
			c.vec.WithLabelValues(outcome, login)
		}
	}
}

// statusText is a status as a label.
func statusText(status int) string { return strconv.Itoa(status) }
