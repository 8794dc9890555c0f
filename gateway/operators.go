package gateway

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/admin"
	"syncgate/internal/httpserver"
	"syncgate/internal/metrics"
	"syncgate/internal/whereabouts"
)

// What operators see is shown by packages admin, metrics and whereabouts. This is what the gateway gives them.

// serveAdmin serves operators: health, metrics and profiles. Each request has a goroutine: a profile takes as long as it is asked to.
func (g *Gateway) serveAdmin(in *httpserver.Incoming) (suspended bool) {
	ctx := new(fasthttp.RequestCtx)
	req := new(fasthttp.Request)
	in.Request.CopyTo(req)
	ctx.Init(req, nil, nil)
	x := in.Exchange
	in.Wait(nil)
	g.operators.run(func() {
		defer func() {
			if p := recover(); p != nil {
				g.log.Error().Str("panic", httpserver.PanicText(p)).Bytes("stack", debug.Stack()).Msg("serving an operator panicked")
				x.Abort()
			}
		}()
		g.adminHandler.Serve(ctx, x)
	})
	return true
}

// SetAdmin replaces Admin.Actions and Admin.Hosts, for requests that come from now on.
func (g *Gateway) SetAdmin(a Admin) { g.adminHandler.SetAccess(a.Actions, a.Hosts) }

// health says that the process lives.
func (g *Gateway) health(dst *fasthttp.Response) { state(dst, fasthttp.StatusOK, "alive", "") }

// readiness says whether a balancer should send clients here.
func (g *Gateway) readiness(dst *fasthttp.Response) {
	word, missing := g.readyState()
	status := fasthttp.StatusServiceUnavailable
	if word == "ready" {
		status = fasthttp.StatusOK
	}
	state(dst, status, word, missing)
}

// readyState says whether clients may be sent here, in a word, and what is missing.
func (g *Gateway) readyState() (word, part string) {
	switch err := g.correlator.Ready(); {
	case g.stage.Load() >= leaving:
		return "shutting down", ""
	case err != nil:
		return "correlator unusable", missing(err)
	}
	return "ready", ""
}

// status says how the node is.
func (g *Gateway) status() admin.Status {
	s := g.about
	s.State, s.Missing = g.readyState()
	s.Correlator.Up, s.Pushes = g.correlator.Ready() == nil, g.pushing()
	s.Parked, s.LimitParked, s.Streams, s.Unsaved = g.parked(), g.limits.Load().Parked, g.streams.Len(), g.retries.Len()
	if counter, ok := g.correlator.(interface{ Kept() (int, int64) }); ok {
		results, bytes := counter.Kept()
		s.ResultsKept, s.ResultsKeptBytes = &results, &bytes
	}
	for _, e := range g.engines {
		now := e.client.Stats()
		s.Queued += now.Queued
		s.Engines = append(s.Engines, admin.Engine{
			Name: e.name, Busy: now.Busy, Idle: now.Idle, Queued: now.Queued, BreakerOpen: now.BreakerOpen, Limit: e.cfg.MaxConnections,
		})
	}
	return s
}

// parked is how many clients wait.
func (g *Gateway) parked() int {
	if table, ok := g.correlator.(interface{ Len() int }); ok {
		return table.Len()
	}
	return 0
}

// missing names the part of the correlator that cannot be used.
func missing(err error) string {
	if u, ok := errors.AsType[*correlator.Unready](err); ok {
		return u.Part
	}
	return "correlator"
}

