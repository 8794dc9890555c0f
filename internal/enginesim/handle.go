package enginesim

import (
	"bytes"
	"errors"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/signer"
)

const (
	typeJSON = "application/json"
	typeHTML = "text/html"
	typeText = "text/plain"
)

// handle takes one package, or one plain request. Everything that it keeps is copied by newTask and by the recorder.
func (e *Engine) handle(ctx *fasthttp.RequestCtx) {
	e.counters.requests.Add(1)
	path, _, _ := bytes.Cut(ctx.Request.Header.RequestURI(), []byte("?"))
	login, stamp, sig, ok := route(path)
	url := ctx.Request.Header.Peek(headerURL)
	switch {
	case !ok && len(url) > 0:
		e.plain(ctx, path, url)
		return
	case !ok:
		reply(ctx, fasthttp.StatusNotFound, typeHTML, "Not Found")
		return
	case !ctx.IsPost():
		reply(ctx, fasthttp.StatusMethodNotAllowed, typeHTML, "The specified method is not allowed against this resource")
		return
	}
	body := ctx.Request.Body()
	e.recorder.request(path, &ctx.Request.Header, body)
	if !e.genuine(login, stamp, sig, body) {
		e.counters.refused.Add(1)
		reply(ctx, fasthttp.StatusUnauthorized, typeJSON, packageError("Incorrect signature"))
		return
	}
	ops, err := e.readers.read(body)
	if err != nil {
		e.counters.refused.Add(1)
		reply(ctx, fasthttp.StatusBadRequest, typeJSON, packageError("Incorrect body: "+err.Error()))
		return
	}
	e.take(ctx, ops, login)
}

// refuse answers what is no request that fasthttp would give to handle.
func refuse(ctx *fasthttp.RequestCtx, err error) {
	if errors.Is(err, fasthttp.ErrBodyTooLarge) {
		reply(ctx, fasthttp.StatusRequestEntityTooLarge, typeHTML, "Request Entity Too Large")
		return
	}
	reply(ctx, fasthttp.StatusBadRequest, typeHTML, "Bad Request")
}

// route reads /api/{1|2}/json/{login}/{time}/{signature}.
func route(path []byte) (login, stamp, sig []byte, ok bool) {
	rest, ok := bytes.CutPrefix(path, []byte("/api/"))
	if !ok || len(rest) < 2 || rest[0] != '1' && rest[0] != '2' {
		return nil, nil, nil, false
	}
	if rest, ok = bytes.CutPrefix(rest[1:], []byte("/json/")); !ok {
		return nil, nil, nil, false
	}
	login, rest, _ = bytes.Cut(rest, []byte("/"))
	stamp, sig, ok = bytes.Cut(rest, []byte("/"))
	return login, stamp, sig, ok && bytes.IndexByte(sig, '/') < 0
}

// genuine verifies the signature; the case of its hex does not matter, and the age of its time is not looked at.
func (e *Engine) genuine(login, stamp, sig, body []byte) bool {
	if len(e.cfg.Credentials) == 0 {
		return true
	}
	secret, known := e.cfg.Credentials[string(login)]
	return known && bytes.EqualFold(sig, signer.AppendSignature(nil, stamp, []byte(secret), body))
}

// take makes tasks of a package's creates and answers it.
func (e *Engine) take(ctx *fasthttp.RequestCtx, ops []op, login []byte) {
	outcomes := make([]outcome, len(ops))
	for i := range ops {
		outcomes[i] = e.outcome(&ops[i], login)
	}
	ack, delay := e.manner(outcomes)
	for i := range outcomes {
		if t := outcomes[i].task; t != nil && ack.refuses() {
			e.abandon(t)
		} else if t != nil {
			e.begin(t)
		}
	}
	e.acknowledge(ctx, ack, delay, outcomes)
}

// manner is how the package is answered as a whole: the first create that wants anything but a good answer decides, and
// the slowest one on the time.
func (e *Engine) manner(outcomes []outcome) (ack Ack, delay time.Duration) {
	ack, creates := AckOK, false
	for i := range outcomes {
		b := outcomes[i].behaviour
		if b == nil {
			continue
		}
		creates = true
		delay = max(delay, b.AckDelay)
		if ack == AckOK && !b.Ack.ofOp() {
			ack = b.Ack
		}
	}
	if b := &e.cfg.Behaviour; !creates && !b.Ack.ofOp() {
		return b.Ack, b.AckDelay
	}
	return ack, delay
}
