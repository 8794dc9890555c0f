package metrici

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
)

// Tasks is what the Dialect asks of the gateway.
type Tasks interface {
	Deliver(ctx context.Context, to correlator.Token, cb correlator.Callback) error
	State(ctx context.Context, of correlator.Token) (dialect.OpState, error)
	Await(ctx context.Context, of correlator.Token, s dialect.OpState, deadline time.Time) (dialect.OpState, error)
}

// mostAsks is how many askers wait at a node at the same time: each holds a goroutine.
const mostAsks = 1000

// Dialect serves those who report. It has no clients that ask for tasks. It is safe for concurrent use.
type Dialect struct {
	// Set by New, and tasks by Connect, before the first request.
	keys    *correlator.Keys
	engines map[correlator.EngineID]*EngineConfig
	signed  map[correlator.EngineID]bool
	await   time.Duration
	report  time.Duration
	open    bool // some engine has no Auth: a token alone may be enough
	tasks   Tasks

	asking  atomic.Int64 // askers that wait
	running running
}

var (
	_ dialect.ResourceDialect = (*Dialect)(nil)
	_ dialect.RefusalDialect  = (*Dialect)(nil)
)

// New makes a Dialect. Connect has to be called before it is asked for anything.
func New(c Config, keys *correlator.Keys) *Dialect {
	d := &Dialect{
		keys: keys, engines: make(map[correlator.EngineID]*EngineConfig, len(c.Engines)), signed: make(map[correlator.EngineID]bool, len(c.Signed)),
		await: c.Await, report: c.Report,
	}
	for _, e := range c.Engines {
		filled := e.Filled()
		d.engines[correlator.NewEngineID(e.Name)] = &filled
		d.open = d.open || filled.Auth.User == ""
	}
	for _, name := range c.Signed {
		d.signed[correlator.NewEngineID(name)] = true
	}
	return d
}

// Connect gives the Dialect the gateway, which is made after it.
func (d *Dialect) Connect(t Tasks) { d.tasks = t }

// Name is the dialect's.
func (d *Dialect) Name() string { return Kind }

// The forms of a request: the View of its Route.
const (
	formNode uint8 = iota + 1
	formServiceJSON
	formService
	formDispatch
)

// dispatchPath is where everybody reports who has a token of any engine.
const dispatchPath = "/callback/dispatch"

// Paths gives the paths that the Dialect serves.
func Paths() []string {
	return []string{"/" + node, "/servicejson/ExecuteScript", "/service/ExecuteScript", dispatchPath}
}

// Route knows the paths where workers report. Those of the call forms are there if there is an engine of this kind.
func (d *Dialect) Route(path []byte) (r dialect.Route, ok bool) {
	r.Kind = dialect.Report
	r.View = uint8(1 + slices.Index(Paths(), string(path))) //nolint:gosec // the forms have the order of the paths
	switch {
	case r.View == formDispatch:
		r.Name, r.Methods, r.Wait = "dispatch", []string{fasthttp.MethodPost, fasthttp.MethodGet}, d.report
	case r.View == 0, len(d.engines) == 0:
		return dialect.Route{}, false
	default:
		r.Name, r.Methods, r.Wait = Kind, []string{fasthttp.MethodPost}, max(d.await, d.report)+d.report
	}
	return r, true
}

// Accept refuses everything: there are no creates here.
func (d *Dialect) Accept(*fasthttp.Request, dialect.Route, time.Time) (*dialect.Call, error) {
	return nil, correlator.ErrForged
}

// Answer writes nothing: there are no creates here.
func (d *Dialect) Answer(*fasthttp.Response, *dialect.Call, *dialect.Reply) {}

// Refuse words a fault as an error of Metrici's.
func (d *Dialect) Refuse(dst *fasthttp.Response, f *dialect.Fault, _ string) {
	write(dst, formNode, errorBody(f.Status, f.Text))
}

// RefuseRequest words a fault in the form that was asked in.
func (d *Dialect) RefuseRequest(dst *fasthttp.Response, f *dialect.Fault, of dialect.Refused) bool {
	write(dst, of.Route.View, errorBody(f.Status, f.Text))
	return true
}

// Resource serves a report, or a question. What goes wrong in a call form is said in the body of a 200, as callers read bodies; a missing password is a 401.
func (d *Dialect) Resource(ctx context.Context, dst *fasthttp.Response, req *fasthttp.Request, c dialect.ResourceCall) (login string, err error) {
	r := c.Route
	if r.View == formDispatch {
		return "", d.dispatch(ctx, dst, req)
	}
	body, err := d.call(ctx, req, r.View, c.Now)
	switch refused, ok := errors.AsType[*dialect.Fault](err); {
	case ok && refused.Status == fasthttp.StatusUnauthorized:
		return "", refused
	case ok:
		body = errorBody(refused.Status, refused.Text)
	case errors.Is(err, correlator.ErrForged), errors.Is(err, correlator.ErrGone):
		body = []byte(notFound)
	case err != nil:
		body = errorBody(numberOf(err))
	}
	write(dst, r.View, body)
	return "", nil
}

