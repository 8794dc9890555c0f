package rest

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/internal/httpfield"
)

// taskPlace is what a path of a task is. It is Route.Own of a Task.
type taskPlace struct {
	table          *table
	methods, reads []string // of a task itself, and of its other forms
}

// The forms in which a task can be asked for, in TaskCall.View, with what the request says beside that.
const (
	formTask uint8 = iota // as Accept and the route say
	formStatus
	formResult
	formEvents
	formOver // of a client that has heard the last event already

	formBits        = 0x0f
	wantsHAL  uint8 = 0x10
	wantsNext uint8 = 0x20 // the client wants to be sent on
	takesNone uint8 = 0x40 // the client takes no form that a task with view hal has
)

// taskRoute gives the route of what stands behind /tasks/.
func (t *table) taskRoute(rest []byte) dialect.Route {
	p, ok := parseTaskPath(rest)
	if !ok {
		return dialect.Route{}
	}
	r := dialect.Route{Kind: dialect.Task, View: p.form, Own: t.tasks, Methods: t.tasks.reads}
	if p.form == formTask {
		r.Methods = t.tasks.methods
	}
	return r
}

// taskTarget is the path of a task taken apart.
type taskTarget struct {
	id        []byte
	form      uint8
	signed    bool
	signature [signatureParts][]byte
}

// parseTaskPath reads {id}, {id}/status, {id}/result and {id}/events, each of which may have {login}/{time}/{signature} behind it.
func parseTaskPath(rest []byte) (p taskTarget, ok bool) {
	parts := bytes.Split(rest, []byte("/"))
	for _, part := range parts {
		if len(part) == 0 {
			return p, false
		}
	}
	p.id, parts = parts[0], parts[1:]
	if len(parts) == 1 || len(parts) == 1+signatureParts {
		switch string(parts[0]) {
		case "status":
			p.form = formStatus
		case "result":
			p.form = formResult
		case "events":
			p.form = formEvents
		default:
			return p, false
		}
		parts = parts[1:]
	}
	if len(parts) == signatureParts {
		p.signed = true
		copy(p.signature[:], parts)
		parts = nil
	}
	return p, len(parts) == 0
}

// Task verifies a request about a task and reads it.
func (d *Dialect) Task(req *fasthttp.Request, r dialect.Route, now time.Time) (dialect.TaskCall, error) {
	h := &req.Header
	rest, _ := bytes.CutPrefix(httpfield.RawPath(h.RequestURI()), []byte(taskPath))
	p, ok := parseTaskPath(rest)
	if !ok {
		return dialect.TaskCall{}, &dialect.Fault{Status: fasthttp.StatusNotFound, Text: "Not found: no such path"}
	}
	t := d.current.Load()
	if own, ok := r.Own.(*taskPlace); ok {
		t = own.table
	}
	query := queryOf(h.RequestURI())
	c := dialect.TaskCall{Task: p.id, View: p.form}
	if err := d.reader(&c, t, req, p, query, now); err != nil {
		return dialect.TaskCall{}, err
	}
	switch string(h.Method()) {
	case fasthttp.MethodDelete:
		c.Do = dialect.CancelTask
	case fasthttp.MethodPut:
		if fault := cancels(req.Body()); fault != nil {
			return dialect.TaskCall{}, fault
		}
		c.Do = dialect.CancelTask
	}
	t.readWishes(&c, h, query)
	return c, nil
}

// reader says who asks, and what that one may read.
func (d *Dialect) reader(c *dialect.TaskCall, t *table, req *fasthttp.Request, p taskTarget, query *fasthttp.Args, now time.Time) error {
	said := present(&req.Header)
	switch token := query.Peek("t"); {
	case p.signed:
		if d.outside.Verifier == nil {
			return unauthorized(AuthKey, true)
		}
		login, err := d.outside.Verifier.Verify(p.signature[0], p.signature[1], p.signature[2], req.Body(), now)
		if err != nil {
			return err
		}
		c.Login = login
	case p.form == formEvents && len(token) > 0:
		id, err := d.outside.Keys.ParseTaskID(p.id)
		if err != nil || !d.outside.Keys.ParseEventsToken(token, id) {
			return &dialect.Fault{Status: fasthttp.StatusNotFound, Reason: dialect.ForgedName, Text: "Not found: no such task"}
		}
		// Several lines make no origin that a key allows.
		if origin := string(bytes.Join(req.Header.PeekAll(fasthttp.HeaderOrigin), []byte(", "))); origin != "" {
			c.MayRead = func(of string, _ bool) error { return t.callers.mayHear(of, origin) }
		}
		return nil
	case said.given:
		by := t.callers.whose(said)
		if by == nil { // which is nobody's business where a task is for everybody who has its id
			c.MayRead = func(_ string, guarded bool) error { return mayGuess(said.scheme, guarded) }
			return nil
		}
		if fault := by.checkOrigin(&req.Header); fault != nil {
			return fault
		}
		c.Login = by.name
	}
	login := c.Login
	c.MayRead = func(of string, guarded bool) error { return mayRead(login, of, guarded) }
	return nil
}

