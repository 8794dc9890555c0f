package upstream

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/sony/gobreaker/v2"
	"github.com/valyala/fasthttp"

	"syncgate/internal/eventloop"
)

// Call is one request to the engine. Its methods are called by the goroutine that calls Do, Tick or Close, by loops, and by one that
// dials; one at a time, and none of them may block. They may be called before Do has returned. A method that panics ends the
// exchange: its connection is closed, and Finished is the only method that is called afterwards.
type Call interface {
	// AppendRequest appends the head and the body of the request, at most once. It must not be a HEAD or a CONNECT. After an error
	// nothing is sent, and Failed gets the error.
	AppendRequest(dst []byte, now time.Time) ([]byte, error)
	// Answered reads a complete answer, the decoded body without its chunks. header and body are valid until it returns. It must not
	// answer the client yet: Finished does. False means that the answer is not one to this request, so the connection is closed.
	Answered(status int, header *fasthttp.ResponseHeader, body []byte) (usable bool)
	// Failed is called instead of Answered. sent means that bytes may have arrived: the task may exist.
	Failed(err error, sent bool)
	// Queued says that the call begins to wait for a connection (true), or waits no more (false), each at most once. False returned
	// means that its wait is over: it is not sent, and gets Finished with "unsent".
	Queued(waiting bool) (goOn bool)
	// Finished is called last, once for each Do, when the connection can serve the next call: now the client may be answered. took
	// counts from when the call got its place, and is 0 if it got none. code is the status of the answer as text, or
	//
	//	unsent      nothing was sent
	//	refused     nothing was sent, as the engine has refused every connection lately
	//	incomplete  the request was sent, in part at least, and there was no complete answer
	//	panic       a method of the Call has panicked
	Finished(took time.Duration, code string)
}

// Codes of Finished that are no status.
const (
	unsent     = "unsent"
	refused    = "refused"
	incomplete = "incomplete"
	panicked   = "panic"
)

// Config says where the engine is and how it is used. A Timeout or an Idle that is shorter than the group's Expiry may be noticed that much
// late.
type Config struct {
	URL            string         // http or https; the path is the Call's
	Timeout        time.Duration  // of an exchange, with the time to connect; and of a wait for a connection
	Idle           time.Duration  // how long a connection is kept without a request: less than the engine would keep it
	MaxConnections int            // at least 1
	RootCAs        *x509.CertPool // whom the certificate of an https engine or proxy must come from; nil: the system's
	Proxy          *url.URL       // http or https proxy that makes the connections, as ParseProxy reads it; nil: there is none
}

// Validate gives every problem at once, joined; each begins with its key as in "url: ...".
func (c Config) Validate() error {
	var all []error
	add := func(key, problem string) { all = append(all, fmt.Errorf("%s: %s", key, problem)) }
	if u, err := url.Parse(c.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		add("url", "must be an absolute http or https URL")
	}
	if c.Timeout <= 0 {
		add("timeout", "must be longer than 0")
	}
	if c.Idle <= 0 {
		add("idle", "must be longer than 0")
	}
	if c.MaxConnections < 1 {
		add("max_connections", "must be at least 1")
	}
	return errors.Join(all...)
}

// Options are what a Client needs beside its Config.
type Options struct {
	Log zerolog.Logger // panics of Calls, and the breaker
	// Hook is for tests: it is called at "attached" when the loops know a new connection and may have it already; by the owner of a
	// connection at "look" before it is looked at, at "write" before a request is written, and at "release" when it was written and the loops do not have the connection
	// yet. nil: nothing is called.
	Hook func(point string)
}

const (
	// breakerTrips refused connections in a row open the breaker, for breakerRest.
	breakerTrips = 5
	breakerRest  = time.Second
)

// Client makes requests to one engine. Its methods can be called at the same time.
type Client struct {
	// Fixed.
	dialer      dialer
	group       *eventloop.Group
	breaker     *gobreaker.TwoStepCircuitBreaker[any]
	timeout     time.Duration
	idleTimeout time.Duration
	log         zerolog.Logger
	hook        func(point string)
	codes       statusTexts
	dialing     context.Context // ends when Close waits no more
	cancelDials context.CancelFunc

	pool pool

	in, out atomic.Int64 // bytes of HTTP, read and written

	aborting atomic.Bool    // Close waits no more: what is under way fails
	underWay sync.WaitGroup // calls; begins under the pool's mutex while that is not closed, ends with Finished
	dials    sync.WaitGroup // goroutines

	// Used again: each for one request, one answer in pieces, one head.
	requests, parts, heads sync.Pool
}

