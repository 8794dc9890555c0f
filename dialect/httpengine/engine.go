// Package httpengine asks for work by plain HTTP: any engine that can call a URL back, described by configuration.
//
// The request of a route goes to the engine as it came, with the callback URL in a header, in a member of its JSON body or in its query. The engine
// says with its status whether it will call back, or has answered for good. Its callback is the result as it is, or a status with data.
//
// Requests are signed as Standard Webhooks (github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md) where the engine has a secret.
package httpengine

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/httpfield"
	"syncgate/internal/splice"
	"syncgate/signer"
)

// Options are what an Engine needs beside its Config.
type Options struct {
	CallbackURL string   // of every task, before its token
	Fields      []string // as of SetFields
	TaskID      string   // path into the engine's JSON answer to a task: its own id of it; empty: id
	// Shown gives what the engine gets in the place of a token, ShownLen characters that mean themselves in JSON and in URLs; nil: the token.
	Shown    func(token string) string
	ShownLen int
}

// Engine asks one engine. It is safe for concurrent use.
type Engine struct {
	// Set by New, read-only afterwards.
	cfg         Config
	url, cancel template
	member      []step // empty: the callback URL is not in the body
	result      []step // empty: the whole body is
	statusFrom  []step // empty: callbacks have no status of their own
	taskID      []step
	callbackURL string
	shown       func(token string) string
	shownLen    int
	fields      atomic.Pointer[[]string] // header fields of callbacks that clients may see
	key         []byte                   // nil: requests are not signed

	scratches sync.Pool // of *scratch
}

type scratch struct {
	json  splice.Reader
	edits splice.Edits
}

var (
	_ dialect.Engine    = (*Engine)(nil)
	_ dialect.Canceller = (*Engine)(nil)
)

// New makes an Engine. The error is that of cfg.Validate.
func New(cfg Config, o Options) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("engine %s: %w", cfg.Name, err)
	}
	e := &Engine{cfg: cfg.Filled(), callbackURL: o.CallbackURL, shown: o.Shown, shownLen: o.ShownLen}
	if e.shown == nil {
		e.shown, e.shownLen = func(token string) string { return token }, correlator.LongTokenLen
	}
	e.url, _ = parseTemplate(e.cfg.URL) // Validate has seen all of them
	if e.cfg.Cancel.URL != "" {
		e.cancel, _ = parseTemplate(e.cfg.Cancel.URL)
	}
	for _, p := range []struct {
		to   *[]step
		text string
	}{{&e.member, e.cfg.CallbackURL.Member}, {&e.result, e.cfg.Result}, {&e.statusFrom, e.cfg.Status.From}, {&e.taskID, cmpOr(o.TaskID, "id")}} {
		if p.text != "" {
			*p.to, _ = parsePath(p.text)
		}
	}
	if e.cfg.Secret != "" {
		e.key, _ = signer.ParseWebhookSecret(string(e.cfg.Secret))
	}
	e.SetFields(o.Fields)
	e.scratches.New = func() any { return new(scratch) }
	return e, nil
}

// SetFields replaces the header fields of callbacks that clients may see. Those that are about one connection or one message are left out.
func (e *Engine) SetFields(names []string) {
	var fields []string
	for _, name := range names {
		if httpfield.IsName(name) && !isTaken(name) && !slices.Contains(fields, name) {
			fields = append(fields, name)
		}
	}
	e.fields.Store(&fields)
}

func (e *Engine) borrow() *scratch { return e.scratches.Get().(*scratch) } // New fills the pool with nothing else

func (e *Engine) giveBack(s *scratch) {
	s.json.Release()
	s.edits.Reset()
	e.scratches.Put(s)
}

// prepared is a request that lacks its token and its signature.
type prepared struct {
	target      []byte // path and query, up to the token where that comes last
	contentType string
	headers     []dialect.Param
	params      []dialect.Param
}

