package gateway_test

import (
	"strings"
	"testing"

	"syncgate/gateway"
)

// Callbacks that are refused leave few lines, however many come.
func TestRefusedCallbacksLeaveFewLines(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	reply := n.createLater(oneOp(`{}`))
	a := e.next(t)
	a.accept()
	n.log.reset()
	for range 50 {
		if r := n.callback(a.tokens[0], `{"a":`); r.status != 400 {
			t.Fatalf("%+v", r)
		}
	}
	const burst = 10
	if lines := strings.Count(n.log.String(), `"level":"warn"`); lines < burst || lines > burst+5 { // one a second more
		t.Errorf("%d lines about 50 callbacks", lines)
	}
	want(t, n.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
	want(t, got(t, reply), 200, accepted)
}

// A callback that comes too late leaves the line that says so, and no warning.
func TestLateCallbackIsNoWarning(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Results.Retention = 0 })
	reply := n.createLater(strings.Replace(oneOp(`{}`), `"timeout":5`, `"timeout":0.1`, 1))
	a := e.next(t)
	a.accept()
	got(t, reply)
	want(t, n.callback(a.tokens[0], `{"answer":42}`), 410, `{}`)
	waitLog(t, n, `"message":"late callback"`)
	if lines := n.log.String(); strings.Contains(lines, `"level":"warn"`) {
		t.Errorf("%s", lines)
	}
}
