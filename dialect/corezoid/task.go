package corezoid

import (
	"bytes"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/internal/httpfield"
)

const taskPath = "/api/1/tasks/"

// Task verifies a request for a result and reads it: the path names the task, and may have {login}/{time}/{signature} over an empty body
// behind that.
func (d *Dialect) Task(req *fasthttp.Request, _ dialect.Route, now time.Time) (dialect.TaskCall, error) {
	name, _ := taskName(httpfield.RawPath(req.Header.RequestURI()))
	id, path, _ := bytes.Cut(name, []byte("/"))
	login, err := d.identify(&req.Header, path, now)
	if err != nil {
		return dialect.TaskCall{}, err
	}
	c := dialect.TaskCall{Task: id, Login: login, Wait: httpfield.PreferredWait(&req.Header, d.timeouts.Max)}
	if c.Wait > 0 {
		c.Applied = "wait=" + strconv.FormatInt(int64((c.Wait+time.Second-1)/time.Second), 10)
	}
	c.MayRead = func(of string, guarded bool) error {
		if login != of && (login != "" || guarded) {
			return dialect.ErrReader
		}
		return nil
	}
	return c, nil
}

// View shows a task as the dialect does that made it: 200 with the reply when it is final, 202 with the reply so far.
func (*Dialect) View(dst *fasthttp.Response, _ *dialect.TaskCall, r *dialect.Reply, own func(dst *fasthttp.Response)) {
	own(dst)
	dst.Header.Del("Location")
	if r.RetryAfter > 0 {
		dst.Header.Set("Retry-After", strconv.Itoa(int((r.RetryAfter+time.Second-1)/time.Second)))
	}
}

// taskName gives the part of a task's path that names it: its id, or id, login, time and signature.
func taskName(path []byte) (name []byte, ok bool) {
	name, ok = bytes.CutPrefix(path, []byte(taskPath))
	if !ok || bytes.HasPrefix(name, []byte("/")) || len(name) == 0 {
		return nil, false
	}
	slashes := bytes.Count(name, []byte("/"))
	return name, slashes == 0 || slashes == 3
}
