package gateway

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/cors"
	"syncgate/internal/httpfield"
	"syncgate/internal/httpserver"
	"syncgate/internal/partner"
	"syncgate/internal/redact"
)

const contentJSON = "application/json"

// route is what a path asks for.
type route uint8

const (
	routeNone route = iota
	routeCreate
	routeCallback
	routeTask
	routeResource
	routeReport
	routeHealth
	routeReady
)

// routeNames are the routes as labels.
var routeNames = [...]string{routeNone: "none", routeCreate: "create", routeCallback: "callback", routeTask: "task", routeResource: "resource", routeReport: "report", routeHealth: "health", routeReady: "ready"}

// find sets the route of a raw path at a listener, and gives the token of a callback. An error is the dialect's: nobody knows the route.
func (a *heading) find(g *Gateway, l *httpserver.Listener, path []byte) (token []byte, err error) {
	if token, ok := callbackToken(path); ok && (l == g.callbackListener || g.callbackListener == nil) {
		a.route = routeCallback
		return token, nil
	}
	switch string(path) {
	case "/healthz":
		a.route = routeHealth
		return nil, nil
	case "/readyz":
		a.route = routeReady
		return nil, nil
	}
	a.dialect, a.at, err = g.dialects.Route(path)
	switch callbacks := l == g.callbackListener || g.callbackListener == nil; {
	case a.at.Kind == dialect.Report && callbacks:
		a.route = routeReport
		return nil, err
	case l != g.public, a.at.Kind == dialect.Report:
		a.dialect, a.at = 0, dialect.Route{}
		return nil, nil
	}
	switch a.at.Kind {
	case dialect.Create:
		a.route = routeCreate
	case dialect.Task:
		a.route = routeTask
	case dialect.Resource:
		a.route = routeResource
	case dialect.Report: // see above
	}
	return nil, err
}

// methods that a route answers.
func (g *Gateway) methods(a *heading) []string {
	switch a.route {
	case routeCreate, routeTask, routeResource, routeReport:
		return a.at.Methods
	case routeHealth, routeReady:
		return []string{"GET", "HEAD"}
	case routeCallback:
		return g.cfg.Callback.Methods
	case routeNone:
	}
	return nil
}

// heading is what a request's head says. It is used again for the next request.
type heading struct {
	route     route
	dialect   uint8            // whose route it is
	at        dialect.Route    // as the dialect knows it
	fault     *dialect.Fault   // the answer, whatever the body says; nil: that depends
	token     correlator.Token // of a callback
	engine    *engine          // that was given the token
	requestID string
	origin    string
	listed    bool          // the route's own list has the origin
	method    string        // of the request, if the route answers it
	call      *dialect.Call // of a create; nil: it was not accepted
}

// refused gives what is known of a request that is refused.
func (a *heading) refused() dialect.Refused {
	return dialect.Refused{RequestID: a.requestID, Route: a.at, Method: a.method, Call: a.call}
}

// page says for whom an answer's headers are.
func (a *heading) page() cors.Page {
	return cors.Page{Origin: a.origin, Listed: a.listed, Routed: a.dialect > 0}
}

func foreignOrigin() *dialect.Fault {
	return &dialect.Fault{Status: fasthttp.StatusForbidden, Text: "Origin is not allowed: add it to cors.origins"}
}

// handler is the Gateway as its server calls it.
type handler struct{ *Gateway }

// Head says what body may follow a head.
func (g handler) Head(l *httpserver.Listener, h *fasthttp.RequestHeader) httpserver.Verdict {
	if l == g.admin {
		return httpserver.Verdict{Limit: httpserver.FreeBody}
	}
	a := g.headings.Get().(*heading) // New fills the pool with nothing else
	*a = heading{}
	g.read(a, l, h)
	v := httpserver.Verdict{Limit: httpserver.FreeBody, Budget: g.requestBodies, Decided: a.fault != nil, Tag: a}
	switch limits := g.limits.Load(); {
	case a.fault != nil: // a body is worth reading only to keep the connection
	case a.route == routeCreate:
		v.Limit = int64(limits.Body)
		if a.at.Body > 0 {
			v.Limit = a.at.Body
		}
	case a.route == routeResource && a.at.Body > 0:
		v.Limit = a.at.Body
	case a.route == routeCallback, a.route == routeReport:
		v.Limit, v.Budget = int64(limits.CallbackBody), g.callbackBodies
	}
	return v
}