// mayGuess refuses a wrong credential where one is needed.
func mayGuess(scheme string, guarded bool) error {
	if guarded {
		return unauthorized(scheme, true)
	}
	return nil
}

// mayRead refuses who may not know of a task. The id of one that is nobody's alone is enough to read it.
func mayRead(login, of string, guarded bool) error {
	switch {
	case !guarded || login == of:
		return nil
	case login == "":
		return unauthorized(AuthKey, false)
	}
	return &dialect.Fault{Status: fasthttp.StatusNotFound, Reason: dialect.ForgedName, Login: login, Text: "Not found: no such task"}
}

// readWishes reads how a client wants to hear of a task, and for how long it waits.
func (t *table) readWishes(c *dialect.TaskCall, h *fasthttp.RequestHeader, query *fasthttp.Args) {
	p := httpfield.ReadPreferences(h, t.config.MaxWait)
	form := c.View
	wants := ""
	if form == formTask {
		if !takesHAL(h) {
			c.View |= takesNone
		}
		wants = httpfield.Preferred(h, typeJSON, typeHAL, typeEvents)
	}
	if wants == typeHAL {
		c.View |= wantsHAL
	}
	if c.Do == dialect.CancelTask {
		return
	}
	if form == formEvents || wants == typeEvents {
		t.follow(c, h, query, p)
		return
	}
	c.Hop = hopOf(query)
	if c.Hop > 0 && !p.HasWait {
		p.Wait = min(time.Duration(number(query.Peek("wait"), math.MaxInt32))*time.Second, t.config.MaxWait) //nolint:gosec // at most that
	}
	c.Wait = p.Wait
	if c.Wait > 0 {
		if p.Redirect && form == formTask {
			c.View |= wantsNext
		}
		p.RespondAsync, p.Redirect = false, c.View&wantsNext != 0
		c.Applied = honoured(p)
	}
}

// follow reads where a stream of events begins, and for how long it goes on.
func (t *table) follow(c *dialect.TaskCall, h *fasthttp.RequestHeader, query *fasthttp.Args, p httpfield.Preferences) {
	last := h.Peek("Last-Event-ID")
	if len(last) == 0 {
		last = query.Peek("lastEventId")
	}
	if string(last) == lastEvent { // an EventSource asks again after the end, until it hears 204
		c.View = formOver
		return
	}
	c.Do, c.After = dialect.Follow, uint32(number(last, math.MaxUint32)) //nolint:gosec // at most that
	c.Wait = t.config.MaxWait
	if p.Wait > 0 {
		c.Wait = p.Wait
		c.Applied = honoured(httpfield.Preferences{HasWait: true, Wait: p.Wait})
	}
}

// hopOf gives how often a client was sent on before it came here, 0 when it was not.
func hopOf(query *fasthttp.Args) int {
	return int(number(query.Peek("hop"), MostHops)) //nolint:gosec // at most that
}

// number reads a number that is at most limit. What is none is 0.
func number(text []byte, limit uint64) uint64 {
	n, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // beyond the range n is the largest number
		return 0
	}
	return min(n, limit)
}

// queryOf reads the query of a request target.
func queryOf(target []byte) *fasthttp.Args {
	var args fasthttp.Args
	if _, query, ok := bytes.Cut(target, []byte("?")); ok {
		args.ParseBytes(query)
	}
	return &args
}

// cancels refuses a body that does not ask to cancel a task.
func cancels(body []byte) *dialect.Fault {
	var said struct {
		Status *string `json:"status"`
	}
	if len(body) > 0 && checkJSON(body, true) == nil && json.Unmarshal(body, &said) == nil && said.Status != nil {
		if *said.Status == "cancelled" {
			return nil
		}
		return &dialect.Fault{
			Status: fasthttp.StatusUnprocessableEntity, Reason: dialect.BadStatus, Text: "A task can only be given the status cancelled",
			Details: []dialect.Detail{{Pointer: "/status", Text: "must be cancelled"}},
		}
	}
	return &dialect.Fault{
		Status: fasthttp.StatusBadRequest, Reason: dialect.BadBody, Text: `Incorrect body: it must be {"status":"cancelled"}`,
	}
}
