package rest

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/os1"
	"syncgate/notify"
)

// checkOS1 checks what concerns the view os1.
func (c *RouteConfig) checkOS1(p *problems, at func(string) string) {
	if c.View != ViewOS1 {
		o := &c.OS1
		if o.EventType != "" || o.Service != "" || o.Batch != "" || len(o.Members) > 0 || o.Signature != "" && o.Signature != DefaultRoute().OS1.Signature {
			p.add(at("os1"), "is for routes with view os1: set view, or remove it")
		}
		return
	}
	if err := c.OS1.Validate(); err != nil {
		for _, one := range unjoined(err) {
			*p = append(*p, fmt.Errorf("%s.%w", at("os1"), one))
		}
	}
	if c.Subscriptions {
		p.add(at("subscriptions"), "must be false with view os1: clients of that view name their receivers with callback")
	}
	for _, method := range []string{fasthttp.MethodGet, fasthttp.MethodDelete} {
		if c.OS1.Batch != "" && slices.Contains(c.Methods, method) {
			p.add(at("os1.batch"), "needs methods that have a body: remove %s from methods", method)
		}
	}
}

// unjoined gives the errors that errors.Join has joined.
func unjoined(err error) []error {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return all.Unwrap()
	}
	return []error{err}
}

// os1Wishes are what a request to a route with view os1 says beside the task's data.
type os1Wishes struct {
	state    os1.State
	body     []byte        // for the engine
	secret   []byte        // of the request, in the clear; it points into that. nil: none
	elements []os1.Element // of a batch; nil: the body is one task
}

// readOS1 reads a request to a route with view os1. After a fault its answer can show what was read.
func (d *Dialect) readOS1(to *route, req *fasthttp.Request, path []byte) (*os1Wishes, *dialect.Fault) {
	r, fault := os1.Read(req)
	w := &os1Wishes{state: to.OS1.NewState(&r, string(req.Header.Method()), path), body: r.Body, secret: r.Secret}
	if bad := to.checkBody(req); bad != nil { // an encoding that is not supported is the first to say
		return w, bad
	}
	if fault != nil {
		return w, fault
	}
	if url := w.state.URL; url != "" {
		if fault = d.checkReceiver("callback", url); fault != nil {
			return w, fault
		}
	}
	if to.OS1.Batch != "" {
		if w.elements, fault = to.OS1.Split(&r, to.ops); fault != nil {
			return w, fault
		}
		w.state.Refs = os1.RefsOf(w.elements)
		w.state.Whole = !to.corezoid
	}
	if to.schema != nil {
		return w, to.schema.check(w.body)
	}
	return w, nil
}

// callBackLater completes a call to a route with view os1: its ops, and who is to have the result.
func (d *Dialect) callBackLater(c *dialect.Call, to *route, w *os1Wishes) {
	o := c.Options
	if len(w.elements) > 0 && to.corezoid {
		c.Ops = slices.Repeat(c.Ops, len(w.elements))
		for _, e := range w.elements {
			o.Asked.Elements = append(o.Asked.Elements, e.Body)
		}
	}
	if w.state.URL == "" && !w.state.Events {
		return
	}
	o.Own = new(subscribing) // its client hears of a task, also if the result is there
	if o.Pushes = w.state.URL != ""; o.Pushes && len(w.secret) > 0 {
		w.state.Sealed = d.outside.Push.Sealer.Seal(nil, w.secret, os1SecretUse(c.Login, to.Name, w.state.URL))
	}
}

// os1SecretUse is what the secret of a request is sealed for.
func os1SecretUse(login, route, url string) []byte {
	return []byte("os1 callback\n" + login + "\n" + route + "\n" + url)
}

// acceptedOS1 writes the body of a 202, and where the events of the task are: OS1's words have no place for that.
func (d *Dialect) acceptedOS1(dst *fasthttp.Response, s *os1.State, r *dialect.Reply) {
	s.Accepted(dst, r.Task)
	dst.Header.Set("Link", "<"+d.current.Load().publicURL+d.streamPath(r.Task)+`>; rel="monitor"; type="`+typeEvents+`"`) // RFC 5989 has the relation
}