// numberOf gives the errorNumber of an error, and its words.
func numberOf(err error) (number int, text string) {
	switch {
	case errors.Is(err, correlator.ErrTooLarge):
		return fasthttp.StatusRequestEntityTooLarge, "What was reported of this task would be larger than limits.callback_body: the report has changed nothing"
	case errors.Is(err, correlator.ErrBusy):
		return fasthttp.StatusServiceUnavailable, "Overloaded: as many wait here as may, try again later"
	case errors.Is(err, correlator.ErrUnavailable):
		return fasthttp.StatusServiceUnavailable, "Overloaded: the correlator (Redis) cannot be reached, or the node of the task does not answer; try again later"
	}
	return fasthttp.StatusInternalServerError, "Internal error"
}

// call serves a call form, and gives the answer.
func (d *Dialect) call(ctx context.Context, req *fasthttp.Request, form uint8, now time.Time) (body []byte, err error) {
	user := userOf(&req.Header)
	if !d.open && !slices.ContainsFunc(d.list(), func(e *EngineConfig) bool { return e.opens(user) }) {
		return nil, unauthorized()
	}
	m, err := readMessage(req, form)
	if err != nil {
		return nil, badMessage(err)
	}
	token, e, err := d.parse([]byte(m.token))
	if err != nil {
		return nil, err
	}
	if !e.opens(user) {
		return nil, unauthorized()
	}
	quick, cancel := context.WithTimeout(ctx, d.report)
	defer cancel()
	switch m.action {
	case asks:
		s, err := d.tasks.State(quick, token)
		if err != nil {
			return nil, err
		}
		return appendState(nil, m.token, s), nil
	case awaits:
		s, err := d.next(ctx, token, now)
		if err != nil {
			return nil, err
		}
		return appendState(nil, m.token, s), nil
	case reports, "":
	default:
		return nil, badMessage(errors.New(memberAction + " must be absent, or one of " + reports + ", " + asks + ", " + awaits))
	}
	cb, err := m.callback()
	if err != nil {
		return nil, badMessage(err)
	}
	s, err := d.take(quick, token, cb, now)
	if err != nil {
		return nil, err
	}
	return e.appendReported(nil, m.token, s), nil
}

func badMessage(err error) error {
	return &dialect.Fault{Status: fasthttp.StatusBadRequest, Reason: dialect.BadBody, Text: "Incorrect message: " + err.Error()}
}

// take hands on a report, and gives how far the op is then. Of an op that was final before that is what it was: the worker can stop.
func (d *Dialect) take(ctx context.Context, token correlator.Token, cb correlator.Callback, now time.Time) (s dialect.OpState, err error) {
	if !d.running.inTime(token.Trip, now) {
		if s, err = d.tasks.State(ctx, token); err != nil || s.Status.Final() {
			return s, err
		}
	}
	err = d.tasks.Deliver(ctx, token, cb)
	if _, superseded := errors.AsType[*correlator.Superseded](err); err != nil && !superseded {
		return s, err
	}
	if s, err = d.tasks.State(ctx, token); err != nil {
		return s, err
	}
	d.running.note(token.Trip, s)
	if !s.Status.Final() {
		s.Status = cb.Status // others may have reported something meanwhile
	}
	return s, nil
}

// next waits until something is reported, and gives how far the op is then.
func (d *Dialect) next(ctx context.Context, token correlator.Token, now time.Time) (s dialect.OpState, err error) {
	defer d.asking.Add(-1)
	if d.asking.Add(1) > mostAsks {
		return s, correlator.ErrBusy
	}
	if s, err = d.tasks.State(ctx, token); err != nil {
		return s, err
	}
	after, err := d.tasks.Await(ctx, token, s, now.Add(d.await))
	if errors.Is(err, correlator.ErrDraining) { // a wait is no right
		return s, nil
	}
	return after, err
}

// parse reads a token of an engine of this kind. ErrForged.
func (d *Dialect) parse(text []byte) (token correlator.Token, e *EngineConfig, err error) {
	own, ok := unwrapped(text)
	if !ok {
		return token, nil, correlator.ErrForged
	}
	if token, err = d.keys.ParseToken(own); err != nil {
		return token, nil, err
	}
	if e = d.engines[token.Engine]; e == nil {
		return token, nil, correlator.ErrForged
	}
	return token, e, nil
}

// list gives the engines.
func (d *Dialect) list() (all []*EngineConfig) {
	for _, e := range d.engines {
		all = append(all, e)
	}
	return all
}

// userOf gives the user and the password of basic authentication, with a colon between them; nil: there are none.
func userOf(h *fasthttp.RequestHeader) []byte {
	const scheme = "basic "
	value := h.Peek(fasthttp.HeaderAuthorization)
	if len(value) < len(scheme) || string(lower(value[:len(scheme)])) != scheme {
		return nil
	}
	user, err := base64.StdEncoding.DecodeString(string(value[len(scheme):]))
	if err != nil {
		return nil
	}
	return user
}

func lower(text []byte) []byte {
	made := make([]byte, len(text))
	for i, c := range text {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		made[i] = c
	}
	return made
}

// opens reports whether somebody with this user and password may report to the engine.
func (e *EngineConfig) opens(user []byte) bool {
	return e.Auth.User == "" || subtle.ConstantTimeCompare(user, []byte(e.Auth.User+":"+string(e.Auth.Password))) == 1
}

func unauthorized() error {
	return &dialect.Fault{
		Status: fasthttp.StatusUnauthorized, Reason: dialect.BadSignature, Authenticate: `Basic realm="syncgate", charset="UTF-8"`,
		Text: "A user and a password are needed: those of auth of the engine",
	}
}