// read reads a head.
func (g *Gateway) read(a *heading, l *httpserver.Listener, h *fasthttp.RequestHeader) {
	token, err := a.find(g, l, httpfield.RawPath(h.RequestURI()))
	if a.route != routeCallback { // an engine reads neither
		a.requestID, a.origin = httpfield.RequestID(h), string(h.Peek("Origin"))
	}
	methods := g.methods(a)
	i := slices.Index(methods, string(h.Method()))
	known := i >= 0
	if known {
		a.method = methods[i]
		g.metrics.Route(int(a.route))
	} else {
		g.metrics.Route(int(routeNone))
	}
	if a.route == routeCallback {
		if err = a.parse(g, token); err != nil {
			a.fault = faultOf(err)
		}
	}
	a.listed = a.route != routeNone && g.dialects.AllowsOrigin(a.dialect, a.at, a.origin, "")
	switch {
	case a.route == routeNone && err != nil:
		a.fault = g.failed(err, a.requestID)
	case a.route == routeNone:
		a.fault = &dialect.Fault{Status: fasthttp.StatusNotFound, Text: "Not found: no such path"}
	case !known:
		allow := strings.Join(methods, ", ")
		a.fault = &dialect.Fault{Status: fasthttp.StatusMethodNotAllowed, Text: "Method not allowed: " + allow + " would do", Allow: allow}
	case a.route == routeCreate && !h.IsOptions() && g.stage.Load() >= refusing:
		a.fault = faultOf(correlator.ErrDraining)
	case (a.route == routeCreate || a.route == routeTask || a.route == routeResource) && !h.IsOptions() && !a.listed && g.cors.Refuses(a.origin):
		a.fault = foreignOrigin()
	}
}

// parse reads a callback's token. One of an engine that is not configured any more is gone.
func (a *heading) parse(g *Gateway, token []byte) (err error) {
	if a.token, err = g.keys.ParseToken(token); err != nil {
		return err
	}
	var known bool
	if a.engine, known = g.engineOf(a.token.Engine); !known {
		return correlator.ErrGone
	}
	return nil
}

// Serve is the edge: every request that has come whole comes in here, and every panic of partner code before the trip
// is parked ends here.
func (g handler) Serve(in *httpserver.Incoming) (suspended bool) {
	if in.Listener == g.admin {
		return g.serveAdmin(in)
	}
	a := in.Verdict.Tag.(*heading) // Head's own
	defer g.headings.Put(a)
	suspended, err := g.serve(in, a)
	switch {
	case suspended:
		return true
	case err != nil && a.route == routeCallback:
		g.refuseCallback(in.Response, faultOf(err), a.token)
	case err != nil && a.route == routeCreate: // which has a line in the log
		g.refuse(a.dialect, in.Response, a.unlist(faultOf(err)), a.refused())
		setForwarded(in.Response, false)
	case err != nil:
		f := g.failed(err, a.requestID)
		g.metrics.Refused(reasonOf(f))
		g.noteRefused(f, g.proxies.Client(in.RemoteAddr().Addr(), &in.Request.Header), &in.Request.Header, a)
		g.refuse(a.dialect, in.Response, a.unlist(f), a.refused())
	}
	if a.route != routeCallback {
		g.finishHeader(in.Response, a.requestID, a.page())
	}
	if err != nil || a.route != routeHealth && a.route != routeReady {
		noStoreOf(a.dialect, in.Response)
	}
	g.closeIfLeaving(in.Response)
	g.hook("reply")
	return false
}

// serve answers by route.
func (g *Gateway) serve(in *httpserver.Incoming, a *heading) (suspended bool, err error) {
	switch {
	case a.fault != nil && a.route != routeCreate:
		return false, a.fault
	case a.route == routeReport:
		g.resource(in, a)
		return true, nil
	case in.Request.Header.IsOptions():
		if !g.cors.Preflight(in.Request, in.Response, strings.Join(g.methods(a), ", "), a.page()) {
			return false, foreignOrigin()
		}
	case a.route == routeCreate:
		return g.serveCreate(in, a)
	case a.route == routeCallback:
		return g.callback(in, a)
	case a.route == routeTask:
		return g.task(in, g.newTrip(in, a), a)
	case a.route == routeResource:
		g.resource(in, a)
		return true, nil
	case a.route == routeHealth:
		g.health(in.Response)
	case a.route == routeReady:
		g.readiness(in.Response)
	}
	return false, nil
}

// serveCreate gives a trip its line in the log where it does not get as far as being parked.
func (g *Gateway) serveCreate(in *httpserver.Incoming, a *heading) (suspended bool, err error) {
	t := g.newTrip(in, a)
	defer func() {
		if suspended {
			return
		}
		t.status = in.Response.StatusCode()
		if err != nil {
			t.refusal = faultOf(err)
			t.status = t.refusal.Status
		}
		t.observe(true)
	}()
	if a.fault != nil {
		return false, a.fault
	}
	suspended, err = g.create(in, t, a.at)
	if err != nil {
		a.call = t.call
	}
	a.listed = t.listed
	return suspended, err
}

// unlist keeps an answer from a page that may not call the route, whatever other pages may. It gives the fault.
func (a *heading) unlist(f *dialect.Fault) *dialect.Fault {
	a.listed = a.listed && f.Reason != dialect.BadOrigin
	return f
}

