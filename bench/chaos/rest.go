package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Ways in which a client of a route asks.
const (
	handedOver = "Prefer: respond-async"
	streamed   = "Accept: text/event-stream"
)

// routed is a setup with a route. The route and the signed requests use the same engine.
func routed() setup {
	return setup{routes: fmt.Sprintf("routes: [{name: work, path: /v1/work, conv_id: 1, login: %q, auth: none, wait: {max: 60s}}]\n", login)}
}

// asks is a client of the route that pursues its result.
func asks(how string) func(context.Context, *world, *trip, int) {
	return func(ctx context.Context, w *world, t *trip, prefer int) {
		t.rest, t.ops = how, 1
		t.pursue(ctx, w, prefer)
	}
}

func routeCells() []cell {
	kill := func(_ context.Context, w *world) error { w.nodes[0].die(); return nil }
	return []cell{
		{
			component: "gateway", fault: "kill -9 behind tasks of a route",
			what:   "The node that has handed tasks over (Prefer: respond-async) is killed while the engine works. Their clients find the tasks at the other node.",
			setup:  routed(),
			load:   traffic{home: 1, sim: to(2, 500, 1500), play: asks(handedOver)},
			strike: kill, bites: some(recovered),
		},
		{
			component: "gateway", fault: "kill -9 of the node of open streams",
			what:   "The node whose clients read events is killed while the engine works. They resume at the other node behind the last event.",
			setup:  routed(),
			load:   traffic{home: 1, sim: to(2, 300, 1500), play: asks(streamed)},
			strike: kill, bites: both(some(answered), some(recovered)),
		},
	}
}

// restRequest makes the bytes of a call of the route.
func (t *trip) restRequest(host string) string {
	body := fmt.Sprintf(`{"nonce":%q,"__sim":{%s}}`, t.ref(0), t.sim)
	if t.hook != "" {
		body = fmt.Sprintf(`{"callbackUrl":%q,%s`, t.hook, body[1:])
	}
	key := ""
	if t.key != "" {
		key = "Idempotency-Key: " + t.key + "\r\n"
	}
	return fmt.Sprintf("POST /v1/work HTTP/1.1\r\nHost: %s\r\n%s\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", host, t.rest, key, len(body), body)
}

// restResult is what a call of the route is answered with.
func (t *trip) restResult() string { return fmt.Sprintf(`{"nonce":%q}`, t.ref(0)) }

// restRead reports whether the client has read its result, and what is wrong with a reply.
func (t *trip) restRead() (read []bool, wrong string) {
	for _, x := range t.asked {
		var reply struct{ Nonce string }
		switch {
		case x.status == 0:
		case json.Unmarshal([]byte(x.body), &reply) != nil:
			return []bool{false}, fmt.Sprintf("a reply that is no JSON: %d %.200s", x.status, x.body)
		case x.status == http.StatusOK && x.body != t.restResult():
			return []bool{false}, "somebody else's result: " + x.body
		}
	}
	return []bool{slices.ContainsFunc(t.asked, t.answered)}, ""
}

// receiveEvents reads a stream: its result is the body, as that of a reply would be. The location is in the first event.
func (x *exchange) receiveEvents(resp *http.Response) {
	name := ""
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case field == "event":
			name = value
		case field == "data" && name == "accepted":
			var task struct{ Location string }
			x.err = json.Unmarshal([]byte(value), &task)
			x.location = task.Location
		case field == "data":
			x.status, x.body = http.StatusOK, value
			if name != "result" {
				x.status = http.StatusBadGateway
			}
			return
		}
	}
	x.err = errors.Join(lines.Err(), errors.New("the stream ended before its last event"))
}
