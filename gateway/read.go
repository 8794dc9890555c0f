package gateway

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
)

// How a listener reads requests: limits by route before the body comes, and the words for what cannot be read.

// announced is what is known of a request while its body is on its way. fasthttp forgets the header of a body that it
// cannot read, and the answer needs it.
type announced struct {
	route     route
	verdict   *Fault        // what the request is told whatever its body says; nil: that depends
	broken    bool          // where it ends is not certain: nothing may be read behind it
	trip      correlator.ID // of a callback's token, as is op
	op        int
	length    int // of the body, in bytes; -1: it comes in chunks
	limit     int64
	body      reservation // when it has come
	requestID string
	origin    string
}

// announcements are the requests of all listeners whose bodies are being read, by the header that fasthttp hands both to
// headerReceived and, with the context around it, to the handler. An entry leaves with its handler.
type announcements struct {
	mu sync.Mutex
	of map[*fasthttp.RequestHeader]announced
}

func (a *announcements) put(h *fasthttp.RequestHeader, what announced) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.of[h] = what
}

func (a *announcements) take(h *fasthttp.RequestHeader) (what announced, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	what, ok = a.of[h]
	delete(a.of, h)
	return what, ok
}

// headerReceived notes what a header says, and has fasthttp leave the body to the handler: it reads no more than one byte of it.
func (l *listener) headerReceived(h *fasthttp.RequestHeader) (conf fasthttp.RequestConfig) {
	spell(h)
	conf.ReadTimeout = l.g.cfg.Listen.BodyTimeout
	conf.MaxRequestBodySize = 1
	if n := h.ContentLength(); n == 0 || n < -1 {
		return conf // no body
	}
	a := l.look(h)
	switch {
	case a.length < 0:
		h.SetContentLength(math.MaxInt) // the handler gets the chunks as they are; fasthttp would make headers of trailers
	case int64(a.length) > a.readable():
		h.SetContentLength(0) // the handler refuses it: not a byte of it has to come first
	}
	l.g.announcements.put(h, a)
	return conf
}

// readable is how much of the body is read at most, in bytes: of a request that is refused in any case, what keeps the connection.
func (a *announced) readable() int64 {
	if a.verdict != nil {
		return freeBody
	}
	return a.limit
}

// look reads what a header says of its request.
func (l *listener) look(h *fasthttp.RequestHeader) announced {
	r, name, err := l.find(RawPath(h.RequestURI()))
	a := announced{route: r, length: h.ContentLength(), limit: l.bodyLimit(r)}
	if r != routeCallback { // an engine reads neither
		a.requestID, a.origin = requestID(h), string(h.Peek("Origin"))
	}
	switch {
	case err != nil:
		a.verdict = faultOf(err)
	case r == routeNone:
		a.verdict = &Fault{Status: fasthttp.StatusNotFound, Text: "Not found: no such path"}
	case !l.allows(r, h.Method()):
		allow := strings.Join(l.methods(r), ", ")
		a.verdict = &Fault{Status: fasthttp.StatusMethodNotAllowed, Text: "Method not allowed: " + allow + " would do", Allow: allow}
	case r == routeCallback:
		if a.trip, a.op, err = l.g.keys.ParseToken(name); err != nil {
			a.verdict = faultOf(err)
		}
	case r == routeCreate && l.g.stage.Load() >= refusing:
		a.verdict = faultOf(correlator.ErrDraining)
	}
	return a
}

// expect answers "Expect: 100-continue": a body that would be refused is not asked for.
func (l *listener) expect(ctx *fasthttp.RequestCtx) int {
	a := l.take(ctx)
	var f *Fault
	switch {
	case a.verdict != nil || int64(a.length) > a.limit:
		f = a.tooLarge()
	case !l.budgetOf(a.route).hasRoom(int64(a.length)):
		f = a.overloaded()
	default:
		connOf(ctx).announced.Store(&a)
		return fasthttp.StatusContinue
	}
	connOf(ctx).linger.Store(true)
	l.refuse(ctx, a, f)
	return f.Status
}

// take takes over what is known of a request.
func (l *listener) take(ctx *fasthttp.RequestCtx) announced {
	if a := connOf(ctx).announced.Swap(nil); a != nil {
		return *a
	}
	if a, ok := l.g.announcements.take(&ctx.Request.Header); ok {
		return a
	}
	return l.look(&ctx.Request.Header)
}

func (l *listener) budgetOf(r route) *budget {
	if r == routeCallback {
		return l.g.callbackBodies
	}
	return l.g.requestBodies
}

// bodyLimit is the largest body that a route takes, in bytes.
func (l *listener) bodyLimit(r route) int64 {
	limits := l.g.limits.Load()
	switch r {
	case routeCreate:
		return int64(limits.Body)
	case routeCallback:
		return int64(limits.CallbackBody)
	case routeNone, routeTask, routeHealth, routeReady:
	}
	return freeBody
}

// unreadable answers what fasthttp could not read; the connection is closed after it.
func (l *listener) unreadable(ctx *fasthttp.RequestCtx, err error) {
	a := l.take(ctx)
	c := connOf(ctx)
	c.linger.Store(true)
	f := unread(c.late)
	if _, is := errors.AsType[*fasthttp.ErrSmallBuffer](err); is {
		f = headersTooLarge()
	}
	l.refuse(ctx, a, f)
}

// unread says why a request was not read; late is that it has not come in time. What fasthttp says of it is left out: it may quote the
// request, and with it a token or a signature.
func unread(late bool) *Fault {
	if late {
		return &Fault{Status: fasthttp.StatusRequestTimeout, Text: "Request took too long to arrive"}
	}
	return &Fault{Status: fasthttp.StatusBadRequest, Text: "Incorrect request: it is not HTTP/1.1 as this gateway reads it"}
}

// malformed is what cannot be read, in our own words.
func malformed(what string) *Fault {
	return &Fault{Status: fasthttp.StatusBadRequest, Text: "Incorrect request: " + what}
}

func headersTooLarge() *Fault {
	return &Fault{Status: fasthttp.StatusRequestHeaderFieldsTooLarge, Text: fmt.Sprintf("Headers are larger than %d bytes", headerLimit)}
}

// tooLarge is a body that may never come in. Path, method and a drain come first.
func (a *announced) tooLarge() *Fault {
	if a.verdict != nil {
		return a.verdict
	}
	return &Fault{Status: fasthttp.StatusRequestEntityTooLarge, Text: fmt.Sprintf("Body is larger than %d bytes", a.limit)}
}

// overloaded is a body that there is no room for now.
func (a *announced) overloaded() *Fault {
	if a.verdict != nil {
		return a.verdict
	}
	return &Fault{Status: fasthttp.StatusServiceUnavailable, Text: "Overloaded: too many bytes are on their way here, try again later", RetryAfter: retrySoon}
}
