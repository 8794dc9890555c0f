package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A request whose head ends in its second piece and whose body ends in its third is still its own when others were served between: their heads
// once went into the same memory.
func TestThreePieces(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	for i := range 20 {
		body := oneOp(fmt.Sprintf(`{"n":%d}`, i))
		whole := request(http.MethodPost, sign(body), body, fmt.Sprintf("X-Request-Id: pieces-%d", i))
		head := strings.Index(whole, "\r\n\r\n")
		c := n.dial()
		for _, piece := range []string{whole[:head-5], whole[head-5 : head+10]} {
			_, _ = io.WriteString(c, piece)
			<-time.After(2 * time.Millisecond) // so that it is read alone
			n.do(http.MethodGet, "/api/1/tasks/none", "", "X-Request-Id", "another")
		}
		_, _ = io.WriteString(c, whole[head+10:])
		a := e.next(t)
		a.accept()
		want(t, n.callback(a.tokens[0], `1`), 200, `{}`)
		if got := read(t, bufio.NewReader(c)); got.status != 200 || got.header.Get("X-Request-Id") != fmt.Sprintf("pieces-%d", i) {
			t.Fatalf("request %d: %+v", i, got)
		}
	}
}
