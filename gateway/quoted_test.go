package gateway_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/gateway"
	"syncgate/internal/tlsfiles"
)

// The log names a trip by the first 8 characters of its token, and has nothing else of what crosses the wire: an engine that echoes a
// task sends its token, and whoever has that can answer the client.

// quotes fails the test where the log of n has more than 8 characters in a row of a text that it must not have.
func (n *node) quotes(t *testing.T, texts ...string) {
	t.Helper()
	log := n.log.String()
	for _, text := range []string{secret, otherSecret, engineSecret} {
		if strings.Contains(log, text) {
			t.Errorf("the log has %q:\n%s", text, log)
		}
	}
	for _, text := range texts {
		const shown = 8
		for i := 0; i+shown < len(text); i++ {
			if part := text[i : i+shown+1]; strings.Contains(log, part) {
				t.Errorf("the log has %q of %q:\n%s", part, text, log)
				break
			}
		}
	}
}

// TestEngineAnswersAreNotLogged has an engine echo what it was sent in every kind of answer that cannot be used: the first one on its
// connection, which a goroutine reads, and a later one, which a loop reads where it comes whole.
func TestEngineAnswersAreNotLogged(t *testing.T) {
	const ok, end = "HTTP/1.1 200 OK\r\n", "\r\n\r\n"
	whole := func(status, body string) string {
		return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Length: %d%s%s", status, len(body), end, body)
	}
	chunks := func(text string) string { return ok + "Transfer-Encoding: chunked" + end + text }
	for name, answer := range map[string]func(token, body string) string{
		"no HTTP":                  func(_, body string) string { return body + end },
		"a token alone":            func(token, _ string) string { return token + end },
		"a version":                func(token, _ string) string { return "HTTP/" + token + " 200 OK" + end },
		"a status":                 func(token, _ string) string { return "HTTP/1.1 " + token + end },
		"a status and more":        func(token, _ string) string { return "HTTP/1.1 2" + token + " OK" + end },
		"a reason":                 func(token, _ string) string { return "HTTP/1.1 500 " + token + "\r\nContent-Length: 0" + end },
		"a header without colon":   func(token, _ string) string { return ok + token + end },
		"a header with a blank":    func(token, _ string) string { return ok + "X " + token + " : x" + end },
		"a header with a control":  func(token, _ string) string { return ok + "X: " + token + "\x01" + end },
		"a header name":            func(token, _ string) string { return ok + token + "(): x" + end },
		"a folded header":          func(token, _ string) string { return ok + " " + token + ": x" + end },
		"a length":                 func(token, _ string) string { return ok + "Content-Length: " + token + end },
		"two lengths":              func(token, _ string) string { return ok + "Content-Length: 1\r\nContent-Length: " + token + end },
		"a coding":                 func(token, _ string) string { return ok + "Transfer-Encoding: " + token + end },
		"a head that is too large": func(token, _ string) string { return ok + "X: " + strings.Repeat(token, 2000) + end },
		"a head that ends":         func(token, _ string) string { return ok + "X: " + token },
		"a size":                   func(token, _ string) string { return chunks(token + "\r\n") },
		"an extension":             func(token, _ string) string { return chunks("5;" + token + "\nhello\r\n0\r\n\r\n") },
		"a chunk":                  func(token, body string) string { return chunks("5\r\n" + token + body + end) },
		"a trailer":                func(token, _ string) string { return chunks("2\r\n{}\r\n0\r\nContent-Length: " + token + end) },
		"a trailer without a name": func(token, _ string) string { return chunks("2\r\n{}\r\n0\r\n" + token + end) },
		"a trailer with a control": func(token, _ string) string { return chunks("2\r\n{}\r\n0\r\nX: " + token + "\x01" + end) },
		"a body that ends":         func(_, body string) string { return ok + "Content-Length: 9999" + end + body },
		"a body that is too large": func(_, body string) string { return ok + "Content-Length: 99999999" + end + body },
		"a body that is no JSON":   func(token, _ string) string { return whole("200 OK", token) },
		"a body in HTML":           func(_, body string) string { return whole("200 OK", "<html>"+body) },
		"JSON that breaks off":     func(token, _ string) string { return whole("200 OK", `{"ops":[{"`+token+`":`) },
		"JSON with a wrong value":  func(token, _ string) string { return whole("200 OK", `{"`+token+`":`+token+`}`) },
		"JSON of something else":   func(token, _ string) string { return whole("200 OK", `["`+token+`"]`) },
		"a package of something else": func(token, _ string) string {
			return whole("200 OK", `{"request_proc":"`+token+`x","ops":"`+token+`"}`)
		},
		"an error of the engine":       func(_, body string) string { return whole("500 Oops", body) },
		"an error of the engine's web": func(_, body string) string { return whole("403 No", body) },
		"a redirect": func(token, _ string) string {
			return "HTTP/1.1 302 Found\r\nLocation: /" + token + "\r\nContent-Length: 0" + end
		},
		"interim answers": func(token, _ string) string { return strings.Repeat("HTTP/1.1 103 "+token+end, 200) },
		"two answers":     func(_, body string) string { return whole("200 OK", "{}") + whole("200 OK", body) },
	} {
		for _, later := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, later: %v", name, later), func(t *testing.T) {
				t.Parallel()
				echoNotLogged(t, later, answer)
			})
		}
	}
}

