package syncgate

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// slack is how long an answer may take beyond its wait. A later one does not come any more.
	slack = 10 * time.Second
	// cancelFor is how long a task that is being made is waited for when the context has ended, and how long it is cancelled.
	cancelFor = 5 * time.Second
	// repeatFor is how long a request is repeated. The gateway knows a key for results.retention, 1 h by default: a repeat after that would make
	// a second task.
	repeatFor = 30 * time.Minute
	// longest bounds every wait.
	longest = 365 * 24 * time.Hour
)

// pauses are those before repeats, the last one again and again.
func pauses() []time.Duration {
	return []time.Duration{100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}
}

// trip is one call: what it wants, what it knows of its task, and what it may still try.
type trip struct {
	c        *Client
	ctx      context.Context // it is the call's
	set      settings
	key      string // empty: none
	began    time.Time
	left     int // requests that may be repeated
	failures int // in a row
	task     string
	maybe    bool // a task may exist, and its end is not known
	sync     bool // its engine is Corezoid's, and nobody can cancel what a process has begun
}

func (c *Client) begin(ctx context.Context, options []Option) (*trip, error) {
	t := &trip{c: c, ctx: ctx, set: settings{wait: 2 * time.Minute, method: http.MethodPost, header: make(http.Header)}, began: time.Now(), left: c.Reattach}
	for _, o := range options {
		o(&t.set)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("syncgate: %w", err)
	}
	if t.set.wait <= 0 {
		return nil, errors.New("syncgate: Wait must be above 0")
	}
	t.set.wait = min(t.set.wait, longest)
	if c.Reattach == 0 {
		t.left = 20
	}
	t.key = t.set.key
	switch {
	case t.set.noKey:
		t.key = ""
	case t.key == "":
		var b [16]byte
		if _, err := rand.Read(b[:]); err != nil {
			return nil, fmt.Errorf("syncgate: make a key: %w", err)
		}
		t.key = hex.EncodeToString(b[:])
	case len(t.key) > 255 || strings.ContainsFunc(t.key, func(r rune) bool { return r < '!' || r > '~' }):
		return nil, errors.New("syncgate: IdempotencyKey must be 1 to 255 visible ASCII characters")
	}
	return t, nil
}

func (c *Client) check() error {
	u, err := url.Parse(c.URL)
	ways := 0
	for _, way := range []string{c.Key, c.User, c.Login} {
		if way != "" {
			ways++
		}
	}
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "":
		return errors.New("the URL must be as https://sync.example.com")
	case ways > 1:
		return errors.New("the fields Key, User and Login exclude each other")
	case c.Login != "" && (c.Secret == "") == (c.Sign == nil):
		return errors.New("a Login needs Secret or Sign")
	}
	return nil
}

// elapsed is the time since the beginning. A machine that slept counts, and a clock that was set back does not.
func (t *trip) elapsed() time.Duration {
	now := time.Now()
	return max(now.Sub(t.began), now.Round(0).Sub(t.began.Round(0)))
}

func (t *trip) remaining() time.Duration { return t.set.wait - t.elapsed() }

func (t *trip) over() bool { return t.remaining() <= 0 || t.ctx.Err() != nil }

// hold is how many seconds the next request waits.
func (t *trip) hold() int {
	most := t.c.Hold
	if most <= 0 {
		most = 20 * time.Second
	}
	return max(int(math.Ceil(min(most, t.remaining()).Seconds())), 1)
}

// late is when the answer to a request that waits for so many seconds does not come any more.
func (t *trip) late(wait int) time.Duration {
	return min(time.Duration(wait)*time.Second+slack, max(t.remaining(), 0)+2*time.Second)
}

func (t *trip) failed(code, message string, err error) *Error {
	e := &Error{Code: code, Message: message, Maybe: t.maybe, IdempotencyKey: t.key, Err: err}
	if t.task != "" {
		e.Task = strings.TrimRight(t.c.URL, "/") + "/tasks/" + t.task
	}
	return e
}

// failure is the error that an answer is.
func (t *trip) failure(a *answer) *Error {
	code, message := a.word, a.problem.Detail
	switch {
	case code != "":
	case a.final:
		code = "engine-error"
	default:
		code = "unexpected"
	}
	if message == "" {
		message = a.problem.Title
	}
	if message == "" {
		message = said(a.body)
	}
	if message == "" {
		message = "the answer has status " + strconv.Itoa(a.status)
	}
	e := t.failed(code, message, nil)
	e.Status, e.Type, e.RequestID, e.RetryAfter, e.Body = a.status, a.problem.Type, a.header.Get("X-Request-Id"), a.retryAfter(), a.body
	return e
}

