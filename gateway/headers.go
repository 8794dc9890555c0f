package gateway

import (
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/internal/cors"
	"syncgate/internal/redact"
)

// failed gives the fault of an error, which it logs if it is an internal one.
func (g *Gateway) failed(err error, requestID string) *Fault {
	f := faultOf(err)
	if f.Status == fasthttp.StatusInternalServerError {
		g.log.Error().Str("error", redact.Error(f)).Str("request_id", requestID).Msg("a request failed")
	}
	return f
}

// refuse writes a fault in the words of a dialect.
func (g *Gateway) refuse(by uint8, dst *fasthttp.Response, f *Fault, of Refused) {
	g.partners.refuse(by, dst, f, of)
	setFault(dst, f)
}

// setFault sets what a fault says beside its text.
func setFault(dst *fasthttp.Response, f *Fault) {
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
