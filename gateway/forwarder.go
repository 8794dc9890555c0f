package gateway

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
	"github.com/valyala/fasthttp"

	"syncgate/correlator"
)

const (
	// workerIdle is how long a worker waits for its next trip: its stack has grown to what an exchange needs.
	workerIdle = 10 * time.Second
	// breakerTrips refused connections in a row open the breaker, breakerRest long.
	breakerTrips = 5
	breakerRest  = time.Second
)

// forwarder puts trips to the engine. Each exchange runs on a worker and not on the goroutine that holds the client:
// it is bounded by engine.timeout, not by the client's deadline, and it may answer after the client has left.
type forwarder struct {
	g       *Gateway
	client  *engineClient
	breaker *gobreaker.TwoStepCircuitBreaker[any]
	timeout time.Duration
	most    int64 // workers: as many as engine connections

	jobs    chan *trip // unbuffered: a trip is taken by a worker or not at all
	stop    chan struct{}
	stopped sync.Once
	workers atomic.Int64
	running sync.WaitGroup
}

func newForwarder(g *Gateway, client *engineClient) *forwarder {
	return &forwarder{
		g: g, client: client, breaker: newBreaker(g), timeout: g.cfg.Engine.Timeout, most: int64(g.cfg.Engine.MaxConnections),
		jobs: make(chan *trip), stop: make(chan struct{}),
	}
}

// submit gives the trip to a worker. With all of them busy it waits for one up to the engine's time-out or the trip's
// deadline, then refuses: nothing was forwarded.
func (f *forwarder) submit(t *trip) error {
	t.submitted = true
	select {
	case f.jobs <- t:
		return nil
	default:
	}
	if f.workers.Add(1) <= f.most {
		f.running.Go(func() { f.work(t) })
		return nil
	}
	f.workers.Add(-1)
	return f.queue(t)
}

func (f *forwarder) queue(t *trip) (err error) {
	err = errForwardBusy
	patience := time.NewTimer(min(f.timeout, time.Until(t.deadline)))
	defer patience.Stop()
	select {
	case f.jobs <- t:
		return nil
	case <-patience.C:
	case <-t.wake: // by its deadline, or by a drain
		if errors.Is(t.why, correlator.ErrDraining) {
			err = correlator.ErrDraining
		}
	}
	t.submitted = false
	return err
}

// work runs exchanges until there are none for a while.
func (f *forwarder) work(t *trip) {
	defer f.workers.Add(-1)
	idle := time.NewTimer(workerIdle)
	defer idle.Stop()
	for {
		f.exchange(t)
		idle.Reset(workerIdle)
		select {
		case t = <-f.jobs:
		case <-idle.C:
			return
		case <-f.stop:
			return
		}
	}
}

// exchange is one round trip to the engine. A panic leaves the client parked: the task may exist.
func (f *forwarder) exchange(t *trip) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	began := time.Now()
	code := "panic"
	defer func() {
		if p := recover(); p != nil {
			f.g.log.Error().Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Stringer("trip", t.id).Msg("exchange with the engine panicked")
		}
		took := time.Since(began)
		t.engineTime.Store(int64(took))
		f.g.metrics.engine(code, took)
		fasthttp.ReleaseRequest(req)
		fasthttp.ReleaseResponse(resp)
		t.body.release()
		t.call.Body, t.call.Slots = nil, nil // a parked client must not hold what was sent
	}()
	if err := f.g.engine.Encode(req, t.call, f.g.tokens(t), began); err != nil {
		code = "unsent"
		f.unsent(t, faultOf(err))
		return
	}
	done, err := f.breaker.Allow()
	if err != nil {
		code = "refused"
		f.unsent(t, &Fault{Status: fasthttp.StatusBadGateway, Text: "Bad gateway: the engine has refused every connection lately", RetryAfter: breakerRest, Err: err})
		return
	}
	wrote, err := f.client.do(req, resp, began.Add(f.timeout))
	if err == nil || wrote {
		done(nil)
	} else {
		done(err)
	}
	code = f.conclude(t, resp, wrote, err)
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
func (f *forwarder) conclude(t *trip, resp *fasthttp.Response, wrote bool, err error) (code string) {
	switch {
	case err != nil && !wrote:
		f.unsent(t, &Fault{Status: fasthttp.StatusBadGateway, Text: "Bad gateway: the engine cannot be reached, nothing was sent to it", Err: err})
		return "unsent"
	case err != nil:
		f.g.log.Warn().Err(err).Stringer("trip", t.id).Msg("no complete answer of the engine; the callback decides")
		return "incomplete"
	}
	code = statusText(resp.StatusCode())
	ack, err := f.g.engine.Ack(t.call, resp.StatusCode(), resp.Body())
	if err != nil {
		f.g.log.Warn().Err(err).Str("status", code).Stringer("trip", t.id).Msg("the engine's answer is not one of its protocol")
		t.failed(ErrBadGateway)
		return code
	}
	t.acked(resp.StatusCode(), ack)
	return code
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
	f.running.Wait()
	f.client.CloseIdleConnections()
}
