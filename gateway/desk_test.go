package gateway_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"syncgate/gateway"

	"syncgate/correlator"
)

// whole gives all that a connection says to raw and until it closes, for 300 ms where it stays open. In parts, raw
// is sent so that fasthttp reads it; at once, a loop does, if it is one for it.
func whole(t *testing.T, n *node, raw string, parts bool) string {
	t.Helper()
	c, err := net.Dial("tcp", n.PublicAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if parts {
		_, _ = io.WriteString(c, raw[:1])
		<-time.After(20 * time.Millisecond)
		raw = raw[1:]
	}
	_, _ = io.WriteString(c, raw)
	_ = c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	said, err := io.ReadAll(c)
	if err != nil && !isTimeout(err) {
		t.Errorf("%v", err)
	}
	ends := "open"
	if err == nil {
		ends = "closed"
	}
	var lines []string
	for line := range strings.Lines(string(said)) {
		made := strings.HasPrefix(line, "X-Request-Id:") && !strings.Contains(raw, "X-Request-Id")
		if !made && !strings.HasPrefix(line, "Date:") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "") + ends
}

// What a loop serves and what fasthttp serves are answered alike.
func TestLoopsAndFasthttpAnswerAlike(t *testing.T) {
	e := newRawEngine(t, serves, serves, serves, serves)
	n := start(t, e.url, func(c *gateway.Config) {
		c.CORS.Origins = []string{"https://shop.example"}
		c.Limits.Body = 5000
		c.Limits.CallbackBody = 5000
	})
	f := func(name, raw string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			loop, slow := whole(t, n, raw, false), whole(t, n, raw, true)
			if loop != slow {
				t.Errorf("at once:\n%s\n\nin parts:\n%s", loop, slow)
			}
			if !strings.HasPrefix(loop, "HTTP/1.1 ") {
				t.Errorf("the answer is %q", loop)
			}
		})
	}
	post := func(path, body string, headers ...string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", path, strings.Join(headers, ""), len(body), body)
	}
	good := rawCreate(modifyOp)
	with := func(header string) string { return strings.Replace(good, "\r\n", "\r\n"+header+"\r\n", 1) }
	f("a create", good)
	f("refused ops", rawCreate(`{"ops":[{"type":"delete","obj":"task","id":7}]}`))
	f("not JSON", rawCreate(`{"ops":[`))
	f("no ops", rawCreate(`{}`))
	f("wrong signature", post("/api/1/json/"+login+"/1/"+strings.Repeat("0", 40), "{}"))
	f("no such path", post("/api/1/json/"+login, "{}"))
	f("too large", rawCreate(`{"ops":[{"type":"modify","obj":"task","data":{"x":"`+strings.Repeat("x", 6000)+`"}}]}`))
	f("an origin", with("Origin: https://shop.example"))
	f("a foreign origin", with("Origin: https://other.example"))
	f("a request id", with("X-Request-Id: abc-1"))
	f("closing", with("Connection: close"))
	f("closing, spelled otherwise", with("connection: keep-alive, Close"))
	f("keep-alive", with("Connection: keep-alive"))
	f("compressed", with("Content-Encoding: gzip"))
	f("identity", with("Content-Encoding: identity"))
	f("two lengths", with("Content-Length: 1"))
	f("length and chunks", with("Transfer-Encoding: chunked"))
	f("a folded header", with("X: 1\r\n 2"))
	f("a blank in a name", with("X : 1"))
	f("a bare line feed", strings.Replace(good, "Host: x\r\n", "Host: x\n", 1))
	f("no host", strings.Replace(good, "Host: x\r\n", "", 1))
	f("a bad key", with("Idempotency-Key: a b"))
	f("HTTP/1.0", strings.Replace(good, "HTTP/1.1", "HTTP/1.0", 1))
	f("another version", strings.Replace(good, "HTTP/1.1", "HTTP/1.9", 1))
	f("absolute form", strings.Replace(good, "POST ", "POST http://x", 1))
	f("wrong method", strings.Replace(good, "POST ", "PUT ", 1))
	f("large headers", with("X: "+strings.Repeat("x", 17_000)))
	f("two requests", good+good)
	f("a request and the beginning of another", good+good[:30])
	f("forged callback", post("/api/1/plugins/callback/x", "{}"))
	f("callback of nobody", post("/api/1/plugins/callback/"+string(n.keys.AppendToken(nil, correlator.Token{Trip: n.memo.NewID(time.Now().Add(time.Hour))})), "{}"))
	f("late callback", post("/api/1/plugins/callback/"+string(n.keys.AppendToken(nil, correlator.Token{Trip: n.memo.NewID(time.Now().Add(-time.Hour))})), "{}"))
	f("callback that is not JSON", post("/api/1/plugins/callback/"+string(n.keys.AppendToken(nil, correlator.Token{Trip: n.memo.NewID(time.Now().Add(time.Hour))})), "{"))
	f("callback without a body", post("/api/1/plugins/callback/"+string(n.keys.AppendToken(nil, correlator.Token{Trip: n.memo.NewID(time.Now().Add(time.Hour))})), ""))
	f("callback, closing", post("/api/1/plugins/callback/"+string(n.keys.AppendToken(nil, correlator.Token{Trip: n.memo.NewID(time.Now().Add(time.Hour))})), "{}", "Connection: close\r\n"))
}

// A request may be cut anywhere, whoever reads it.
func TestCreateInAnyTwoParts(t *testing.T) {
	e := newRawEngine(t, serves, serves)
	n := start(t, e.url)
	c := n.dial()
	r := bufio.NewReader(c)
	raw := rawCreate(modifyOp)
	for at := 1; at < len(raw); at += 7 {
		_, _ = io.WriteString(c, raw[:at])
		<-time.After(2 * time.Millisecond)
		_, _ = io.WriteString(c, raw[at:])
		want(t, read(t, r), 200, engineSays)
	}
}

// A client that closes its side right behind its request, as some do, still has its reply if that comes at once.
func TestHalfClosedBehindTheRequest(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	c := n.dial()
	_, _ = io.WriteString(c, rawCreate(oneOp(`{}`)))
	_ = c.(*net.TCPConn).CloseWrite()
	a := e.next(t)
	a.accept()
	want(t, n.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
	said, _ := io.ReadAll(c)
	if !bytes.HasSuffix(said, []byte(accepted)) {
		t.Errorf("%q", said)
	}
}

// An engine that does not read its answer keeps nobody else waiting.
func TestCallbackWhoseAnswerIsNotRead(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Listen.WriteTimeout = time.Second })
	for range 20 {
		reply := n.createLater(oneOp(`{}`))
		a := e.next(t)
		a.accept()
		c := n.dial()
		_ = c.(*net.TCPConn).SetReadBuffer(1)
		_, _ = fmt.Fprintf(c, "POST /api/1/plugins/callback/%s HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n%s", a.tokens[0], `{"answer":42}`)
		want(t, got(t, reply), 200, accepted)
	}
}
