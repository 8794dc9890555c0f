package metrici

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/callbackdata"
	"syncgate/internal/httpfield"
)

// Dispatch is for services that know nothing but a token, of whatever engine: POST reports with data in any format of a callback, GET asks.

// dispatch serves a request of the dispatch endpoint.
func (d *Dialect) dispatch(ctx context.Context, dst *fasthttp.Response, req *fasthttp.Request) error {
	var query fasthttp.Args
	_, text, _ := bytes.Cut(req.Header.RequestURI(), []byte("?"))
	query.ParseBytes(text)
	all := query.PeekMulti("token")
	if len(all) != 1 {
		return badDispatch("the query must have one token")
	}
	token, e, err := d.parseAny(all[0])
	if err != nil {
		return err
	}
	if e != nil && !e.opens(userOf(&req.Header)) {
		return unauthorized()
	}
	if req.Header.IsGet() {
		return d.describe(ctx, dst, string(all[0]), token, e)
	}
	if d.signed[token.Engine] {
		return &dialect.Fault{Status: fasthttp.StatusForbidden, Reason: dialect.BadSignature, Text: "The engine of this token signs its callbacks, and what is dispatched is not signed: it has to call its callback URL"}
	}
	status, err := statusOf(req, &query)
	if err != nil {
		return err
	}
	if httpfield.ContentCoding(&req.Header) != nil {
		return &dialect.Fault{Status: fasthttp.StatusUnsupportedMediaType, Text: "Content-Encoding is not supported: send the body as it is"}
	}
	data, answer, err := callbackdata.Read(req)
	if err != nil {
		return badDispatch(err.Error())
	}
	cb := correlator.Callback{Status: status, Body: data}
	if status != correlator.Complete && len(req.Body()) == 0 {
		cb.Body = nil
	}
	err = d.settle(ctx, token, cb, e != nil)
	if before, ok := errors.AsType[*correlator.Superseded](err); ok {
		dst.Header.Set("X-Callback-Status", before.Status.String())
		err = nil
	}
	if err != nil {
		return err
	}
	write(dst, formNode, answer)
	return nil
}

func badDispatch(why string) error {
	return &dialect.Fault{Status: fasthttp.StatusBadRequest, Reason: dialect.BadRequest, Text: "Incorrect callback: " + why}
}

// parseAny reads a token of any engine; e is nil where that is of another kind. ErrForged: also for one of this kind that is spelled as others are.
func (d *Dialect) parseAny(text []byte) (token correlator.Token, e *EngineConfig, err error) {
	if len(text) == tokenLen {
		return d.parse(text)
	}
	if token, err = d.keys.ParseToken(text); err != nil {
		return token, nil, err
	}
	if d.engines[token.Engine] != nil {
		return token, nil, correlator.ErrForged
	}
	return token, nil, nil
}

// statusOf reads the status: of the head, else the parameter status; complete where there is none.
func statusOf(req *fasthttp.Request, query *fasthttp.Args) (correlator.Status, error) {
	status, err := dialect.StatusOf(req)
	if err != nil || status != correlator.Open {
		return status, err
	}
	word := string(query.Peek("status"))
	if word == "" {
		return correlator.Complete, nil
	}
	status, ok := dialect.StatusNamed(word)
	if !ok {
		return status, badDispatch("status must be one of start, progress, complete, cancel, error")
	}
	return status, nil
}

// settle hands on a report. ends: the op can time out, and is looked at before.
func (d *Dialect) settle(ctx context.Context, token correlator.Token, cb correlator.Callback, ends bool) error {
	if ends {
		s, err := d.tasks.State(ctx, token)
		if err != nil {
			return err
		}
		if s.Status.Final() {
			return &correlator.Superseded{Status: s.Status}
		}
	}
	return d.tasks.Deliver(ctx, token, cb)
}

// describe answers a question: with the state alone where the token is one that reads no result.
func (d *Dialect) describe(ctx context.Context, dst *fasthttp.Response, text string, token correlator.Token, e *EngineConfig) error {
	s, err := d.tasks.State(ctx, token)
	if err != nil {
		return fmt.Errorf("ask for the state of an op: %w", err)
	}
	if e != nil {
		write(dst, formNode, appendState(nil, text, s))
		return nil
	}
	write(dst, formNode, []byte(`{"status":"`+s.Status.String()+`"}`))
	return nil
}
