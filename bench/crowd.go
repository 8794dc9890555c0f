package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	// burst is how many creates of a crowd are on their way to the engine at once, so that those do not count as memory of the waiting.
	burst = 64
	// crowdTime is how long a crowd may take to grow by one burst, or to be answered.
	crowdTime = 30 * time.Second
	// waits is the time-out that a waiting client asks for.
	waits = 5 * time.Minute
	// sources is how many addresses of the loopback the clients come from, as one has too few ports for many tries in a row.
	sources = 8
)

// crowd is clients that have sent a create each and wait, or have waited. It takes no goroutine for each.
type crowd struct {
	rig     *rig
	clients []*client
	run     *run
	taken   int64 // tasks of the engine before the first client
}

// gather makes an empty crowd before a rig whose engine is inside. With delay 0 its clients are never called back.
func gather(r *rig, delay time.Duration) *crowd {
	l := r.load(1, 0)
	l.delay, l.never, l.timeout = delay, delay == 0, waits
	return &crowd{rig: r, run: &run{load: l, nonce: rand.Text()}, taken: r.sim.Stats().Tasks}
}

// grow adds clients until there are n, all of whose tasks the engine has.
func (c *crowd) grow(ctx context.Context, n int) error {
	for len(c.clients) < n {
		for range min(burst, n-len(c.clients)) {
			if err := c.add(ctx); err != nil {
				return fmt.Errorf("client %d: %w", len(c.clients)+1, err)
			}
		}
		if err := c.arrived(ctx); err != nil {
			return err
		}
	}
	return nil
}

// arrived waits until the engine has a task of each client. Tasks of a load beside would be counted too: there is none while a crowd grows.
func (c *crowd) arrived(ctx context.Context) error {
	limit := time.Now().Add(crowdTime)
	for {
		have := c.rig.sim.Stats().Tasks - c.taken
		if have >= int64(len(c.clients)) {
			return nil
		}
		if time.Now().After(limit) || !pause(ctx, time.Millisecond) {
			return fmt.Errorf("the engine has %d of %d tasks: %s", have, len(c.clients), c.rig.nodes[0].tail())
		}
	}
}

// add connects one more client and sends its create.
func (c *crowd) add(ctx context.Context) error {
	i := len(c.clients)
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%sources))}}
	conn, err := d.DialContext(ctx, "tcp", c.rig.at[0].public)
	if err != nil {
		return err
	}
	if c.rig.program.tls {
		conn = tls.Client(conn, &tls.Config{ServerName: "127.0.0.1", RootCAs: c.rig.roots, MinVersion: tls.VersionTLS12})
	}
	cl := &client{run: c.run, host: c.rig.at[0].public, conn: conn, unbind: func() bool { return true }}
	c.clients = append(c.clients, cl)
	cl.compose(int64(i), time.Now())
	_, err = conn.Write(cl.req)
	cl.req, cl.body, cl.sig = nil, nil, nil
	return err
}

// collect reads every client's reply, which is to be its own.
func (c *crowd) collect() error {
	var resp fasthttp.Response
	limit := time.Now().Add(crowdTime)
	for i, cl := range c.clients {
		resp.Reset()
		err := cl.conn.SetReadDeadline(limit)
		if err == nil {
			err = resp.ReadLimitBody(bufio.NewReader(cl.conn), maxReply)
		}
		if err == nil {
			err = check(resp.StatusCode(), resp.Body(), cl.nonce)
		}
		if err != nil {
			return fmt.Errorf("client %d: %w", i+1, err)
		}
		if resp.ConnectionClose() {
			return errors.New("the connection is not kept")
		}
	}
	return nil
}

// beside says that n tasks were made for others, after a load beside the crowd.
func (c *crowd) beside() { c.taken = c.rig.sim.Stats().Tasks - int64(len(c.clients)) }

// leave closes every connection, with a FIN, or with a RST.
func (c *crowd) leave(reset bool) {
	for _, cl := range c.clients {
		if tcp, ok := cl.conn.(*net.TCPConn); ok && reset {
			_ = tcp.SetLinger(0)
		}
		cl.close()
	}
	c.clients = nil
}
