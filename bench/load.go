package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/signer"
)

const (
	maxTrips       = 10_000_000
	maxConnections = 20_000
	maxReply       = 1 << 20
)

// load drives gateways in a closed loop: each connection sends one create after the other. A create carries a nonce in
// its data, which the engine is to send back as the result. Start from defaultLoad.
type load struct {
	urls          []string // of the gateways; connections take them in turn
	login, secret string

	connections int
	trips       int           // of all connections together, at most
	during      time.Duration // no trip begins later; 0: as many as trips says
	rate        float64       // trips a second of all connections together; 0: each begins when the one before has ended
	timeout     time.Duration // the package's timeout member; 0: none
	delay       time.Duration // asked of the simulated engine, for each task; 0: the engine's own
	plain       bool          // requests are for the route of a gateway, with the key of its caller
	stream      bool          // each asks for a stream of events; with plain
	keyed       bool          // each request has an Idempotency-Key of its own
	split       bool          // head and body of each request go in two segments
	roots       *x509.CertPool
	never       bool          // the simulated engine is asked for no callback at all
	limit       time.Duration // for the whole run
}

func defaultLoad() load {
	return load{
		urls: []string{"http://127.0.0.1:8080"}, login: login, secret: secret,
		connections: 64, trips: 20_000, limit: 10 * time.Minute,
	}
}

func (l *load) flags(fs *flag.FlagSet) {
	fs.Func("url", "`list` of gateways, separated by commas; connections take them in turn (default "+strings.Join(l.urls, ",")+")", func(s string) error {
		l.urls = strings.Split(s, ",")
		return nil
	})
	fs.StringVar(&l.login, "login", l.login, "who signs")
	fs.StringVar(&l.secret, "secret", l.secret, "what it signs with")
	fs.IntVar(&l.connections, "connections", l.connections, "kept alive, each with one trip at a time")
	fs.IntVar(&l.trips, "trips", l.trips, "of all connections together, at most")
	fs.DurationVar(&l.during, "during", l.during, "begin no trip later; 0: as many as -trips says")
	fs.Float64Var(&l.rate, "rate", l.rate, "trips a second of all connections together; 0: as fast as they come back")
	fs.DurationVar(&l.timeout, "timeout", l.timeout, "the timeout member of each request; 0: none")
	fs.DurationVar(&l.delay, "delay", l.delay, "asked of the simulated engine for each task; 0: as it was started")
	fs.BoolVar(&l.plain, "plain", l.plain, "ask the route "+routePath+" in plain HTTP, with the secret as the key")
	fs.BoolVar(&l.keyed, "keyed", l.keyed, "send an Idempotency-Key with each request")
	fs.BoolVar(&l.split, "split", l.split, "send the head and the body of each request in two segments")
	fs.Func("ca-file", "PEM `file` of certificates that verify an https gateway", func(file string) (err error) {
		l.roots, err = readRoots(file)
		return err
	})
	fs.DurationVar(&l.limit, "limit", l.limit, "end the run, and fail it, after this time")
}

// validate lists every problem, each with the name of its flag.
func (l *load) validate() error {
	var problems []error
	if len(l.urls) == 0 {
		problems = append(problems, errors.New("url: none is given"))
	}
	for _, s := range l.urls {
		if u, err := url.Parse(s); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			problems = append(problems, fmt.Errorf("url: %q is not http://host:port or https://host:port", s))
		}
	}
	if l.connections < 1 || l.connections > maxConnections {
		problems = append(problems, fmt.Errorf("connections: %d is not within 1 and %d", l.connections, maxConnections))
	}
	if l.trips < 1 || l.trips > maxTrips {
		problems = append(problems, fmt.Errorf("trips: %d is not within 1 and %d", l.trips, maxTrips))
	}
	if l.timeout < 0 || l.delay < 0 || l.during < 0 || l.rate < 0 || l.limit <= 0 {
		problems = append(problems, errors.New("timeout, delay, during, rate, limit: negative, or no limit"))
	}
	return errors.Join(problems...)
}

// run is what the connections share.
type run struct {
	load
	nonce string       // begins every nonce of this run, so that another run's reply is a mismatch too
	next  atomic.Int64 // the next trip
	began time.Time
}

// run makes the trips. Its error is about the configuration; what went wrong with trips is in the result.
func (l load) run(ctx context.Context) (*result, error) {
	if err := l.validate(); err != nil {
		return nil, fmt.Errorf("configure load: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, l.limit)
	defer cancel()
	r := &run{load: l, nonce: rand.Text(), began: time.Now()}
	results := make([]result, l.connections)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() { r.connection(ctx, i, &results[i]) })
	}
	wg.Wait()
	trips := l.trips
	if l.during > 0 {
		trips = min(trips, int(r.next.Load()))
	}
	return sum(results, trips, time.Since(r.began)), nil
}

// connection makes trips over one connection, and over a new one when that breaks, until there are none left.
func (r *run) connection(ctx context.Context, i int, out *result) {
	u, _ := url.Parse(r.urls[i%len(r.urls)]) // validate saw it
	c := &client{run: r, host: u.Host, tls: u.Scheme == "https"}
	defer c.close()
	for k := 0; ctx.Err() == nil; k++ {
		due := r.due(ctx, i, k)
		if r.during > 0 && time.Since(r.began) >= r.during {
			return
		}
		n := r.next.Add(1)
		if n > int64(r.trips) {
			return
		}
		err := c.connect(ctx)
		if due.IsZero() {
			due = time.Now()
		}
		if err == nil {
			err = c.trip(n)
		}
		if ctx.Err() != nil && err != nil {
			return // cut off, and so missing
		}
		out.count(time.Since(due), err)
	}
}

