package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"syncgate/signer"
)

const (
	// grace is what a client waits beyond its own timeout before it takes the request for hung.
	grace = 10 * time.Second
	// persistence is how long a client with a key, or with a place to look, goes on asking.
	persistence = 20 * time.Second
	// again is between two tries.
	again = 200 * time.Millisecond
)

// request makes the bytes of a create at an address, signed by a clock that is off by skew.
func (t *trip) request(host string, skew time.Duration) string {
	if t.rest != "" {
		return t.restRequest(host)
	}
	body := t.body()
	now := strconv.FormatInt(time.Now().Add(skew).Unix(), 10)
	key := ""
	if t.key != "" {
		key = "Idempotency-Key: " + t.key + "\r\n"
	}
	signature := signer.AppendSignature(nil, []byte(now), []byte(secret), []byte(body))
	return fmt.Sprintf("POST /api/2/json/%s/%s/%s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: %d\r\n\r\n%s", login, now, signature, host, key, len(body), body)
}

// dial connects, for as long as the trip may take.
func (t *trip) dial(ctx context.Context, host string) (*net.TCPConn, error) {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	tcp, is := conn.(*net.TCPConn)
	if !is {
		_ = conn.Close()
		return nil, fmt.Errorf("connect to %s: %T is no TCP connection", host, conn)
	}
	return tcp, tcp.SetDeadline(time.Now().Add(t.timeout + grace))
}

// receive reads one reply.
func (x *exchange) receive(r *bufio.Reader) {
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		x.err = err
		return
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.Header.Get("Content-Type") == "text/event-stream" {
		x.receiveEvents(resp)
		return
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		x.err = err
		return
	}
	if !slices.Contains([]string{"application/json", "application/problem+json", "application/hal+json"}, resp.Header.Get("Content-Type")) {
		x.err = fmt.Errorf("the balancer's own answer, %d", resp.StatusCode)
		return
	}
	x.status, x.body = resp.StatusCode, string(b)
	x.location, x.retryAfter = resp.Header.Get("Location"), resp.Header.Get("Retry-After") != ""
}

// send makes one exchange over a connection of its own.
func (t *trip) send(ctx context.Context, how, host, request string) (x exchange) {
	x = exchange{how: how, began: time.Now()}
	defer func() { t.note(x) }()
	conn, err := t.dial(ctx, host)
	if err != nil {
		x.err = err
		return x
	}
	defer func() { _ = conn.Close() }()
	if _, x.err = io.WriteString(conn, request); x.err == nil {
		x.receive(bufio.NewReader(conn))
	}
	return x
}

// create asks once.
func (t *trip) create(ctx context.Context, host string) exchange {
	return t.send(ctx, "create", host, t.request(host, 0))
}

// look asks for the result.
func (t *trip) look(ctx context.Context, host, location string, wait int) exchange {
	prefer := ""
	if wait > 0 {
		prefer = fmt.Sprintf("Prefer: wait=%d\r\n", wait)
	}
	if t.rest == streamed && wait > 0 {
		prefer += "Last-Event-ID: 0\r\n" + streamed + "\r\n"
	}
	return t.send(ctx, "get", host, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", location, host, prefer))
}

// pursue is what a client does that wants its result: it asks again with its key where it has no reply or is refused for
// now, and looks at its Location.
func (t *trip) pursue(ctx context.Context, w *world, prefer int) {
	ctx, cancel := context.WithTimeout(ctx, persistence)
	defer cancel()
	if x := t.insist(ctx, w, prefer); x.location != "" && !t.answered(x) {
		t.wait(ctx, w, prefer, x.location)
	}
}

// insist asks, and again where the client has a key.
func (t *trip) insist(ctx context.Context, w *world, prefer int) exchange {
	x := t.create(ctx, w.door(prefer))
	for try := 1; t.key != "" && x.location == "" && (x.status == 0 || x.status == 502 || x.status == 503) && pause(ctx, again); try++ {
		x = t.create(ctx, w.door(prefer+try))
	}
	return x
}

// wait looks for the result until it is there, at one gateway after the other.
func (t *trip) wait(ctx context.Context, w *world, prefer int, location string) {
	for try := 1; ; try++ {
		x := t.look(ctx, w.door(prefer+try), location, 3)
		if x.status == 200 || x.status == 410 || x.status == 404 || !pause(ctx, again) {
			return
		}
	}
}
