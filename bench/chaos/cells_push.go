package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"syncgate/internal/hooksim"
)

// Results that are pushed to receivers.

// pushed is a setup with a route that pushes. An attempt may take a second.
func pushed(answer hooksim.Answer) setup {
	return setup{hooks: answer, routes: fmt.Sprintf("routes: [{name: work, path: /v1/work, conv_id: 1, login: %q, auth: none, subscriptions: true, wait: {max: 60s}}]\n"+
		"notify: {signing_secret: %s, allow_http: true, allow_networks: [127.0.0.0/8], timeout: 1s}\n", login, hookSecret())}
}

// behind is the setup behind a balancer, so that callbacks find a gateway that lives.
func (s setup) behind() setup {
	s.balanced = true
	return s
}

// names is a client that names a receiver, and goes its way when it has a 202.
func names(ctx context.Context, w *world, t *trip, prefer int) {
	ctx, cancel := context.WithTimeout(ctx, persistence)
	defer cancel()
	t.rest, t.ops = handedOver, 1
	t.hook = w.hooks.URL(int(w.named.Add(1)), t.nonce)
	t.insist(ctx, w, prefer)
}

// someNames is a load that receivers can bear of which some hang.
func someNames() traffic { return traffic{clients: 16, pace: 200 * time.Millisecond, play: names} }

// second is a receiver that accepts the second attempt.
func second(_ http.ResponseWriter, _ *http.Request, n int) int {
	if n == 1 {
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}

func pushCells() []cell {
	return []cell{
		{
			component: "notification", fault: "receivers are killed",
			what: "For three seconds they refuse connections. The second attempts reach them.",
			load: someNames(), setup: pushed(hooksim.Status(http.StatusOK)), strike: killReceivers, bites: both(attempted("unreachable"), all(answered, recovered)),
		},
		{
			component: "notification", fault: "receivers hang or are slow",
			what: "One of ten hangs at each first attempt, another one takes half a second for each answer. The others get theirs at once.",
			load: someNames(), setup: pushed(sluggish()), strike: wait(2 * time.Second), bites: both(attempted("timeout"), all(answered, recovered)),
		},
		{
			component: "notification", fault: "kill -9 of a sender in the middle of attempts",
			what: "All receivers hang while one of two nodes is killed, and then accept. The other node makes its attempts again.",
			load: someNames(), setup: pushed(hooksim.Status(http.StatusOK)).behind(), strike: killInTheMiddle, bites: both(some(answered), attempted("delivered")),
		},
		{
			component: "notification", fault: "kill -9 of a sender between two attempts",
			what: "Each first attempt gets 503. One of two nodes is killed when some have had theirs.",
			load: someNames(), setup: pushed(second).behind(), strike: killBetween, bites: both(some(answered), attempted("status")),
		},
		{
			component: "notification", fault: "kill -9 of both nodes and restart",
			what: "Both nodes are killed while results come and are sent, and started again.",
			load: someNames(), setup: pushed(second).behind(), strike: killBoth, bites: both(some(answered), attempted("status")),
		},
		{
			component: "notification", fault: "Redis is killed and restarts after 2 s",
			what: "Each first attempt gets 503, and Redis goes while the second ones are made. What receivers accept meanwhile is stored when it is back.",
			load: someNames(), setup: pushed(second),
			strike: func(ctx context.Context, w *world) error {
				return errors.Join(w.accepted(ctx, 10), w.restart(ctx, 2*time.Second))
			}, bites: both(some(answered), attempted("status")),
		},
		{
			component: "notification", fault: "failover of Redis",
			what: "Each first attempt gets 503, and the master is killed while the second ones are made. The replica, which has what the master answered, is promoted.",
			load: someNames(), setup: sentineled(pushed(second)), strike: failoverInStep, bites: both(some(answered), attempted("status")),
		},
	}
}

func sentineled(s setup) setup {
	s.kind = sentinels
	return s
}

// attempted wants that attempts had an outcome.
func attempted(outcome string) func(*result) error {
	return func(r *result) error {
		if r.attempts[outcome] == 0 {
			return fmt.Errorf("the fault was not felt: no attempt was %s: %v", outcome, r.attempts)
		}
		return nil
	}
}

// sluggish are receivers of which one hangs at first, and one is slow.
func sluggish() hooksim.Answer {
	var n atomic.Int64
	return func(w http.ResponseWriter, q *http.Request, attempt int) int {
		switch port := q.Host[len(q.Host)-1]; {
		case attempt == 1 && n.Add(1)%10 == 1:
			return hooksim.Hang(w, q, attempt)
		case port%5 == 0:
			pause(q.Context(), 500*time.Millisecond)
		}
		return http.StatusOK
	}
}

func killReceivers(ctx context.Context, w *world) error {
	w.hooks.Down()
	pause(ctx, 3*time.Second)
	return w.hooks.Up()
}

func killInTheMiddle(ctx context.Context, w *world) error {
	w.hooks.Answers(hooksim.Hang)
	err := until(ctx, "attempts run", func() bool { _, running, _ := w.hooks.Count(); return running >= 10 })
	w.nodes[0].die()
	w.hooks.Answers(hooksim.Status(http.StatusOK))
	return err
}

func killBetween(ctx context.Context, w *world) error {
	err := until(ctx, "attempts fail", func() bool { came, _, _ := w.hooks.Count(); return came >= 20 })
	w.nodes[0].die()
	return err
}

// accepted waits until so many notifications have had a 2xx.
func (w *world) accepted(ctx context.Context, n int) error {
	return until(ctx, "notifications are accepted", func() bool { _, _, accepted := w.hooks.Count(); return accepted >= n })
}

// failoverInStep kills the master when the replica has what it has answered.
func failoverInStep(ctx context.Context, w *world) error {
	master, replica := w.store.servers[0], w.store.servers[1]
	if err := errors.Join(w.accepted(ctx, 10), master.want("CLIENT", "PAUSE", "30000", "WRITE")); err != nil {
		return err
	}
	err := until(ctx, "the replica is in step", func() bool {
		has, all := replica.replicated("slave_repl_offset:"), master.replicated("master_repl_offset:")
		return has != "" && has == all
	})
	return errors.Join(err, failover(ctx, w))
}