// lost is the error that stands for a request without an answer, nil where err is no such thing.
func (t *trip) lost(err error) *Error {
	var lost *lostError
	var large *tooLargeError
	switch {
	case errors.As(err, &lost):
		return t.failed("network", "the connection was lost", lost.err)
	case errors.As(err, &large):
		e := t.failed("too-large", "the answer is larger than MaxBytes", nil)
		e.Status = large.status
		return e
	}
	return nil
}

// abandon cancels the task when the context of its call has ended. It needs the task's id. If the answer with the id was lost, it does not send the request
// again to learn the id: that could make the task.
func (t *trip) abandon() *Error {
	cancelled := !t.sync && t.task != "" && t.maybe && t.cancel(context.WithoutCancel(t.ctx))
	t.maybe = t.maybe && !cancelled
	e := t.failed("aborted", "the call was aborted", context.Cause(t.ctx))
	e.Cancelled = cancelled
	return e
}

func (t *trip) cancel(ctx context.Context) bool {
	ctx, stop := context.WithTimeout(ctx, cancelFor)
	defer stop()
	for _, after := range pauses() {
		a, err := t.c.send(ctx, &request{method: http.MethodDelete, path: "/tasks/" + t.task}, false)
		if err == nil && !a.passes {
			return a.status == http.StatusAccepted
		}
		if !pause(ctx, after) {
			break
		}
	}
	return false
}

// make sends the request that makes the task, again and again with the same key, until there is an answer to it.
func (t *trip) make(next func() *request) (*answer, error) {
	return t.until(true, func() (*answer, error) {
		r, before := next(), t.maybe
		if t.key != "" {
			r.header.Set("Idempotency-Key", t.key)
		}
		ctx, cancel := t.making()
		defer cancel()
		a, err := t.c.send(ctx, r, t.sync)
		if err != nil {
			var lost *lostError
			t.maybe = before || !errors.As(err, &lost) || !lost.unsent
			return nil, err
		}
		if a.task != "" {
			t.task = a.task
		}
		unclear := a.status < 400 || a.status > 499
		if a.ours {
			unclear = a.forwarded == "maybe"
		}
		t.maybe = a.goesOn || before && !a.kept || unclear && !a.final
		return a, nil
	})
}

// making is the context of a request that makes the task. It outlives that of the call a little: a task that is being made could not be cancelled, as nobody
// would know it.
func (t *trip) making() (context.Context, context.CancelFunc) {
	if t.sync {
		return context.WithTimeout(t.ctx, t.late(t.hold()))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), t.late(t.hold()))
	stop := context.AfterFunc(t.ctx, func() { // ends with the request
		pause(ctx, cancelFor)
		cancel()
	})
	return ctx, func() {
		stop()
		cancel()
	}
}

// ask asks something of a task, which makes none, until there is an answer.
func (t *trip) ask(path string, wait int) (*answer, error) {
	r := &request{method: http.MethodGet, path: path, header: make(http.Header)}
	if wait > 0 {
		r.header.Set("Prefer", "wait="+strconv.Itoa(wait))
	}
	return t.until(false, func() (*answer, error) {
		ctx, cancel := context.WithTimeout(t.ctx, t.late(wait))
		defer cancel()
		return t.c.send(ctx, r, t.sync)
	})
}

// until repeats a request until its answer is not one that passes.
func (t *trip) until(makes bool, send func() (*answer, error)) (*answer, error) {
	for {
		if t.ctx.Err() != nil {
			return nil, t.abandon()
		}
		a, err := send()
		if err == nil && !a.passes {
			t.failures = 0
			return a, nil
		}
		why := t.lost(err)
		switch {
		case err == nil:
			why = t.failure(a)
		case why == nil:
			return nil, err // of Sign, or of the arguments
		case why.Code != "network":
			return nil, why
		}
		if err := t.again(why, makes); err != nil {
			return nil, err
		}
	}
}

// again waits before a repeat, or says why there is none.
func (t *trip) again(why *Error, makes bool) error {
	steps := pauses()
	own := steps[min(t.failures, len(steps)-1)]
	own = time.Duration(float64(own) * (0.75 + mathrand.Float64()/2)) //nolint:gosec // so that clients do not come back together
	t.failures++
	next := max(why.RetryAfter, min(own, t.remaining()/2))
	mayDouble := makes && t.maybe && (t.key == "" || t.elapsed()+next > repeatFor)
	t.left--
	switch {
	case t.ctx.Err() != nil:
		return t.abandon()
	case t.left < 0 || mayDouble || t.remaining()-next < 50*time.Millisecond:
		return why
	case !pause(t.ctx, next):
		return t.abandon()
	}
	return nil
}

// pause waits, but not beyond the context: then it is false.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
