package syncgate

import (
	"context"
	"encoding/json"
	"net/http"
)

// Reply is what Corezoid's dialect answers. Ops[i] answers the operation i of the request.
type Reply struct {
	RequestProc string      `json:"request_proc"`
	Ops         []Operation `json:"ops"`
}

// Operation is the answer to one operation. Proc is "ok" where Data is the result; anything else is the engine's refusal.
type Operation struct {
	Proc        string          `json:"proc"`
	Data        json.RawMessage `json:"data,omitempty"`
	Description string          `json:"description,omitempty"`
	ID          json.RawMessage `json:"id,omitempty"`
	Ref         json.RawMessage `json:"ref,omitempty"`
}

// late is what the gateway says of an operation without a result.
const late = "Timeout for create task"

// CallCorezoid sends operations to Corezoid's processes, and gives the reply when each has its result. ops is written as JSON: a slice of operations.
// A context that ends ends the wait and no task: nobody can cancel what a process has begun.
func (c *Client) CallCorezoid(ctx context.Context, ops any, options ...Option) (*Reply, error) {
	t, err := c.begin(ctx, options)
	if err != nil {
		return nil, err
	}
	t.sync = true
	text, err := json.Marshal(ops)
	if err != nil {
		return nil, err
	}
	header := t.set.header.Clone()
	header.Set("Content-Type", "application/json")
	a, err := t.make(func() *request {
		body, _ := json.Marshal(struct { // a number and JSON
			Timeout int             `json:"timeout"`
			Ops     json.RawMessage `json:"ops"`
		}{t.hold(), text})
		return &request{http.MethodPost, "/api/2/json", header.Clone(), body}
	})
	for began := t.elapsed(); err == nil; a, err = t.ask("/api/1/tasks/"+t.task, t.hold()) {
		var reply Reply
		bad := json.Unmarshal(a.body, &reply) != nil
		open := a.status == http.StatusAccepted || a.goesOn || a.status == http.StatusOK && reply.open()
		switch {
		case !open && !bad && a.status == http.StatusOK && reply.RequestProc == "ok":
			return &reply, nil
		case !open:
			return nil, t.failure(a)
		}
		t.maybe = true
		if t.ctx.Err() != nil {
			return nil, t.abandon()
		}
		if t.task == "" || t.over() {
			e := t.failed("timeout", "the wait has ended before every result came", nil)
			e.Body = a.body
			return nil, e
		}
		if a.status == http.StatusAccepted {
			t.space(a, began)
		}
		began = t.elapsed()
	}
	return nil, err
}

// open reports whether an operation has no result yet.
func (r *Reply) open() bool {
	for _, op := range r.Ops {
		if op.Proc == "error" && op.Description == late {
			return true
		}
	}
	return false
}

// said gives the description of an error in Corezoid's dialect; empty: there is none.
func said(body []byte) string {
	var r Reply
	if json.Unmarshal(body, &r) != nil || len(r.Ops) == 0 {
		return ""
	}
	return r.Ops[0].Description
}
