package gateway_test

import (
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
