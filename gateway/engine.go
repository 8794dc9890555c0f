package gateway

import (
	"fmt"
	"net/url"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/partner"
	"syncgate/internal/upstream"
	"syncgate/signer"
)

// NamedEngine is an engine beside the default one.
type NamedEngine struct {
	Name   string // as routes name it
	Code   dialect.Engine
	Config dialect.Connection
}

// engine is an engine with what is its own: connections, a breaker, headers.
type engine struct {
	// Set by New, read-only afterwards.
	name   string
	id     correlator.EngineID
	code   partner.Engine
	cfg    dialect.Connection
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

// AddHeaders adds the headers to a request for the engine.
func (e *engine) AddHeaders(h *fasthttp.RequestHeader) {
	for _, header := range *e.headers.Load() {
		h.Set(header.name, header.value)
	}
}

// addEngine makes an engine known. The first is the default one.
func (g *Gateway) addEngine(e NamedEngine, p Parts) error {
	made := &engine{name: e.Name, code: partner.NewEngine(g.log, e.Code), cfg: e.Config}
	if len(g.engines) > 0 {
		made.id = correlator.NewEngineID(e.Name)
	}
	for _, other := range g.engines {
		if other.name == e.Name || other.id == made.id {
			return fmt.Errorf("engines: %s and %s have the same id in tokens: rename one of them", other.name, e.Name)
		}
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
func proxyOf(c *dialect.Connection) (*url.URL, error) {
	if c.Proxy == dialect.NoProxy {
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
