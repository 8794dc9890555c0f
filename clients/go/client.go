// Package syncgate calls routes and Corezoid processes behind a syncgate gateway. One call gives the result of one asynchronous task, over any
// network: it waits in short requests, comes back after a lost connection, and never makes a second task.
//
// Package syncgate needs the standard library alone, and is a module of its own.
package syncgate

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// Client says where a gateway is, and who calls it. Give Key, User with Password, Login with Secret or Sign, or none of these. A Client may be
// used by several goroutines at once; nobody may change it then.
type Client struct {
	// URL is where the gateway is, as in https://sync.example.com. A path at its end is put before every route.
	URL string

	// Key is that of an entry of the gateway's access.
	Key string
	// User and Password are those of an entry of the gateway's access.
	User, Password string
	// Login is one of Corezoid, for CallCorezoid and for routes with auth: corezoid. Secret signs its requests.
	Login, Secret string
	// Sign signs in place of Secret: it gives hex(sha1(unixTime + secret + body + secret)), from wherever the secret is.
	Sign func(ctx context.Context, unixTime string, body []byte) (string, error)

	// HTTP sends requests; nil: http.DefaultClient. It follows no redirects here, whatever its CheckRedirect.
	HTTP *http.Client
	// Hold is how long one request waits at the gateway, in whole seconds; 0: 20 s. It must be less than what every proxy on the way allows.
	Hold time.Duration
	// Reattach is how many requests one call repeats at most; 0: 20, negative: none.
	Reattach int
	// MaxBytes is the size of the largest answer or event; 0: 16 MiB.
	MaxBytes int64
}

// Result is what the engine has made of a task. Its status is one of 200 to 299.
type Result struct {
	Status int
	Header http.Header
	Body   []byte // byte for byte as it came
}

// Decode reads a result that is JSON into v, as json.Unmarshal does.
func (r *Result) Decode(v any) error { return json.Unmarshal(r.Body, v) }

// Option changes one call.
type Option func(*settings)

// settings are what Options change.
type settings struct {
	wait        time.Duration
	key         string
	noKey       bool
	onProgress  func(json.RawMessage)
	method      string
	contentType string
	header      http.Header
}

// Wait is how long a call waits for its result: 2 minutes without this Option. The task goes on after that. A context that ends does something
// else: it cancels the task.
func Wait(d time.Duration) Option { return func(s *settings) { s.wait = d } }

// IdempotencyKey names the action, as in "transfer-8731": the same action makes one task, however often it is called. It has 1 to 255 visible
// ASCII characters. Without this Option the name is random.
func IdempotencyKey(key string) Option { return func(s *settings) { s.key = key } }

// NoIdempotencyKey sends no key. Then no request is repeated that may have arrived.
func NoIdempotencyKey() Option { return func(s *settings) { s.noKey = true } }

// OnProgress has f hear what the engine reports while it works. Call calls f, one report after another, and reads no more until f returns.
func OnProgress(f func(progress json.RawMessage)) Option {
	return func(s *settings) { s.onProgress = f }
}

// Method is the method of the request: POST without this Option.
func Method(method string) Option { return func(s *settings) { s.method = method } }

// ContentType is that of data which is []byte: application/octet-stream without this Option.
func ContentType(kind string) Option { return func(s *settings) { s.contentType = kind } }

// Header adds a header to the request that makes the task.
func Header(name, value string) Option { return func(s *settings) { s.header.Add(name, value) } }

// Call calls a route, which is a path with an optional query, and gives its result. Data is sent as JSON; []byte and json.RawMessage are sent as they
// are, and nil as an empty body. Every error but that of wrong arguments is an *Error.
//
// When ctx ends, Call cancels the task. It returns within 10 seconds then, and mostly at once.
func (c *Client) Call(ctx context.Context, route string, data any, options ...Option) (*Result, error) {
	t, err := c.begin(ctx, options)
	if err != nil {
		return nil, err
	}
	return t.callRoute(route, data)
}

// Await gives the result of a task that an earlier call has left, by the Task of its Error. When ctx ends, Await cancels the task.
func (c *Client) Await(ctx context.Context, task string, options ...Option) (*Result, error) {
	t, err := c.begin(ctx, options)
	if err != nil {
		return nil, err
	}
	if t.task, err = taskIn(task); err != nil {
		return nil, err
	}
	t.maybe, t.key = true, ""
	return t.follow()
}

// Cancel cancels a task. False: the task was over, or the gateway cannot be reached.
func (c *Client) Cancel(ctx context.Context, task string) (bool, error) {
	t, err := c.begin(ctx, nil)
	if err != nil {
		return false, err
	}
	if t.task, err = taskIn(task); err != nil {
		return false, err
	}
	return t.cancel(ctx), nil
}
