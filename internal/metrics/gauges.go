package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"syncgate/internal/httpserver"
	"syncgate/internal/upstream"
)

// gauge is a metric that is read when somebody asks, without labels or with one that does not change.
type gauge struct {
	name, help   string
	label, value string // empty: there is none
	read         func() float64
}

// Sources are asked when somebody looks at the metrics.
type Sources struct {
	Version, Node string                                   // of the program, and of this start of it
	Ready         func() bool                              // callbacks can be handed on between nodes
	Draining      func() bool                              // the node ends
	Unsaved       func() int64                             // results that wait for a store that is away
	Kept          func() (results int, bytes int64)        // for clients that come back; nil: nobody knows
	Engines       func() upstream.Stats                    // of all engines
	Bodies        map[string]*httpserver.Budget            // by kind
	Listeners     []string                                 // the names of those that there are
	Traffic       func(listener string) httpserver.Traffic // of one of them
	Limits        func() Limits
}

// Limits are what the configuration allows, so that a dashboard can show how near it is. 0: no limit.
type Limits struct {
	Parked, ParkedPerLogin, StreamsPerLogin, Ops, EngineConnections, Connections int
	RequestBytes, CallbackBytes, ResultsBytes                                    int64
	RatePerLogin                                                                 float64
}

// register registers what the gateway and its parts know of themselves at any moment. Nothing of it is counted twice.
func (s *Sources) register(to prometheus.Registerer) {
	all := append(s.stateGauges(), s.limitGauges()...)
	if s.Kept != nil {
		all = append(all,
			gauge{name: "syncgate_results_kept", help: "Results that are kept for clients that come back.", read: func() float64 { n, _ := s.Kept(); return float64(n) }},
			gauge{name: "syncgate_results_kept_bytes", help: "The bytes of these.", read: func() float64 { _, n := s.Kept(); return float64(n) }},
		)
	}
	for _, v := range all {
		to.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: v.name, Help: v.help, ConstLabels: v.labels()}, v.read))
	}
	counters := append(s.listenerCounters(), []gauge{
		{name: "syncgate_engine_received_bytes_total", help: "Bytes of HTTP from the engine, its callbacks apart.", read: func() float64 { return float64(s.Engines().Received) }},
		{name: "syncgate_engine_sent_bytes_total", help: "Bytes of HTTP to the engine, answers to callbacks apart.", read: func() float64 { return float64(s.Engines().Sent) }},
	}...)
	for _, v := range counters {
		to.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: v.name, Help: v.help, ConstLabels: v.labels()}, v.read))
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "syncgate_build_info", Help: "1, labelled with the version.", ConstLabels: prometheus.Labels{"version": s.Version},
	})
	build.Set(1)
	node := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "syncgate_node_info", Help: "1, labelled with the name of this start of this process, as trips at another node have it.",
		ConstLabels: prometheus.Labels{"node": s.Node},
	})
	node.Set(1)
	to.MustRegister(build, node)
}

func (v gauge) labels() prometheus.Labels {
	if v.label == "" {
		return nil
	}
	return prometheus.Labels{v.label: v.value}
}

// stateGauges are how the gateway is.
func (s *Sources) stateGauges() []gauge {
	all := []gauge{
		{name: "syncgate_correlator_up", help: "1 while callbacks can be handed on between nodes.", read: func() float64 { return truth(s.Ready()) }},
		{name: "syncgate_draining", help: "1 from the signal that ends the node.", read: func() float64 { return truth(s.Draining()) }},
		{name: "syncgate_results_unsaved", help: "Results that wait for a store that is away.", read: func() float64 { return float64(s.Unsaved()) }},
		{name: "syncgate_engine_connections", help: "Connections to the engine.", label: "state", value: "busy", read: func() float64 { return float64(s.Engines().Busy) }},
		{name: "syncgate_engine_connections", help: "Connections to the engine.", label: "state", value: "idle", read: func() float64 { return float64(s.Engines().Idle) }},
		{name: "syncgate_engine_queue_length", help: "Requests that wait for a connection to the engine.", read: func() float64 { return float64(s.Engines().Queued) }},
		{name: "syncgate_engine_breaker_open", help: "1 while requests fail at once, as the engine has refused every connection.", read: func() float64 { return truth(s.Engines().BreakerOpen) }},
	}
	for kind, budget := range s.Bodies {
		all = append(all,
			gauge{name: "syncgate_body_bytes", help: "Bytes of bodies that arrive or wait for the engine.", label: "kind", value: kind, read: func() float64 { return float64(budget.Used()) }},
			gauge{name: "syncgate_limit_body_bytes", help: "Most of these bytes at once.", label: "kind", value: kind, read: func() float64 { return float64(budget.Size()) }},
		)
	}
	for _, name := range s.Listeners {
		all = append(all, gauge{name: "syncgate_connections", help: "Open connections.", label: "listener", value: name, read: func() float64 { return float64(s.Traffic(name).Open) }})
	}
	return all
}

// limitGauges are what the configuration allows, so that a dashboard can show how near it is. 0: no limit.
func (s *Sources) limitGauges() []gauge {
	limit := func(name, help string, read func(Limits) float64) gauge {
		return gauge{name: "syncgate_limit_" + name, help: help, read: func() float64 { return read(s.Limits()) }}
	}
	return []gauge{
		limit("parked", "Most clients that wait.", func(l Limits) float64 { return float64(l.Parked) }),
		limit("parked_per_login", "Most clients of one login that wait.", func(l Limits) float64 { return float64(l.ParkedPerLogin) }),
		limit("rate_per_login", "Most requests of one login a second.", func(l Limits) float64 { return l.RatePerLogin }),
		limit("streams_per_login", "Most streams of events of one login.", func(l Limits) float64 { return float64(l.StreamsPerLogin) }),
		limit("ops", "Most operations in a request.", func(l Limits) float64 { return float64(l.Ops) }),
		limit("request_bytes", "Largest body of a request.", func(l Limits) float64 { return float64(l.RequestBytes) }),
		limit("callback_bytes", "Largest body of a callback.", func(l Limits) float64 { return float64(l.CallbackBytes) }),
		limit("results_bytes", "Most bytes of kept results, in memory.", func(l Limits) float64 { return float64(l.ResultsBytes) }),
		limit("engine_connections", "Most connections to all engines.", func(l Limits) float64 { return float64(l.EngineConnections) }),
		limit("connections", "Connections, from which on new ones are served one request each.", func(l Limits) float64 { return float64(l.Connections) }),
	}
}

// listenerCounters are the bytes that listeners have read and written.
func (s *Sources) listenerCounters() (all []gauge) {
	for _, name := range s.Listeners {
		all = append(all,
			gauge{name: "syncgate_received_bytes_total", help: "Bytes of HTTP that were read.", label: "listener", value: name, read: func() float64 { return float64(s.Traffic(name).Received) }},
			gauge{name: "syncgate_sent_bytes_total", help: "Bytes of HTTP that were written.", label: "listener", value: name, read: func() float64 { return float64(s.Traffic(name).Sent) }},
		)
	}
	return all
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