// due waits until trip k of connection i is to begin and gives the time that its latency counts from: with a rate, when
// it should have begun if the trip before took longer than that. Zero: when it does begin.
func (r *run) due(ctx context.Context, i, k int) time.Time {
	if r.rate == 0 {
		return time.Time{}
	}
	at := r.began.Add(time.Duration(float64(k*r.connections+i) / r.rate * float64(time.Second)))
	if pause(ctx, time.Until(at)) {
		return time.Time{}
	}
	return at
}

// client is one connection and its buffers.
type client struct {
	run  *run
	host string
	tls  bool

	conn   net.Conn // nil when there is none
	br     *bufio.Reader
	unbind func() bool // takes the connection from the care of the run's context

	req, body, sig, nonce []byte // the body is in req too
	resp                  fasthttp.Response
}

// connect dials unless there is a connection.
func (c *client) connect(ctx context.Context) error {
	if c.conn != nil {
		return nil
	}
	if err := c.dial(ctx); err != nil {
		return failure{"connect", err}
	}
	return nil
}

// trip sends one create and checks the reply.
func (c *client) trip(n int64) error {
	c.compose(n, time.Now())
	if err := c.send(); err != nil {
		c.close()
		return failure{"send", err}
	}
	c.resp.Reset()
	if err := c.resp.ReadLimitBody(c.br, maxReply); err != nil {
		c.close()
		return failure{"receive", err}
	}
	if c.resp.ConnectionClose() {
		c.close()
	}
	return check(c.resp.StatusCode(), c.resp.Body(), c.nonce)
}

func (c *client) send() error {
	if head := len(c.req) - len(c.body); c.run.split {
		if _, err := c.conn.Write(c.req[:head]); err != nil {
			return err
		}
		_, err := c.conn.Write(c.req[head:])
		return err
	}
	_, err := c.conn.Write(c.req)
	return err
}

// dial connects. The connection is closed when ctx ends, which is what bounds every trip.
func (c *client) dial(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.host)
	if err != nil {
		return err
	}
	if c.tls {
		conn = tls.Client(conn, &tls.Config{ServerName: "127.0.0.1", RootCAs: c.run.roots, MinVersion: tls.VersionTLS12})
	}
	c.conn, c.br = conn, bufio.NewReader(conn)
	c.unbind = context.AfterFunc(ctx, func() { _ = conn.Close() })
	return nil
}

func (c *client) close() {
	if c.conn != nil {
		c.unbind()
		_ = c.conn.Close()
		c.conn = nil
	}
}

// compose makes the request of trip n.
func (c *client) compose(n int64, now time.Time) {
	c.nonce = strconv.AppendInt(append(c.nonce[:0], c.run.nonce...), n, 10)
	if c.run.plain {
		c.composePlain()
	} else {
		c.composePackage(now)
	}
	if c.run.keyed {
		c.req = fmt.Appendf(c.req, "Idempotency-Key: %s\r\n", c.nonce)
	}
	c.req = append(append(c.req, "\r\n"...), c.body...)
}

// composePackage makes the body and the head of a signed package, but for the end of the head.
func (c *client) composePackage(now time.Time) {
	l := &c.run.load
	b := append(c.body[:0], '{')
	if l.timeout > 0 {
		b = append(b, `"timeout":`...)
		b = append(strconv.AppendFloat(b, l.timeout.Seconds(), 'f', -1, 64), ',')
	}
	b = c.appendData(append(b, `"ops":[{"conv_id":1234,"type":"create","obj":"task","data":`...))
	c.body = append(b, `}]}`...)

	var stamp [20]byte
	at := signer.AppendTime(stamp[:0], now)
	c.sig = signer.AppendSignature(c.sig[:0], at, []byte(l.secret), c.body)
	c.req = fmt.Appendf(c.req[:0], "POST /api/1/json/%s/%s/%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n",
		l.login, at, c.sig, c.host, len(c.body))
}

// composePlain makes the body and the head of a request for the route, but for the end of the head.
func (c *client) composePlain() {
	l := &c.run.load
	c.body = c.appendData(c.body[:0])
	c.req = fmt.Appendf(c.req[:0], "POST %s HTTP/1.1\r\nHost: %s\r\nX-Api-Key: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n",
		routePath, c.host, l.secret, len(c.body))
	if l.timeout > 0 {
		c.req = fmt.Appendf(c.req, "Prefer: wait=%.0f\r\n", l.timeout.Seconds())
	}
	if l.stream {
		c.req = append(c.req, "Accept: text/event-stream\r\n"...)
	}
}

// appendData appends the data of the task.
func (c *client) appendData(b []byte) []byte {
	l := &c.run.load
	b = append(b, '{')
	if l.delay > 0 {
		b = append(b, `"__sim":{"delay_ms":`...)
		b = append(strconv.AppendFloat(b, l.delay.Seconds()*1000, 'f', -1, 64), `},`...)
	}
	if l.never {
		b = append(b, `"__sim":{"callback":"never"},`...)
	}
	return append(append(append(b, `"nonce":"`...), c.nonce...), `"}`...)
}