// Prepare makes the request of what a route asks for. Its errors are *dialect.Fault.
func (e *Engine) Prepare(c *dialect.Call) error {
	asked := c.Options.Asked
	if len(c.Ops) != 1 || asked.Elements != nil {
		return &dialect.Fault{Status: fasthttp.StatusInternalServerError, Text: "Internal error: the engine gets one task with each request"}
	}
	p := &prepared{contentType: e.typeOf(asked), params: asked.Params}
	var ok bool
	if p.target, ok = e.url.append(nil, p.param); !ok {
		return &dialect.Fault{Status: fasthttp.StatusInternalServerError, Text: "Internal error: the route has no value for a parameter of its engine's URL"}
	}
	if leadsAway(p.target) {
		return &dialect.Fault{Status: fasthttp.StatusBadRequest, Text: "Incorrect path: a part of it is . or .. for the engine"}
	}
	if name := e.cfg.CallbackURL.Query; name != "" {
		mark := byte('?')
		if bytes.IndexByte(p.target, '?') >= 0 {
			mark = '&'
		}
		p.target = append(append(p.target, mark), url.QueryEscape(name)+"="+url.QueryEscape(e.callbackURL)...)
	}
	for _, h := range asked.Forwarded {
		if !isTaken(h.Name) {
			p.headers = append(p.headers, h)
		}
	}
	c.Options.Prepared = p
	switch {
	case bodiless(e.cfg.Method) && len(asked.Body) == 0:
	case len(e.member) > 0:
		return e.spliced(c, asked.Body)
	default:
		c.Body = append(make([]byte, 0, len(asked.Body)), asked.Body...)
	}
	return nil
}

func (p *prepared) param(name string) (string, bool) {
	for _, one := range p.params {
		if one.Name == name {
			return one.Value, true
		}
	}
	return "", false
}

// spliced makes the body with a hole for the token in the member where the callback URL is.
func (e *Engine) spliced(c *dialect.Call, body []byte) error {
	if len(bytes.TrimLeft(body, " \t\r\n")) == 0 {
		body = []byte("{}")
	}
	s := e.borrow()
	defer e.giveBack(s)
	r := &s.json
	err := r.Reset(body)
	if err == nil && r.Peek() != splice.Object {
		if _, err = r.Value(); err == nil {
			return badBody("must be a JSON object: the engine finds the callback URL in it")
		}
	}
	url := strings.TrimSuffix(quote(e.callbackURL), `"`)
	if err == nil {
		err = putMember(r, &s.edits, e.member, url+strings.Repeat("0", e.shownLen)+`"`, len(url))
	}
	if err == nil {
		err = r.Close()
	}
	if err != nil {
		return badBody(err.Error())
	}
	c.Body, c.Slots = s.edits.Apply(make([]byte, 0, len(body)+s.edits.Growth()), body, nil)
	return nil
}

// typeOf gives the Content-Type of the request: the client's own. JSON that the client has not named is named, as an engine that reads by the
// type would find no callback URL.
func (e *Engine) typeOf(asked *dialect.Asked) string {
	if len(asked.ContentType) == 0 && len(e.member) > 0 {
		return jsonType
	}
	return string(asked.ContentType)
}

func badBody(why string) error {
	return &dialect.Fault{Status: fasthttp.StatusBadRequest, Text: "Incorrect body: " + why}
}

// Encode makes the request: the token goes to where the engine looks for it, and the signature is over the finished body.
func (e *Engine) Encode(dst *fasthttp.Request, c *dialect.Call, tokens []string, now time.Time) error {
	p, ok := c.Options.Prepared.(*prepared)
	if !ok || len(tokens) != 1 || len(tokens[0]) != correlator.LongTokenLen {
		return fmt.Errorf("encode for engine %s: the call is not prepared for one token of %d characters", e.cfg.Name, correlator.LongTokenLen)
	}
	token := e.shown(tokens[0])
	for _, at := range c.Slots {
		copy(c.Body[at:at+len(token)], token)
	}
	target := p.target
	if e.cfg.CallbackURL.Query != "" {
		target = append(slices.Clip(target), token...) // a token needs no encoding
	}
	dst.Header.SetMethod(e.cfg.Method)
	dst.Header.SetHost(e.url.host) // with a host and a path fasthttp has no URI to take apart
	dst.SetRequestURIBytes(target)
	for _, h := range p.headers {
		dst.Header.Add(h.Name, h.Value)
	}
	if name := e.cfg.CallbackURL.Header; name != "" {
		dst.Header.Set(name, e.callbackURL+token)
	}
	if len(c.Body) > 0 {
		dst.Header.SetContentType(p.contentType)
		dst.SetBodyRaw(c.Body)
	}
	dst.Header.SetNoDefaultContentType(true)
	e.sign(dst, requestName(tokens[0]), now)
	return nil
}

// requestName is the webhook-id of the request for a task: the same for each attempt, and worth nothing as a token.
func requestName(token string) string {
	sum := sha256.Sum256([]byte(token))
	return "task_" + hex.EncodeToString(sum[:12])
}

