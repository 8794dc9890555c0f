package gateway

import (
	"syncgate/internal/httpserver"
	"syncgate/internal/metrics"
)

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

// newMetrics makes and registers what operators watch.
func newMetrics(g *Gateway, p Parts) *metrics.Metrics {
	reasons, names := reasons(), []string(nil)
	for _, row := range reasons {
		names = append(names, string(row.reason))
	}
	return metrics.New(metrics.Config{
		Registry: p.Metrics, Routes: routeNames[:], Reasons: names, Outcomes: outcomes(), Callbacks: callbackOutcomes(), Logins: p.Logins, NoLogin: unknownLogin,
		Sources: g.sources(p.Version),
	})
}

// sources are what the metrics ask for when somebody looks at them.
func (g *Gateway) sources(version string) metrics.Sources {
	s := metrics.Sources{
		Version: version, Node: g.nodeName(),
		Ready: func() bool { return g.correlator.Ready() == nil }, Draining: func() bool { return g.stage.Load() >= leaving },
		Unsaved: func() int64 { return g.retries.Len() }, Engines: g.engineStats, Limits: g.limitsNow,
		Bodies:    map[string]*httpserver.Budget{"request": g.requestBodies, "callback": g.callbackBodies},
		Listeners: g.cfg.Listen.names(), Traffic: g.traffic,
	}
	if counter, ok := g.correlator.(interface{ Kept() (int, int64) }); ok {
		s.Kept = counter.Kept
	}
	return s
}

// limitsNow are the limits that metrics show.
func (g *Gateway) limitsNow() metrics.Limits {
	l := g.limits.Load()
	return metrics.Limits{
		Parked: l.Parked, ParkedPerLogin: l.ParkedPerLogin, RatePerLogin: l.RatePerLogin, StreamsPerLogin: l.StreamsPerLogin, Ops: l.Ops,
		RequestBytes: int64(l.Body), CallbackBytes: int64(l.CallbackBody), ResultsBytes: int64(l.Results),
		EngineConnections: g.cfg.Engine.MaxConnections, Connections: int(g.server.MaxOpen()),
	}
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