// New makes a Client for the engine of cfg, whose connections the group will watch. It does not connect.
func New(cfg Config, g *eventloop.Group, o Options) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	c := &Client{
		dialer: newDialer(cfg), group: g, timeout: cfg.Timeout, idleTimeout: cfg.Idle, log: o.Log, hook: o.Hook, codes: newStatusTexts(),
		pool:     pool{most: cfg.MaxConnections, conns: make(map[*conn]struct{})},
		requests: sync.Pool{New: func() any { return new(request) }},
		parts:    sync.Pool{New: func() any { return new(part) }},
		heads:    sync.Pool{New: func() any { return newHeadReader() }},
	}
	if c.hook == nil {
		c.hook = func(string) {}
	}
	c.dialing, c.cancelDials = context.WithCancel(context.Background())
	c.breaker = newBreaker(o.Log)
	return c, nil
}

// newBreaker makes what fails fast while the engine takes no connections: after a few in a row that it has refused, one in a while is
// tried, and the other calls fail at once. A connection that was made counts as a success.
func newBreaker(log zerolog.Logger) *gobreaker.TwoStepCircuitBreaker[any] {
	return gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		Name:        "engine",
		Timeout:     breakerRest,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakerTrips },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			log.Warn().Stringer("breaker", to).Msg("the engine's connections")
		},
	})
}

// Stats is what a Client does.
type Stats struct {
	Busy, Idle     int   // connections, those that are being made with the busy ones
	Queued         int   // calls that wait for one
	BreakerOpen    bool  // calls that need a new connection fail at once, but for one in a while
	Received, Sent int64 // bytes of HTTP so far, without those of TLS
}

// Stats gives what the client does now.
func (c *Client) Stats() (s Stats) {
	s.Busy, s.Idle, s.Queued = c.pool.count()
	s.BreakerOpen = c.breaker.State() != gobreaker.StateClosed
	s.Received, s.Sent = c.in.Load(), c.out.Load()
	return s
}

// Do makes a request as soon as there is a connection for it. It never waits: the methods of call report the result.
func (c *Client) Do(call Call) {
	l, got, open := c.pool.acquire(&c.underWay)
	if !open {
		c.failed(call, ErrClosed, false)
		c.finished(call, 0, unsent)
		return
	}
	if got {
		c.run(exchange{call: call, began: time.Now()}, l)
		return
	}
	if goOn, code := c.queued(call, true); !goOn {
		c.finish(exchange{call: call}, code)
		return
	}
	switch l, got, open = c.pool.enqueue(call, time.Now()); {
	case !open:
		c.failQueued(call, ErrClosed)
	case got:
		c.start(call, l)
	}
}

// start gives a call, which has begun to wait, the place that has become free meanwhile.
func (c *Client) start(call Call, l lease) {
	x, ok := c.dequeued(call)
	switch {
	case ok:
		c.run(x, l)
	case l.conn != nil:
		c.run(c.putIdle(l))
	default:
		c.run(c.releasePlace(), lease{})
	}
}

// Tick ends waits for a connection that have taken too long. It is to be called about every 100 ms.
func (c *Client) Tick(now time.Time) {
	for call := c.pool.takeExpired(now.Add(-c.timeout)); call != nil; call = c.pool.takeExpired(now.Add(-c.timeout)) {
		c.failQueued(call, ErrBusy)
	}
}

// failQueued ends the wait of a call that was in the queue and gets no place.
func (c *Client) failQueued(call Call, why error) {
	goOn, code := c.queued(call, false)
	if goOn {
		code = c.failed(call, why, false)
	}
	c.finish(exchange{call: call}, code)
}

// Close waits for the exchanges that are under way, until ctx ends or the time-out is over; those that have not ended by then fail with
// ErrClosed. Calls that wait for a connection, and new ones, fail with ErrClosed at once. When Close returns, every call is finished and
// every connection is closed.
func (c *Client) Close(ctx context.Context) {
	for _, call := range c.pool.close() {
		c.failQueued(call, ErrClosed)
	}
	c.closeIdle()
	ctx, cancel := context.WithTimeout(ctx, c.timeout+time.Second) // all have failed with ErrLate by then, if the group's loops run
	defer cancel()
	settled := make(chan struct{})
	go c.settled(settled)
	select {
	case <-settled:
	case <-ctx.Done():
		c.aborting.Store(true)
		c.cancelDials()
		for _, k := range c.pool.all() {
			c.abort(k)
		}
		<-settled
	}
	c.cancelDials()
}

// settled closes done when every call is finished.
func (c *Client) settled(done chan<- struct{}) {
	c.underWay.Wait()
	c.dials.Wait()
	close(done)
}
