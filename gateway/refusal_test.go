package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// A client that sends megabytes more than is taken, and looks up only then, still gets its answer.
func TestRefusalArrives(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	for _, megabytes := range []int{1, 2, 8, 20, 50} {
		body := strings.Repeat("x", megabytes<<20+1)
		path := sign(body)
		for range 10 {
			r := n.do(http.MethodPost, path, body)
			if r.status != 413 || !strings.Contains(r.body, `"description":"Body is larger than 1048576 bytes"`) {
				t.Fatalf("%d MiB: %+v", megabytes, r)
			}
		}
	}
}

// A client that hangs up is gone also when it had sent another request behind the one that waits.
func TestHangUpBehindAnotherRequest(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	c := n.dial()
	_, _ = io.WriteString(c, rawCreate(oneOp(`{}`))+request(http.MethodGet, "/healthz", ""))
	a := e.next(t)
	a.accept()
	_ = c.Close()
	want(t, n.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
	waitLog(t, n, `"abandoned":true`)
	if kept, _ := n.memo.Kept(); kept != 1 {
		t.Errorf("%d results kept", kept)
	}
}
