package gateway

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

const contentJSON = "application/json"

// route is what a path asks for.
type route uint8

const (
	routeNone route = iota
	routeCreate
	routeCallback
	routeTask
	routeHealth
	routeReady
)

// find tells the route of a raw path, and what the path names. An error is the dialect's: nobody knows the route.
func (l *listener) find(path []byte) (r route, name []byte, err error) {
	if token, ok := callbackToken(path); ok && l.callbacks {
		return routeCallback, token, nil
	}
	switch string(path) {
	case "/healthz":
		return routeHealth, nil, nil
	case "/readyz":
		return routeReady, nil, nil
	}
	if !l.clients {
		return routeNone, nil, nil
	}
	switch creates, err := l.g.partner.route(path); {
	case err != nil:
		return routeNone, nil, err
	case creates:
		return routeCreate, nil, nil
	}
	if name, ok := taskName(path); ok {
		return routeTask, name, nil
	}
	return routeNone, nil, nil
}

// methods that a route answers.
func (l *listener) methods(r route) []string {
	switch r {
	case routeCreate:
		return []string{"POST", "OPTIONS"}
	case routeTask:
		return []string{"GET", "HEAD", "OPTIONS"}
	case routeHealth, routeReady:
		return []string{"GET", "HEAD"}
	case routeCallback:
		return l.g.cfg.Callback.Methods
	case routeNone:
	}
	return nil
}

// allows reports whether a route answers a method.
func (l *listener) allows(r route, method []byte) bool {
	return slices.Contains(l.methods(r), string(method))
}

// RawPath gives the path of a request as it came, without query and without the scheme and authority of the absolute
// form: fasthttp's own Path decodes and normalises, and a signature is over what was sent.
func RawPath(uri []byte) []byte {
	if len(uri) > 0 && uri[0] != '/' {
		if i := bytes.Index(uri, []byte("://")); i >= 0 {
			uri = uri[i+len("://"):]
			if i = bytes.IndexByte(uri, '/'); i < 0 {
				return []byte("/")
			}
			uri = uri[i:]
		}
	}
	path, _, _ := bytes.Cut(uri, []byte("?"))
	return path
}

// handle is the edge: every request that fasthttp could read comes in here, and every panic ends here.
func (l *listener) handle(ctx *fasthttp.RequestCtx) {
	a := l.take(ctx)
	var f *Fault
	if problem := framingProblem(&ctx.Request.Header); problem != "" {
		f = malformed(problem)
	} else {
		f = l.readBody(ctx, &a)
	}
	if f != nil {
		a.verdict, a.broken = f, true
		connOf(ctx).linger.Store(true) // its body may still be on its way
	}
	l.serveRead(ctx, a)
}

// serveRead answers a request that was read.
func (l *listener) serveRead(ctx *fasthttp.RequestCtx, a announced) {
	var t *trip // of a client; an engine has none
	if a.route != routeCallback {
		t = &trip{g: l.g, accepted: time.Now(), body: a.body, requestID: a.requestID}
	}
	defer func() {
		if p := recover(); p != nil {
			l.panicked(ctx, a, t, p)
		}
		switch {
		case t == nil:
			a.body.release()
		case !t.submitted: // else the forwarder needs the bytes longer
			t.body.release()
		}
	}()
	if a.broken {
		ctx.SetConnectionClose()
		l.refuse(ctx, a, a.verdict)
		return
	}
	l.serve(ctx, a, t)
	if t != nil && t.left { // nothing of it is ours any more
		return
	}
	if l.g.stage.Load() >= leaving || connOf(ctx).crowded {
		ctx.SetConnectionClose()
	}
}

