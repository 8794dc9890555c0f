package gateway

import (
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/internal/upstream"
	"syncgate/signer"
)

// Engine is how work is asked for. Its methods are called concurrently, must not block, and may panic, as a Dialect's.
type Engine interface {
	// Prepare words c.Options.Asked: it fills c.Body and c.Slots, or Options.Prepared, copying what it keeps. It is called once for a call
	// that has one. Its errors are *Fault.
	Prepare(c *Call) error
	// Encode fills dst with the request for the engine: tokens put in, signed with the time now. It may alias c.Body.
	Encode(dst *fasthttp.Request, c *Call, tokens []string, now time.Time) error
	// Ack reads the engine's complete HTTP answer; header and body are valid until it returns. An error means that the answer is not one of
	// the protocol. One that wraps ErrForeignAnswer means that it answers another request.
	Ack(c *Call, status int, header *fasthttp.ResponseHeader, body []byte) (Ack, error)
	// Callback reads an engine's callback for op and gives the body that the engine is to hear on success. StatusOf reads the status that
	// stands in its head.
	// Its errors are *Fault.
	Callback(req *fasthttp.Request, op int) (cb correlator.Callback, answer []byte, err error)
}

// Canceller is an Engine that may be asked to cancel a task.
type Canceller interface {
	// Cancels reports whether the engine has a request that cancels a task. It is asked once.
	Cancels() bool
	// EncodeCancel fills dst with the request that cancels a task. task is its id for clients, accepted is Ack.Accepted. An error means that there is
	// no such request for this task; operators see it.
	EncodeCancel(dst *fasthttp.Request, task string, accepted []byte, now time.Time) error
}

// Ack is what the engine's answer to a forwarded package says.
type Ack struct {
	// Package is set when the answer concerns the package as a whole: it goes to the client with the engine's status, verbatim.
	Package     []byte
	ContentType string // of Package; empty: JSON
	// Finals are the ops that the engine has answered for good: refused creates and every op that is not parked.
	// An op that is neither here nor taken stays open: its callback decides, or the deadline.
	Finals []correlator.Callback
	// Refused says that the engine did not take the package, or an op of it; Why is what it says of the first such op, empty where it
	// says nothing. For operators: what may stand in it is bounded and cleaned before anybody reads it.
	Refused   bool
	RefusedOp int
	Why       string
	// Task is the engine's own id of the task of a call with one op, Tasks of one with several, by op. For operators.
	Task  EngineTask
	Tasks []EngineTask
	// Accepted is what a Canceller needs of the answer, at most 4 KiB; nil: nothing.
	Accepted []byte
}

// EngineTask is the engine's own id of a task, as much of it as there is room for: it costs no memory of its own. The zero value is
// none.
type EngineTask struct {
	size uint8
	cut  bool     // the id is longer
	text [36]byte // a UUID has room
}

// NewEngineTask takes the beginning of an id.
func NewEngineTask(id []byte) (t EngineTask) {
	t.size = uint8(copy(t.text[:], id)) //nolint:gosec // at most 36
	t.cut = int(t.size) < len(id)
	return t
}

// Whole gives the id; empty where there is none, or there was no room for all of it.
func (t EngineTask) Whole() string {
	if t.cut {
		return ""
	}
	return string(t.Bytes())
}

// Bytes gives the id, or its beginning; nil when there is none. It stands in t.
func (t *EngineTask) Bytes() []byte { return t.text[:t.size] }

const (
	StatusHeader = "X-Callback-Status" // as it is looked up: in its canonical form
	statusQuery  = "callback_status"
)

// StatusOf reads the status that stands in the head of a callback: X-Callback-Status, else callback_status of its query. Open: neither is
// there, and what is in the body counts. An unknown word is a *Fault.
func StatusOf(req *fasthttp.Request) (correlator.Status, error) {
	word := req.Header.PeekCanonical([]byte(StatusHeader))
	if len(word) == 0 {
		word = queryValue(req.Header.RequestURI(), statusQuery)
	}
	if len(word) == 0 {
		return correlator.Open, nil
	}
	s, ok := StatusNamed(string(word))
	if !ok {
		return correlator.Open, &Fault{Status: fasthttp.StatusBadRequest, Text: "Incorrect callback: its status is none of start, progress, complete, cancel, error"}
	}
	return s, nil
}

// StatusNamed gives the status of a callback that a word names.
func StatusNamed(word string) (s correlator.Status, ok bool) {
	for _, s := range []correlator.Status{correlator.Complete, correlator.Progress, correlator.Started, correlator.Errored, correlator.Cancelled} {
		if s.String() == word {
			return s, true
		}
	}
	return correlator.Open, false
}

