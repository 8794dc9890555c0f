package rest_test

import (
	"testing"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect/rest"
	"syncgate/internal/httpfield"
)

// BenchmarkTrip is what the dialect does for a held request: it finds the route, reads the request, and words the answer.
func BenchmarkTrip(b *testing.B) {
	d := newDialect(b, config([]rest.RouteConfig{route("pay", "/v1/pay/{kind}", withAuth(rest.AuthKey))}, rest.AccessConfig{Name: "web", Key: "one", Routes: []string{"pay"}}))
	req := request("POST /v1/pay/card", `{"amount":12,"currency":"EUR","note":"a gift"}`, "X-Api-Key: one", "Content-Type: application/json")
	reply := final(correlator.Complete, `{"ok":true}`, head("application/json"))
	var dst fasthttp.Response
	b.ReportAllocs()
	for b.Loop() {
		r, _ := d.Route(httpfield.RawPath(req.Header.RequestURI()))
		c, err := d.Accept(req, r, now)
		if err != nil {
			b.Fatal(err)
		}
		dst.Reset()
		d.Answer(&dst, c, reply)
	}
}
