package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// traffic is the load under which a fault strikes.
type traffic struct {
	clients int           // at once; 0: 40
	pace    time.Duration // between two trips of a client; 0: 20 ms
	timeout time.Duration // of each request; 0: 10 s
	keys    int           // how many of a hundred requests have an Idempotency-Key; 0: 50, below 0: none
	home    int           // the gateway that clients prefer: 1 or 2; 0: each another
	sim     func(w *world) string
	data    string // further members of data
	// play is what a client does with its trip, instead of pursuing its result.
	play func(ctx context.Context, w *world, t *trip, prefer int)
}

func (l traffic) withDefaults() traffic {
	if l.clients == 0 {
		l.clients = 40
	}
	if l.pace == 0 {
		l.pace = 20 * time.Millisecond
	}
	if l.timeout == 0 {
		l.timeout = 10 * time.Second
	}
	if l.keys == 0 {
		l.keys = 50
	}
	if l.sim == nil {
		l.sim = func(w *world) string {
			if w.balanced {
				return ""
			}
			return fmt.Sprintf(`"to":%q`, w.anywhere())
		}
	}
	if l.play == nil {
		l.play = func(ctx context.Context, w *world, t *trip, prefer int) { t.pursue(ctx, w, prefer) }
	}
	return l
}

// load is traffic that runs.
type load struct {
	traffic
	w     *world
	name  string // begins every nonce
	next  atomic.Int64
	stop  chan struct{}
	all   sync.WaitGroup
	mu    sync.Mutex
	trips []*trip // guarded by mu
}

// begin starts the clients.
func (l traffic) begin(ctx context.Context, w *world) *load {
	run := &load{traffic: l.withDefaults(), w: w, name: rand.Text()[:8], stop: make(chan struct{})}
	for i := range run.clients {
		run.all.Go(func() { run.client(ctx, i) })
	}
	return run
}

// end lets every client finish the trip that it is at.
func (l *load) end() []*trip {
	close(l.stop)
	l.all.Wait()
	return l.trips
}

func (l *load) client(ctx context.Context, i int) {
	for {
		n := l.next.Add(1)
		t := l.trip(n)
		prefer := l.home - 1
		if prefer < 0 {
			prefer = i
		}
		l.play(ctx, l.w, t, prefer)
		select {
		case <-l.stop:
			return
		case <-ctx.Done():
			return
		case <-time.After(l.pace):
		}
	}
}

// trip makes trip n.
func (l *load) trip(n int64) *trip {
	t := &trip{nonce: fmt.Sprintf("%s.%d", l.name, n), ops: 1 + int(n%7/6)*2, timeout: l.timeout, sim: l.sim(l.w), data: l.data}
	if int(n*37%100) < l.keys {
		t.key = "key-" + t.nonce
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trips = append(l.trips, t)
	return t
}
