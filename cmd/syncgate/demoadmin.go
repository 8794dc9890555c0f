package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/internal/admin"
	"syncgate/signer"
)

const (
	// demoPathOfCalls is where the demo's page asks for a call.
	demoPathOfCalls = "/api/demo"
	// demoCallsAtOnce is how many demo calls are under way at most.
	demoCallsAtOnce = 16
	// demoCallTakes bounds a demo call. It is more than the timeouts in the packages below.
	demoCallTakes = 30 * time.Second
)

// Kinds of demo calls, each with the package that it sends. The engine works longer than for the printed commands, so that a person sees that the client waits.
const (
	demoResult     = "result"
	demoResultCall = `{"timeout":20,"ops":[{"conv_id":1,"type":"create","obj":"task","ref":"%REF%","data":{"hello":"world","__sim":{"delay_ms":2500}}}]}`
	demoTimedOut   = "timeout"
	demoTimedCall  = `{"timeout":3,"ops":[{"conv_id":1,"type":"create","obj":"task","ref":"%REF%","data":{"hello":"nobody","__sim":{"callback":"never"}}}]}`
)

// demoCalls makes the calls that POST /api/demo asks for: each is a client of the gateway's public listener. Close ends them.
type demoCalls struct {
	url    string        // of the public listener
	busy   chan struct{} // one element a call
	ended  context.Context
	end    context.CancelFunc
	client http.Client
}

func newDemoCalls(url string) *demoCalls {
	d := &demoCalls{url: url, busy: make(chan struct{}, demoCallsAtOnce), client: http.Client{Timeout: demoCallTakes, Transport: new(http.Transport)}}
	d.ended, d.end = context.WithCancel(context.Background())
	return d
}

// Close ends the calls that are under way, and waits for their end.
func (d *demoCalls) Close() {
	d.end()
	for range demoCallsAtOnce {
		d.busy <- struct{}{}
	}
	d.client.CloseIdleConnections()
}

// path is where the page asks for a call.
func (d *demoCalls) path() admin.Path { return admin.Path{Path: demoPathOfCalls, Serve: d.serve} }

// serve starts a call, and answers with its ref at once.
func (d *demoCalls) serve(ctx *fasthttp.RequestCtx, rest string) {
	var asked struct {
		Kind string `json:"kind"`
	}
	body := ""
	if json.Unmarshal(ctx.PostBody(), &asked) == nil {
		body = map[string]string{demoResult: demoResultCall, demoTimedOut: demoTimedCall}[asked.Kind]
	}
	switch {
	case rest != "":
		ctx.Error("Not found: "+demoPathOfCalls+" is here, and nothing below it", fasthttp.StatusNotFound)
		return
	case !ctx.IsPost():
		admin.RefuseMethod(ctx, "POST")
		return
	case body == "":
		ctx.Error(`Incorrect body: it must be {"kind":"`+demoResult+`"} or {"kind":"`+demoTimedOut+`"}`, fasthttp.StatusBadRequest)
		return
	}
	select {
	case d.busy <- struct{}{}:
	default:
		ctx.Error("Unavailable: as many demo calls are under way as may be: try again in a few seconds", fasthttp.StatusServiceUnavailable)
		ctx.Response.Header.Set("Retry-After", "3")
		return
	}
	ref := newDemoRef()
	go func() { // there are at most demoCallsAtOnce; Close ends them
		defer func() { <-d.busy }()
		d.call(bytes.ReplaceAll([]byte(body), []byte("%REF%"), []byte(ref)))
	}()
	ctx.SetStatusCode(fasthttp.StatusAccepted)
	admin.AnswerJSON(ctx, map[string]string{"ref": ref})
}

// newDemoRef gives a ref that no other call has.
func newDemoRef() string {
	var random [8]byte
	_, _ = rand.Read(random[:]) // it never fails
	return "demo-" + hex.EncodeToString(random[:])
}

// call waits for the answer, as a client does. It reports nothing: the page and the log show how the call ended.
func (d *demoCalls) call(body []byte) {
	seconds := string(signer.AppendTime(nil, time.Now()))
	req, err := http.NewRequestWithContext(d.ended, http.MethodPost, d.url+signedPath(demoLogin, seconds, demoSecret, body), bytes.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	answer, err := d.client.Do(req)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, demoLargest)) // so that the connection can be used again
	_ = answer.Body.Close()
}
