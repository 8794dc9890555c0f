package waiter

import (
	"github.com/go-json-experiment/json/jsontext"
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

// Values of opAnswer.proc.
const (
	procOK      = "ok"
	procError   = "error"
	procPending = "pending" // it is held
)

// opAnswer is what is said of one completion, in the shape of an op of a package.
type opAnswer struct {
	proc                   string
	ref, task, description string // empty: it has none

	status  int
	outcome string // for the metrics
}

// invalid says what is wrong with a body, or with one of its events.
func invalid(what string) opAnswer {
	return opAnswer{proc: procError, description: wrongParams + ": " + what, status: fasthttp.StatusBadRequest, outcome: countedRefused}
}

// answerTo says what became of the completion with a name. task is as Modify gives it.
func (w *waiter) answerTo(name string, o Outcome, task string) opAnswer {
	a := opAnswer{proc: procOK, task: task, status: fasthttp.StatusOK, outcome: o.String()}
	switch w.key.text {
	case KeyRef:
		a.ref = name
	case KeyTask:
		a.task = name
	}
	fail := func(status int, description string) { a.proc, a.status, a.description = procError, status, description }
	switch o {
	case Completed:
	case Held:
		a.proc, a.status = procPending, fasthttp.StatusAccepted
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

// append appends the op. A callback has no id.
func (a *opAnswer) append(dst []byte) []byte {
	dst = append(append(dst, `{"id":"","proc":"`...), a.proc...)
	dst = append(dst, `","obj":"task"`...)
	for _, m := range [...]struct{ name, text string }{{`,"ref":`, a.ref}, {`,"obj_id":`, a.task}, {`,"description":`, a.description}} {
		if m.text != "" {
			dst, _ = jsontext.AppendQuote(append(dst, m.name...), m.text) // its error is about UTF-8
		}
	}
	return append(dst, '}')
}

// write answers with ops, in the shape of a package.
func write(dst *fasthttp.Response, status int, ops []opAnswer) {
	body := []byte(`{"request_proc":"ok","ops":[`)
	for i := range ops {
		if i > 0 {
			body = append(body, ',')
		}
		body = ops[i].append(body)
	}
	dst.SetStatusCode(status)
	dst.Header.SetContentType(contentType)
	dst.SetBody(append(body, "]}"...))
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