// queryValue gives the first value of a name in the query of a request target, nil where there is none.
func queryValue(target []byte, name string) []byte {
	var args fasthttp.Args
	for i, c := range target {
		if c == '?' {
			args.ParseBytes(target[i+1:])
			return args.Peek(name)
		}
	}
	return nil
}

// NamedEngine is an engine beside the default one.
type NamedEngine struct {
	Name   string // as routes name it
	Code   Engine
	Config Connection
}

// DefaultEngine is the name of the engine that routes use where they name none.
const DefaultEngine = "corezoid"

// engine is an engine with what is its own: connections, a breaker, headers.
type engine struct {
	// Set by New, read-only afterwards.
	name   string
	id     correlator.EngineID
	code   Engine
	cancel Canceller // nil: it cannot be asked to cancel
	cfg    Connection
	client *upstream.Client

	headers atomic.Pointer[[]engineHeader] // of requests to the engine; never nil
}

// engineHeader is a header that goes with every request to the engine.
type engineHeader struct{ name, value string }

// SetEngineHeaders replaces the headers that go with every request to the default engine, for requests that are sent from now on. They must be
// valid.
func (g *Gateway) SetEngineHeaders(headers map[string]signer.Secret) {
	g.engines[0].setHeaders(headers)
}

func (e *engine) setHeaders(headers map[string]signer.Secret) {
	list := make([]engineHeader, 0, len(headers))
	for name, value := range headers {
		list = append(list, engineHeader{name, string(value)})
	}
	e.headers.Store(&list)
}

// addHeaders adds the headers to a request for the engine.
func (e *engine) addHeaders(h *fasthttp.RequestHeader) {
	for _, header := range *e.headers.Load() {
		h.Set(header.name, header.value)
	}
}

// addEngine makes an engine known. The first is the default one.
func (g *Gateway) addEngine(e NamedEngine, p Parts) error {
	made := &engine{name: e.Name, code: e.Code, cfg: e.Config}
	if len(g.engines) > 0 {
		made.id = correlator.NewEngineID(e.Name)
	}
	for _, other := range g.engines {
		if other.name == e.Name || other.id == made.id {
			return fmt.Errorf("engines: %s and %s have the same id in tokens: rename one of them", other.name, e.Name)
		}
	}
	if c, ok := e.Code.(Canceller); ok && c.Cancels() {
		made.cancel = c
	}
	made.setHeaders(e.Config.Headers)
	through, err := proxyOf(&e.Config)
	if err != nil {
		return err
	}
	made.client, err = upstream.New(upstream.Config{
		URL: e.Config.URL, Timeout: e.Config.Timeout, Idle: e.Config.Idle, MaxConnections: e.Config.MaxConnections, RootCAs: p.engineRoots, Proxy: through,
	}, g.server.Group(), upstream.Options{Log: g.log, Hook: p.hook})
	if err != nil {
		return err
	}
	g.engines = append(g.engines, made)
	return nil
}

// proxyOf gives the URL of the proxy of a connection, nil if there is none.
func proxyOf(c *Connection) (*url.URL, error) {
	if c.Proxy == NoProxy {
		return nil, nil
	}
	return upstream.ParseProxy(c.Proxy)
}

// engineNamed gives the engine of a call.
func (g *Gateway) engineNamed(name string) (index uint8, ok bool) {
	if name == "" {
		return 0, true
	}
	for i, e := range g.engines {
		if e.name == name {
			return uint8(i), true
		}
	}
	return 0, false
}

// engineOf gives the engine that was given a token.
func (g *Gateway) engineOf(id correlator.EngineID) (*engine, bool) {
	for _, e := range g.engines {
		if e.id == id {
			return e, true
		}
	}
	return nil, false
}

// engineStats gives what the clients of all engines do now.
func (g *Gateway) engineStats() (sum upstream.Stats) {
	for _, e := range g.engines {
		s := e.client.Stats()
		sum.Busy, sum.Idle, sum.Queued = sum.Busy+s.Busy, sum.Idle+s.Idle, sum.Queued+s.Queued
		sum.Received, sum.Sent = sum.Received+s.Received, sum.Sent+s.Sent
		sum.BreakerOpen = sum.BreakerOpen || s.BreakerOpen
	}
	return sum
}

// mostEngines is how many engines there can be.
const mostEngines = 100
