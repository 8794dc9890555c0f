package gateway_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/corezoid"
	"syncgate/gateway"
	"syncgate/internal/tlsfiles"
)

// fragile is a dialect and an engine whose methods panic when the test says so.
type fragile struct {
	*corezoid.Dialect
	breaks   atomic.Pointer[string] // names of methods
	panicked atomic.Int32
}

func (f *fragile) set(methods string) { f.breaks.Store(&methods) }

func (f *fragile) may(method string) {
	if methods := f.breaks.Load(); methods != nil && strings.Contains(*methods, method) {
		f.panicked.Add(1)
		panic(method + " is broken")
	}
}

func (f *fragile) Route(path []byte) (dialect.Route, bool) {
	f.may("Route")
	return f.Dialect.Route(path)
}

func (f *fragile) Accept(req *fasthttp.Request, r dialect.Route, now time.Time) (*dialect.Call, error) {
	f.may("Accept")
	return f.Dialect.Accept(req, r, now)
}

func (f *fragile) Task(req *fasthttp.Request, r dialect.Route, now time.Time) (dialect.TaskCall, error) {
	f.may("Task")
	return f.Dialect.Task(req, r, now)
}

func (f *fragile) View(dst *fasthttp.Response, c *dialect.TaskCall, r *dialect.Reply, own func(*fasthttp.Response)) {
	dst.SetBodyString("half a view")
	f.may("View")
	f.Dialect.View(dst, c, r, own)
}

func (f *fragile) Answer(dst *fasthttp.Response, c *dialect.Call, r *dialect.Reply) {
	dst.SetBodyString("half an answer")
	f.may("Answer")
	f.Dialect.Answer(dst, c, r)
}

func (f *fragile) Refuse(dst *fasthttp.Response, why *dialect.Fault, requestID string) {
	dst.SetBodyString("half a refusal")
	f.may("Refuse")
	f.Dialect.Refuse(dst, why, requestID)
}

func (f *fragile) Encode(dst *fasthttp.Request, c *dialect.Call, tokens []string, now time.Time) error {
	dst.SetBodyString("half a request")
	f.may("Encode")
	return f.Dialect.Encode(dst, c, tokens, now)
}

// Ack can also name an op that there is not.
func (f *fragile) Ack(c *dialect.Call, status int, header *fasthttp.ResponseHeader, body []byte) (dialect.Ack, error) {
	f.may("Ack")
	ack, err := f.Dialect.Ack(c, status, header, body)
	if methods := f.breaks.Load(); methods != nil {
		switch *methods {
		case "an op too many":
			f.panicked.Add(1)
			ack.Finals = append(ack.Finals, correlator.Callback{Op: len(c.Ops), Status: correlator.Answered})
		case "an op too few":
			f.panicked.Add(1)
			ack.Finals = append(ack.Finals, correlator.Callback{Op: -1, Status: correlator.Answered})
		}
	}
	return ack, err
}

// Callback can also answer another op than it was asked for.
func (f *fragile) Callback(req *fasthttp.Request, op int) (correlator.Callback, []byte, error) {
	f.may("Callback")
	cb, answer, err := f.Dialect.Callback(req, op)
	if methods := f.breaks.Load(); methods != nil && *methods == "another op" {
		cb.Op = -1
	}
	return cb, answer, err
}

// bench is a gateway with a fragile dialect and one place for everything, and a way in which requests come to it.
type bench struct {
	*node
	*engine
	t       *testing.T
	fragile *fragile
	pad     string // makes a request large
	keyed   bool
	keys    int
}

const fragileID = "fragile-1"

// way is how requests come.
type way struct {
	name    string
	pad     int
	keyed   bool
	tls     bool // of the client
	engines bool // TLS of the engine
}

func ways() []way {
	return []way{
		{name: "plain"},
		{name: "large", pad: 40_000},
		{name: "keyed", keyed: true},
		{name: "TLS", tls: true},
		{name: "TLS of the engine", engines: true},
	}
}

