package rest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/dialect/rest"
	"syncgate/internal/httpfield"
)

// overwrite changes each byte of a request's buffers, as the next request of its connection does.
func overwrite(req *fasthttp.Request) {
	parts := [][]byte{req.Header.RequestURI(), req.Header.Method(), req.Header.ContentType(), req.Body()}
	for _, value := range req.Header.All() {
		parts = append(parts, value)
	}
	for _, part := range parts {
		copy(part, strings.Repeat("#", len(part)))
	}
}

// TestCallsKeepNoBuffers: what outlives its handler of a call, and of a request about a task, is no part of the request.
func TestCallsKeepNoBuffers(t *testing.T) {
	d := newDialect(t, config([]rest.RouteConfig{
		route("http", "/h/{kind}/{more}", withAuth(rest.AuthKey), func(r *rest.RouteConfig) { r.ForwardHeaders = []string{"x-tenant"} }),
		route("core", "/c/{kind}", ofCorezoid, withAuth(rest.AuthCorezoid), func(r *rest.RouteConfig) { r.Login, r.Data = "", rest.DataRequest }),
	}, rest.AccessConfig{Name: "a", Key: "k", Routes: []string{"http"}}))
	for line, headers := range map[string][]string{
		"POST /h/plain/a%20b?x=1":      {"X-Api-Key: k", "X-Tenant: 7", "Prefer: wait=5", "Idempotency-Key: q"},
		"POST /c/plain/777/1/good?x=1": {"X-Tenant: 7", "Prefer: redirect"},
	} {
		req := request(line, `{"a":1}`, headers...)
		r, _ := d.Route(httpfield.RawPath(req.Header.RequestURI()))
		c, err := d.Accept(req, r, now)
		if err != nil {
			t.Fatal(line, err)
		}
		kept := func() string {
			o, a := c.Options, c.Options.Asked
			return fmt.Sprint(c.Login, c.Ops, c.Fingerprint, o.Route, o.Engine, string(o.State), o.Applied, o.Quotas,
				a.Method, a.Params, a.Headers, a.Forwarded, a.Process, a.Signer, a.Data)
		}
		before := kept()
		overwrite(req)
		if after := kept(); after != before || !strings.Contains(before, "plain") {
			t.Errorf("%s: %s, was %s", line, after, before)
		}
	}
}

// TestReadersKeepNoBuffers: who may read a task is asked after the store has answered.
func TestReadersKeepNoBuffers(t *testing.T) {
	d := shop(t)
	stream := members(t, answer(d, must(t, d, "POST /open", ""), open(dialect.ErrHandedOver, taskID(t))).Body())["stream"].(string)
	for line, headers := range map[string][]string{
		"GET " + stream: {"Origin: https://shop.example"},
		"GET /tasks/x":  {"X-Api-Key: four", "Origin: https://shop.example"},
	} {
		req := request(line, "", headers...)
		r, _ := d.Route(httpfield.RawPath(req.Header.RequestURI()))
		c, err := d.Task(req, r, now)
		if err != nil {
			t.Fatal(line, err)
		}
		overwrite(req)
		if err := c.MayRead("access/page", true); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}