// serve answers by route.
func (l *listener) serve(ctx *fasthttp.RequestCtx, a announced, t *trip) {
	var err error
	switch {
	case a.verdict != nil && a.route != routeCreate:
		err = a.verdict
	case ctx.IsOptions():
		err = l.g.cors.preflight(ctx, strings.Join(l.methods(a.route), ", "))
	case a.route == routeCreate:
		err = l.serveCreate(ctx, a, t)
	case a.route == routeCallback:
		err = l.g.callback(ctx, a.trip, a.op)
	case a.route == routeTask:
		name, _ := taskName(RawPath(ctx.RequestURI()))
		err = l.g.task(ctx, t, name)
	case a.route == routeHealth:
		l.g.health(ctx)
	case a.route == routeReady:
		l.g.readiness(ctx)
	}
	switch {
	case a.route == routeCallback && err == nil, t != nil && t.left:
	case err != nil:
		l.refuse(ctx, a, faultOf(err))
	default:
		l.g.dress(&ctx.Response, a.requestID, a.origin)
	}
}

// serveCreate gives a trip its line in the log where it does not get as far as having one of its own.
func (l *listener) serveCreate(ctx *fasthttp.RequestCtx, a announced, t *trip) (err error) {
	t.remote = l.g.proxies.client(ctx).String()
	t.client.origin = a.origin
	if deskOf(ctx) == nil {
		t.wake = make(chan struct{}, 2)
	}
	if a.verdict != nil {
		err = a.verdict
	} else {
		err = l.g.create(ctx, t)
	}
	if t.left {
		return nil
	}
	t.status = ctx.Response.StatusCode()
	if err != nil {
		t.refusal = faultOf(err)
		t.status = t.refusal.Status
	}
	if !t.replied {
		t.observe(!errors.Is(t.why, errHungUp))
	}
	return err
}

// panicked turns a panic into an answer and gives up the trip that it left behind.
func (l *listener) panicked(ctx *fasthttp.RequestCtx, a announced, t *trip, p any) {
	line := l.g.log.Error().Str("panic", panicText(p)).Bytes("stack", debug.Stack())
	if t != nil {
		line = line.Stringer("trip", t.id)
		t.giveUp()
	}
	line.Msg("a handler panicked")
	ctx.Response.Reset()
	ctx.SetConnectionClose()
	l.refuse(ctx, a, faultOf(errors.New("panic")))
}

// refuse answers in the words of the route: an engine hears an empty object, everybody else the dialect.
func (l *listener) refuse(ctx *fasthttp.RequestCtx, a announced, f *Fault) {
	if a.route == routeCallback {
		l.g.hear(&ctx.Response, f)
		return
	}
	if f.Status == fasthttp.StatusInternalServerError && a.route != routeCreate { // a create has a line in the log
		l.g.log.Error().Err(f).Str("request_id", a.requestID).Msg("a request failed")
	}
	l.g.refuse(&ctx.Response, f)
	l.g.dress(&ctx.Response, a.requestID, a.origin)
}

// refuse writes a fault in the dialect's words.
func (g *Gateway) refuse(dst *fasthttp.Response, f *Fault) {
	g.partner.refuse(dst, f)
	setFault(dst, f)
}

// setFault sets what a fault says beside its text.
func setFault(dst *fasthttp.Response, f *Fault) {
	dst.SetStatusCode(f.Status)
	if f.Allow != "" {
		dst.Header.Set("Allow", f.Allow)
	}
	if f.Status == fasthttp.StatusUnauthorized {
		dst.Header.Set("WWW-Authenticate", `Signature realm="syncgate"`)
	}
	setRetryAfter(dst, f.RetryAfter)
}

func setRetryAfter(dst *fasthttp.Response, d time.Duration) {
	if d > 0 {
		dst.Header.Set("Retry-After", strconv.Itoa(int((d+time.Second-1)/time.Second)))
	}
}

// dress puts on every answer to a client what all of them have.
func (g *Gateway) dress(dst *fasthttp.Response, requestID, origin string) {
	dst.Header.Set("X-Request-Id", requestID)
	g.cors.dress(dst, origin)
}

// requestID takes the client's own where it can stand in a log, else makes one.
func requestID(h *fasthttp.RequestHeader) string {
	if id := h.Peek("X-Request-Id"); isRequestID(id) {
		return string(id)
	}
	return strconv.FormatUint(rand.Uint64()|1<<63, 16) //nolint:gosec // a name, not a secret; always 16 digits
}

func isRequestID(id []byte) bool {
	if len(id) == 0 || len(id) > 128 {
		return false
	}
	for _, c := range id {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
