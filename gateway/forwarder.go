package gateway

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
	"github.com/valyala/fasthttp"
)

const (
	// workerIdle is how long a worker waits for its next trip: its stack has grown to what an exchange needs.
	workerIdle = 10 * time.Second
	// breakerTrips refused connections in a row open the breaker, breakerRest long.
	breakerTrips = 5
	breakerRest  = time.Second
)

// forwarder puts trips to the engine. An exchange holds neither the goroutine that has the client nor, where that can be, any other
// (flight.go): it is bounded by engine.timeout, not by the client's deadline, and it may be answered after the client has left.
type forwarder struct {
	g       *Gateway
	dialer  engineDialer
	pool    enginePool
	breaker *gobreaker.TwoStepCircuitBreaker[any]
	timeout time.Duration

	jobs    chan job // unbuffered: a job is taken by a worker that idles or gets one of its own
	stop    chan struct{}
	stopped sync.Once
	running sync.WaitGroup // workers
	flying  tally          // flights
}

// job is an exchange for a worker, who has the place of a connection for it.
type job struct {
	trip  *trip
	conn  *engineConn // nil: it has to be made
	again *engineConn // which has failed before anything was sent

	// Of a request that was sent, in part at least.
	sent   bool
	rest   []byte // of the request
	before []byte // of the answer
	began  time.Time
}

func newForwarder(g *Gateway, dialer engineDialer) *forwarder {
	cfg := g.cfg.Engine
	return &forwarder{
		g: g, dialer: dialer, breaker: newBreaker(g), timeout: cfg.Timeout,
		pool: enginePool{idle: cfg.Idle, patience: cfg.Timeout, most: cfg.MaxConnections},
		jobs: make(chan job), stop: make(chan struct{}),
	}
}

// submit forwards the trip as soon as there is a connection for it. With all of them busy it waits for one up to the engine's
// time-out or the trip's deadline, then the trip is refused: nothing was forwarded.
func (f *forwarder) submit(t *trip) {
	t.submitted = true
	switch e, dial := f.pool.take(t, t.accepted); {
	case e != nil:
		if !f.forward(t, e) {
			f.giveBack(e)
		}
	case dial:
		f.run(job{trip: t})
	}
}

// forward puts the trip to the engine over a connection that the caller has taken. False: there is no request, and the caller still has
// the connection.
func (f *forwarder) forward(t *trip, e *engineConn) bool {
	if e.set != nil {
		return f.send(t, e, time.Now())
	}
	f.run(job{trip: t, conn: e})
	return true
}

// forwardNext gives the place of a connection to a trip that has waited for one; nil: nobody has.
func (f *forwarder) forwardNext(t *trip) {
	if t != nil {
		f.run(job{trip: t})
	}
}

// giveBack lets a connection rest, or carry the next trip that waits for one.
func (f *forwarder) giveBack(e *engineConn) {
	for next := f.pool.put(e); next != nil; next = f.pool.put(e) {
		if f.forward(next, e) {
			return
		}
	}
}

// run gives a job to a worker. There are no more of them than connections.
func (f *forwarder) run(j job) {
	select {
	case f.jobs <- j:
	default:
		f.running.Go(func() { f.work(j) })
	}
}

// work does jobs until there are none for a while.
func (f *forwarder) work(j job) {
	idle := time.NewTimer(workerIdle)
	defer idle.Stop()
	for {
		f.exchange(j)
		idle.Reset(workerIdle)
		select {
		case j = <-f.jobs:
		case <-idle.C:
			return
		case <-f.stop:
			return
		}
	}
}

// exchange is one round trip to the engine, or the rest of one.
func (f *forwarder) exchange(j job) {
	if !j.sent {
		j.began = time.Now()
	}
	code := "panic"
	defer func() {
		if p := recover(); p != nil {
			f.g.log.Error().Str("panic", panicText(p)).Bytes("stack", debug.Stack()).Stringer("trip", t.id).Msg("exchange with the engine panicked")
		}
		f.over(flight{t, j.began}, code)
		fasthttp.ReleaseResponse(resp)
	}()
	wrote, err := f.carry(&j, resp)
	code = f.conclude(t, resp, wrote, err)
}

// carry does the exchange itself, and gives the place of its connection back: before the client hears of it and asks again.
func (f *forwarder) carry(j *job) (o outcome) {
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	keep := false
	defer func() {
		if !keep {
			f.forwardNext(f.pool.drop(j.conn))
			return
		}
		j.conn.last = time.Now()
		f.watch(j.conn)
		f.giveBack(j.conn)
	}()
	if j.sent {
		_, keep, o.err = j.conn.exchange(j.rest, j.before, resp, j.began.Add(f.timeout))
		o.wrote = true
	} else {
		o.wrote, keep, o.err = f.ask(j, resp)
	}
	if o.err == nil {
		o = f.read(j.trip, resp)
		keep = keep && o.usable()
	}
	return o
}

// read asks the dialect what the engine's answer says.
func (f *forwarder) read(t *trip, resp *fasthttp.Response) outcome {
	o := outcome{wrote: true, status: resp.StatusCode()}
	o.ack, o.err = f.g.partner.ack(t.call, o.status, resp.Body())
	return o
}

