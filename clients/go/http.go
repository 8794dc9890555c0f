package syncgate

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // Corezoid's Sync API signs so
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// lostError says that a request may have arrived, and that its answer did not.
type lostError struct {
	err    error
	unsent bool // nothing was connected, so surely nothing was sent
}

func (e *lostError) Error() string { return e.err.Error() }

// tooLargeError says that an answer or an event is larger than MaxBytes.
type tooLargeError struct{ status int }

func (*tooLargeError) Error() string { return "an answer is larger than MaxBytes" }

// request is what is sent, again and again where need be. It is signed anew each time.
type request struct {
	method, path string
	header       http.Header
	body         []byte
}

// authorized makes an HTTP request with what authenticates it.
func (c *Client) authorized(ctx context.Context, r *request) (*http.Request, error) {
	path := r.path
	if c.Login != "" {
		unixTime := strconv.FormatInt(time.Now().Unix(), 10)
		signature, err := c.sign(ctx, unixTime, r.body)
		if err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		raw, query, asked := strings.Cut(path, "?") // the signature stands before the query
		if path = raw + "/" + c.Login + "/" + unixTime + "/" + signature; asked {
			path += "?" + query
		}
	}
	var body io.Reader
	if len(r.body) > 0 {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, strings.TrimRight(c.URL, "/")+path, body)
	if err != nil {
		return nil, err
	}
	if r.header != nil {
		req.Header = r.header.Clone()
	}
	if req.Header.Get("Idempotency-Key") != "" {
		req.GetBody = nil // else net/http repeats it too, and nobody counts that
	}
	switch {
	case c.Key != "":
		req.Header.Set("Authorization", "Bearer "+c.Key)
	case c.User != "":
		req.SetBasicAuth(c.User, c.Password)
	}
	return req, nil
}

func (c *Client) sign(ctx context.Context, unixTime string, body []byte) (string, error) {
	if c.Sign != nil {
		return c.Sign(ctx, unixTime, body)
	}
	h := sha1.New() //nolint:gosec // see above
	_, _ = io.WriteString(h, unixTime+c.Secret)
	_, _ = h.Write(body)
	_, _ = io.WriteString(h, c.Secret)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// open sends a request and gives the answer with its body unread. The error is a *lostError, or one of Sign or of the arguments.
func (c *Client) open(ctx context.Context, r *request) (*http.Response, error) {
	req, err := c.authorized(ctx, r)
	if err != nil {
		return nil, err
	}
	client := *http.DefaultClient
	if c.HTTP != nil {
		client = *c.HTTP
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		var dial *net.OpError
		return nil, &lostError{err, errors.As(err, &dial) && dial.Op == "dial"}
	}
	return resp, nil
}

// send sends a request and reads its answer. sync: it is one of Corezoid's dialect.
func (c *Client) send(ctx context.Context, r *request, sync bool) (*answer, error) {
	resp, err := c.open(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.maxBytes()+1))
	switch {
	case int64(len(body)) > c.maxBytes():
		return nil, &tooLargeError{resp.StatusCode}
	case err != nil:
		return nil, &lostError{err, false}
	}
	return newAnswer(resp, body, sync, r.method != http.MethodGet), nil
}

func (c *Client) maxBytes() int64 {
	if c.MaxBytes > 0 {
		return c.MaxBytes
	}
	return 16 << 20
}

// answer is one of the gateway, or of something on the way.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	problem struct{ Type, Title, Detail string }
	word    string // the name of the problem; empty: there is none
	task    string // the id
	// forwarded says whether the engine may have the request: "no" or "maybe"; empty: nobody said.
	forwarded string
	ours      bool // it is the gateway's
	goesOn    bool // the task runs on
	kept      bool // it is the kept end of a task: with a key such an answer says where the task is, and names no monitor
	final     bool // it tells what became of the task
	passes    bool // it tells nothing, and another try may
}

// newAnswer says what an answer means. sync: it is one of Corezoid's dialect. makes: it may be about a task that was just made.
func newAnswer(resp *http.Response, body []byte, sync, makes bool) *answer {
	a := &answer{status: resp.StatusCode, header: resp.Header, body: body, forwarded: resp.Header.Get("X-Syncgate-Forwarded")}
	a.read(makes)
	if sync {
		a.word = syncWord(a.status)
	}
	location := a.header.Get("Location")
	a.task, _ = taskIn(location)
	monitor := a.header.Get("Operation-Location") != "" || sync && a.task != "" && a.forwarded == "maybe"
	switch a.status {
	case http.StatusAccepted, http.StatusSeeOther, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		a.goesOn = monitor
	}
	a.kept = a.ours && !sync && !monitor && location != ""
	a.final = a.ours && !a.goesOn && (a.kept || a.word == "" || a.word == "engine-error" || a.word == "cancelled")
	a.passes = !a.goesOn && !a.kept && a.busy(makes)
	return a
}

// read says whether an answer is the gateway's, and reads its problem. Every answer of the gateway has a request id. Proxies may echo it: but when the
// gateway fails to make a task it says what was forwarded, and an engine's error is JSON.
func (a *answer) read(makes bool) {
	kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	sure := a.status < 500 || a.forwarded != "" || !makes && strings.HasSuffix(kind, "json")
	a.ours = sure && a.header.Get("X-Request-Id") != ""
	if a.ours && kind == "application/problem+json" {
		_ = json.Unmarshal(a.body, &a.problem)
	}
	if name, ok := strings.CutPrefix(a.problem.Type, "/errors/"); ok { // others are the engine's own
		a.word = name
	}
}

// busy reports whether an answer asks to come again.
func (a *answer) busy(makes bool) bool {
	switch {
	case (a.status == http.StatusRequestTimeout || a.status == http.StatusTooManyRequests) && (makes || !a.ours):
		return true
	case a.ours:
		return passing(a.word)
	}
	return a.status > http.StatusNotImplemented
}

// passing reports whether a problem of the gateway's own is worth another try.
func passing(word string) bool {
	switch word {
	case "too-many-requests", "overloaded", "unavailable", "draining", "engine-busy", "too-slow":
		return true
	}
	return false
}

// syncWord gives what stands for the name of a problem in Corezoid's dialect, which has none.
func syncWord(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "unauthorized"
	case http.StatusNotFound:
		return "not-found"
	case http.StatusRequestTimeout:
		return "too-slow"
	case http.StatusGone:
		return "gone"
	case http.StatusUnprocessableEntity:
		return "idempotency-key"
	case http.StatusTooManyRequests:
		return "too-many-requests"
	case http.StatusBadGateway:
		return "bad-gateway"
	case http.StatusServiceUnavailable:
		return "overloaded"
	}
	return "refused"
}

// retryAfter reads Retry-After, which is a number of seconds or a date by the clock of who answers (RFC 9110, 10.2.3). 0: there is none.
func (a *answer) retryAfter() time.Duration {
	value := a.header.Get("Retry-After")
	if n, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	until, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(until.Sub(now), 0)
}

var (
	taskURL = regexp.MustCompile(`(?:^|/tasks/)([\w-]+)(?:[/?#]|$)`)
	errTask = errors.New("syncgate: task must be the URL of a task")
)

// taskIn gives the id in the URL of a task.
func taskIn(url string) (id string, err error) {
	m := taskURL.FindStringSubmatch(url)
	if m == nil {
		return "", errTask
	}
	return m[1], nil
}
