// Package rest speaks plain HTTP with clients: a path of the configuration takes a request, an engine works, and the result is the answer.
//
// A client is held until the result is there, or handed over to a task that it can ask for, or hears events. All of these are views of one
// task: Answer words the reply to the request that made it, View what is said of it later, and the events say the same piece by piece.
// What is needed for that is recorded with the task (state), so that every node words it alike.
//
// Errors of ours are problems (RFC 9457). Their types are pages of docs/errors.
package rest

import (
	"bytes"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/internal/httpfield"
)

// Name is what records call the dialect.
const Name = "rest"

// Dialect is the gateway's Dialect for routes. It is safe for concurrent use.
type Dialect struct {
	outside Outside
	current atomic.Pointer[table]
}

var (
	_ dialect.Dialect        = (*Dialect)(nil)
	_ dialect.TaskDialect    = (*Dialect)(nil)
	_ dialect.StreamDialect  = (*Dialect)(nil)
	_ dialect.BrowserDialect = (*Dialect)(nil)

	_ dialect.PushDialect     = (*Dialect)(nil)
	_ dialect.ForgetDialect   = (*Dialect)(nil)
	_ dialect.ResourceDialect = (*Dialect)(nil)
	_ dialect.RefusalDialect  = (*Dialect)(nil)
)

// New makes a Dialect.
func New(cfg Config, outside Outside) (*Dialect, error) {
	d := &Dialect{outside: outside}
	if err := d.Set(cfg); err != nil {
		return nil, err
	}
	return d, nil
}

// Set replaces routes and callers, all or none. Requests whose head was read go on with what was there then: Route.Own has it.
func (d *Dialect) Set(cfg Config) error {
	t, err := cfg.table(&d.outside)
	if err != nil {
		return err
	}
	d.current.Store(t)
	return nil
}

// Name is what records call the dialect.
func (*Dialect) Name() string { return Name }

// Route knows every path that does not begin with /api/, if there are routes: also those that are none are answered in words of this dialect. Of a request that
// was not read as far as its path nobody knows whom it is for.
func (d *Dialect) Route(path []byte) (dialect.Route, bool) {
	t := d.current.Load()
	if len(t.config.Routes) == 0 || bytes.HasPrefix(path, []byte("/api/")) || !bytes.HasPrefix(path, []byte("/")) {
		return dialect.Route{}, false
	}
	if rest, ok := bytes.CutPrefix(path, []byte(taskPath)); ok {
		return t.taskRoute(rest), true
	}
	p := t.lookUp(path)
	if p == nil {
		return dialect.Route{}, true
	}
	r := dialect.Route{Kind: dialect.Create, Methods: p.methods, Own: p}
	if p.routes[0].role == subscription {
		r.Kind = dialect.Resource
	}
	for _, one := range p.routes { // which of them it is depends on the method
		r.Body = max(r.Body, one.body)
		if one.body == 0 {
			r.Body = 0
			break
		}
	}
	if len(p.routes) == 1 {
		r.Name = p.routes[0].Name
	}
	return r, true
}

// AllowsOrigin reports whether a page may use a key: that of login, or, before that is known, one of those that may call the route.
func (d *Dialect) AllowsOrigin(r dialect.Route, origin, login string) bool {
	var routes []*route // none: any, as of tasks
	t := d.current.Load()
	switch own := r.Own.(type) {
	case *place:
		t, routes = own.table, own.routes
	case *taskPlace:
		t = own.table
	}
	for _, c := range t.callers.all {
		if login != "" && login != c.name || !c.allowsOrigin(origin) {
			continue
		}
		if login != "" || len(routes) == 0 {
			return true
		}
		for _, one := range routes {
			if c.routes[one.Name] {
				return true
			}
		}
	}
	return false
}

// placeOf gives what a route of this dialect is.
func (d *Dialect) placeOf(r dialect.Route, req *fasthttp.Request) *place {
	if p, ok := r.Own.(*place); ok {
		return p
	}
	return d.current.Load().lookUp(httpfield.RawPath(req.Header.RequestURI()))
}