func newBench(t *testing.T, w way) *bench {
	t.Helper()
	b := &bench{t: t, engine: newEngine(t), fragile: new(fragile), pad: strings.Repeat("x", w.pad), keyed: w.keyed}
	certFile, keyFile, roots := certificate(t)
	url := b.URL
	if w.engines {
		secure := httptest.NewUnstartedServer(b.Config.Handler)
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			t.Fatal(err)
		}
		secure.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
		secure.StartTLS()
		t.Cleanup(secure.Close)
		url = secure.URL
	}
	b.node = startParts(t, url, func(_ *node, p *gateway.Parts) {
		b.fragile.Dialect = p.Dialect.(*corezoid.Dialect) // the harness made it
		p.Dialect, p.Engine = b.fragile, b.fragile
		if w.engines {
			p.TrustEngine(roots)
		}
	}, func(c *gateway.Config) {
		c.Engine.MaxConnections, c.Limits.ParkedPerLogin, c.Results.RequireLogin = 1, 1, true
		if w.tls {
			c.Listen.TLS = tlsfiles.Files{CertFile: certFile, KeyFile: keyFile}
		}
	})
	if w.tls {
		b.secured(roots)
	}
	return b
}

func (b *bench) secured(roots *x509.CertPool) {
	b.url = "https://" + b.PublicAddr().String()
	b.http.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12} // the harness made it
}

// sends sends a create of the bench's way.
func (b *bench) sends() <-chan answer {
	header := []string{"X-Request-Id", fragileID}
	if b.keyed {
		b.keys++
		header = append(header, "Idempotency-Key", strings.Repeat("k", b.keys))
	}
	return b.createLater(oneOp(`{"pad":"`+b.pad+`"}`), header...)
}

// works plays a good trip: nothing is left of what was before.
func (b *bench) works() {
	b.t.Helper()
	b.fragile.set("")
	reply := b.sends()
	a := b.next(b.t)
	a.accept()
	want(b.t, b.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
	want(b.t, got(b.t, reply), 200, accepted)
}

// wantInternal wants a 500 in the dialect's words.
func wantInternal(t *testing.T, a answer) {
	t.Helper()
	if a.status != 500 || !strings.Contains(a.body, `"description":"Internal error`) || a.header.Get("X-Request-Id") != fragileID {
		t.Errorf("%d %s\n%v\nwant 500 with the request's id", a.status, a.body, a.header)
	}
}

// Whatever partners' code panics, its client is answered, or stays parked where the task may exist, and the next request finds all
// places free. What else could leak is looked at when the gateway ends.
func TestPanicsOfDialectAndEngine(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			b := newBench(t, w)
			b.works()
			b.sendsNothing()
			b.staysParked()
			b.answers()
			b.refuses()
			b.callsBack()
			b.identifies()
			if b.fragile.panicked.Load() < 20 {
				t.Errorf("only %d panics", b.fragile.panicked.Load())
			}
		})
	}
}

// sendsNothing has those panic that are called before anything is forwarded.
func (b *bench) sendsNothing() {
	for _, method := range []string{"Route", "Accept", "Encode"} {
		for range 3 {
			b.fragile.set(method)
			wantInternal(b.t, got(b.t, b.sends()))
		}
		noneAsked(b.t, b.engine)
		b.works()
	}
}