func (e *Engine) sign(dst *fasthttp.Request, id string, now time.Time) {
	if e.key == nil {
		return
	}
	stamp := signer.AppendTime(nil, now)
	dst.Header.Set("webhook-id", id)
	dst.Header.SetBytesV("webhook-timestamp", stamp)
	dst.Header.SetBytesV("webhook-signature", signer.AppendWebhookSignature(nil, []byte(id), stamp, dst.Body(), e.key))
}

// mostWhy is how much of the engine's own words is kept, in bytes.
const mostWhy = 256

// Ack reads the engine's own answer by its status.
func (e *Engine) Ack(c *dialect.Call, status int, header *fasthttp.ResponseHeader, body []byte) (dialect.Ack, error) {
	contentType := header.ContentType()
	switch {
	case slices.Contains(e.cfg.Final, status):
		cb, err := e.read(contentType, header.PeekAll, body, correlator.Open)
		if err != nil {
			return dialect.Ack{}, fmt.Errorf("read the engine's answer: %w", splice.WithoutBytes(err))
		}
		if cb.Status.Running() {
			return e.taken(c, body), nil
		}
		return dialect.Ack{Finals: []correlator.Callback{cb}}, nil
	case slices.Contains(e.cfg.Accepted, status):
		return e.taken(c, body), nil
	case status >= 400 && status < 500:
		return dialect.Ack{
			Package: append([]byte{}, body...), ContentType: cmpOr(string(contentType), "application/octet-stream"), Refused: true,
			Why: string(body[:min(len(body), mostWhy)]),
		}, nil
	default:
		return dialect.Ack{}, fmt.Errorf("read the engine's answer: status %d is neither accepted nor final", status)
	}
}

func cmpOr(text, absent string) string {
	if text == "" {
		return absent
	}
	return text
}

// taken is an answer that says that the engine will call back.
func (e *Engine) taken(c *dialect.Call, body []byte) (ack dialect.Ack) {
	s := e.borrow()
	defer e.giveBack(s)
	said := message{r: &s.json}
	whole, err := walked(said.r, body)
	said.whole, said.isJSON = whole, err == nil
	if id, ok := said.text(e.taskID); ok {
		ack.Task = dialect.NewEngineTask([]byte(id))
	}
	if e.cfg.Cancel.URL == "" {
		return ack
	}
	p, _ := c.Options.Prepared.(*prepared)
	known := []byte{}
	for _, name := range e.cancel.names {
		if name == taskName {
			continue
		}
		value, ok := "", false
		if path, isAccepted := strings.CutPrefix(name, acceptedPrefix); isAccepted {
			steps, _ := parsePath(path) // Validate has read it
			value, ok = said.text(steps)
		} else if p != nil {
			value, ok = p.param(name)
		}
		if !ok {
			return ack // the engine cannot be asked
		}
		known = append(appendEncoded(known, value), '\n') // in which no line ends
	}
	if len(known) <= mostAccepted {
		ack.Accepted = known
	}
	return ack
}

// message is what an engine has sent, walked.
type message struct {
	r      *splice.Reader
	whole  splice.Span
	isJSON bool
}

// text gives what the value at a path says. ok is false where there is none.
func (m *message) text(path []step) (text string, ok bool) {
	if !m.isJSON {
		return "", false
	}
	at, found := find(m.r, m.whole, path)
	if !found {
		return "", false
	}
	return textOf(m.r, at)
}

// mostAccepted bounds Ack.Accepted, in bytes.
const mostAccepted = 4 << 10

// Cancels reports whether the configuration says how a task is cancelled.
func (e *Engine) Cancels() bool { return e.cfg.Cancel.URL != "" }

// EncodeCancel makes the request that cancels a task.
func (e *Engine) EncodeCancel(dst *fasthttp.Request, task string, accepted []byte, now time.Time) error {
	target, ok := e.cancel.append(nil, func(name string) (string, bool) {
		if name == taskName {
			return task, true
		}
		line, rest, found := bytes.Cut(accepted, []byte("\n"))
		accepted = rest
		value, err := url.PathUnescape(string(line))
		return value, found && err == nil
	})
	if !ok {
		return errors.New("the engine's answer to the task has not what cancel.url needs")
	}
	if leadsAway(target) {
		return errors.New("what the engine's answer to the task has for cancel.url would name another path")
	}
	dst.Header.SetMethod(e.cfg.Cancel.Method)
	dst.Header.SetHost(e.cancel.host)
	dst.SetRequestURIBytes(target)
	dst.Header.SetNoDefaultContentType(true)
	e.sign(dst, requestName("cancel "+task), now)
	return nil
}

func quote(s string) string {
	b, _ := jsontext.AppendQuote(nil, s) // its error is about UTF-8
	return string(b)
}
