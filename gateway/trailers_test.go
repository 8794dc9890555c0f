package gateway_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"syncgate/dialect/corezoid"
	"syncgate/gateway"
	"syncgate/signer"
)

// Trailers are read, checked and dropped (RFC 9110, 6.5.1): a balancer in front looks at headers, and lets trailers pass.

const trailerValue = "from-a-trailer"

// dropped are trailers that are none of our business, whatever a header of that name would mean.
func dropped() string {
	return "X-User-Id: " + trailerValue + "\r\nOrigin: " + shop + "\r\nX-Request-Id: " + trailerValue + "\r\nX-Forwarded-For: 192.0.2.99\r\n" +
		"X-Real-Ip: 192.0.2.99\r\nPrefer: wait=9\r\nIdempotency-Key: " + trailerValue + "\r\nforwarded: for=192.0.2.99\r\nX-EMPTY:\r\nX-Text:\t \"\xd1\x85\" , ;x \r\n"
}

// inTrailers is a body in one chunk, with trailers.
func inTrailers(body, trailers string) string {
	chunk := ""
	if body != "" {
		chunk = fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
	}
	return chunk + "0\r\n" + trailers + "\r\n"
}

func withTrailers(method, path, body, trailers string, headers ...string) string {
	return request(method, path, inTrailers(body, trailers), append(headers, "Transfer-Encoding: chunked")...)
}

// startForwarding is start with forward_headers.
func startForwarding(t *testing.T, engineURL string, headers []string, change ...func(*gateway.Config)) *node {
	t.Helper()
	return startParts(t, engineURL, func(_ *node, p *gateway.Parts) {
		keys, err := signer.NewKeyring([]signer.Credential{{Login: login, Secret: secret}})
		if err != nil {
			t.Fatal(err)
		}
		c := corezoid.Default()
		c.EngineURL, c.CallbackURL, c.ForwardHeaders = engineURL, gateway.Default().Callback.CallbackURL(), headers
		d, err := corezoid.New(c, corezoid.Access{Keys: keys, Window: 5 * time.Minute, MaxOps: 100})
		if err != nil {
			t.Fatal(err)
		}
		p.Dialect, p.Engine = d, d
	}, change...)
}

func TestTrailersAreDropped(t *testing.T) {
	forwarded := []string{
		"X-User-Id", "Origin", "X-Request-Id", "X-Forwarded-For", "X-Real-Ip", "Prefer", "Idempotency-Key", "Forwarded", "X-Empty", "X-Text",
		"Content-Type", "Content-Encoding", "Content-Length", "Transfer-Encoding", "Expect", "Host",
	}
	e := newEngine(t)
	n := startForwarding(t, e.URL, forwarded, func(c *gateway.Config) {
		c.CORS.Origins, c.Listen.TrustedProxies = []string{shop}, []string{"127.0.0.1"}
	})
	c := dial(t, n) // one connection for all: what follows a trailer section is read as the next request
	body := oneOp(`{"pad":"` + strings.Repeat("x", 5000) + `"}`)
	// forwards gives what a task gets of the headers of a create, and its reply.
	forwards := func(raw string) (headers string, r *response) {
		t.Helper()
		c.send(raw)
		a := e.next(t)
		a.accept()
		_, headers, _ = strings.Cut(a.body, `"__headers":`)
		headers, _, _ = strings.Cut(headers, "}")
		if r := n.do(http.MethodPost, "/api/1/plugins/callback/"+a.tokens[0], `{"answer":42}`, "X-Forwarded-For", "192.0.2.7"); r.status != 200 {
			t.Errorf("callback: %+v", r)
		}
		r = c.read(t, "POST")
		if r.StatusCode != 200 || r.text != accepted {
			t.Errorf("%d %s", r.StatusCode, r.text)
		}
		return headers, r
	}
	plain := func(name string, r *response) {
		t.Helper()
		if got := r.Header; got.Get("X-Request-Id") == trailerValue || got.Get("Access-Control-Allow-Origin") != "" || got.Get("Location") != "" {
			t.Errorf("%s: headers %v", name, got)
		}
	}

	headers, r := forwards(withTrailers("POST", sign(body), body, dropped()))
	plain("create", r)
	if want := `{"transfer-encoding":"chunked","host":"gateway"`; headers != want {
		t.Errorf("a task gets %s of trailers, not %s", headers, want)
	}
	_, r = forwards(withTrailers("POST", sign(body), body, dropped())) // the same key twice is no key at all: the engine is asked again
	plain("create again", r)

	headers, _ = forwards(withTrailers("POST", sign(body), body, dropped(), "X-User-Id: 1", "Content-Type: text/plain", "X-Text: x"))
	if want := `{"x-user-id":"1","x-text":"x","content-type":"text/plain","transfer-encoding":"chunked","host":"gateway"`; headers != want {
		t.Errorf("a task gets %s, not its headers, %s", headers, want)
	}

	_, r = forwards(withTrailers("POST", sign(body), body, dropped(), "Idempotency-Key: from-a-header"))
	if location := r.Header.Get("Location"); location == "" {
		t.Error("a create with a key has no Location")
	}
	c.send(withTrailers("POST", sign(body), body, "Idempotency-Key: other\r\n", "Idempotency-Key: from-a-header"))
	if r := c.read(t, "POST"); r.StatusCode != 200 || r.text != accepted { // and the engine is not asked
		t.Errorf("a repeat of a key: %d %s", r.StatusCode, r.text)
	}

	waitLog(t, n, `"message":"trip"`)
	if log := n.log.String(); strings.Contains(log, "192.0.2.99") || strings.Contains(log, trailerValue) {
		t.Errorf("the log is\n%s", log)
	}
}

