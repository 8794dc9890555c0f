// Package corezoid speaks the Corezoid Sync API with clients and the Corezoid API with the engine.
//
// A client posts a signed package of operations. Those that create tasks are forwarded with a __callback_url in their data
// and answered by what the process calls back with; others are answered by the engine itself. What is not ours goes on byte
// for byte: the body is walked once, and its bytes are spliced, not written anew.
//
// What is said here of the wire is documented by the vendor (doc.corezoid.com: Sync API, API v1 and v2, nodes "API Call")
// unless a comment says otherwise.
package corezoid

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/httpfield"
	"syncgate/signer"
)

const (
	callbackMember = "__callback_url" // of a task's data: where its process calls back
	headersMember  = "__headers"      // of a task's data: the client's request headers
	traceMember    = "__traceparent"  // of a task's data: the trace that it is part of, as the header traceparent has it [W3C Trace Context]
)

// Config is what does not change while the process lives.
type Config struct {
	EngineURL      string           // the engine's base URL
	APIVersion     int              // in the engine's path, 1 or 2; they mean the same
	CallbackURL    string           // of every task, before its token
	Ops            []string         // what clients may ask for, each as type:obj
	ForwardHeaders []string         // request headers that tasks get; none: not even an empty object
	Timeouts       dialect.Timeouts // of clients that name none, and of all
	Trace          bool             // tasks get the member __traceparent. Requests then have the header traceparent, which is the engine's
}

// Default lets clients create and modify tasks. The URLs have no default.
func Default() Config {
	return Config{APIVersion: 2, Ops: []string{"create:task", "modify:task"}, Timeouts: dialect.DefaultTimeouts()}
}

// Validate reports every problem of what the configuration file says to this package alone, each with its key.
func (c Config) Validate() error {
	var errs []error
	if c.APIVersion != 1 && c.APIVersion != 2 {
		errs = append(errs, fmt.Errorf("engine.api_version: must be 1 or 2, not %d", c.APIVersion))
	}
	if len(c.Ops) == 0 {
		errs = append(errs, errors.New("auth.ops: must not be empty: no request could be accepted"))
	}
	for i, pair := range c.Ops {
		typ, obj, ok := strings.Cut(pair, ":")
		if !ok || typ == "" || obj == "" || strings.Contains(obj, ":") {
			errs = append(errs, fmt.Errorf("auth.ops[%d]: must be type:obj as in create:task", i))
		}
	}
	seen := make(map[string]bool, len(c.ForwardHeaders))
	for i, name := range c.ForwardHeaders {
		lower := strings.ToLower(name)
		switch {
		case !httpfield.IsName(name):
			errs = append(errs, fmt.Errorf("forward_headers[%d]: is not the name of a header", i))
		case seen[lower]:
			errs = append(errs, fmt.Errorf("forward_headers[%d]: is there already", i))
		}
		seen[lower] = true
	}
	return errors.Join(errs...)
}

// Access is who may ask for how much. It can be replaced while requests run.
type Access struct {
	Keys   *signer.Keyring // never nil
	Window time.Duration   // how far a request's time may be from ours, either way; 0: any
	MaxOps int             // in one request
}

// Dialect is both sides of the protocol: the gateway's Dialect and its Engine. It is safe for concurrent use.
type Dialect struct {
	// Set by New, read-only afterwards.
	ops                        []operation // few: what clients may ask for
	headers                    []header
	timeouts                   dialect.Timeouts
	engineHost                 []byte   // of the engine's URL
	enginePath                 []byte   // fixed too; what comes before the login
	callbackURL                string   // the member of a task's data, with a hole for the token
	hole                       int      // where in callbackURL the hole is
	theirs                     []string // the members that clients may not set
	trace                      bool     // tasks get traceMember
	createMethods, taskMethods []string

	access    atomic.Pointer[Access]
	fields    atomic.Pointer[[]string] // header fields of callbacks that clients of routes may see; nil: none
	waiters   atomic.Pointer[waiters]  // nil: there are none
	modifies  atomic.Int64             // that wait: mostModifies at most
	scratches sync.Pool                // of *scratch
}

var (
	_ dialect.Dialect     = (*Dialect)(nil)
	_ dialect.TaskDialect = (*Dialect)(nil)
	_ dialect.Engine      = (*Dialect)(nil)
)

// operation is what an op asks for. Those that create tasks are parked.
type operation struct{ typ, obj string }

// header is a request header that tasks get.
type header struct {
	name   string // as it is looked up
	member string // the beginning of its JSON member: the quoted lower-case name and a colon
}

// New makes a Dialect. The URLs of cfg must be valid.
func New(cfg Config, access Access) (*Dialect, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	engine, err := url.Parse(strings.TrimRight(cfg.EngineURL, "/"))
	if err != nil {
		return nil, errors.New("corezoid: the engine's URL is none") // without url.Error, which quotes it
	}
	member := quote(callbackMember) + `:` + strings.TrimSuffix(quote(cfg.CallbackURL), `"`)
	d := &Dialect{
		timeouts:      cfg.Timeouts,
		engineHost:    []byte(engine.Host),
		enginePath:    []byte(engine.EscapedPath() + "/api/" + strconv.Itoa(cfg.APIVersion) + "/json/"),
		callbackURL:   member + strings.Repeat("0", correlator.TokenLen) + `"`,
		hole:          len(member),
		theirs:        []string{callbackMember},
		createMethods: []string{fasthttp.MethodPost, fasthttp.MethodOptions},
		taskMethods:   []string{fasthttp.MethodGet, fasthttp.MethodHead, fasthttp.MethodOptions},
	}
	for _, pair := range cfg.Ops {
		typ, obj, _ := strings.Cut(pair, ":")
		d.ops = append(d.ops, operation{typ, obj})
	}
	for _, name := range cfg.ForwardHeaders {
		d.headers = append(d.headers, header{name: name, member: quote(strings.ToLower(name)) + ":"})
	}
	if len(d.headers) > 0 {
		d.theirs = append(d.theirs, headersMember)
	}
	if d.trace = cfg.Trace; d.trace {
		d.theirs = append(d.theirs, traceMember)
	}
	d.scratches.New = func() any { return new(scratch) }
	d.SetAccess(access)
	return d, nil
}

// SetAccess replaces who may ask for how much. Requests that are being read finish under what they began with.
func (d *Dialect) SetAccess(a Access) { d.access.Store(&a) }

// SetFields replaces the header fields of callbacks that clients of routes may see.
func (d *Dialect) SetFields(names []string) {
	if len(names) == 0 {
		d.fields.Store(nil)
		return
	}
	d.fields.Store(&names)
}

// Logins gives those who may ask now.
func (d *Dialect) Logins() []string { return d.access.Load().Keys.Logins() }

// Name is what records call the dialect.
func (*Dialect) Name() string { return "corezoid" }

// Route knows create requests, /api/{1|2}/json/{login}/{time}/{signature}, or /api/{1|2}/json with the credentials in headers, and
// results, /api/1/tasks/{task id}.
func (d *Dialect) Route(path []byte) (r dialect.Route, ok bool) {
	if _, _, ok := parsePath(path); ok {
		return dialect.Route{Kind: dialect.Create, Methods: d.createMethods}, true
	}
	if _, ok := taskName(path); ok {
		return dialect.Route{Kind: dialect.Task, Methods: d.taskMethods}, true
	}
	return dialect.Route{}, false
}
