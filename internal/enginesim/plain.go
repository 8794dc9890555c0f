package enginesim

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/valyala/fasthttp"
)

// headerURL is the header of a plain request that has the callback URL.
const headerURL = "X-Callback-Url"

// plain takes a request that is no package: its body is the data of one task, and a header has the callback URL. The answer is that of a package
// with one create.
func (e *Engine) plain(ctx *fasthttp.RequestCtx, path, url []byte) {
	body := ctx.Request.Body()
	e.recorder.request(path, &ctx.Request.Header, body)
	o, err := e.readers.readTask(body)
	if err != nil {
		e.counters.refused.Add(1)
		reply(ctx, fasthttp.StatusBadRequest, typeJSON, packageError("Incorrect body: "+err.Error()))
		return
	}
	o.url = string(url)
	e.take(ctx, []op{o}, nil)
}

// readTask reads the data of one task as the create of it. Its error says where the body stops making sense.
func (p *readers) readTask(body []byte) (o op, err error) {
	r := p.borrow(body)
	defer p.giveBack(r)
	o.typ, o.obj = []byte("create"), []byte("task")
	if len(bytes.TrimSpace(body)) == 0 {
		return o, nil
	}
	if err := r.data(&o); err != nil {
		return o, err
	}
	if _, err := r.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return o, fmt.Errorf("read at byte %d: something follows the data", r.dec.InputOffset())
	}
	return o, nil
}
