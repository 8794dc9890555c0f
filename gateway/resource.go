package gateway

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/internal/httpserver"
)

// resource answers a request of a Resource or a Report route. It has a goroutine: a store is asked, or a client waits for as long
// as Route.Wait says.
func (g *Gateway) resource(in *httpserver.Incoming, a *heading) {
	r := &resourceReply{g: g, h: *a, exchange: in.Exchange, req: fasthttp.AcquireRequest(), body: in.TakeBody()} // a is used again
	at := dialect.ResourceCall{Route: r.h.at, Now: time.Now(), Remote: g.proxies.Client(in.RemoteAddr().Addr(), &in.Request.Header), Stream: r.stream}
	in.Request.CopyTo(r.req)
	ctx, cancel := context.WithTimeout(context.Background(), max(storeTimeout, r.h.at.Wait))
	if r.cancel = cancel; r.h.at.Watched {
		in.Wait(r)
	} else {
		in.Wait(nil)
	}
	g.work.run(func() {
		defer r.body.Release() // the copy costs what the body has cost, and may wait for as long as Route.Wait says
		defer fasthttp.ReleaseRequest(r.req)
		defer cancel()
		r.answer(ctx, at)
	})
}

// resourceReply is the answer to a request of a Resource or a Report route. It is the exchange's Waiter where the route is Watched.
type resourceReply struct {
	// Set before the exchange is suspended, read-only afterwards.
	g        *Gateway
	h        heading
	exchange httpserver.Exchange
	req      *fasthttp.Request
	body     httpserver.Reservation
	cancel   context.CancelFunc

	gone    atomic.Bool // the client of a Watched route has left
	streams bool        // owned by the goroutine that answers
}

// ClientGone ends the context of Resource.
func (r *resourceReply) ClientGone() {
	r.gone.Store(true)
	r.cancel()
}

// Replied does nothing: nothing depends on whether the client has the answer.
func (r *resourceReply) Replied(bool) {}

// answer has the dialect answer.
func (r *resourceReply) answer(ctx context.Context, at dialect.ResourceCall) {
	g, h := r.g, &r.h
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	login, err := g.dialects.Resource(ctx, h.dialect, resp, r.req, at)
	switch {
	case r.gone.Load(), r.streams && err != nil: // half a connection may be there still, and the answer would be to a wait that has ended
		r.exchange.Abort()
		return
	case r.streams:
		r.exchange.End()
		return
	}
	h.listed = h.listed && g.dialects.AllowsOrigin(h.dialect, h.at, h.origin, login)
	if err != nil {
		f := g.failed(err, h.requestID)
		g.metrics.Refused(reasonOf(f))
		g.noteRefused(f, at.Remote, &r.req.Header, h)
		g.refuse(h.dialect, resp, h.unlist(f), h.refused())
	}
	r.finish(resp)
	g.hook("reply")
	r.exchange.Reply(resp)
}

// finish sets what every answer has.
func (r *resourceReply) finish(resp *fasthttp.Response) {
	r.g.finishHeader(resp, r.h.requestID, r.h.page())
	noStoreOf(r.h.dialect, resp)
}

// stream is ResourceCall.Stream.
func (r *resourceReply) stream(head *fasthttp.Response) (send func(piece []byte) bool, ok bool) {
	r.finish(head)
	if !r.exchange.Begin(head) {
		return nil, false
	}
	r.streams = true
	return r.exchange.Send, true
}