// A GET may have a body, and a preference in its trailer is none.
func TestTrailersOfOtherRequests(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.CORS.Origins = []string{shop} })
	late := n.createLater(`{"timeout":0.01,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{}}]}`)
	e.next(t).accept()
	task := got(t, late).header.Get("Location")
	c := dial(t, n)
	began := time.Now()
	for _, raw := range []string{
		withTrailers("GET", task, "x", dropped()), withTrailers("GET", "/healthz", "", dropped()), withTrailers("OPTIONS", task, "", dropped()),
		withTrailers("GET", "/readyz", strings.Repeat("x", 500), dropped()), withTrailers("POST", "/nowhere", "x", dropped()), withTrailers("PUT", task, "x", dropped()),
	} {
		c.send(raw)
		method, _, _ := strings.Cut(raw, " ")
		r := c.read(t, method)
		if r.Header.Get("X-Request-Id") == trailerValue || r.Header.Get("Access-Control-Allow-Origin") != "" || r.Header.Get("Preference-Applied") != "" || r.Close {
			t.Errorf("%.40q: %d %v", raw, r.StatusCode, r.Header)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("somebody has waited: %v", took)
	}
}

func TestTrailersOfCallbacks(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	for _, body := range []string{`{"answer":42}`, " {\"answer\":42}" + strings.Repeat(" ", 5000)} {
		reply := n.createLater(oneOp(`{}`))
		a := e.next(t)
		a.accept()
		c := dial(t, n)
		for range 2 { // the second one is a repeat, on the same connection
			c.send(withTrailers("POST", "/api/1/plugins/callback/"+a.tokens[0], body, dropped(), "Content-Type: application/json"))
			if r := c.read(t, "POST"); r.StatusCode != 200 || r.text != "{}" {
				t.Errorf("%d %s", r.StatusCode, r.text)
			}
		}
		if r := got(t, reply); r.status != 200 || !strings.Contains(r.body, `{"answer":42}`) || strings.Contains(r.body, trailerValue) {
			t.Errorf("%+v", r)
		}
	}
}

