package rest_test

import (
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/rest"
)

func TestEvents(t *testing.T) {
	d := newDialect(t, config([]rest.RouteConfig{route("a", "/a")}))
	c := must(t, d, "POST /a", "", "Accept: text/event-stream")
	f := func(got []byte, want string) {
		t.Helper()
		if string(got) != "before"+want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	before := []byte("before")
	f(d.AppendAccepted(before, c, open(dialect.ErrPending, "x")), "id: 0\nevent: accepted\ndata: {\"id\":\"x\",\"location\":\"/tasks/x\"}\n\n")
	f(d.AppendEvent(before, c, correlator.Callback{Status: correlator.Started, Seq: 1}), "id: 1\nevent: progress\ndata: {}\n\n")
	f(d.AppendEvent(before, c, correlator.Callback{Status: correlator.Progress, Seq: 4294967295, Body: []byte("{\r\n\"a\":\n1\r}")}),
		"id: 4294967295\nevent: progress\ndata: {\ndata: \"a\":\ndata: 1\ndata: }\n\n")
	end := func(r *dialect.Reply) []byte {
		return d.AppendEnd(before, c, r, func(dst *fasthttp.Response) { d.Answer(dst, c, r) })
	}
	f(end(final(correlator.Complete, `{"a":1}`, nil)), "id: end\nevent: result\ndata: {\"a\":1}\n\n")
	f(end(final(correlator.Complete, "\xff", head("image/png"))), "id: end\nevent: result\ndata: {\"contentType\":\"image/png\",\"base64\":\"/w==\"}\n\n")
	f(end(final(correlator.Complete, "", head(""))), "id: end\nevent: result\ndata: {\"contentType\":\"\",\"base64\":\"\"}\n\n")
	f(end(final(correlator.Errored, `{"message":"no"}`, nil)), "id: end\nevent: error\ndata: {\"message\":\"no\"}\n\n")
	for r, begin := range map[*dialect.Reply]string{
		final(correlator.Errored, "", nil):                                                 `id: end|event: error|data: {"type":"/errors/engine-error"`,
		final(correlator.Failed, "", nil):                                                  `id: end|event: error|data: {"type":"/errors/bad-gateway"`,
		final(correlator.Cancelled, "", nil):                                               `id: end|event: cancelled|data: {"type":"/errors/cancelled"`,
		final(correlator.Complete, "{}", head("application/json", "CZ-AG-Status-Code: 1")): `id: end|event: error|data: {"type":"/errors/bad-gateway"`,
		open(errDeadline, "x"):                                                             `event: timeout|data: {"type":"/errors/timeout"`,
		open(correlator.ErrDraining, "x"):                                                  `event: timeout|data: {"type":"/errors/draining"`,
		open(dialect.ErrBadGateway, "x"):                                                   `id: end|event: error|data: {"type":"/errors/bad-gateway"`,
	} {
		if got := string(end(r)); !strings.HasPrefix(got, "before"+strings.ReplaceAll(begin, "|", "\n")) || !strings.HasSuffix(got, "}\n\n") {
			t.Errorf("%q, want %q", got, begin)
		}
	}
	foreign := d.AppendEnd(nil, &dialect.Call{}, final(correlator.Answered, `{}`, nil), func(dst *fasthttp.Response) {
		dst.Header.SetContentType("application/json")
		dst.SetBodyString(`{"request_proc":"ok"}`)
	})
	f(append(before, foreign...), "id: end\nevent: result\ndata: {\"request_proc\":\"ok\"}\n\n")
}

// TestEventSourceStops: it asks again after the last event, with its id, until it hears 204.
func TestEventSourceStops(t *testing.T) {
	d := newDialect(t, config([]rest.RouteConfig{route("a", "/a")}))
	made := must(t, d, "POST /a", "")
	for _, line := range []string{"GET /tasks/x/events", "GET /tasks/x"} {
		dst := view(t, d, made, final(correlator.Complete, "{}", nil), line, "Accept: text/event-stream", "Last-Event-ID: end")
		if dst.StatusCode() != 204 || len(dst.Body()) > 0 {
			t.Errorf("%s", dst)
		}
	}
}

// TestStreamedErrorsAreRefusals: what is refused before a stream begins is an ordinary answer.
func TestStreamedErrorsAreRefusals(t *testing.T) {
	d := shop(t)
	_, fault := accept(t, d, "POST /pay", "", "Accept: text/event-stream")
	dst := new(fasthttp.Response)
	d.Refuse(dst, fault, "rq1")
	isProblem(t, dst, 401, "unauthorized")
	if rest.Name != d.Name() {
		t.Error(d.Name())
	}
}
