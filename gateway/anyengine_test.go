package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"syncgate/dialect"
	"syncgate/gateway"
	"syncgate/signer"
)

// nonsense is what workers say to a webhook.
func nonsense() map[string]func(http.ResponseWriter) {
	says := func(status int, contentType, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	return map[string]func(http.ResponseWriter){
		"empty":           says(200, "text/plain", ""),
		"OK":              says(200, "text/plain", "OK"),
		"202":             says(202, "application/json", `{"accepted":true}`),
		"204":             func(w http.ResponseWriter) { w.WriteHeader(204) },
		"HTML":            says(200, "text/html", "<!doctype html><p>thanks"),
		"n8n":             says(200, "application/json", `{"message":"Workflow was started"}`),
		"a list":          says(201, "application/json", `[]`),
		"null":            says(200, "application/json", `null`),
		"broken JSON":     says(200, "application/json", `{"ops":[`),
		"not UTF-8":       says(200, "application/octet-stream", "\xff\xfe"),
		"package error":   says(200, "application/json", `{"request_proc":"error","ops":[]}`),
		"op error":        says(200, "application/json", `{"request_proc":"ok","ops":[{"proc":"error"}]}`),
		"another request": says(200, "application/json", `{"request_proc":"ok","ops":[{"id":"not-ours","ref":"x","proc":"error"}]}`),
		"too many ops":    says(200, "application/json", `{"ops":[{"proc":"error"},{"proc":"error"},{"proc":"error"}]}`),
	}
}

// With engine.ack any, every 2xx leaves the client parked, whatever its body, and the callback decides.
func TestAnyAckLeavesTheClientParked(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Engine.Ack = dialect.AckAny })
	for name, say := range nonsense() {
		for _, overtaken := range []bool{false, true} {
			reply := n.createLater(oneOp(`{}`))
			a := e.next(t)
			if !overtaken {
				a.say <- say
			}
			n.callback(a.tokens[0], `{"answer":42}`)
			if overtaken {
				a.say <- say
			}
			if r := got(t, reply); r.status != 200 || r.body != accepted {
				t.Errorf("%s: %d %s", name, r.status, r.body)
			}
		}
	}
	if strings.Contains(n.log.String(), `"level":"warn"`) {
		t.Errorf("somebody is warned:\n%s", n.log.String())
	}
}

// What is no 2xx means what it always does, and an op that no callback answers has the engine's own answer, if there is one.
func TestAnyAckAndOtherAnswers(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Engine.Ack = dialect.AckAny })
	f := func(status int, body string, wantStatus int) {
		t.Helper()
		reply := n.createLater(oneOp(`{}`))
		e.next(t).answer(status, body)
		if r := got(t, reply); r.status != wantStatus || status == wantStatus && r.body != body {
			t.Errorf("%d %s: %d %s", status, body, r.status, r.body)
		}
	}
	f(400, `{"error":"no"}`, 400)
	f(401, `{"request_proc":"error","ops":[]}`, 401)
	f(404, `<html>`, 502)
	f(302, ``, 502)
	f(500, `{}`, 502)

	// An op that no callback answers has the engine's own answer, if there is one; else its time runs out.
	const modify = `{"timeout":0.3,"ops":[{"type":"modify","obj":"task","data":{}},{"type":"create","obj":"task","data":{}}]}`
	for says, first := range map[string]string{
		`{"request_proc":"ok","ops":[{"proc":"ok","x":1},{"proc":"error"}]}`:    `{"proc":"ok","x":1}`,
		`{"request_proc":"ok","ops":[{"proc":"error","x":1},{"proc":"error"}]}`: `{"proc":"error","x":1}`,
		`OK`: `{"proc":"error","description":"Timeout for create task"}`,
	} {
		reply := n.createLater(modify)
		a := e.next(t)
		a.answer(200, says)
		n.callback(a.tokens[0], `{}`)
		want(t, got(t, reply), 200, `{"request_proc":"ok","ops":[`+first+`,{"proc":"ok","data":{}}]}`)
	}
}

// With engine.ack protocol, the default, the same words are of no use.
func TestProtocolAckWantsTheProtocol(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	for name, say := range nonsense() {
		switch name {
		case "package error", "op error", "another request", "too many ops": // they are of the protocol
			continue
		}
		reply := n.createLater(oneOp(`{}`))
		e.next(t).say <- say
		if r := got(t, reply); r.status != 502 || r.header.Get("Location") == "" {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
}

// Requests to the engine are what Express and Node-RED take, and carry the headers of the configuration, until others are set.
func TestHeadersForTheEngine(t *testing.T) {
	heard := make(chan http.Header, 1)
	e := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		heard <- r.Header
		_, _ = io.WriteString(w, `{"request_proc":"error","ops":[]}`)
	}))
	defer e.Close()
	n := start(t, e.URL, func(c *gateway.Config) {
		c.Engine.Headers = map[string]signer.Secret{"Authorization": "Bearer a, b; c=\"d\"", "x-api-key": "1 \t2", "Cookie": "a=b; c=d", "User-Agent": "gate/1"}
	})
	n.create(oneOp(`{}`), "Authorization", "of the client", "X-Api-Key", "of the client", "Cookie", "x=y")
	h := <-heard
	for name, want := range map[string]string{
		"Authorization": "Bearer a, b; c=\"d\"", "X-Api-Key": "1 \t2", "Cookie": "a=b; c=d", "User-Agent": "gate/1", "Content-Type": "application/json",
	} {
		if got := h.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	n.SetEngineHeaders(map[string]signer.Secret{"Authorization": "Bearer of later"})
	n.create(oneOp(`{}`))
	if h := <-heard; h.Get("Authorization") != "Bearer of later" || h.Get("X-Api-Key") != "" || h.Get("Cookie") != "" {
		t.Errorf("%v", h)
	}
	n.SetEngineHeaders(nil)
	n.create(oneOp(`{}`))
	if h := <-heard; fmt.Sprint(h["Authorization"], h["Content-Type"]) != "[] [application/json]" {
		t.Errorf("%v", h)
	}
}
