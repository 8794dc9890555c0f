package enginesim

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// Stats counts since Start.
type Stats struct {
	Requests       int64         // packages received, good or bad
	Refused        int64         // packages with a wrong signature or body
	Tasks          int64         // creates that made a task
	Modifies       int64         // modify ops
	OpErrors       int64         // ops answered with an error
	Callbacks      int64         // callbacks sent, repeated ones included
	CallbackErrors int64         // of those, without an HTTP answer
	Heard          map[int]int64 // the others by the answer's HTTP status
	Pending        int64         // callbacks now delayed, queued or in flight
}

// counters are updated without a lock.
type counters struct {
	requests, refused, tasks, modifies, opErrors, callbacks atomic.Int64

	statuses [600]atomic.Int64 // by HTTP status; 0: no answer
}

func (c *counters) heard(status int) {
	if status < 0 || status >= len(c.statuses) {
		status = 0
	}
	c.statuses[status].Add(1)
}

// Stats reads the counters, each by itself: while the engine works they may be a step apart.
func (e *Engine) Stats() Stats {
	c := &e.counters
	s := Stats{
		Requests:       c.requests.Load(),
		Refused:        c.refused.Load(),
		Tasks:          c.tasks.Load(),
		Modifies:       c.modifies.Load(),
		OpErrors:       c.opErrors.Load(),
		Callbacks:      c.callbacks.Load(),
		CallbackErrors: c.statuses[0].Load(),
		Heard:          make(map[int]int64),
		Pending:        e.pending.Load(),
	}
	for status := 1; status < len(c.statuses); status++ {
		if n := c.statuses[status].Load(); n > 0 {
			s.Heard[status] = n
		}
	}
	return s
}

// Settle waits until no callback is pending. Its error is that of ctx.
func (e *Engine) Settle(ctx context.Context) error {
	t := time.NewTicker(time.Millisecond)
	defer t.Stop()
	for e.pending.Load() > 0 {
		select {
		case <-t.C:
		case <-ctx.Done():
			return fmt.Errorf("settle %d callbacks: %w", e.pending.Load(), ctx.Err())
		}
	}
	return nil
}

// Request is a package as it was received.
type Request struct {
	Path   string // raw, without the query
	Header string // the header block
	Body   []byte
}

// Task is a created task and what became of its callbacks. Ref and Conv are JSON, empty when the op had none.
type Task struct {
	ObjID, Ref, Conv, Login string

	URL   string // the callback URL that the engine was given, empty for none
	Data  []byte // less __callback_url and __sim
	Heard []Answer
}

// Answer is what a callback heard.
type Answer struct {
	N      int // which of the duplicates, from 1
	Sent   time.Time
	At     time.Time
	Status int // 0 with Err
	Body   []byte
	Err    error
}

// recorder keeps the last max requests and tasks.
type recorder struct {
	max int

	mu       sync.Mutex
	requests []Request // guarded by mu
	tasks    []*Task   // guarded by mu, and so is what they point to
}

func (r *recorder) request(path []byte, h *fasthttp.RequestHeader, body []byte) {
	if r.max == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = appendLast(r.requests, r.max, Request{string(path), h.String(), bytes.Clone(body)})
}

func (r *recorder) task(t *task) *Task {
	if r.max == 0 {
		return nil
	}
	rec := &Task{ObjID: t.objID, Ref: t.ref, Conv: t.conv, Login: t.login, Data: t.data}
	if t.url != nil {
		rec.URL = t.url.String()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tasks = appendLast(r.tasks, r.max, rec)
	return rec
}

func (r *recorder) heard(c call, sent time.Time, status int, body []byte, err error) {
	rec := c.task.record
	if rec == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	rec.Heard = appendLast(rec.Heard, r.max, Answer{c.n, sent, time.Now(), status, bytes.Clone(body), err})
}

// appendLast appends x and lets the oldest go beyond most.
func appendLast[T any](list []T, most int, x T) []T {
	if len(list) >= 2*most { // so that moving costs little for each
		list = append(list[:0:0], list[len(list)-most+1:]...)
	}
	return append(list, x)
}

// last is what appendLast promised to keep, copied.
func last[T any](list []T, most int) []T {
	return append([]T(nil), list[max(0, len(list)-most):]...)
}

// Requests gives the last Config.Record packages, oldest first.
func (e *Engine) Requests() []Request {
	r := &e.recorder
	r.mu.Lock()
	defer r.mu.Unlock()
	return last(r.requests, r.max)
}

// Tasks gives the last Config.Record tasks, oldest first.
func (e *Engine) Tasks() []Task {
	r := &e.recorder
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Task
	for _, t := range last(r.tasks, r.max) {
		t := *t
		t.Heard = last(t.Heard, r.max)
		out = append(out, t)
	}
	return out
}

// Created counts the recorded tasks with that ref, given as JSON.
func (e *Engine) Created(ref string) (n int) {
	for _, t := range e.Tasks() {
		if t.Ref == ref {
			n++
		}
	}
	return n
}
