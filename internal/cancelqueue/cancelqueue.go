// Package cancelqueue asks engines to cancel tasks, until they answer.
package cancelqueue

import (
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"syncgate/internal/redact"
	"syncgate/internal/upstream"
)

const (
	// mostOpen bounds the engines' requests to cancel that are under way or wait for another attempt.
	mostOpen = 1000
	// mostAttempts is how often an engine is asked that fails, with firstPause after the first attempt, and each pause twice the one
	// before.
	mostAttempts = 5
	firstPause   = time.Second
)

// Request is the request that has an engine cancel a task.
type Request struct {
	Client *upstream.Client
	Engine string       // its name, for the log
	Trip   fmt.Stringer // of the task, for the log
	// Append appends the request, with the time now. An error means that there is no such request for this task. It is called for each attempt.
	Append func(dst []byte, now time.Time) ([]byte, error)
}

// Queue asks engines to cancel tasks. Nobody waits for it. Each request is a call of the engine's own client; one that fails is made again
// by a timer.
type Queue struct {
	log   zerolog.Logger
	pause time.Duration // firstPause, but in tests

	mu     sync.Mutex
	open   map[*attempts]*time.Timer // nil: the call is under way
	closed bool
}

// New makes a queue. It starts nothing.
func New(log zerolog.Logger) *Queue {
	return &Queue{log: log, pause: firstPause, open: make(map[*attempts]*time.Timer)}
}

// Ask has an engine asked.
func (q *Queue) Ask(r Request) {
	c := &attempts{Request: r, q: q}
	q.mu.Lock()
	full := len(q.open) >= mostOpen
	if !full && !q.closed {
		q.open[c] = nil
	}
	closed := q.closed
	q.mu.Unlock()
	switch {
	case closed:
	case full:
		q.log.Warn().Stringer("trip", r.Trip).Msg("an engine is not asked to cancel a task: too many such requests are open")
	default:
		r.Client.Do(c)
	}
}

// again makes a call once more, later. False: it was the last attempt, or the gateway ends.
func (q *Queue) again(c *attempts) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || c.made >= mostAttempts {
		delete(q.open, c)
		return false
	}
	q.open[c] = time.AfterFunc(q.pause<<(c.made-1), func() {
		q.mu.Lock()
		_, stays := q.open[c]
		if stays {
			q.open[c] = nil
		}
		q.mu.Unlock()
		if stays {
			c.Client.Do(c)
		}
	})
	return true
}

// done forgets a call.
func (q *Queue) done(c *attempts) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.open, c)
}

// Close gives up what waits for another attempt.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	waiting := 0
	for c, timer := range q.open {
		if timer != nil {
			timer.Stop()
			delete(q.open, c)
			waiting++
		}
	}
	if waiting > 0 {
		q.log.Warn().Int("tasks", waiting).Msg("engines were not asked to cancel: the node ends")
	}
}

// attempts is what is known of the requests for one task, which follow one another. It is the Call of the engine's client.
type attempts struct {
	Request
	q *Queue

	// Owned by the exchange, from attempt to attempt.
	made   int
	status int  // 0: there was no answer
	cannot bool // there is no such request for this task: err says why
	err    error
}

// AppendRequest appends the request.
func (c *attempts) AppendRequest(dst []byte, now time.Time) ([]byte, error) {
	c.status, c.err = 0, nil
	request, err := c.Append(dst, now)
	c.cannot = err != nil
	return request, err
}

// Answered notes the answer.
func (c *attempts) Answered(status int, _ *fasthttp.ResponseHeader, _ []byte) bool {
	c.status = status
	return true
}

// Failed notes that there is none.
func (c *attempts) Failed(err error, _ bool) { c.err = err }

// Queued lets the call wait for a connection.
func (*attempts) Queued(bool) bool { return true }

// Finished ends the call, or has it made again: after no answer, and after one that says that it may go better later.
func (c *attempts) Finished(_ time.Duration, _ string) {
	c.made++
	failed := c.status == 0 || c.status >= 500 || c.status == fasthttp.StatusTooManyRequests || c.status == fasthttp.StatusRequestTimeout
	switch {
	case c.cannot:
		c.q.done(c)
		c.warn("an engine cannot be asked to cancel a task")
	case !failed:
		c.q.done(c)
		if c.status >= 300 && !knowsNoTask(c.status) {
			c.warn("an engine has refused to cancel a task")
		}
	case !c.q.again(c):
		c.warn("an engine could not be asked to cancel a task")
	}
}

// warn says to operators what has become of the call.
func (c *attempts) warn(message string) {
	line := c.q.log.Warn().Stringer("trip", c.Trip).Str("engine", c.Engine).Int("attempts", c.made)
	if c.status != 0 {
		line = line.Int("status", c.status)
	}
	if c.err != nil {
		line = line.Str("error", redact.Error(c.err))
	}
	line.Msg(message)
}

// knowsNoTask reports whether an engine says that it has no such task, or that the task is over: then there is nothing to cancel.
func knowsNoTask(status int) bool {
	return status == fasthttp.StatusNotFound || status == fasthttp.StatusConflict || status == fasthttp.StatusGone
}

var _ upstream.Call = (*attempts)(nil)
