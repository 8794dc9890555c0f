package enginesim

import (
	"fmt"
	"net/url"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/signer"
)

// maxAnswer bounds what is read of an answer to a callback, bytes.
const maxAnswer = 1 << 20

// work sends callbacks until Close.
func (e *Engine) work() {
	for {
		select {
		case c := <-e.queue:
			e.attempt(c)
		case <-e.done:
			return
		}
	}
}

// attempt sends c once, and sees to it that it is sent again or gives its slot back.
func (e *Engine) attempt(c call) {
	status, err := e.send(c)
	b := c.task.behaviour
	again := err != nil || status >= fasthttp.StatusInternalServerError
	select {
	case <-e.done: // Close broke it off
	default:
		if again && c.try < b.Retries {
			c.try++
			e.after(b.RetryDelay, c)
			return
		}
	}
	e.pending.Add(-1)
}

// send makes one HTTP exchange of c and counts it.
func (e *Engine) send(c call) (status int, err error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	e.counters.callbacks.Add(1)
	began := time.Now()
	u, err := c.fill(req)
	if err == nil {
		resp.SkipBody = c.task.behaviour.Method == fasthttp.MethodHead
		err = e.client.do(u, req, resp)
	}
	if err == nil {
		status = resp.StatusCode()
	}
	e.counters.heard(status)
	e.recorder.heard(c, began, status, resp.Body(), err)
	return status, err
}

// fill makes c's request and says where it goes.
func (c call) fill(req *fasthttp.Request) (*url.URL, error) {
	t, b := c.task, c.task.behaviour
	u := *t.url
	contentType, body, err := t.payload(c.n)
	if err != nil {
		return nil, err
	}
	if b.inQuery() {
		query, err := form(t.result(c.n))
		if err != nil {
			return nil, err
		}
		u.RawQuery = join(u.RawQuery, string(query))
	} else {
		req.Header.SetContentType(contentType)
		req.SetBodyRaw(body)
	}
	if b.SendSys {
		u.RawQuery = join(u.RawQuery, t.sys(body))
	}
	req.Header.SetMethod(b.Method)
	req.Header.SetHost(u.Host)
	req.Header.SetUserAgent("enginesim")
	req.SetRequestURI(u.RequestURI())
	if b.To != "" {
		u.Host = b.To
	}
	return &u, nil
}

// inQuery reports whether the method carries the result in the query.
func (b *Behaviour) inQuery() bool {
	return b.Method == fasthttp.MethodGet || b.Method == fasthttp.MethodHead || b.Method == fasthttp.MethodDelete
}

// sys is what an API Call node appends to the query: its own signature, with a key that the gateway does not know.
func (t *task) sys(body []byte) string {
	now := signer.AppendTime(nil, time.Now())
	return fmt.Sprintf("conv_signature=%s&conv_time=%s&conv_id=%s",
		signer.AppendSignature(nil, now, []byte("key of the node"), body), now, url.QueryEscape(string(plain([]byte(t.conv)))))
}

func join(query, more string) string {
	if query == "" {
		return more
	}
	return query + "&" + more
}
