package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

func clientCells() []cell {
	return []cell{
		{
			component: "client", fault: "hangs up", short: true,
			what: "Clients close the connection while they wait. With a key they come back, and nothing is done twice.",
			load: traffic{play: leaves(func(c *net.TCPConn) { _ = c.Close() })}, strike: wait(time.Second), bites: both(some(recovered), all(recovered, cut)),
		},
		{
			component: "client", fault: "resets",
			what: "The same by a reset.",
			load: traffic{play: leaves(func(c *net.TCPConn) {
				_ = c.SetLinger(0)
				_ = c.Close()
			})}, strike: wait(time.Second), bites: both(some(recovered), all(recovered, cut)),
		},
		{
			component: "client", fault: "closes its sending side",
			what: "A client that sends FIN counts as gone. With a key it comes back.",
			load: traffic{play: leaves(func(c *net.TCPConn) {
				_ = c.CloseWrite()
				_, _ = io.Copy(io.Discard, c)
			})}, strike: wait(time.Second), bites: both(some(recovered), all(recovered, cut)),
		},
		{
			component: "client", fault: "leaves in the middle of its request",
			what: "Half of the body comes. Nothing is forwarded.",
			load: traffic{keys: -1, play: half}, strike: wait(time.Second), bites: both(all(cut), noTask),
		},
		{
			component: "client", fault: "reads slowly",
			what: "Results of 300 kB are read 16 kB at a time.",
			load: traffic{play: sips, data: `,"blob":"` + strings.Repeat("x", 300_000) + `"`, clients: 8}, strike: wait(2 * time.Second), bites: all(answered),
		},
		{
			component: "client", fault: "asks with one key at both nodes", short: true,
			what: "Six at once for each key, three at each node. All get the same bytes, and there is one task.",
			load: traffic{keys: 100, clients: 8, play: crowd}, strike: wait(2 * time.Second), bites: both(all(answered), alike),
		},
		{
			component: "client", fault: "pipelines",
			what: "Three requests at once over one connection are answered in their order.",
			load: traffic{keys: -1, play: pipeline}, strike: wait(time.Second), bites: both(all(answered), alike),
		},
	}
}

// leaves is a client that gives its connection up while it waits, and comes back if it has a key.
func leaves(how func(*net.TCPConn)) func(context.Context, *world, *trip, int) {
	return func(ctx context.Context, w *world, t *trip, prefer int) {
		x := exchange{how: "create, left", began: time.Now(), left: true}
		host := w.door(prefer)
		conn, err := t.dial(ctx, host)
		if err == nil {
			_, err = io.WriteString(conn, t.request(host, 0))
			pause(ctx, 30*time.Millisecond)
			how(conn)
			_ = conn.Close()
		}
		x.err = err
		t.note(x)
		if t.key != "" {
			t.pursue(ctx, w, prefer+1)
		}
	}
}

func half(ctx context.Context, w *world, t *trip, prefer int) {
	x := exchange{how: "half a create", began: time.Now(), left: true}
	host := w.door(prefer)
	conn, err := t.dial(ctx, host)
	if err == nil {
		request := t.request(host, 0)
		_, err = io.WriteString(conn, request[:len(request)-20])
		_ = conn.Close()
	}
	x.err = err
	t.note(x)
}

// noTask wants that the engine has made none.
func noTask(r *result) error {
	for _, t := range r.trips {
		if n := r.evidence.Op(t.ref(0)).Tasks; n > 0 {
			return fmt.Errorf("%s has %d tasks", t.nonce, n)
		}
	}
	return nil
}

// sips is a client that takes its reply in small pieces, and takes its time.
func sips(ctx context.Context, w *world, t *trip, prefer int) {
	x := exchange{how: "create", began: time.Now()}
	host := w.door(prefer)
	conn, err := t.dial(ctx, host)
	if err != nil {
		x.err = err
		t.note(x)
		return
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetReadBuffer(16 << 10)
	if _, x.err = io.WriteString(conn, t.request(host, 0)); x.err == nil {
		x.receive(bufio.NewReader(reader(func(p []byte) (int, error) { // 16 kB in 20 ms
			pause(ctx, 20*time.Millisecond)
			return conn.Read(p[:min(len(p), 16<<10)])
		})))
	}
	t.note(x)
}

// reader is a function that reads.
type reader func(p []byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }

// crowd asks for one trip from many sides.
func crowd(ctx context.Context, w *world, t *trip, _ int) {
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() { t.pursue(ctx, w, i) })
	}
	all.Wait()
}

// alike wants that every reply of a trip is the whole result.
func alike(r *result) error {
	for _, t := range r.trips {
		for _, x := range t.asked {
			if !t.answered(x) {
				return fmt.Errorf("%s: %s got %d %.200s %w", t.nonce, x.how, x.status, x.body, x.err)
			}
		}
	}
	return nil
}

// pipeline sends a trip and two more like it before it reads, and takes the replies in order.
func pipeline(ctx context.Context, w *world, t *trip, prefer int) {
	host := w.door(prefer)
	conn, err := t.dial(ctx, host)
	if err != nil {
		t.note(exchange{how: "pipelined create", began: time.Now(), err: err})
		return
	}
	defer func() { _ = conn.Close() }()
	began := time.Now()
	three := []*trip{t, {nonce: t.nonce + "b", ops: 1, timeout: t.timeout, sim: `"delay_ms":0`}, {nonce: t.nonce + "c", ops: 3, timeout: t.timeout, sim: t.sim}}
	for _, each := range three {
		if _, err = io.WriteString(conn, each.request(host, 0)); err != nil {
			break
		}
	}
	r := bufio.NewReader(conn)
	for i, each := range three {
		x := exchange{how: fmt.Sprintf("pipelined create %d", i+1), began: began, err: err}
		if err == nil {
			x.receive(r)
		}
		if each != t && !each.answered(x) {
			x.err = fmt.Errorf("%s got %d %.200s: %w", each.nonce, x.status, x.body, x.err)
			x.status, x.body = 0, ""
			t.note(x)
		}
		if each == t {
			t.note(x)
		}
	}
}

func clockCells() []cell {
	return []cell{
		{
			component: "clock", fault: "a client's is off within auth.window",
			what: "Up to 290 seconds before or after: nobody notices. (Clients sign with another time; the clock of the machine is not touched.)",
			load: traffic{play: skewed(-290*time.Second, 290*time.Second)}, strike: wait(time.Second), bites: all(answered),
		},
		{
			component: "clock", fault: "a client's is off beyond auth.window",
			what: "Clients get 401, and nothing is forwarded.",
			load: traffic{play: skewed(-310*time.Second, 310*time.Second)}, strike: wait(time.Second), bites: both(all(refused), noTask),
		},
		{
			component: "clock", fault: "auth.window is off",
			what:  "With 0 any time will do, a day before or after too.",
			setup: setup{env: []string{"SYNCGATE_AUTH_WINDOW=0s"}},
			load:  traffic{play: skewed(-24*time.Hour, 24*time.Hour)}, strike: wait(time.Second), bites: all(answered),
		},
	}
}

// skewed is a client whose clock is off by the one or the other.
func skewed(either ...time.Duration) func(context.Context, *world, *trip, int) {
	return func(ctx context.Context, w *world, t *trip, prefer int) {
		host := w.door(prefer)
		t.send(ctx, "create", host, t.request(host, either[len(t.nonce)%len(either)]))
	}
}