// os1Secret gives what signs the callback of a task: the secret of the request, or else that of the caller. Empty: nothing does.
func (d *Dialect) os1Secret(c *dialect.Call, s *os1.State) ([]byte, error) {
	if len(s.Sealed) > 0 {
		secret, err := d.outside.Push.Sealer.Open(nil, s.Sealed, os1SecretUse(c.Login, c.Options.Route, s.URL))
		if err != nil {
			return nil, fmt.Errorf("the secret of a receiver, sealed by a key of callback.keys: %w", err)
		}
		return secret, nil
	}
	if by := d.current.Load().callers.named[c.Login]; by != nil {
		return []byte(by.os1), nil
	}
	return nil, nil
}

// callBack has the callback of a task sent.
func (d *Dialect) callBack(ctx context.Context, c *dialect.Call, to *receiver, s *os1.State, r *dialect.Reply) error {
	secret, err := d.os1Secret(c, s)
	if err != nil {
		return err
	}
	body := s.AppendCallback(nil, r.Task, r.Finals)
	if len(body) > notify.MaxBody && !s.Whole {
		body = s.AppendCallback(nil, r.Task, linked(r))
	}
	if len(body) > notify.MaxBody { // what each element of a batch has come to does not fit either
		body = s.AppendPlace(nil, r.Task, r.Finals, resultPath(r.Task))
	}
	to.n.Body, to.n.Header, to.n.Secrets = body, map[string]string{fasthttp.HeaderContentType: typeJSON}, d.secretsOf(c.Login)
	if signature := s.AppendSignature(nil, body, secret); signature != nil {
		to.n.Header[os1.HeaderSignature] = string(signature)
	}
	return d.send(ctx, to, r.Task)
}

// linked gives finals of which the large ones name the result in place of having it. Together they have room in a notification.
func linked(r *dialect.Reply) []correlator.Callback {
	link := []byte(`{"_links":{"result":{"href":"` + resultPath(r.Task) + `"}}}`) // an id needs no escapes
	all := slices.Clone(r.Finals)
	for i := range all {
		if len(all[i].Body) > notify.MaxBody/2/len(all) { // base64 makes them larger by a third
			all[i].Body, all[i].Head = link, nil
		}
	}
	return all
}

// resultPath is where the result of a task is.
func resultPath(task string) string { return taskPath + task + "/result" }

// write writes a problem in the words of the route's view.
func (s *state) write(dst *fasthttp.Response, p *problem) {
	if s.os1 == nil {
		p.write(dst)
		return
	}
	os1.Refuse(dst, s.os1, &dialect.Fault{Status: p.Status, Text: p.Detail}, p.name())
}

// encodeProblem gives the body that write writes. s may be nil.
func (s *state) encodeProblem(p *problem) []byte {
	if s == nil {
		return p.encode()
	}
	var dst fasthttp.Response
	s.write(&dst, p)
	return dst.Body()
}

// os1ErrorOf takes code and message from OS1's error. A batch without any result has none.
func os1ErrorOf(reply *fasthttp.Response, code string) *monitorError {
	var said struct {
		Error struct {
			Code        string `json:"code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	if json.Unmarshal(reply.Body(), &said, asItCame()) != nil || said.Error.Code == "" {
		return &monitorError{Code: code, Message: title(code)}
	}
	return &monitorError{Code: said.Error.Code, Message: said.Error.Description}
}

// RefuseRequest words a fault, and an engine's answer, in the words of OS1 where the route of the request has that view.
func (d *Dialect) RefuseRequest(dst *fasthttp.Response, f *dialect.Fault, of dialect.Refused) bool {
	s, ok := d.os1Of(f, &of)
	if !ok {
		return false
	}
	if of.Body != nil {
		s.RefuseEngines(dst, f.Status, of.ContentType, of.Body)
	} else {
		os1.Refuse(dst, s, f, typeOf(f))
	}
	dst.Header.Set("Vary", vary)
	setRateLimit(dst, f.RateLimit)
	return true
}

// os1Of gives what is known of a request that is refused, an empty state where that is nothing. Not ok: its route has another view.
func (d *Dialect) os1Of(f *dialect.Fault, of *dialect.Refused) (s *os1.State, ok bool) {
	if s, ok = f.Own.(*os1.State); ok {
		return s, true
	}
	if of.Call != nil {
		s = stateOf(stateBytes(of.Call)).os1
		return s, s != nil
	}
	p, ok := of.Route.Own.(*place)
	if !ok {
		return nil, false
	}
	if r := p.of(of.Method); r != nil {
		return new(os1.State), r.View == ViewOS1
	}
	return new(os1.State), slices.ContainsFunc(p.routes, func(r *route) bool { return r.View == ViewOS1 })
}
