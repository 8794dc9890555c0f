package gateway_test

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the protocol's
	"crypto/sha256"
	"encoding/base64"
	encoding "encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/gateway"
	"syncgate/signer"
)

const (
	otherLogin, otherSecret   = "other", "othersecret"
	engineLogin, engineSecret = "777", "the engine's secret"
	shop                      = "https://shop.example"

	bodyLimit     = 256 << 10
	callbackLimit = 64 << 10
	envelope      = 3 // levels above data
)

// TestAttacks sends every bad request over a connection of its own and wants its documented answer; then a good trip
// over that connection, unless it was closed, and one over a connection that lives through all of them. What reaches the
// engine is counted: nothing that was hidden in an attack may.
func TestAttacks(t *testing.T) {
	f := besiege(t)
	defer f.lift()
	total := 0
	for theme, list := range f.attacks() {
		for _, a := range list {
			if a.want.status != 200 {
				total++
			}
			t.Run(theme+"/"+a.name, func(t *testing.T) { f.try(t, a) })
		}
	}
	if total < 300 {
		t.Errorf("%d bad requests; they were 300 once", total)
	}
	want(t, f.n.callback(f.token, `{"answer":42}`), 200, `{}`) // not one of them has used it up
	want(t, got(t, f.parked), 200, accepted)
	for _, text := range []string{secret, otherSecret, engineSecret, f.token, f.finished, f.task} {
		if strings.Contains(f.n.log.String(), text) {
			t.Errorf("the log has %s", text)
		}
	}
}

// forge makes attacks. It knows what an attacker may know: a credential, and tokens and ids that were given away.
type forge struct {
	n    *node
	good *wire         // lives through everything
	work chan *asked   // creates whose data says "hold"
	done chan struct{} // ends serve
	idle chan struct{} // closed when it has ended

	now      string        // Unix seconds
	inner    string        // a signed create, to be hidden in others
	parked   <-chan answer // of the client behind token
	token    string        // of a parked client
	finished string        // of a trip that has ended
	task     string        // the path of a timed-out trip

	reached atomic.Int64 // creates that the engine was asked for
	allowed int64        // how many that may be
	nonce   int64
}

func besiege(t *testing.T) *forge {
	t.Helper()
	e := newEngine(t)
	f := &forge{now: strconv.FormatInt(time.Now().Unix(), 10), work: make(chan *asked, 10), done: make(chan struct{}), idle: make(chan struct{})}
	f.n = start(t, e.URL, func(c *gateway.Config) {
		c.Limits.Body, c.Limits.CallbackBody, c.CORS.Origins = bodyLimit, callbackLimit, []string{shop}
	})
	f.inner = f.create(create(`{"nonce":"smuggled"}`))
	go f.serve(e)

	const hold = `{"timeout":%s,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{"hold":true}}]}`
	first := f.n.createLater(fmt.Sprintf(hold, "300"))
	f.finished = (<-f.work).tokens[0]
	want(t, f.n.callback(f.finished, `{}`), 200, `{}`)
	got(t, first)
	f.task = f.n.create(fmt.Sprintf(hold, "0.01")).header.Get("Location")
	<-f.work
	f.parked = f.n.createLater(fmt.Sprintf(hold, "300"))
	f.token = (<-f.work).tokens[0]
	f.allowed = 3
	f.good = f.dial(t)
	return f
}

// lift ends the engine.
func (f *forge) lift() {
	close(f.done)
	<-f.idle
}

// serve is the engine: each task gets its own nonce back, at once.
func (f *forge) serve(e *engine) {
	defer close(f.idle)
	nonce := regexp.MustCompile(`"nonce":"\w+"`)
	for {
		select {
		case <-f.done:
			return
		case a := <-e.asked:
			f.reached.Add(1)
			if strings.Contains(a.body, `"hold":true`) {
				a.accept()
				f.work <- a
				continue
			}
			for _, token := range a.tokens {
				f.n.callback(token, "{"+nonce.FindString(a.body)+"}")
			}
			a.accept()
		}
	}
}

// try sends one attack.
func (f *forge) try(t *testing.T, a attack) {
	c := f.dial(t)
	c.send(a.send)
	f.allowed += a.want.trips
	method, _, _ := strings.Cut(strings.TrimLeft(a.send, "\r\n"), " ")
	a.want.check(t, c.read(t, method), c.invited)
	if a.want.closed {
		c.mustEnd(t)
	} else if !t.Failed() {
		f.trip(t, c)
	}
	f.trip(t, f.good)
	if n := f.reached.Load(); n != f.allowed {
		t.Errorf("%d creates have reached the engine, not %d", n, f.allowed)
		f.allowed = n
	}
	if t.Failed() {
		t.Logf("%s\n%.500q", a.why, a.send)
	}
}