// state says how the node is in a word, and what is missing, if something is. Neither may hold anything secret.
func state(dst *fasthttp.Response, status int, word, missing string) {
	dst.SetStatusCode(status)
	dst.Header.SetContentType(contentJSON)
	body := fmt.Appendf(nil, `{"status":%q`, word)
	if missing != "" {
		body = fmt.Appendf(body, `,"missing":%q`, missing)
	}
	dst.SetBody(append(body, '}'))
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
	l, connections := g.limits.Load(), 0
	for _, e := range g.engines { // as engineStats counts the connections of all
		connections += e.cfg.MaxConnections
	}
	return metrics.Limits{
		Parked: l.Parked, ParkedPerLogin: l.ParkedPerLogin, RatePerLogin: l.RatePerLogin, StreamsPerLogin: l.StreamsPerLogin, Ops: l.Ops,
		RequestBytes: int64(l.Body), CallbackBytes: int64(l.CallbackBody), ResultsBytes: int64(l.Results),
		EngineConnections: connections, Connections: int(g.server.MaxOpen()),
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

// whereIs answers where the request is that has the name text.
func (g *Gateway) whereIs(text []byte) whereabouts.Answer { return g.find(g.question(text)) }

// question is what is asked for with a name.
func (g *Gateway) question(text []byte) whereabouts.Question {
	q := whereabouts.Question{Text: text}
	if id, err := g.keys.ParseTaskID(text); err == nil {
		q.ID = id
	} else if token, err := g.keys.ParseToken(text); err == nil {
		q.ID = token.Trip
	}
	return q
}

// find answers where a request is.
func (g *Gateway) find(q whereabouts.Question) whereabouts.Answer {
	answer := g.recent.Find(q, g.eachWaiting)
	answer.Node, answer.Remembered = g.nodeName(), g.cfg.Admin.Trips
	if q.ID != (correlator.ID{}) {
		if !g.isHome(q.ID) {
			answer.Home = q.ID.Home().String()
		}
		answer.Record = g.recordReport(q.ID)
	}
	return answer
}

// nodeName names this node, empty where there can be no other.
func (g *Gateway) nodeName() string {
	if node, ok := g.correlator.(interface{ Node() correlator.NodeID }); ok {
		return node.Node().String()
	}
	return ""
}

// eachWaiting is whereabouts.Waiting for the trips of this node: those that make a task. The trip's mu is held while visit runs.
func (g *Gateway) eachWaiting(visit func(f *whereabouts.Facts, ops whereabouts.Ops) (goOn bool)) {
	table, ok := g.correlator.(interface {
		Each(f func(correlator.Receiver))
	})
	if !ok {
		return
	}
	goOn, f := true, new(whereabouts.Facts)
	table.Each(func(r correlator.Receiver) {
		if t, ok := r.(*trip); ok && goOn {
			goOn = t.visit(f, visit)
		}
	})
}

// visit calls visit with the trip, unless it is over or makes no task. f is room for what is known.
func (t *trip) visit(f *whereabouts.Facts, visit func(f *whereabouts.Facts, ops whereabouts.Ops) (goOn bool)) (goOn bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kind == fetches || t.phase == over {
		return true
	}
	*f = whereabouts.Facts{Waits: true, Queued: t.queued}
	t.facts(f)
	return visit(f, t)
}

// facts takes what is known of the trip. Called with mu held, or when the trip is over.
func (t *trip) facts(f *whereabouts.Facts) {
	f.ID, f.RequestID, f.Login, f.Accepted, f.Keyed, f.Joined = t.id, t.requestID, t.login(), t.accepted, t.keyed(), t.joined
	t.heard.Facts(f)
	if t.dialect == 0 {
		f.Route = dialect.DefaultEngine // that of the Sync API has no name of its own
	}
	if t.call == nil {
		return
	}
	if t.call.Options != nil {
		f.Route = t.call.Options.Route
	}
	f.Engine = t.g.engines[t.engine].name
	f.Read, f.Ops, f.Wait, f.Forwarded = true, len(t.call.Ops), t.call.Wait, t.forwarded.Load()
	if took := t.engineTime.Load(); took != 0 {
		f.EngineTime, f.EngineStatus = took, t.engineStatus
	}
}

// OpFacts gives what is known of an op: it makes the trip whereabouts.Ops. Called as facts is.
func (t *trip) OpFacts(i int) whereabouts.OpFacts {
	op := &t.call.Ops[i]
	var room [mostLabel]byte // on the stack
	at, heard := t.heard.Of(i, len(t.call.Ops))
	return whereabouts.OpFacts{
		Op: i, Heard: heard, Callback: at, Process: op.Process, Ref: op.Ref, Task: whereabouts.NewTask(t.appendEngineTask(room[:0], i)),
		Final: i < len(t.finals) && t.finals[i].Status.Final(), Refused: op.Refused != "",
	}
}

// recordReport asks what is kept of a trip; nil: nothing, or the store is away.
func (g *Gateway) recordReport(id correlator.ID) *whereabouts.Record {
	if g.keeper == nil {
		return nil
	}
	ctx, cancel := g.storeContext()
	defer cancel()
	rec, err := g.keeper.Lookup(ctx, id)
	if err != nil {
		if !errors.Is(err, correlator.ErrGone) {
			g.log.Debug().Err(err).Msg("what is kept of a trip cannot be asked")
		}
		return nil
	}
	r := &whereabouts.Record{Ops: len(rec.Finals)}
	for i := range rec.Finals {
		if rec.Finals[i].Status.Final() {
			r.Final++
		}
	}
	return r
}