func (g *Gateway) newTrip(in *httpserver.Incoming, a *heading) *trip {
	t := &trip{
		g: g, accepted: time.Now(), requestID: a.requestID, origin: a.origin, dialect: a.dialect, listed: a.listed, remote: g.proxies.Client(in.RemoteAddr().Addr(), &in.Request.Header),
	}
	if g.tracer != nil && a.route == routeCreate {
		t.trace = g.tracer.Begin(&in.Request.Header)
		t.trace.route = a.at.Name
	}
	return t
}

// Refuse words the answer to what could not be read.
func (g handler) Refuse(l *httpserver.Listener, dst *fasthttp.Response, why *httpserver.ReadError) {
	a, ok := why.Verdict.Tag.(*heading)
	if !ok {
		a = &heading{requestID: httpfield.NewRequestID(), origin: string(why.Origin)}
		if l != g.admin {
			_, _ = a.find(g.Gateway, l, httpfield.RawPath(why.Target)) // without a route the words are those for clients
			g.metrics.Route(int(a.route))
		}
	}
	f := a.fault // path, method and a drain come before the size
	switch why.Kind {
	case httpserver.BodyTooLarge, httpserver.Overloaded, httpserver.Uninvited:
		if f != nil {
			break
		}
		fallthrough
	default:
		f = readFault(why)
	}
	switch a.route {
	case routeCallback:
		g.refuseCallback(dst, f, a.token)
		noStore(dst)
		return
	case routeCreate:
		g.refusedUnread(a, f, why)
	case routeNone, routeTask, routeResource, routeReport, routeHealth, routeReady:
		g.metrics.Refused(reasonOf(f))
	}
	g.refuse(a.dialect, dst, f, a.refused())
	if a.route == routeCreate {
		setForwarded(dst, false)
	}
	g.finishHeader(dst, a.requestID, a.page())
	noStore(dst)
}

// refusedUnread gives a create its line in the log that was not read whole.
func (g *Gateway) refusedUnread(a *heading, f *dialect.Fault, why *httpserver.ReadError) {
	t := &trip{g: g, accepted: time.Now(), requestID: a.requestID, origin: a.origin, dialect: a.dialect, remote: why.Peer.Addr().Unmap().String()}
	t.refusal, t.status = f, f.Status
	t.observe(true)
}

// noteRefused leaves a line at debug about a request that makes no task and was refused: a question about a task, a path or a method that is
// none of ours.
func (g *Gateway) noteRefused(f *dialect.Fault, remote string, h *fasthttp.RequestHeader, a *heading) {
	if line := g.log.Debug(); line.Enabled() {
		if f.Err != nil {
			line.Str("error", redact.Error(f.Err))
		}
		line.Str("request_id", a.requestID).Str("remote", remote).Int("status", f.Status).
			Str("method", redact.Text(string(h.Method()))).Str("path", redact.Path(httpfield.RawPath(h.RequestURI()))).Str("why", f.Text).Msg("request refused")
	}
}

const forwardedHeader = "X-Syncgate-Forwarded"

// setForwarded says on an answer of 500 or above whether the engine may have the request, and so a task: "no", and the client can send it
// again without a key, or "maybe".
func setForwarded(dst *fasthttp.Response, maybe bool) {
	switch {
	case dst.StatusCode() < fasthttp.StatusInternalServerError:
	case maybe:
		dst.Header.Set(forwardedHeader, "maybe")
	default:
		dst.Header.Set(forwardedHeader, "no")
	}
}

// readFault says why a request was not read.
func readFault(why *httpserver.ReadError) *dialect.Fault {
	switch why.Kind {
	case httpserver.HeadTooLarge:
		return &dialect.Fault{Status: fasthttp.StatusRequestHeaderFieldsTooLarge, Text: fmt.Sprintf("Headers are larger than %d bytes", httpserver.HeadLimit)}
	case httpserver.BodyTooLarge:
		return &dialect.Fault{Status: fasthttp.StatusRequestEntityTooLarge, Text: fmt.Sprintf("Body is larger than %d bytes", why.Verdict.Limit)}
	case httpserver.Overloaded:
		return &dialect.Fault{Status: fasthttp.StatusServiceUnavailable, Reason: dialect.NodeBodies, Text: "Overloaded: too many bytes are on their way here, try again later", RetryAfter: retrySoon}
	case httpserver.Slow:
		return &dialect.Fault{Status: fasthttp.StatusRequestTimeout, Text: "Request took too long to arrive"}
	case httpserver.Panicked:
		return faultOf(partner.ErrFailed)
	default:
		return &dialect.Fault{Status: fasthttp.StatusBadRequest, Reason: dialect.BadRequest, Text: "Incorrect request: " + why.Problem}
	}
}