// ask sends the trip's request and reads the answer. While nothing was sent, a failure is tried once more on a fresh connection.
func (f *forwarder) ask(j *job, resp *fasthttp.Response) (wrote, keep bool, err error) {
	tries := 2
	if j.again != nil {
		f.wentAway(j.again)
		tries = 1
	}
	out := outs.Get().(*out) //nolint:forcetypeassert // only New fills the pool
	defer out.giveBack()
	if out.b, err = f.encode(out.b, j.trip, j.began); err != nil {
		return false, j.conn != nil, faultOf(err)
	}
	done, err := f.breaker.Allow()
	if err != nil {
		return false, j.conn != nil, &Fault{Status: fasthttp.StatusBadGateway, Text: "Bad gateway: the engine has refused every connection lately", RetryAfter: breakerRest, Err: err}
	}
	deadline := j.began.Add(f.timeout)
	for ; tries > 0; tries-- {
		if wrote, keep, err = f.try(j, out.b, resp, deadline); wrote || err == nil {
			done(nil)
			return wrote, keep, err
		}
		f.wentAway(j.conn)
		j.conn = nil
	}
	done(err)
	return false, false, err
}

// try is one attempt. A connection that the engine has closed while it rested is none.
func (f *forwarder) try(j *job, request []byte, resp *fasthttp.Response, deadline time.Time) (wrote, keep bool, err error) {
	if j.conn != nil && (time.Since(j.conn.last) > f.pool.idle || j.conn.stale()) {
		f.pool.end(j.conn)
		j.conn = nil
	}
	if j.conn == nil {
		if j.conn, err = f.dialer.dial(deadline); err != nil {
			return false, false, err
		}
		j.conn.forwarder = f
		f.g.reach(pointLook)
		if j.conn.stale() {
			return false, false, errUnasked
		}
	}
	return j.conn.exchange(request, nil, resp, deadline)
}

// errUnasked gives up a connection on which the engine has said something, or closed it, before it was asked.
var errUnasked = errors.New("gateway: the engine spoke before it was asked")

// wentAway closes a connection on which nothing could be sent: what rests is stale as well.
func (f *forwarder) wentAway(e *engineConn) {
	if e != nil {
		f.pool.end(e)
	}
	for _, rests := range f.pool.stale(time.Time{}, true) {
		f.pool.end(rests)
	}
}

// encode appends the trip's request.
func (f *forwarder) encode(dst []byte, t *trip, now time.Time) ([]byte, error) {
	return f.g.partner.encode(dst, t.call, f.g.tokens(t), now)
}

// refuse ends an exchange of which nothing was sent.
func (f *forwarder) refuse(t *trip, why *Fault, code string, began time.Time) {
	f.unsent(t, why)
	f.over(flight{t, began}, code)
}

// newBreaker makes what fails fast while the engine takes no connections: after a few in a row that it refused, one in a
// while is tried, and the rest are told at once. What was sent, and whatever became of it, counts as reached.
func newBreaker(g *Gateway) *gobreaker.TwoStepCircuitBreaker[any] {
	return gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		Name:        "engine",
		Timeout:     breakerRest,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakerTrips },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			g.log.Warn().Stringer("breaker", to).Msg("the engine's connections")
		},
	})
}

// conclude tells the trip what its exchange means. Whatever may have made a task leaves the client parked, unless the
// engine's answer is complete and says otherwise.
func (f *forwarder) conclude(t *trip, o outcome) (code string) {
	code = statusText(o.status)
	switch {
	case !o.wrote:
		return f.refused(t, o.err)
	case o.status == 0:
		f.g.log.Warn().Err(o.err).Stringer("trip", t.id).Msg("no complete answer of the engine; the callback decides")
		return "incomplete"
	case errors.Is(o.err, errPartner):
		f.g.log.Warn().Str("status", code).Stringer("trip", t.id).Msg("the engine's answer is not understood; the callback decides")
		return "panic"
	case errors.Is(o.err, ErrForeignAnswer): // and not its own text, which may have bytes of the answer
		f.g.log.Warn().Err(ErrForeignAnswer).Str("status", code).Stringer("trip", t.id).Msg("the engine's connection is closed; the callback decides")
		return "foreign"
	case o.err != nil:
		f.g.log.Warn().Err(o.err).Str("status", code).Stringer("trip", t.id).Msg("the engine's answer is not one of its protocol")
		t.failed(ErrBadGateway)
	default:
		t.acked(o.status, o.ack)
	}
	return code
}

// refused tells the trip why nothing of it was sent.
func (f *forwarder) refused(t *trip, err error) (code string) {
	if why, worded := errors.AsType[*Fault](err); worded {
		f.unsent(t, why)
		return "refused"
	}
	f.unsent(t, &Fault{Status: fasthttp.StatusBadGateway, Text: "Bad gateway: the engine cannot be reached, nothing was sent to it", Err: err})
	return "unsent"
}

// unsent ends a trip of which nothing was sent.
func (*forwarder) unsent(t *trip, why *Fault) {
	if !t.failed(why) {
		t.unmade()
	}
}

// close ends the workers; an exchange that runs is finished first.
func (f *forwarder) close() {
	f.stopped.Do(func() { close(f.stop) })
	f.flying.wait(context.Background()) // bounded by the engine's time-out
	f.running.Wait()
	f.wentAway(nil)
}
