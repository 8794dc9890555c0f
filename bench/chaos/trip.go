package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"syncgate/internal/promises"
)

// trip is one request of the load, however often it is asked, and all that its client saw.
type trip struct {
	nonce   string
	key     string // Idempotency-Key; empty: none
	ops     int
	timeout time.Duration
	sim     string // members of __sim, the same for every op
	data    string // further members of data
	rest    string // it is a call of the route, with this header; empty: a package
	hook    string // the URL that its result is pushed to; empty: none
	heard   heard  // what its receiver had, when that was asked

	mu    sync.Mutex
	asked []exchange // guarded by mu, in the order of their ends
}

// exchange is one HTTP request and its reply.
type exchange struct {
	how          string // create, get
	began, ended time.Time
	status       int // 0: no reply
	body         string
	location     string
	retryAfter   bool
	left         bool // the client gave up the connection by its own will
	err          error
}

func (t *trip) note(x exchange) {
	x.ended = time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked = append(t.asked, x)
}

// ref names op i at the engine.
func (t *trip) ref(i int) string { return fmt.Sprintf("%s-%d", t.nonce, i) }

// body is the package.
func (t *trip) body() string {
	ops := make([]string, t.ops)
	for i := range ops {
		ops[i] = fmt.Sprintf(`{"type":"create","obj":"task","conv_id":1,"ref":%q,"data":{"nonce":%[1]q%s,"__sim":{%s}}}`, t.ref(i), t.data, t.sim)
	}
	return fmt.Sprintf(`{"timeout":%g,"ops":[%s]}`, t.timeout.Seconds(), strings.Join(ops, ","))
}

// complete is the one reply that is the whole result.
func (t *trip) complete() string {
	if t.rest != "" {
		return t.restResult()
	}
	ops := make([]string, t.ops)
	for i := range ops {
		ops[i] = fmt.Sprintf(`{"proc":"ok","ref":%q,"data":{"nonce":%[1]q%s}}`, t.ref(i), t.data)
	}
	return `{"request_proc":"ok","ops":[` + strings.Join(ops, ",") + "]}"
}

// answered reports whether a reply is the whole result.
func (t *trip) answered(x exchange) bool {
	if t.hook != "" {
		return x.status == 202 && t.heard.Accepted() > 0
	}
	return x.status == 200 && x.body == t.complete()
}

// read gives the ops whose results the client has read, and what is wrong with a reply: it has another's result, or one
// that nobody made. A result that is pushed is read by its receiver.
func (t *trip) read() (read []bool, wrong string) {
	switch {
	case t.hook != "":
		return []bool{t.heard.Accepted() > 0}, t.heard.Mistaken(t.restResult())
	case t.rest != "":
		return t.restRead()
	}
	return t.packageRead()
}

func (t *trip) packageRead() (read []bool, wrong string) {
	read = make([]bool, t.ops)
	for _, x := range t.asked {
		if x.status == 0 {
			continue
		}
		reply, err := promises.ReadReply([]byte(x.body))
		if err != nil {
			return read, fmt.Sprintf("a reply that is no JSON: %d %.200s", x.status, x.body)
		}
		for i, op := range reply.Ops {
			switch {
			case !op.IsResult():
			case i >= t.ops || op.Ref != t.ref(i):
				return read, "somebody else's result: " + x.body
			default:
				if wrong = op.Mistaken(t.ref(i)); wrong != "" {
					return read, wrong
				}
				read[i] = true
			}
		}
	}
	return read, ""
}

// location is the Location of the client's replies.
func (t *trip) location() string {
	for _, x := range t.asked {
		if x.location != "" {
			return x.location
		}
	}
	return ""
}