// staysParked has Ack panic, or say what nothing can be made of: the callback decides.
func (b *bench) staysParked() {
	t := b.t
	for _, method := range []string{"Ack", "an op too many", "an op too few"} {
		for range 3 {
			b.fragile.set(method)
			before := b.fragile.panicked.Load()
			reply := b.sends()
			a := b.next(t)
			a.accept()
			waitFor(t, func() bool { return b.fragile.panicked.Load() > before })
			<-time.After(20 * time.Millisecond) // whoever would answer the client now has a moment for it
			want(t, b.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
			want(t, got(t, reply), 200, accepted)
		}
		b.works()
	}
}

// answers has Answer panic: the client hears of it, and the result is kept for whoever asks for it.
func (b *bench) answers() {
	t := b.t
	for range 3 {
		b.fragile.set("Answer")
		reply := b.sends()
		a := b.next(t)
		a.accept()
		want(t, b.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
		wantInternal(t, got(t, reply))
	}
	b.works()
	b.fragile.set("Answer") // of ops that are not forwarded
	wantInternal(t, b.create(`{"ops":[{"type":"delete","obj":"task"}],"pad":"`+b.pad+`"}`, "X-Request-Id", fragileID))
	noneAsked(t, b.engine)
	b.works()
}

// refuses has Refuse panic: the client still hears the status.
func (b *bench) refuses() {
	t := b.t
	bare := func(a answer, status int) {
		t.Helper()
		want(t, a, status, `{}`)
		if a.header.Get("X-Request-Id") != fragileID {
			t.Errorf("no request id: %v", a.header)
		}
	}
	for _, methods := range []string{"Route, Refuse", "Accept, Refuse", "Encode, Refuse"} {
		b.fragile.set(methods)
		bare(got(t, b.sends()), 500)
	}
	b.fragile.set("Refuse")
	bare(b.create(`{"ops":[`+b.pad, "X-Request-Id", fragileID), 400)
	bare(b.do(http.MethodPost, "/api/1/json/"+login+"/1/"+strings.Repeat("0", 40), "{}"+b.pad, "X-Request-Id", fragileID), 401)
	bare(b.do(http.MethodPut, sign(b.pad), b.pad, "X-Request-Id", fragileID), 405)
	bare(b.do(http.MethodPost, "/nowhere", "", "X-Request-Id", fragileID), 404)
	bare(b.create(strings.Repeat("x", 2<<20), "X-Request-Id", fragileID), 413)
	bare(b.create(strings.Repeat("x", 2<<20), "X-Request-Id", fragileID, "Expect", "100-continue"), 413)
	b.works()
}

// callsBack has Callback panic: the engine hears of it, and can send its callback again.
func (b *bench) callsBack() {
	t := b.t
	reply := b.sends()
	a := b.next(t)
	a.accept()
	for range 3 {
		b.fragile.set("Callback")
		want(t, b.callback(a.tokens[0], `{"answer":`+strings.Repeat(" ", len(b.pad))+`42}`), 500, `{}`)
	}
	b.fragile.set("another op")
	want(t, b.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
	want(t, got(t, reply), 200, accepted)
	b.works()
}

// identifies has Task panic, and Route where the path is a task's.
func (b *bench) identifies() {
	t := b.t
	reply := b.createLater(strings.Replace(oneOp(`{}`), `"timeout":5`, `"timeout":0.2`, 1))
	b.next(t).accept()
	task := got(t, reply).header.Get("Location")
	if task == "" {
		t.Fatal("no Location")
	}
	for _, method := range []string{"Task", "Route"} {
		b.fragile.set(method)
		wantInternal(t, b.do(http.MethodGet, task+strings.TrimPrefix(sign(""), "/api/1/json"), "", "X-Request-Id", fragileID))
		waitLog(t, b.node, `"request_id":"`+fragileID+`"`)
	}
	for _, method := range []string{"Answer", "View"} {
		b.fragile.set(method)
		wantInternal(t, b.do(http.MethodGet, task+strings.TrimPrefix(sign(""), "/api/1/json"), "", "X-Request-Id", fragileID))
	}
	b.works()
}

// A connection on which a request met a panic goes on, and so does an engine's.
func TestConnectionAfterAPanic(t *testing.T) {
	for _, w := range ways()[:2] {
		t.Run(w.name, func(t *testing.T) {
			b := newBench(t, w)
			c, caller := b.dial(), b.dial()
			r, heard := bufio.NewReader(c), bufio.NewReader(caller)
			create := rawCreate(oneOp(`{"pad":"` + b.pad + `"}`))
			methods := []string{"Accept", "Encode", "Refuse, Accept"}
			if w.pad == 0 { // a large body is not read where nobody knows what for
				methods = append(methods, "Route")
			}
			for _, method := range methods {
				b.fragile.set(method)
				_, _ = io.WriteString(c, create)
				if a := read(t, r); a.status != 500 || a.header.Get("X-Request-Id") == "" || a.header.Get("Connection") != "" {
					t.Errorf("%s: %+v", method, a)
				}
			}
			b.fragile.set("Callback")
			_, _ = io.WriteString(c, create)
			a := b.next(t)
			a.accept()
			callback := request(http.MethodPost, "/api/1/plugins/callback/"+a.tokens[0], strings.Repeat(" ", len(b.pad))+`{"answer":42}`)
			_, _ = io.WriteString(caller, callback)
			want(t, read(t, heard), 500, `{}`)
			b.fragile.set("")
			_, _ = io.WriteString(caller, callback)
			want(t, read(t, heard), 200, `{}`)
			want(t, read(t, r), 200, accepted)
		})
	}
}

// Trips that wait for a connection to the engine are refused one after the other when none of them can be encoded.
func TestPanicsOfAQueue(t *testing.T) {
	b := newBench(t, way{})
	b.works()
	b.SetLimits(gateway.Default().Limits)
	first := b.sends()
	a := b.next(t) // it has the connection
	const waiting = 50
	var replies []<-chan answer
	for range waiting {
		replies = append(replies, b.sends())
	}
	waitFor(t, func() bool { return b.memo.Len() == waiting+1 })
	b.fragile.set("Encode")
	a.accept()
	for _, reply := range replies {
		wantInternal(t, got(t, reply))
	}
	want(t, b.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
	want(t, got(t, first), 200, accepted)
	noneAsked(t, b.engine)
	b.works()
}