// trip is a good one.
func (f *forge) trip(t *testing.T, c *wire) {
	t.Helper()
	f.nonce++
	f.allowed++
	data := fmt.Sprintf(`{"nonce":"n%d"}`, f.nonce)
	c.send(f.create(create(data)))
	r := c.read(t, "POST")
	if r.StatusCode != 200 || r.text != `{"request_proc":"ok","ops":[{"proc":"ok","data":`+data+`}]}` {
		t.Errorf("a good trip got %d %s", r.StatusCode, r.text)
	}
}

// verdict is a documented answer.
type verdict struct {
	status  int
	says    string            // how the description begins
	whole   string            // or all of the body
	headers map[string]string // that are there, with this in them
	not     map[string]string // that are not there, or without this
	closed  bool              // the connection ends with it
	silent  bool              // no 100 Continue before it
	invites bool              // a 100 Continue before it
	trips   int64             // creates that the engine is asked for
	health  bool              // it is about health: caches may keep it
}

// refused is a client's error.
func refused(status int, says string) verdict {
	v := verdict{status: status, says: says}
	if status == http.StatusUnauthorized {
		return v.with("WWW-Authenticate", "")
	}
	return v
}

// opRefused is an error of one op: the request is fine.
func opRefused(description string) verdict {
	text, _ := json.Marshal(description)
	text = []byte(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(text)))
	return verdict{status: 200, whole: `{"request_proc":"ok","ops":[{"proc":"error","description":` + string(text) + `}]}`}
}

// heard is what an engine hears.
func heard(status int) verdict { return verdict{status: status, whole: "{}"} }

// trip is no attack at all: it gets its result.
func trip() verdict { return verdict{status: 200, trips: 1} }

func state() verdict             { return verdict{status: 200, health: true} }
func pending() verdict           { return verdict{status: 202}.with("Retry-After", "") }
func bare(status int) verdict    { return verdict{status: status} }
func (v verdict) close() verdict { v.closed = true; return v }

func (v verdict) uninvited() verdict { v.silent = true; return v }
func (v verdict) asked() verdict     { v.invites = true; return v }

func (v verdict) with(header, value string) verdict {
	v.headers = map[string]string{header: value}
	return v
}

func (v verdict) without(header string, value ...string) verdict {
	v.not = map[string]string{header: strings.Join(value, "")}
	return v
}

func (v verdict) check(t *testing.T, r *response, invited bool) {
	t.Helper()
	if r.StatusCode != v.status || v.whole != "" && r.method != http.MethodHead && r.text != v.whole {
		t.Errorf("%d %.300q, want %d %s", r.StatusCode, r.text, v.status, v.whole)
	}
	if v.silent && invited || v.invites && !invited {
		t.Errorf("the body was asked for: %v", invited)
	}
	v.checkHeaders(t, r)
	v.checkShape(t, r)
}

func (v verdict) checkHeaders(t *testing.T, r *response) {
	t.Helper()
	for name, value := range v.headers {
		if got := r.Header.Values(name); len(got) == 0 || !strings.Contains(got[0], value) {
			t.Errorf("%s %q, want %q", name, got, value)
		}
	}
	for name, value := range v.not {
		if got := r.Header.Values(name); len(got) > 0 && (value == "" || strings.Contains(got[0], value)) {
			t.Errorf("%s %q", name, got)
		}
	}
}

// checkShape wants what all answers have.
func (v verdict) checkShape(t *testing.T, r *response) {
	t.Helper()
	if problem := cached(answer{status: r.StatusCode, header: r.Header}, v.health); problem != "" {
		t.Error(problem)
	}
	if r.StatusCode == http.StatusNoContent {
		return
	}
	if r.Header.Get("Content-Type") != "application/json" || r.ContentLength < 0 {
		t.Errorf("headers %v, want JSON with its length", r.Header)
	}
	if v.whole != "{}" && r.StatusCode >= 400 && r.Header.Get("X-Request-Id") == "" {
		t.Error("no X-Request-Id")
	}
	if v.says == "" || r.method == http.MethodHead {
		return
	}
	var body struct {
		Proc string                               `json:"request_proc"`
		Ops  []struct{ Proc, Description string } `json:"ops"`
	}
	if err := json.Unmarshal([]byte(r.text), &body); err != nil || len(body.Ops) != 1 ||
		body.Proc != "error" || body.Ops[0].Proc != "error" || !strings.HasPrefix(body.Ops[0].Description, v.says) {
		t.Errorf("%.300s, want an error that begins with %q", r.text, v.says)
	}
}

// wire is a client's connection, byte by byte.
type wire struct {
	net.Conn
	r       *bufio.Reader
	invited bool // 100 Continue was sent
}

// response is an answer that was read to its end.
type response struct {
	*http.Response
	method, text string
}

func (f *forge) dial(t *testing.T) *wire { return dial(t, f.n) }

