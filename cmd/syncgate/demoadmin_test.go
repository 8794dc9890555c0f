package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// TestDemoCallsEnd: whatever a gateway does, Close ends the calls that are under way, and none begins after it.
func TestDemoCallsEnd(t *testing.T) {
	called := make(chan string)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // until then the server does not see that the client leaves
		called <- r.Method
		<-r.Context().Done()
	}))
	defer server.Close()
	d := newDemoCalls(server.URL)
	ask := func(want int) {
		t.Helper()
		ctx := new(fasthttp.RequestCtx)
		ctx.Request.Header.SetMethod("POST")
		ctx.Request.SetBodyString(`{"kind":"result"}`)
		if d.serve(ctx, ""); ctx.Response.StatusCode() != want {
			t.Errorf("%d %s, want %d", ctx.Response.StatusCode(), ctx.Response.Body(), want)
		}
	}
	for range demoCallsAtOnce {
		ask(fasthttp.StatusAccepted)
		<-called
	}
	ask(fasthttp.StatusServiceUnavailable)
	began := time.Now()
	if d.Close(); time.Since(began) >= demoCallTakes/2 {
		t.Error("Close waits for the calls' own time-out")
	}
	ask(fasthttp.StatusServiceUnavailable)
}
