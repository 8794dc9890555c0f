package gateway_test

import (
	"errors"
	"strings"
	"testing"

	"syncgate/correlator"
	"syncgate/gateway"
)

// charged makes a body so large that it is charged.
func charged(body string) string {
	return strings.Replace(body, `"data":{`, `"data":{"pad":"`+strings.Repeat("x", 1000)+`",`, 1)
}

// wantCharged waits until the bodies that are held take some memory, or none.
func (n *node) wantCharged(t *testing.T, some bool) {
	t.Helper()
	waitFor(t, func() bool {
		bytes, _ := n.Leaks()
		return bytes > 0 == some
	})
}

// What a request has in memory is given back as soon as nothing is to be forwarded of it, however that came, and not only when its client is answered.
func TestBodiesAreGivenBack(t *testing.T) {
	one := charged(`{"timeout":5,"ops":[{"type":"create","obj":"task","conv_id":1,"ref":"r","data":{"x":1}}]}`)
	local := strings.Replace(one, `"ref":"r"`, `"ref":"local"`, 1)
	t.Run("joined", func(t *testing.T) {
		e := newEngine(t)
		n := start(t, e.URL)
		first := n.createLater(one, "Idempotency-Key", "k")
		a := e.next(t)
		n.wantCharged(t, true) // the engine may want it again
		a.accept()
		n.wantCharged(t, false)
		second := n.createLater(one, "Idempotency-Key", "k")
		waitFor(t, func() bool { return n.memo.Len() == 2 })
		n.wantCharged(t, false)
		want(t, n.callback(a.tokens[0], `{}`), 200, `{}`)
		got(t, first)
		got(t, second)
	})
	t.Run("for no engine", func(t *testing.T) {
		n, names := startNaming(t, newEngine(t).URL)
		reply := n.createLater(local)
		b := names.next(t)
		n.wantCharged(t, false)
		if err := n.complete(b, `1`); err != nil || got(t, reply).status != 200 {
			t.Error(err)
		}
	})
	t.Run("without a name", func(t *testing.T) {
		n, names := startNaming(t, newEngine(t).URL)
		names.binds(func(*boundCall) ([]correlator.Callback, error) { return nil, errors.New("no") })
		for _, body := range []string{one, local} {
			if a := n.create(body); a.status != 500 {
				t.Errorf("%+v", a)
			}
			n.wantCharged(t, false)
		}
	})
}

// So it is where a request is refused.
func TestBodiesOfRefusedRequestsAreGivenBack(t *testing.T) {
	one := charged(oneOp(`{"x":1}`))
	t.Run("refused", func(t *testing.T) {
		e := newEngine(t)
		n := start(t, e.URL, func(c *gateway.Config) { c.Limits.Parked = 1 })
		first := n.createLater(one)
		a := e.next(t)
		a.accept()
		n.wantCharged(t, false)
		for _, header := range [][]string{nil, {"Idempotency-Key", "k"}} {
			if a := n.create(one, header...); a.status != 503 {
				t.Errorf("%+v", a)
			}
			n.wantCharged(t, false)
		}
		n.callback(a.tokens[0], `{}`)
		got(t, first)
	})
	t.Run("a key with another body", func(t *testing.T) {
		e := newEngine(t)
		n := start(t, e.URL)
		first := n.createLater(one, "Idempotency-Key", "k")
		a := e.next(t)
		a.accept()
		n.wantCharged(t, false)
		if a := n.create(charged(oneOp(`{"x":2}`)), "Idempotency-Key", "k"); a.status != 422 {
			t.Errorf("%+v", a)
		}
		n.wantCharged(t, false)
		n.callback(a.tokens[0], `{}`)
		got(t, first)
	})
	t.Run("without a task", func(t *testing.T) {
		n := startPushing(t)
		wantReply(t, got(t, n.post(`{"only":"no task","pad":"`+strings.Repeat("x", 1000)+`"}`)), 201, "")
		n.wantCharged(t, false)
	})
}
