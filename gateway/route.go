package gateway

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
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

// find tells the route of a raw path, and what the path names.
func (l *listener) find(path []byte) (r route, name []byte) {
	if token, ok := callbackToken(path); ok && l.callbacks {
		return routeCallback, token
	}
	switch string(path) {
	case "/healthz":
		return routeHealth, nil
	case "/readyz":
		return routeReady, nil
	}
	if !l.clients {
		return routeNone, nil
	}
	if l.g.dialect.Route(path) {
		return routeCreate, nil
	}
	if id, ok := taskID(path); ok {
		return routeTask, id
	}
	return routeNone, nil
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

func (l *listener) allows(r route, method []byte) bool {
	return slices.Contains(l.methods(r), string(method))
}

func (l *listener) methodFault(r route) *Fault {
	allow := strings.Join(l.methods(r), ", ")
	return &Fault{Status: fasthttp.StatusMethodNotAllowed, Text: "Method not allowed: " + allow + " would do", Allow: allow}
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
	t := &trip{g: l.g, accepted: time.Now(), body: l.take(ctx)}
	t.body.shrink(int64(len(ctx.Request.Body()))) // of a chunked body the size is known only now
	defer func() {
		if p := recover(); p != nil {
			l.panicked(ctx, t, p)
		}
		if !t.submitted { // else the forwarder needs the bytes longer
			t.body.release()
		}
	}()
	if problem := framingProblem(&ctx.Request.Header); problem != "" {
		ctx.SetConnectionClose()
		l.refuse(ctx, l.routeOf(ctx), &Fault{Status: fasthttp.StatusBadRequest, Text: "Incorrect request: " + problem})
		return
	}
	r, name := l.find(RawPath(ctx.RequestURI()))
	if r == routeCallback {
		l.serveCallback(ctx, name)
	} else {
		l.serve(ctx, t, r, name)
	}
	if l.g.stage.Load() >= leaving || connOf(ctx).crowded {
		ctx.SetConnectionClose()
	}
}

// serve answers clients and balancers.
func (l *listener) serve(ctx *fasthttp.RequestCtx, t *trip, r route, name []byte) {
	var err error
	switch {
	case r == routeNone:
		err = &Fault{Status: fasthttp.StatusNotFound, Text: "Not found: no such path"}
	case !l.allows(r, ctx.Method()):
		err = l.methodFault(r)
	case r == routeHealth:
		l.g.health(ctx)
	case r == routeReady:
		l.g.readiness(ctx)
	case ctx.IsOptions():
		err = l.g.cors.preflight(ctx, strings.Join(l.methods(r), ", "))
	case r == routeTask:
		err = l.g.task(ctx, name)
	default:
		l.serveCreate(ctx, t)
		return
	}
	if err != nil {
		l.g.refuse(ctx, faultOf(err))
	}
	l.g.dress(ctx, requestID(ctx))
}

// serveCreate gives a trip its dress and its line in the log.
func (l *listener) serveCreate(ctx *fasthttp.RequestCtx, t *trip) {
	t.requestID = requestID(ctx)
	t.remote = l.g.proxies.client(ctx)
	t.wake = make(chan struct{}, 1)
	err := l.g.create(ctx, t)
	if err != nil {
		f := faultOf(err)
		l.g.refuse(ctx, f)
		t.refusal = f
	}
	l.g.dress(ctx, t.requestID)
	t.status = ctx.Response.StatusCode()
	if !t.submitted {
		t.observe(true)
	}
}

// panicked turns a panic into an answer and gives up the trip that it left behind.
func (l *listener) panicked(ctx *fasthttp.RequestCtx, t *trip, p any) {
	l.g.log.Error().Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Stringer("trip", t.id).Msg("a handler panicked")
	if t.leave != nil {
		l.g.correlator.Forget(t.id)
		t.end(correlator.Gone)
	}
	ctx.Response.Reset()
	ctx.SetConnectionClose()
	l.refuse(ctx, l.routeOf(ctx), faultOf(fmt.Errorf("panic: %v", p)))
}

// unreadable words what fasthttp could not read; the connection is closed after it.
func (l *listener) unreadable(ctx *fasthttp.RequestCtx, err error) {
	reserved := l.take(ctx)
	defer reserved.release()
	connOf(ctx).linger.Store(true)
	r := l.routeOf(ctx)
	l.refuse(ctx, r, l.readFault(ctx, r, reserved.n, err))
}

// refuse answers in the words of the route: an engine hears an empty object, everybody else the dialect.
func (l *listener) refuse(ctx *fasthttp.RequestCtx, r route, f *Fault) {
	if r == routeCallback {
		l.g.hear(ctx, f)
		return
	}
	l.g.refuse(ctx, f)
	l.g.dress(ctx, requestID(ctx))
}

func (l *listener) routeOf(ctx *fasthttp.RequestCtx) route {
	r, _ := l.find(RawPath(ctx.RequestURI()))
	return r
}

// refuse writes a fault in the dialect's words.
func (g *Gateway) refuse(ctx *fasthttp.RequestCtx, f *Fault) {
	g.dialect.Refuse(&ctx.Response, f)
	setFault(&ctx.Response, f)
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
func (g *Gateway) dress(ctx *fasthttp.RequestCtx, requestID string) {
	ctx.Response.Header.Set("X-Request-Id", requestID)
	g.cors.dress(ctx)
}

// requestID takes the client's own where it can stand in a log, else makes one.
func requestID(ctx *fasthttp.RequestCtx) string {
	if id := ctx.Request.Header.Peek("X-Request-Id"); isRequestID(id) {
		return string(id)
	}
	const digits = 16
	return fmt.Sprintf("%0*x", digits, rand.Uint64()) //nolint:gosec // a name, not a secret
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
