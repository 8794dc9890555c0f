package gateway

import (
	"github.com/prometheus/client_golang/prometheus"

	"syncgate/internal/httpserver"
)

// gauge is a metric that is read when somebody asks, without labels or with one that does not change.
type gauge struct {
	name, help   string
	label, value string // empty: there is none
	read         func() float64
}

// registerGauges registers what the gateway and its parts know of themselves at any moment. Nothing of it is counted twice.
func (g *Gateway) registerGauges(p Parts) {
	all := append(g.stateGauges(), g.limitGauges()...)
	if counter, ok := g.correlator.(interface{ Kept() (int, int64) }); ok {
		all = append(all,
			gauge{name: "syncgate_results_kept", help: "Results that are kept for clients that come back.", read: func() float64 { n, _ := counter.Kept(); return float64(n) }},
			gauge{name: "syncgate_results_kept_bytes", help: "The bytes of these.", read: func() float64 { _, n := counter.Kept(); return float64(n) }},
		)
	}
	for _, v := range all {
		p.Metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: v.name, Help: v.help, ConstLabels: v.labels()}, v.read))
	}
	counters := append(g.listenerCounters(), []gauge{
		{name: "syncgate_engine_received_bytes_total", help: "Bytes of HTTP from the engine, its callbacks apart.", read: func() float64 { return float64(g.engineStats().Received) }},
		{name: "syncgate_engine_sent_bytes_total", help: "Bytes of HTTP to the engine, answers to callbacks apart.", read: func() float64 { return float64(g.engineStats().Sent) }},
	}...)
	for _, v := range counters {
		p.Metrics.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: v.name, Help: v.help, ConstLabels: v.labels()}, v.read))
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "syncgate_build_info", Help: "1, labelled with the version.", ConstLabels: prometheus.Labels{"version": p.Version},
	})
	build.Set(1)
	node := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "syncgate_node_info", Help: "1, labelled with the name of this start of this process, as trips at another node have it.",
		ConstLabels: prometheus.Labels{"node": g.nodeName()},
	})
	node.Set(1)
	p.Metrics.MustRegister(build, node)
}

func (v gauge) labels() prometheus.Labels {
	if v.label == "" {
		return nil
	}
	return prometheus.Labels{v.label: v.value}
}

// stateGauges are how the gateway is.
func (g *Gateway) stateGauges() []gauge {
	all := []gauge{
		{name: "syncgate_correlator_up", help: "1 while callbacks can be handed on between nodes.", read: func() float64 { return truth(g.correlator.Ready() == nil) }},
		{name: "syncgate_draining", help: "1 from the signal that ends the node.", read: func() float64 { return truth(g.stage.Load() >= leaving) }},
		{name: "syncgate_results_unsaved", help: "Results that wait for a store that is away.", read: func() float64 { return float64(g.retries.Len()) }},
		{name: "syncgate_engine_connections", help: "Connections to the engine.", label: "state", value: "busy", read: func() float64 { return float64(g.engineStats().Busy) }},
		{name: "syncgate_engine_connections", help: "Connections to the engine.", label: "state", value: "idle", read: func() float64 { return float64(g.engineStats().Idle) }},
		{name: "syncgate_engine_queue_length", help: "Requests that wait for a connection to the engine.", read: func() float64 { return float64(g.engineStats().Queued) }},
		{name: "syncgate_engine_breaker_open", help: "1 while requests fail at once, as the engine has refused every connection.", read: func() float64 { return truth(g.engineStats().BreakerOpen) }},
	}
	for kind, budget := range map[string]*httpserver.Budget{"request": g.requestBodies, "callback": g.callbackBodies} {
		all = append(all,
			gauge{name: "syncgate_body_bytes", help: "Bytes of bodies that arrive or wait for the engine.", label: "kind", value: kind, read: func() float64 { return float64(budget.Used()) }},
			gauge{name: "syncgate_limit_body_bytes", help: "Most of these bytes at once.", label: "kind", value: kind, read: func() float64 { return float64(budget.Size()) }},
		)
	}
	for _, name := range g.cfg.Listen.names() {
		all = append(all, gauge{name: "syncgate_connections", help: "Open connections.", label: "listener", value: name, read: func() float64 { return float64(g.traffic(name).Open) }})
	}
	return all
}

// limitGauges are what the configuration allows, so that a dashboard can show how near it is. 0: no limit.
func (g *Gateway) limitGauges() []gauge {
	limit := func(name, help string, read func(*Limits) float64) gauge {
		return gauge{name: "syncgate_limit_" + name, help: help, read: func() float64 { return read(g.limits.Load()) }}
	}
	return []gauge{
		limit("parked", "Most clients that wait.", func(l *Limits) float64 { return float64(l.Parked) }),
		limit("parked_per_login", "Most clients of one login that wait.", func(l *Limits) float64 { return float64(l.ParkedPerLogin) }),
		limit("rate_per_login", "Most requests of one login a second.", func(l *Limits) float64 { return l.RatePerLogin }),
		limit("streams_per_login", "Most streams of events of one login.", func(l *Limits) float64 { return float64(l.StreamsPerLogin) }),
		limit("ops", "Most operations in a request.", func(l *Limits) float64 { return float64(l.Ops) }),
		limit("request_bytes", "Largest body of a request.", func(l *Limits) float64 { return float64(l.Body) }),
		limit("callback_bytes", "Largest body of a callback.", func(l *Limits) float64 { return float64(l.CallbackBody) }),
		limit("results_bytes", "Most bytes of kept results, in memory.", func(l *Limits) float64 { return float64(l.Results) }),
		limit("engine_connections", "Most connections to the engine.", func(*Limits) float64 { return float64(g.cfg.Engine.MaxConnections) }),
		limit("connections", "Connections, from which on new ones are served one request each.", func(*Limits) float64 { return float64(g.server.MaxOpen()) }),
	}
}

// listenerCounters are the bytes that listeners have read and written.
func (g *Gateway) listenerCounters() (all []gauge) {
	for _, name := range g.cfg.Listen.names() {
		all = append(all,
			gauge{name: "syncgate_received_bytes_total", help: "Bytes of HTTP that were read.", label: "listener", value: name, read: func() float64 { return float64(g.traffic(name).Received) }},
			gauge{name: "syncgate_sent_bytes_total", help: "Bytes of HTTP that were written.", label: "listener", value: name, read: func() float64 { return float64(g.traffic(name).Sent) }},
		)
	}
	return all
}

// names gives the listeners that there are.
func (l *Listen) names() (names []string) {
	for _, one := range [...]struct{ name, address string }{{"public", l.Public}, {"callback", l.Callback}, {"admin", l.Admin}} {
		if one.address != "" {
			names = append(names, one.name)
		}
	}
	return names
}

// traffic gives what a listener has served; nothing before Listen.
func (g *Gateway) traffic(name string) (t httpserver.Traffic) {
	for _, l := range g.listeners() {
		if l.Name() == "listen."+name {
			t = l.Traffic()
		}
	}
	return t
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
