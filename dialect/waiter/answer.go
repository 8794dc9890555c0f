package waiter

import (
	"encoding/json"

	"github.com/valyala/fasthttp"
)

const contentType = "application/json"

// Descriptions of what did not complete an op [the vendor's own words].
const (
	notFoundTask = "not found task"
	notInNode    = "task_not_in_current_sync_callback_node"
	stillRunning = "The last one callback is still running. You should wait"
	wrongParams  = "wrong_validate_params"
	unavailable  = "Temporarily unavailable"
)

// Values of opAnswer.Proc.
const (
	procOK      = "ok"
	procError   = "error"
	procPending = "pending" // it is held
)

// opAnswer is what is said of one completion, in the shape of an op of a package.
type opAnswer struct {
	ID          string `json:"id"` // empty: a callback has none
	Proc        string `json:"proc"`
	Obj         string `json:"obj"`
	Ref         string `json:"ref,omitempty"`
	Task        string `json:"obj_id,omitempty"`
	Description string `json:"description,omitempty"`

	status  int
	outcome string // for the metrics
}

// invalid says what is wrong with a body, or with one of its events.
func invalid(what string) opAnswer {
	return opAnswer{Proc: procError, Obj: "task", Description: wrongParams + ": " + what, status: fasthttp.StatusBadRequest, outcome: countedRefused}
}

// answerTo says what became of the completion with a name. task is as Modify gives it.
func (w *waiter) answerTo(name string, o Outcome, task string) opAnswer {
	a := opAnswer{Proc: procOK, Obj: "task", Task: task, status: fasthttp.StatusOK, outcome: o.String()}
	switch w.key.text {
	case KeyRef:
		a.Ref = name
	case KeyTask:
		a.Task = name
	}
	fail := func(status int, description string) { a.Proc, a.status, a.Description = procError, status, description }
	switch o {
	case Completed:
	case Held:
		a.Proc, a.status = procPending, fasthttp.StatusAccepted
	case Unknown:
		if w.Synchronous {
			fail(fasthttp.StatusNotFound, notFoundTask)
		}
	case Finished:
		if w.Synchronous {
			fail(fasthttp.StatusConflict, notInNode)
		}
	case Busy:
		fail(fasthttp.StatusConflict, stillRunning)
	case Unavailable:
		fail(fasthttp.StatusServiceUnavailable, unavailable)
	}
	return a
}

// packageAnswer is the shape of a package.
type packageAnswer struct {
	Proc string     `json:"request_proc"`
	Ops  []opAnswer `json:"ops"`
}

// write answers with ops.
func write(dst *fasthttp.Response, status int, ops []opAnswer) {
	body, err := json.Marshal(packageAnswer{procOK, ops})
	if err != nil { // it has texts alone
		body = []byte("{}")
	}
	dst.SetStatusCode(status)
	dst.Header.SetContentType(contentType)
	dst.SetBody(body)
	if status == fasthttp.StatusServiceUnavailable {
		dst.Header.Set(fasthttp.HeaderRetryAfter, "1")
	}
}

// writeTaken says that there is nothing to say yet, or at all.
func writeTaken(dst *fasthttp.Response) {
	dst.SetStatusCode(fasthttp.StatusAccepted)
	dst.Header.SetContentType(contentType)
	dst.SetBodyString("{}")
}

// statusOf is the status for several events: that one was delivered, or else that one is held, or else what is wrong with the first.
func statusOf(ops []opAnswer) int {
	best := fasthttp.StatusOK
	for i := range ops {
		switch {
		case ops[i].status == fasthttp.StatusOK:
			return fasthttp.StatusOK
		case ops[i].status == fasthttp.StatusAccepted:
			best = fasthttp.StatusAccepted
		case i == 0:
			best = ops[i].status
		}
	}
	return best
}
