package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"syncgate/gateway"
)

// saying is what an engine says to one request, and what it does then.
type saying struct {
	parts []string // with a moment between them
	ends  string   // "": it waits for the next request; "close", "reset"
}

// heardBy is a request that an engine has heard.
type heardBy struct {
	conn   int // on which connection, counted from 1
	tokens []string
}

// sayer is an engine that says what the test has given it, to one request after another.
type sayer struct {
	net.Listener
	says    chan saying
	heard   chan heardBy
	gone    chan int // connections that the gateway has closed
	running sync.WaitGroup
}

func newSayer(t *testing.T) *sayer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sayer{Listener: ln, says: make(chan saying, 1), heard: make(chan heardBy, 100), gone: make(chan int, 10_000)}
	s.running.Go(func() {
		for conn := 1; ; conn++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.running.Go(func() { s.serve(c, conn) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		s.running.Wait()
	})
	return s
}

func (s *sayer) serve(c net.Conn, conn int) {
	defer func() { _ = c.Close() }()
	for r := bufio.NewReader(c); ; {
		req, err := http.ReadRequest(r)
		if err != nil {
			s.gone <- conn
			return
		}
		b, _ := io.ReadAll(req.Body)
		h := heardBy{conn: conn}
		for _, m := range tokenPattern.FindAllSubmatch(b, -1) {
			h.tokens = append(h.tokens, string(m[1]))
		}
		s.heard <- h
		say := <-s.says
		for i, part := range say.parts {
			if i > 0 {
				<-time.After(time.Millisecond)
			}
			_, _ = io.WriteString(c, part)
		}
		switch say.ends {
		case "close":
			return
		case "reset":
			_ = c.(*net.TCPConn).SetLinger(0)
			return
		}
	}
}

const (
	shortBody    = `{"ops":[{"proc":"ok"}]}`
	shortReply   = `{"request_proc":"ok","ops":[{"proc":"ok"}]}`
	shortOp      = `{"timeout":9,"ops":[{"type":"modify","obj":"task","data":{}}]}`
	shortHead    = "HTTP/1.1 200 OK\r\nContent-Length: 23\r\n"
	shortAnswer  = shortHead + "\r\n" + shortBody
	shortClosing = shortHead + "Connection: close\r\n\r\n" + shortBody
)

// answerTest is a gateway with one connection to an engine, and what the test knows of that.
type answerTest struct {
	*testing.T
	*node
	*sayer
	conn int // the last one that was used
	open bool
}

func newAnswerTest(t *testing.T) *answerTest {
	t.Helper()
	s := newSayer(t)
	n := start(t, "http://"+s.Addr().String(), func(c *gateway.Config) { c.Engine.MaxConnections = 1 })
	return &answerTest{T: t, node: n, sayer: s}
}

// asks sends a request, has the engine say something to it, and checks that it came by the connection that is open, else by a new one.
func (a *answerTest) asks(what, op string, say saying) (reply <-chan answer, tokens []string) {
	a.Helper()
	reply = a.createLater(op)
	select {
	case h := <-a.heard:
		if kept := h.conn == a.conn; kept != a.open {
			a.Errorf("%s: the engine was asked on connection %d; the last was %d, open: %v", what, h.conn, a.conn, a.open)
		}
		a.conn = h.conn
		a.says <- say
		return reply, h.tokens
	case <-time.After(10 * time.Second):
		a.Fatalf("%s: the engine was not asked within 10 s", what)
		return nil, nil
	}
}

// complete checks that an answer is read, whatever its pieces, and whether its connection is kept.
func (a *answerTest) complete(what string, say saying, keeps bool) {
	a.Helper()
	reply, _ := a.asks(what, shortOp, say)
	if r := got(a.T, reply); r.status != 200 || r.body != shortReply {
		a.Fatalf("%s: %d %s", what, r.status, r.body)
	}
	a.open = keeps
}

// parked checks that an answer, which is none, leaves its client parked and closes the connection.
func (a *answerTest) parked(what string, say saying) {
	a.Helper()
	reply, tokens := a.asks(what, oneOp(`{}`), say)
	a.open = false
	if say.ends == "" {
		for gone := 0; gone != a.conn; {
			select {
			case gone = <-a.gone:
			case <-time.After(10 * time.Second):
				a.Fatalf("%s: the connection was not closed within 10 s", what)
			}
		}
	}
	want(a.T, a.callback(tokens[0], `{"answer":42}`), 200, `{}`)
	want(a.T, got(a.T, reply), 200, accepted)
}

// each has f play an answer whole and cut in two at each of its first bytes, on a new connection and on one that was used before.
func (a *answerTest) each(bytes int, text, ends string, f func(what string, say saying)) {
	for cut := range bytes {
		for _, reused := range []bool{false, true} {
			switch {
			case reused && !a.open:
				a.complete("before", saying{parts: []string{shortAnswer}}, true)
			case !reused && a.open:
				a.complete("before", saying{parts: []string{shortClosing}}, false)
			}
			parts := []string{text}
			if cut > 0 {
				parts = []string{text[:cut], text[cut:]}
			}
			f(fmt.Sprintf("cut at %d, reused: %v", cut, reused), saying{parts: parts, ends: ends})
			if a.Failed() {
				return
			}
		}
	}
	a.complete("behind it", saying{parts: []string{shortAnswer}}, true)
}

// Where an answer ends, and whether its connection may be used again, is the same in any two pieces, on a new connection and on a used
// one (RFC 9112, 6.3; RFC 9110, 7.6.1). The engine does not close what it says it closes: a request that comes there is a mistake.
func TestWhereAnAnswerEnds(t *testing.T) {
	var running sync.WaitGroup
	defer running.Wait()
	f := func(name, text, ends string, keeps bool) {
		running.Go(func() { // they wait most of the time
			t.Run(name, func(t *testing.T) {
				a := newAnswerTest(t)
				a.each(len(text), text, ends, func(what string, say saying) { a.complete(what, say, keeps) })
			})
		})
	}
	with := func(lines ...string) string { return shortHead + strings.Join(lines, "\r\n") + "\r\n\r\n" + shortBody }
	chunked := func(lines, trailer string) string {
		return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + lines + "\r\n5\r\n" + shortBody[:5] + "\r\n12;x=y\r\n" + shortBody[5:] + "\r\n0\r\n" + trailer + "\r\n"
	}
	f("length", shortAnswer, "", true)
	f("lower case", "HTTP/1.1 200\r\ncontent-length:23\r\n\r\n"+shortBody, "", true)
	f("chunks", chunked("", ""), "", true)
	f("chunks and a trailer", chunked("Trailer: X\r\n", "X: 1\r\n"), "", true)
	f("keep-alive", with("Connection: keep-alive"), "", true)
	f("other options", with("Connection: x-close, closed", "X: close"), "", true)
	f("1.0 that stays", "HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\nContent-Length: 23\r\n\r\n"+shortBody, "", true)
	f("interim", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n"+shortAnswer, "", true)

	for _, lines := range [][]string{
		{"Connection: close"},
		{"Connection: Close"},
		{"connection:CLOSE"},
		{"CONNECTION:\tclose\t"},
		{"Connection: keep-alive, close"},
		{"Connection: close, keep-alive"},
		{"Connection: x,,Close ,y"},
		{"Connection: close", "Connection: keep-alive"},
		{"Connection: keep-alive", "connection: close"},
		{"Connection: x", "X: y", "Connection: y, close"},
	} {
		f(strings.Join(lines, "; "), with(lines...), "", false)
	}
	f("chunks that close", chunked("Connection: Close\r\n", ""), "", false)
	f("1.0", "HTTP/1.0 200 OK\r\nContent-Length: 23\r\n\r\n"+shortBody, "", false)
	f("1.0 that closes", "HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\nContent-Length: 23\r\n\r\n"+shortBody, "", false)
	f("to the end", "HTTP/1.1 200 OK\r\n\r\n"+shortBody, "close", false)
	f("to the end, in other words", "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Type: application/json\r\n\r\n"+shortBody, "close", false)
	f("to the end of 1.0", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"+shortBody, "close", false)
	running.Go(func() {
		t.Run("with something behind it", func(t *testing.T) {
			a := newAnswerTest(t) // what comes later than the answer comes behind the next request, perhaps
			a.each(len(shortAnswer), shortAnswer+"HTTP/1.1 200 OK\r\n", "", func(what string, say saying) { a.complete(what, say, false) })
		})
	})
}

// What is no complete answer leaves the client parked: the task may exist.
func TestAnswersThatAreNone(t *testing.T) {
	var running sync.WaitGroup
	defer running.Wait()
	f := func(name, text, ends string) {
		running.Go(func() {
			t.Run(name, func(t *testing.T) {
				a := newAnswerTest(t)
				a.each(len(text), text, ends, a.parked)
			})
		})
	}
	const chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	f("a head that breaks off", shortHead, "close")
	f("a head that is reset", shortHead, "reset")
	f("a body that breaks off", shortHead+"\r\n"+shortBody[:22], "close")
	f("a body to the end that is reset", "HTTP/1.1 200 OK\r\n\r\n"+shortBody, "reset")
	f("a chunk that breaks off", chunks+"17\r\n"+shortBody, "close")
	f("chunks without the last", chunks+"17\r\n"+shortBody+"\r\n", "close")
	f("chunks without the end", chunks+"17\r\n"+shortBody+"\r\n0\r\n", "close")
	f("a bad chunk", chunks+"17\r\n"+shortBody+"xx0\r\n\r\n", "")
	f("a bad size", chunks+"-17\r\n"+shortBody+"\r\n0\r\n\r\n", "")
	f("a bad length", "HTTP/1.1 200 OK\r\nContent-Length: +23\r\n\r\n"+shortBody, "")
	f("two lengths", shortHead+"Content-Length: 24\r\n\r\n"+shortBody, "")
	f("an unknown coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"+shortBody, "")
	f("a bad status", "HTTP/1.1 20 OK\r\nContent-Length: 23\r\n\r\n"+shortBody, "")
	f("another protocol", "SSH-2.0-OpenSSH_9.2\r\n", "")
	f("a blank before the colon", shortHead+"Connection : close\r\n\r\n"+shortBody, "")
	f("a folded line", shortHead+"Connection:\r\n close\r\n\r\n"+shortBody, "")
	f("1.0 with a coding", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n17\r\n"+shortBody+"\r\n0\r\n\r\n", "")
	f("length and chunks", shortHead+"Transfer-Encoding: chunked\r\n\r\n17\r\n"+shortBody+"\r\n0\r\n\r\n", "")
	f("an interim answer alone", "HTTP/1.1 100 Continue\r\n\r\n", "close")
}

// An answer as large as its buffer, and larger, is the same in one piece and in two.
func TestLargeAnswerHeads(t *testing.T) {
	a := newAnswerTest(t)
	for _, size := range []int{100, 3000, 5000, 12_000} {
		text := shortHead + "X: " + strings.Repeat("x", size) + "\r\n\r\n" + shortBody
		for _, cut := range []int{0, 10, 4096, len(text) - 30, len(text) - 5} {
			if cut < len(text) {
				a.complete(fmt.Sprintf("%d bytes, cut at %d", size, cut), saying{parts: []string{text[:cut], text[cut:]}}, true)
			}
		}
	}
	for range 2 {
		text := shortHead + "X: " + strings.Repeat("x", 20_000) + "\r\n\r\n" + shortBody
		a.parked("20,000 bytes", saying{parts: []string{text}})
		a.complete("behind it", saying{parts: []string{shortAnswer}}, true)
	}
}

// No byte of an answer that is none gets into the log or to a client: it may have a token.
func TestMalformedAnswersAreNotShown(t *testing.T) {
	a := newAnswerTest(t)
	for i, text := range []string{
		"marker", "HTTP/1.1 marker\r\n\r\n", "HTTP/1.1 200 OK\r\nmarker\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: marker\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: marker\x01\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: marker\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmarker\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nmarker\r\n\r\n", "HTTP/1.1 200 OK\r\nX: marker", "HTTP/9.9 200 marker\r\n",
	} {
		for range 2 { // on a new connection, and on a used one
			ends := ""
			if strings.HasSuffix(text, "marker") {
				ends = "close"
			}
			a.parked(fmt.Sprintf("answer %d", i), saying{parts: []string{text}, ends: ends})
			a.complete("behind it", saying{parts: []string{shortAnswer}}, true)
		}
		a.complete("behind it", saying{parts: []string{shortClosing}}, false)
	}
	waitLog(a.T, a.node, "no complete answer of the engine")
	if strings.Contains(a.log.String(), "marker") {
		a.Errorf("the log has bytes of an answer:\n%s", a.log.String())
	}
}