// TestMalformedTrailers: a trailer section that two parsers could read differently is refused, and nothing is read behind it, however
// the request comes.
func TestMalformedTrailers(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Listen.BodyTimeout = 10 * time.Second })
	parked := n.createLater(strings.Replace(oneOp(`{}`), `"timeout":5`, `"timeout":100`, 1))
	a := e.next(t)
	a.accept()
	body := oneOp(`{"nonce":"smuggled"}`)
	inner := rawCreate(body)
	bad := map[string]string{
		"blank before the colon": "X-A : 1\r\n", "tab before the colon": "X-A\t: 1\r\n", "blank in a name": "X A: 1\r\n", "no name": ": 1\r\n", "no colon": "X-A\r\n",
		"a name that is none": "X(A): 1\r\n", "a name that is not ASCII": "Хост: 1\r\n", "NUL in a name": "X\x00A: 1\r\n", "folded": "X-A: 1\r\n 2\r\n", "folded by a tab": "X-A: 1\r\n\t2\r\n",
		"folded at once": " X-A: 1\r\n", "bare LF": "X-A: 1\nX-B: 2\r\n", "bare LF alone": "\nX-B: 2\r\n", "bare LF at the end": "X-A: 1\r\n\n", "bare CR": "X-A: 1\rX-B: 2\r\n",
		"NUL in a value": "X-A: 1\x002\r\n", "a control character": "X-A: 1\x0b2\r\n", "DEL": "X-A: 1\x7f\r\n", "Content-Length": "Content-Length: 5\r\n",
		"Content-Length in another case": "content-LENGTH: 5\r\n", "Transfer-Encoding": "Transfer-Encoding: chunked\r\n", "Host": "Host: x\r\n", "Trailer": "Trailer: X\r\n",
		"TE": "TE: trailers\r\n", "Connection": "Connection: close\r\n", "Keep-Alive": "Keep-Alive: 1\r\n", "Upgrade": "Upgrade: h2c\r\n", "Expect": "Expect: 100-continue\r\n",
		"Content-Type": "Content-Type: application/xml\r\n", "Content-Encoding": "Content-Encoding: gzip\r\n", "Content-Range": "Content-Range: bytes 0-1/2\r\n",
		"Authorization": "Authorization: x\r\n", "Cookie": "Cookie: x\r\n", "Max-Forwards": "Max-Forwards: 1\r\n", "Proxy-Authorization": "Proxy-Authorization: x\r\n",
		"one of several": "X-A: 1\r\nX-B: 2\r\nHost: x\r\nX-C: 3\r\n",
	}
	t.Run("malformed", func(t *testing.T) { // ends when all of them have
		for name, trailers := range bad {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				create := withTrailers("POST", sign(body), body, trailers) + inner
				callback := withTrailers("POST", "/api/1/plugins/callback/"+a.tokens[0], `{}`, trailers) + inner
				for _, in := range []int{1 << 20, 1, 7} { // bytes at a time
					refused(400, "Incorrect request").close().check(t, trickle(t, n, create, in), false)
					heard(400).close().check(t, trickle(t, n, callback, in), false)
				}
			})
		}
	})
	t.Run("too large", func(t *testing.T) {
		for _, trailers := range []string{"X: " + strings.Repeat("x", 17<<10) + "\r\n", strings.Repeat("X: y\r\n", 4000)} {
			refused(431, "Headers are larger than").close().check(t, trickle(t, n, withTrailers("POST", sign(body), body, trailers)+inner, 1<<20), false)
		}
	})
	t.Run("cut", func(t *testing.T) {
		c := dial(t, n)
		raw := withTrailers("POST", sign(body), body, "X-A: 1\r\n")
		c.send(raw[:len(raw)-2])
		<-time.After(20 * time.Millisecond)
		_ = c.Conn.(*net.TCPConn).CloseWrite()
		refused(400, "Incorrect request").close().check(t, c.read(t, "POST"), false)
	})
	want(t, n.callback(a.tokens[0], `{"answer":42}`), 200, `{}`) // none of them has used it up
	want(t, got(t, parked), 200, accepted)
	select {
	case a := <-e.asked:
		t.Errorf("the engine was asked %s", a.body)
	default:
	}
}

// trickle sends raw over a connection of its own, so many bytes at a time, and gives the answer, which must be the last thing that comes.
func trickle(t *testing.T, n *node, raw string, in int) *response {
	t.Helper()
	c := dial(t, n)
	_ = c.SetDeadline(time.Now().Add(15 * time.Second))
	go func() {
		for len(raw) > 0 {
			k := min(in, len(raw))
			if _, err := io.WriteString(c, raw[:k]); err != nil {
				return
			}
			raw = raw[k:]
		}
	}()
	r := c.read(t, "POST")
	c.mustEnd(t)
	return r
}
