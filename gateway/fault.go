package gateway

import (
	"errors"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/cors"
	"syncgate/internal/redact"
)

var (
	errOverLimit   = errors.New("gateway: hardly any descriptors are left")
	errForwardBusy = errors.New("gateway: every engine connection is busy")
	errTooMany     = errors.New("gateway: too many waiting clients of one login")
	errTooOften    = errors.New("gateway: too many requests of one login")
	errRouteFull   = errors.New("gateway: too many waiting clients of one route")
	errStreams     = errors.New("gateway: too many streams of one login")
	errRouteRate   = errors.New("gateway: too many requests of one route")
)

const retrySoon = time.Second

// faults is the one table from error to answer. The first row that matches wins.
var faults = []struct {
	is  error
	say dialect.Fault
}{
	{errTooMany, dialect.Fault{Status: 429, Reason: dialect.LoginParked, RetryAfter: retrySoon, Text: "Too many requests: as many clients of this login wait as may, try again later"}},
	{errTooOften, dialect.Fault{Status: 429, Reason: dialect.LoginRate, RetryAfter: retrySoon, Text: "Too many requests: this login has reached its rate, try again later"}},
	{errRouteFull, dialect.Fault{Status: 429, Reason: dialect.RouteParked, RetryAfter: retrySoon, Text: "Too many requests: as many clients of this route wait as may, try again later"}},
	{errRouteRate, dialect.Fault{Status: 429, Reason: dialect.RouteRate, RetryAfter: retrySoon, Text: "Too many requests: this route, or this client's address, has reached its rate, try again later"}},
	{errStreams, dialect.Fault{Status: 429, Reason: dialect.RouteParked, RetryAfter: retrySoon, Text: "Too many requests: as many streams of events are open for this caller as may, try again later"}},
	{correlator.ErrTooLarge, dialect.Fault{Status: 413, Reason: dialect.BodySize, Text: "What the engine has reported of this task is larger than limits.callback_body"}},
	{correlator.ErrDraining, dialect.Fault{Status: 503, Reason: dialect.Draining, RetryAfter: retrySoon, Text: "Shutting down: this node takes no new requests, try again"}},
	{correlator.ErrBusy, dialect.Fault{Status: 503, Reason: dialect.NodeParked, RetryAfter: retrySoon, Text: "Overloaded: as many clients wait here as may, try again later"}},
	{correlator.ErrFull, dialect.Fault{Status: 503, Reason: dialect.NodeResults, RetryAfter: retrySoon, Text: "Overloaded: there is no memory left for kept results, try again later"}},
	{correlator.ErrUnavailable, dialect.Fault{Status: 503, Reason: dialect.CorrelatorDown, RetryAfter: retrySoon, Text: "Overloaded: the correlator (Redis) cannot be reached, try again later"}},
	{correlator.ErrOtherBody, dialect.Fault{Status: 422, Reason: dialect.BadKey, Text: "Idempotency-Key was used with another body"}},
	{errOverLimit, dialect.Fault{Status: 503, Reason: dialect.NodeFiles, RetryAfter: retrySoon, Text: "Overloaded: too many connections, try again later"}},
	{errForwardBusy, dialect.Fault{Status: 503, Reason: dialect.EngineBusy, RetryAfter: retrySoon, Text: "Overloaded: every connection to the engine is busy, try again later"}},
	{dialect.ErrBadGateway, dialect.Fault{Status: 502, Reason: dialect.EngineUnusable, Text: "Bad gateway: the engine cannot be reached"}},
	{correlator.ErrForged, dialect.Fault{Status: 404, Reason: dialect.ForgedName, Text: "Not found: no such task"}},
	{correlator.ErrGone, dialect.Fault{Status: 410, Reason: dialect.NothingKept, Text: "Gone: the result was delivered, has expired or was not kept"}},
}

// faultOf words any error for the outside. What the table does not know is an internal error: its cause goes to the log.
func faultOf(err error) *dialect.Fault {
	if known, ok := errors.AsType[*dialect.Fault](err); ok {
		return known
	}
	for i := range faults {
		if errors.Is(err, faults[i].is) {
			f := faults[i].say
			f.Err = err
			return &f
		}
	}
	return &dialect.Fault{Status: 500, Reason: dialect.InternalError, Text: "Internal error: see the gateway's log by the request id", Err: err}
}

// failed gives the fault of an error, which it logs if it is an internal one.
func (g *Gateway) failed(err error, requestID string) *dialect.Fault {
	f := faultOf(err)
	if f.Status == fasthttp.StatusInternalServerError {
		g.log.Error().Str("error", redact.Error(f)).Str("request_id", requestID).Msg("a request failed")
	}
	return f
}

// refuse writes a fault in the words of a dialect.
func (g *Gateway) refuse(by uint8, dst *fasthttp.Response, f *dialect.Fault, of dialect.Refused) {
	g.dialects.Refuse(by, dst, f, of)
	setFault(dst, f)
}

// setFault sets what a fault says beside its text.
func setFault(dst *fasthttp.Response, f *dialect.Fault) {
	dst.SetStatusCode(f.Status)
	if f.Allow != "" {
		dst.Header.Set("Allow", f.Allow)
	}
	if f.Status == fasthttp.StatusUnauthorized {
		authenticate := f.Authenticate
		if authenticate == "" {
			authenticate = `Signature realm="syncgate"`
		}
		dst.Header.Set("WWW-Authenticate", authenticate)
	}
	setRetryAfter(dst, f.RetryAfter)
}

func setRetryAfter(dst *fasthttp.Response, d time.Duration) {
	if d > 0 {
		dst.Header.Set("Retry-After", strconv.Itoa(int((d+time.Second-1)/time.Second)))
	}
}

// finishHeader sets what every answer to a client has.
func (g *Gateway) finishHeader(dst *fasthttp.Response, requestID string, p cors.Page) {
	dst.Header.Set("X-Request-Id", requestID)
	g.cors.Allow(dst, p)
	g.closeIfLeaving(dst)
}

// noStore keeps an answer out of every cache: it is one client's, or true for this moment alone.
func noStore(dst *fasthttp.Response) { dst.Header.Set("Cache-Control", "no-store") }

// noStoreOf is noStore for the answer of a dialect. The result of a route may say itself how long it is good.
func noStoreOf(by uint8, dst *fasthttp.Response) {
	if by == 0 || len(dst.Header.Peek("Cache-Control")) == 0 {
		noStore(dst)
	}
}

// closeIfLeaving closes the connection behind the answer of a node that ends, so that the client's next request goes elsewhere.
func (g *Gateway) closeIfLeaving(dst *fasthttp.Response) {
	if g.stage.Load() >= leaving {
		dst.SetConnectionClose()
	}
}
