package upstream

import (
	"runtime/debug"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/internal/eventloop"
)

// This is the edge to those who implement Call: nobody else calls its methods. A panic in one of them is theirs, and ends their
// exchange alone.

func (c *Client) appendRequest(call Call, dst []byte, now time.Time) (b []byte, ok bool, err error) {
	defer c.recovered()
	b, err = call.AppendRequest(dst, now)
	return b, true, err
}

func (c *Client) answered(call Call, status int, header *fasthttp.ResponseHeader, body []byte) (usable, ok bool) {
	defer c.recovered()
	return call.Answered(status, header, body), true
}

// failed gives the code of the exchange.
func (c *Client) failed(call Call, err error, sent bool) (code string) {
	code = panicked
	defer c.recovered()
	call.Failed(err, sent)
	if sent {
		return incomplete
	}
	return unsent
}

// queued gives the code of the exchange if the call does not go on.
func (c *Client) queued(call Call, waiting bool) (goOn bool, code string) {
	code = panicked
	defer c.recovered()
	return call.Queued(waiting), unsent
}

func (c *Client) finished(call Call, took time.Duration, code string) {
	defer c.recovered()
	call.Finished(took, code)
}

// recovered is deferred by the above.
func (c *Client) recovered() {
	if p := recover(); p != nil {
		c.log.Error().Str("panic", eventloop.PanicText(p)).Bytes("stack", debug.Stack()).Msg("a call to the engine panicked")
	}
}