func echoNotLogged(t *testing.T, later bool, answer func(token, body string) string) {
	var n *node
	var token, task string
	t.Cleanup(func() { // when the gateway has ended: then the exchange with the engine is over too
		n.quotes(t, token, task)
		if !strings.Contains(n.log.String(), `"trip":"`+token[:8]+`"`) {
			t.Errorf("the log does not name the trip:\n%s", n.log)
		}
	})
	tokens := make(chan string, 1)
	e := newRawEngine(t, func(e *rawEngine, c net.Conn, r *bufio.Reader) {
		if later && e.ask(r) {
			_, _ = io.WriteString(c, engineAnswer)
		}
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		b, _ := io.ReadAll(req.Body)
		if m := tokenPattern.FindStringSubmatch(string(b)); m != nil {
			tokens <- m[1]
			_, _ = io.WriteString(c, answer(m[1], string(b)))
		}
	})
	n = start(t, e.url, func(c *gateway.Config) { c.Engine.Timeout = time.Second })
	if later {
		want(t, n.create(modifyOp), 200, engineSays)
	}
	reply := n.createLater(`{"timeout":0.3,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{}}]}`)
	token = <-tokens
	task = strings.TrimPrefix(got(t, reply).header.Get("Location"), "/api/1/tasks/")
}

// TestMalformedRequestsAreNotLogged sends requests that cannot be read, or that are refused, with a token, a task id, a signature and a
// key in every place of them, to a listener whose connections the loops have, and to one with TLS, which fasthttp has.
func TestMalformedRequestsAreNotLogged(t *testing.T) {
	certFile, keyFile, roots := certificate(t)
	for name, secure := range map[string]*tls.Config{"plain": nil, "TLS": {RootCAs: roots, MinVersion: tls.VersionTLS12}} {
		t.Run(name, func(t *testing.T) {
			var n *node
			var token, task, signature string
			t.Cleanup(func() { // when the gateway has ended
				n.quotes(t, token, task, signature)
				if lines := strings.Count(n.log.String(), "\n"); lines < 100 {
					t.Errorf("only %d lines are in the log:\n%s", lines, n.log)
				}
			})
			e := newEngine(t)
			n = start(t, e.URL, func(c *gateway.Config) {
				if secure != nil {
					c.Listen.TLS = tlsfiles.Files{CertFile: certFile, KeyFile: keyFile}
				}
				c.Listen.HeaderTimeout, c.Listen.BodyTimeout = time.Second, time.Second
				c.Limits.CallbackBody = 100_000
			})
			n.url = strings.Replace(n.url, "http:", map[bool]string{true: "https:", false: "http:"}[secure != nil], 1)
			n.http.Transport.(*http.Transport).TLSClientConfig = secure
			late := n.createLater(`{"timeout":0.01,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{}}]}`)
			e.next(t).accept()
			task = strings.TrimPrefix(got(t, late).header.Get("Location"), "/api/1/tasks/")
			parked := n.createLater(oneOp(`{}`))
			a := e.next(t)
			a.accept()
			token = a.tokens[0]
			body := oneOp(`{}`)
			path := sign(body)
			signature = path[strings.LastIndex(path, "/")+1:]
			for _, raw := range malformed(token, task, signature, path) {
				exchange(t, n, secure, raw)
			}
			if r := n.callback(token, `{"answer":42}`); r.status != 200 {
				t.Errorf("the token was used up: %+v", r)
			}
			got(t, parked)
		})
	}
}