func dial(t *testing.T, n *node) *wire {
	t.Helper()
	c, err := net.Dial("tcp", n.PublicAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &wire{Conn: c, r: bufio.NewReader(c)}
}

// send writes without waiting: the answer may come before all of it is taken.
func (w *wire) send(s string) {
	_ = w.SetDeadline(time.Now().Add(15 * time.Second))
	go func() { _, _ = io.WriteString(w, s) }()
}

func (w *wire) read(t *testing.T, method string) *response {
	t.Helper()
	for {
		r, err := http.ReadResponse(w.r, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("no answer: %v", err)
		}
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatalf("no whole answer: %v", err)
		}
		if r.StatusCode != http.StatusContinue {
			return &response{r, method, string(b)}
		}
		w.invited = true
	}
}

// mustEnd wants the connection closed, and nothing on it any more.
func (w *wire) mustEnd(t *testing.T) {
	t.Helper()
	rest, err := io.ReadAll(w.r)
	if len(rest) > 0 {
		t.Errorf("another answer: %.300q", rest)
	}
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() { //nolint:errorlint // of a socket, never wrapped
		t.Error("the connection is still open")
	}
}

// create is a package of one task.
func create(data string) string {
	return `{"ops":[{"type":"create","obj":"task","conv_id":1,"data":` + data + `}]}`
}

// request is one in bytes; its length is added unless a header says where it ends.
func request(method, path, body string, header ...string) string {
	head := strings.Join(append([]string{method + " " + path + " HTTP/1.1", "Host: gateway"}, header...), "\r\n")
	framed := regexp.MustCompile(`(?i)\r\n(content-length|transfer-encoding):`).MatchString(head)
	if !framed && (body != "" || method == http.MethodPost) {
		head += "\r\nContent-Length: " + strconv.Itoa(len(body))
	}
	return head + "\r\n\r\n" + body
}

func post(path, body string, header ...string) string {
	return request(http.MethodPost, path, body, header...)
}

func inChunks(body string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body) }

func chunked(path, body string) string { return coded(path, inChunks(body)) }

func coded(path, chunks string) string { return post(path, chunks, "Transfer-Encoding: chunked") }

func (f *forge) path(login, stamp, signature string) string {
	return "/api/1/json/" + login + "/" + stamp + "/" + signature
}

func (f *forge) signature(stamp, body string) string {
	return string(signer.AppendSignature(nil, []byte(stamp), []byte(secret), []byte(body)))
}

func (f *forge) signed(body string) string { return f.path(login, f.now, f.signature(f.now, body)) }

func (f *forge) create(body string) string { return post(f.signed(body), body) }

// badBody is a well-signed create whose body is not acceptable.
func (f *forge) badBody(name, why, body string) attack {
	return attack{name, why, f.create(body), refused(400, "Incorrect body")}
}

// cut is a request whose end is doubtful, with another hidden behind it.
func (f *forge) cut(name, why, version, head, body string) attack {
	if version == "" {
		version = "HTTP/1.1"
	}
	send := "POST " + f.signed(create(`{}`)) + " " + version + "\r\nHost: gateway\r\n" + head + "\r\n\r\n" + body + f.inner
	return attack{name, why, send, refused(400, "Incorrect").close()}
}

func (f *forge) shifted(seconds int64) string {
	n, _ := strconv.ParseInt(f.now, 10, 64)
	return strconv.FormatInt(n+seconds, 10)
}

// wrapped is now plus 2^64.
func (f *forge) wrapped() string {
	n, _ := strconv.ParseUint(f.now, 10, 64)
	return "1844674407" + strconv.FormatUint(3709551616+n, 10)
}

// nested is JSON of so many levels.
func nested(levels int) string {
	return strings.Repeat(`{"a":`, levels-1) + "{}" + strings.Repeat("}", levels-1)
}

// flip changes one character to another of the same alphabet.
func flip(s string, i int) string {
	c := byte('0')
	if s[i] == c {
		c = '1'
	}
	return s[:i] + string(c) + s[i+1:]
}

// respelled changes the bits of the last character that say nothing, and nothing else.
func respelled(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(alphabet, s[len(s)-1])
	return s[:len(s)-1] + string(alphabet[i^1])
}

func backwards(s string) string {
	b := []byte(s)
	for i := range len(b) / 2 {
		b[i], b[len(b)-1-i] = b[len(b)-1-i], b[i]
	}
	return string(b)
}

func hex(c byte) string { return fmt.Sprintf("%02x", c) }

func sha1Hex(s string) string {
	sum := sha1.Sum([]byte(s)) //nolint:gosec // the protocol's
	return encoding.EncodeToString(sum[:])
}

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return encoding.EncodeToString(sum[:])
}

func base64SHA1(s string) string {
	sum := sha1.Sum([]byte(s)) //nolint:gosec // the protocol's
	return base64.URLEncoding.EncodeToString(sum[:])
}

func hmacSHA1(key, s string) string {
	m := hmac.New(sha1.New, []byte(key))
	m.Write([]byte(s))
	return encoding.EncodeToString(m.Sum(nil))
}
