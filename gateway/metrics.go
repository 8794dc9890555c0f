package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"syncgate/correlator"
)

// durations are the histogram buckets, in seconds: from what the gateway itself takes to the longest waits.
var durations = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}

// metrics are what operators watch. Labels come from closed sets, and from logins that are configured.
type metrics struct {
	requests  *prometheus.HistogramVec // code, login
	parked    prometheus.Gauge
	trips     *prometheus.CounterVec // outcome
	callbacks *prometheus.CounterVec // outcome
	delivered prometheus.Counter     // one of them
	engines   *prometheus.HistogramVec
	abandoned prometheus.Counter
}

func newMetrics(g *Gateway, reg prometheus.Registerer, version string) *metrics {
	m := &metrics{
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sync_api_http_request_duration_seconds", Help: "Create requests, from acceptance to the written reply.", Buckets: durations,
		}, []string{"code", "login"}),
		parked: prometheus.NewGauge(prometheus.GaugeOpts{Name: "syncgate_parked_clients", Help: "Clients that wait for a callback."}),
		trips: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "syncgate_trips_total", Help: "Create requests by how they ended.",
		}, []string{"outcome"}),
		callbacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "syncgate_callbacks_total", Help: "Callbacks by their answer to the engine.",
		}, []string{"outcome"}),
		engines: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "syncgate_engine_request_duration_seconds", Help: "Requests to the engine until its own answer.", Buckets: durations,
		}, []string{"code"}),
		abandoned: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "syncgate_abandoned_total", Help: "Replies that could not be written: the client had gone.",
		}),
	}
	m.delivered = m.callbacks.WithLabelValues("delivered")
	up := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "syncgate_correlator_up", Help: "1 while callbacks can be handed on between nodes.",
	}, func() float64 {
		if g.correlator.Ready() != nil {
			return 0
		}
		return 1
	})
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "syncgate_build_info", Help: "1, labelled with the version.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	reg.MustRegister(m.requests, m.parked, m.trips, m.callbacks, m.engines, m.abandoned, up, build)
	if counter, ok := g.correlator.(interface{ Kept() (int, int64) }); ok {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "syncgate_results_kept", Help: "Results that are kept for clients that come back.",
		}, func() float64 { n, _ := counter.Kept(); return float64(n) }))
	}
	return m
}

// engine notes an exchange: code is the engine's status, or what went wrong instead.
func (m *metrics) engine(code string, took time.Duration) {
	m.engines.WithLabelValues(code).Observe(took.Seconds())
}

// unknownLogin is the label of requests that did not prove to come from a known login.
const unknownLogin = "unknown"

// observe writes the trip's one line in the log and counts it, when its reply is written or cannot be.
func (t *trip) observe(written bool) {
	if t.kind == fetches {
		return
	}
	took := time.Since(t.accepted)
	login, ops := unknownLogin, 0
	if t.call != nil {
		login, ops = t.call.Login, len(t.call.Ops)
	}
	outcome := outcomeOf(t)
	m := t.g.metrics
	m.requests.WithLabelValues(statusText(t.status), login).Observe(took.Seconds())
	m.trips.WithLabelValues(outcome).Inc()

	line := t.g.log.Info().Str("request_id", t.requestID).Str("remote", t.remote).Str("login", login).Int("ops", ops).
		Str("outcome", outcome).Int("status", t.status).Dur("took", took)
	if t.key != "" {
		line = line.Bool("keyed", true).Bool("joined", t.joined)
	}
	if t.id != (correlator.ID{}) {
		engine := time.Duration(t.engineTime.Load())
		line = line.Stringer("trip", t.id).Dur("engine", engine).Dur("wait", max(0, took-engine))
	}
	if !written {
		line = line.Bool("abandoned", true)
	}
	if t.refusal != nil {
		line = line.Str("refusal", unquoted(t.refusal))
	}
	line.Msg("trip")
}