// malformed are requests that are refused.
func malformed(token, task, signature, path string) (all []string) {
	callback := "/api/1/plugins/callback/" + token
	for _, target := range []string{callback, "/api/1/tasks/" + task, path} {
		for _, line := range []string{
			"POST " + target + " HTTP/9.9", "POST " + target + " x HTTP/1.1", "POST " + target + "\x01 HTTP/1.1", "POST " + target, "PO ST " + target + " HTTP/1.1",
			"P(ST " + target + " HTTP/1.1", "POST  " + target + " HTTP/1.1", target, "DELETE " + target + " HTTP/1.1", "POST http://[" + target + "\x7f HTTP/1.1",
			"POST " + strings.Repeat(target, 500) + " HTTP/1.1", "POST //" + target + "/x HTTP/1.1", "POST /api/1/plugins/callback/x" + target[1:] + " HTTP/1.1",
		} {
			all = append(all, line+"\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
		}
	}
	for _, secret := range []string{token, signature, task} {
		for _, line := range []string{
			secret, secret + " : x", "X " + secret + ": x", "X: " + secret + "\x01", secret + "(: x", " " + secret, "Content-Length: " + secret, "Transfer-Encoding: " + secret,
			"Host: " + secret, "X: " + strings.Repeat(secret, 1000), "Content-Encoding: " + secret, "Content-Length: 2\r\nContent-Length: " + secret,
		} {
			all = append(all, "POST "+callback+" HTTP/1.1\r\nHost: x\r\n"+line+"\r\n\r\n", "POST "+path+" HTTP/1.1\r\nHost: x\r\n"+line+"\r\n\r\n")
		}
		for _, line := range []string{"Connection: " + secret, "Expect: " + secret, "Idempotency-Key: a " + secret, "X-Request-Id: a " + secret, "X-Forwarded-For: " + secret, "Forwarded: for=" + secret, "Prefer: wait=" + secret, "X-Syncgate-Login: " + secret, "X-Syncgate-Signature: " + secret} {
			all = append(all, "POST "+path+" HTTP/1.1\r\nHost: x\r\n"+line+"\r\n\r\n")
		}
		for _, coding := range []string{
			secret + "\r\n", "2;" + secret + "\n{}\r\n0\r\n\r\n", "2\r\n{}" + secret + "\r\n", "2\r\n{}\r\n0\r\n" + secret + "\r\n\r\n",
			"2\r\n{}\r\n0\r\n" + secret + " : x\r\n\r\n", "2\r\n{}\r\n0\r\nHost: " + secret + "\r\n\r\n", "2\r\n{}\r\n0\r\nX: " + secret + "\x01\r\n\r\n",
		} {
			all = append(all, "POST "+callback+" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"+coding)
		}
		refused := func(target, media, body string) {
			all = append(all, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", target, media, len(body), body))
		}
		name, _ := json.Marshal(secret)
		for _, text := range []string{
			secret, string(name) + secret, `{"` + secret + `"`, `{"` + secret + `":1,"` + secret + `":2} x`, `{"a":` + secret + `}`, `{"a":1}` + secret, "\xff" + secret,
		} {
			refused(callback, "application/json", text)
			refused(path, "application/json", text)
			refused(sign(text), "application/json", text) // which is nobody's fault but its author's
		}
		dup := `{"` + secret + `":1,"` + secret + `":2,"ops":[]}`
		refused(sign(dup), "application/json", dup)
		for _, text := range []string{
			"<" + secret + "></x>", "</" + secret + ">", "<a>&" + secret + ";</a>", "<a " + secret + "=1/>", "<a " + secret + `="1" ` + secret + `="2"/>`, "<" + secret,
			`<?xml version="1.0" encoding="` + secret + `"?><a/>`, "<!DOCTYPE x [<!ENTITY " + secret + ">]><a/>", "<a>]]>" + secret + "</b>", "<!--" + secret, "<a/>" + secret,
		} {
			refused(callback, "application/xml", text)
		}
		refused(callback, "application/xml; charset="+secret, "<a/>")
		refused(callback, "application/x-www-form-urlencoded", secret+"=\xff")
		refused(callback, "application/json", strings.Repeat(secret, 5000)) // too large
	}
	return all
}

// exchange sends raw and reads until the end, or until nothing comes for a moment.
func exchange(t *testing.T, n *node, secure *tls.Config, raw string) {
	t.Helper()
	c, err := net.Dial("tcp", n.PublicAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if secure != nil {
		secure := secure.Clone()
		secure.ServerName = "127.0.0.1"
		c = tls.Client(c, secure)
	}
	_, _ = io.WriteString(c, raw)
	_ = c.SetReadDeadline(time.Now().Add(3 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return // closed without a word
	}
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode < 400 {
		t.Errorf("%.200q got %d %s", raw, resp.StatusCode, b)
	}
}

// TestPanicsAreNotQuoted: a dialect that panics with what it has read does not bring that into the log.
func TestPanicsAreNotQuoted(t *testing.T) {
	e := newEngine(t)
	n := startParts(t, e.URL, func(_ *node, p *gateway.Parts) { p.Dialect, p.Engine = panicking{p.Dialect}, panickingEngine{p.Engine} })
	if r := n.create(oneOp(`{"panic":"` + login + "hunter2Zq9" + `"}`)); r.status != 500 {
		t.Errorf("%+v", r)
	}
	reply := n.createLater(oneOp(`{}`))
	a := e.next(t)
	a.accept()
	want(t, n.callback(a.tokens[0], `"panic hunter2Zq9"`), 500, `{}`)
	want(t, n.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
	got(t, reply)
	if log := n.log.String(); strings.Contains(log, "hunter2Zq9") || strings.Count(log, "panicked") < 2 {
		t.Errorf("the log is\n%s", log)
	}
}

type panicking struct{ dialect.Dialect }

func (p panicking) Accept(ctx *fasthttp.Request, r dialect.Route, now time.Time) (*dialect.Call, error) {
	refuse(ctx.Body())
	return p.Dialect.Accept(ctx, r, now)
}

// refuse panics with a body that says so.
func refuse(body []byte) {
	if strings.Contains(string(body), "panic") {
		panic(fmt.Errorf("cannot read %s", body))
	}
}

type panickingEngine struct{ dialect.Engine }

func (p panickingEngine) Callback(req *fasthttp.Request, op int) (cb correlator.Callback, answer []byte, err error) {
	refuse(req.Body())
	return p.Engine.Callback(req, op)
}
