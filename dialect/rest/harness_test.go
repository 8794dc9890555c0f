package rest_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/rest"
	"syncgate/internal/httpfield"
)

var now = time.Date(2026, 11, 29, 7, 0, 0, 0, time.UTC) // a constant

func newKeys(t testing.TB) *correlator.Keys {
	t.Helper()
	keys, err := correlator.NewKeys([]string{strings.Repeat("k", correlator.MinKeyLen)})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// route is the default one, called name, at a path, open for everybody, changed by edits.
func route(name, path string, edits ...func(*rest.RouteConfig)) rest.RouteConfig {
	r := rest.DefaultRoute()
	r.Name, r.Path, r.Auth, r.Engine = name, path, rest.AuthNone, "flow"
	for _, edit := range edits {
		edit(&r)
	}
	return r
}

func withAuth(auth string) func(*rest.RouteConfig) {
	return func(r *rest.RouteConfig) { r.Auth = auth }
}

func withMethods(methods ...string) func(*rest.RouteConfig) {
	return func(r *rest.RouteConfig) { r.Methods = methods }
}

// ofCorezoid makes a route one of a process.
func ofCorezoid(r *rest.RouteConfig) {
	r.Engine, r.ConvID, r.Login = dialect.DefaultEngine, "1234", "12345"
}

func config(routes []rest.RouteConfig, access ...rest.AccessConfig) rest.Config {
	return rest.Config{
		Routes: routes, Access: access, MaxWait: 300 * time.Second, Retention: time.Hour,
		Engines: []rest.Engine{{Name: dialect.DefaultEngine, Corezoid: true}, {Name: "flow"}, {Name: "steps", Progress: true, Parameters: []string{"kind"}}, {Name: "peer"}},
		Ops:     3,
	}
}

// verifier takes the signature "good" of any login.
type verifier struct{}

func (verifier) Verify(login, _, signature, _ []byte, _ time.Time) (string, error) {
	if string(signature) != "good" {
		return "", &dialect.Fault{Status: 401, Text: "Incorrect signature or login"}
	}
	return string(login), nil
}

func newDialect(t testing.TB, cfg rest.Config) *rest.Dialect {
	t.Helper()
	d, err := rest.New(cfg, rest.Outside{Keys: newKeys(t), Verifier: verifier{}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// request makes one of a line such as "POST /a", headers as "Name: value", and a body.
func request(line, body string, headers ...string) *fasthttp.Request {
	req := new(fasthttp.Request)
	method, target, _ := strings.Cut(line, " ")
	req.Header.SetMethod(method)
	req.Header.SetRequestURI(target)
	req.Header.SetNoDefaultContentType(true)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	req.SetBodyString(body)
	return req
}

// accept gives the call of a request, or its fault.
func accept(t testing.TB, d *rest.Dialect, line, body string, headers ...string) (*dialect.Call, *dialect.Fault) {
	t.Helper()
	req := request(line, body, headers...)
	r, ok := d.Route(httpfield.RawPath(req.Header.RequestURI()))
	if !ok || r.Kind != dialect.Create {
		t.Fatalf("%s is no route: %+v, %v", line, r, ok)
	}
	c, err := d.Accept(req, r, now)
	if err != nil {
		f, ok := err.(*dialect.Fault) //nolint:errorlint // the contract
		if !ok {
			t.Fatalf("%s: %v", line, err)
		}
		return nil, f
	}
	return c, nil
}

// must gives the call of a request that is good.
func must(t testing.TB, d *rest.Dialect, line, body string, headers ...string) *dialect.Call {
	t.Helper()
	c, f := accept(t, d, line, body, headers...)
	if f != nil {
		t.Fatalf("%s %q: %v", line, headers, f)
	}
	return c
}

// taskID makes the id of a task.
func taskID(t testing.TB) string {
	t.Helper()
	return string(newKeys(t).AppendTaskID(nil, correlator.NewID(correlator.NewNodeID(), now.Add(time.Hour))))
}

// head makes what has come beside a callback.
func head(contentType string, fields ...string) *correlator.Head {
	h := &correlator.Head{ContentType: contentType}
	for _, f := range fields {
		h.Fields = append(h.Fields, f+"\r\n"...)
	}
	return h
}

// final makes a reply with a result.
func final(status correlator.Status, body string, h *correlator.Head) *dialect.Reply {
	return &dialect.Reply{Finals: []correlator.Callback{{Status: status, Body: []byte(body), Head: h}}, RequestID: "rq1"}
}

// open makes a reply without one.
func open(why error, task string) *dialect.Reply {
	return &dialect.Reply{Finals: make([]correlator.Callback, 1), Open: why, Task: task, RequestID: "rq1", RetryAfter: 1500 * time.Millisecond}
}

// answer words a reply to a call.
func answer(d *rest.Dialect, c *dialect.Call, r *dialect.Reply) *fasthttp.Response {
	dst := new(fasthttp.Response)
	d.Answer(dst, c, r)
	return dst
}

// members reads a JSON object.
func members(t testing.TB, body []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return m
}

// wantHeaders compares headers, as "Name: value"; an empty value: there is none.
func wantHeaders(t testing.TB, dst *fasthttp.Response, want ...string) {
	t.Helper()
	for _, w := range want {
		name, value, _ := strings.Cut(w, ":")
		if got := string(dst.Header.Peek(name)); got != strings.TrimPrefix(value, " ") {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
}

// isProblem wants a problem of a type.
func isProblem(t testing.TB, dst *fasthttp.Response, status int, name string) map[string]any {
	t.Helper()
	p := members(t, dst.Body())
	if dst.StatusCode() != status || string(dst.Header.ContentType()) != "application/problem+json" || p["type"] != "/errors/"+name || p["status"] != float64(status) ||
		p["instance"] != "rq1" || p["title"] == "" || p["detail"] == "" {
		t.Errorf("%d %s %s, want %d %s", dst.StatusCode(), dst.Header.ContentType(), dst.Body(), status, name)
	}
	return p
}
