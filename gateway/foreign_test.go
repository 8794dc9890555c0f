package gateway_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/dialect/corezoid"
	"syncgate/gateway"
)

// strict is an engine whose answers say by their ref whose they are.
type strict struct{ *corezoid.Dialect }

func (s strict) Ack(c *dialect.Call, status int, header *fasthttp.ResponseHeader, body []byte) (dialect.Ack, error) {
	var a struct {
		Ops []struct {
			Ref json.RawMessage `json:"ref"`
		} `json:"ops"`
	}
	if err := json.Unmarshal(body, &a); err != nil || len(a.Ops) != 1 || string(a.Ops[0].Ref) != string(c.Ops[0].Ref) {
		return dialect.Ack{}, fmt.Errorf("the answer is %s: %w", body, dialect.ErrForeignAnswer)
	}
	return s.Dialect.Ack(c, status, header, body)
}

func startStrict(t *testing.T, url string, change ...func(*gateway.Config)) *node {
	t.Helper()
	return startParts(t, url, func(_ *node, p *gateway.Parts) {
		p.Engine = strict{p.Engine.(*corezoid.Dialect)} // the harness made it
	}, change...)
}

// refOp is a package of one op, and refAnswer what the engine says to it.
func refOp(kind, ref string) string {
	return fmt.Sprintf(`{"timeout":1,"ops":[{"type":%q,"obj":"task","conv_id":1,"ref":%q,"data":{}}]}`, kind, ref)
}

func refSays(ref string) string {
	return fmt.Sprintf(`{"request_proc":"ok","ops":[{"ref":%q,"proc":"ok","obj_id":"t-1","more":"marker"}]}`, ref)
}

func refAnswer(ref string) string {
	body := refSays(ref)
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func refTimeout(ref string) string {
	return fmt.Sprintf(`{"request_proc":"ok","ops":[{"proc":"error","ref":%q,"description":"Timeout for create task"}]}`, ref)
}

// times has so many connections served alike.
func times(conns int, serve func(*rawEngine, net.Conn, *bufio.Reader)) []func(*rawEngine, net.Conn, *bufio.Reader) {
	return slices.Repeat([]func(*rawEngine, net.Conn, *bufio.Reader){serve}, conns)
}

// askRef reads one request, and gives the ref of its op.
func askRef(r *bufio.Reader) (ref string, tokens []string, ok bool) {
	req, err := http.ReadRequest(r)
	if err != nil {
		return "", nil, false
	}
	b, _ := io.ReadAll(req.Body)
	var pack struct {
		Ops []struct {
			Ref string `json:"ref"`
		} `json:"ops"`
	}
	if json.Unmarshal(b, &pack) != nil || len(pack.Ops) != 1 {
		return "", nil, false
	}
	for _, m := range tokenPattern.FindAllSubmatch(b, -1) {
		tokens = append(tokens, string(m[1]))
	}
	return pack.Ops[0].Ref, tokens, true
}

// doubler is an engine that answers twice now and then.
type doubler struct{ doubled atomic.Int32 }

func (d *doubler) serve(_ *rawEngine, c net.Conn, r *bufio.Reader) {
	for late := ""; ; {
		ref, _, ok := askRef(r)
		if !ok {
			return
		}
		if late != "" { // the connection is busy again
			_, _ = io.WriteString(c, late)
			<-time.After(time.Duration(rand.IntN(3)) * time.Millisecond) //nolint:gosec // a test's dice
		}
		late = d.answer(c, refAnswer(ref))
	}
}

// answer says something once or twice, or leaves the second time for later.
func (d *doubler) answer(c net.Conn, answer string) (late string) {
	const kinds, twice = 12, 4
	kind := rand.IntN(kinds) //nolint:gosec // a test's dice
	if kind < twice {
		d.doubled.Add(1)
	}
	switch kind {
	case 0: // in one segment
		_, _ = io.WriteString(c, answer+answer)
	case 1: // in two
		_, _ = io.WriteString(c, answer)
		_, _ = io.WriteString(c, answer)
	case 2: // a little later
		_, _ = io.WriteString(c, answer)
		<-time.After(time.Duration(rand.IntN(2000)) * time.Microsecond) //nolint:gosec // likewise
		_, _ = io.WriteString(c, answer)
	case 3: // behind the next request
		_, _ = io.WriteString(c, answer)
		return answer
	default:
		_, _ = io.WriteString(c, answer)
	}
	return ""
}

// An engine that answers twice now and then gives nobody another's answer. A client whose own answer is lost waits until its deadline.
func TestEngineThatAnswersTwice(t *testing.T) {
	d := new(doubler)
	e := newRawEngine(t, times(1000, d.serve)...)
	n := startStrict(t, e.url, func(c *gateway.Config) { c.Engine.MaxConnections = 4 })
	const trips, clients = 400, 16
	var served, waited atomic.Int32
	asks := func(ref string) {
		switch a := n.create(refOp("modify", ref)); a.body {
		case refSays(ref):
			served.Add(1)
		case refTimeout(ref):
			waited.Add(1)
		default:
			t.Errorf("%s got %d %s", ref, a.status, a.body)
		}
	}
	var running sync.WaitGroup
	for client := range clients {
		running.Go(func() {
			for i := client; i < trips; i += clients {
				asks("ref-" + strconv.Itoa(i))
			}
		})
	}
	running.Wait()
	if d.doubled.Load() < trips/10 || served.Load() < trips/2 {
		t.Errorf("%d answers were doubled, %d clients had theirs and %d waited in vain", d.doubled.Load(), served.Load(), waited.Load())
	}
	if strings.Contains(n.log.String(), "marker") {
		t.Error("the log has bytes of an answer")
	}
}

// confuser is an engine that answers requests whose ref begins with "bad" as if they were another.
type confuser struct {
	tokens chan string        // of those
	closed chan time.Duration // how long the gateway took to close their connections
}

func (f *confuser) serve(_ *rawEngine, c net.Conn, r *bufio.Reader) {
	ref, token, ok := askRef(r)
	for ; ok && !strings.HasPrefix(ref, "bad"); ref, token, ok = askRef(r) {
		_, _ = io.WriteString(c, refAnswer(ref))
	}
	if !ok {
		return
	}
	_, _ = io.WriteString(c, refAnswer("another"))
	began := time.Now()
	if _, err := r.ReadByte(); err != nil {
		f.closed <- time.Since(began)
	}
	f.tokens <- strings.Join(token, "")
}

// gone waits until the gateway has closed a connection.
func (f *confuser) gone(t *testing.T) {
	t.Helper()
	select {
	case took := <-f.closed:
		if took > time.Second {
			t.Errorf("the connection was closed after %v", took)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the connection was not closed within 5 s")
	}
}

// An answer that belongs to another request says nothing of this one: its client stays parked, and the connection is closed at once.
func TestForeignAnswer(t *testing.T) {
	f := &confuser{tokens: make(chan string, 10), closed: make(chan time.Duration, 10)}
	e := newRawEngine(t, times(10, f.serve)...)
	n := startStrict(t, e.url, func(c *gateway.Config) { c.Engine.MaxConnections = 1 })
	for i, kept := range []bool{false, true, true, false} { // by a worker, by a loop
		if kept {
			want(t, n.create(refOp("modify", "good")), 200, refSays("good"))
		}
		ref := fmt.Sprintf("bad-%d", i)
		reply := n.createLater(strings.Replace(refOp("create", ref), `"timeout":1`, `"timeout":9`, 1))
		f.gone(t)
		want(t, n.callback(<-f.tokens, `{"answer":42}`), 200, `{}`)
		want(t, got(t, reply), 200, fmt.Sprintf(`{"request_proc":"ok","ops":[{"proc":"ok","ref":%q,"data":{"answer":42}}]}`, ref))
		waitLog(t, n, "belongs to another request")
	}
	want(t, n.create(refOp("modify", "bad")), 200, refTimeout("bad"))
	f.gone(t)
	want(t, n.create(refOp("modify", "good")), 200, refSays("good"))
	if strings.Contains(n.log.String(), "marker") {
		t.Errorf("the log has bytes of an answer:\n%s", n.log.String())
	}
}

// speaker is an engine that speaks on its first connection when it was not asked, and serves on all others.
type speaker struct {
	t      *testing.T
	before int // requests that it serves before it speaks
	spoken chan struct{}
	early  atomic.Bool // the gateway is to look only when it has spoken
}

func (s *speaker) speak(_ *rawEngine, c net.Conn, r *bufio.Reader) {
	for range s.before {
		ref, _, _ := askRef(r)
		_, _ = io.WriteString(c, refAnswer(ref))
	}
	_, _ = io.WriteString(c, refAnswer("unasked"))
	close(s.spoken)
	if _, _, ok := askRef(r); ok {
		s.t.Error("a request was written behind what nobody had asked for")
	}
}

func (s *speaker) serve(_ *rawEngine, c net.Conn, r *bufio.Reader) {
	for ref, _, ok := askRef(r); ok; ref, _, ok = askRef(r) {
		_, _ = io.WriteString(c, refAnswer(ref))
	}
}

// wait returns when the engine has spoken and the gateway's kernel has heard it.
func (s *speaker) wait() {
	<-s.spoken
	<-time.After(20 * time.Millisecond)
}

// reach is the gateway's hook.
func (s *speaker) reach(point string) {
	if point == "look" && s.early.CompareAndSwap(true, false) {
		s.wait()
	}
}

// start makes a gateway in front of the engine, behind TLS if it is to be secure.
func (s *speaker) start(secure bool) (*node, *rawEngine) {
	t := s.t
	t.Helper()
	conns := []func(*rawEngine, net.Conn, *bufio.Reader){s.speak, s.serve}
	hooked := func(_ *node, p *gateway.Parts) { p.SetHook(s.reach) }
	if !secure {
		e := newRawEngine(t, conns...)
		return startParts(t, e.url, hooked), e
	}
	certFile, keyFile, roots := certificate(t)
	e := newRawEngine(t, overTLS(t, certFile, keyFile, conns)...)
	return startParts(t, strings.Replace(e.url, "http:", "https:", 1), func(n *node, p *gateway.Parts) {
		hooked(n, p)
		p.TrustEngine(roots)
	}), e
}

// What the engine says on a connection before it is asked is no answer, however new the connection is.
func TestEngineThatSpeaksUnasked(t *testing.T) {
	f := func(name string, secure bool, before int) {
		t.Run(name, func(t *testing.T) {
			s := &speaker{t: t, before: before, spoken: make(chan struct{})}
			s.early.Store(before == 0)
			n, e := s.start(secure)
			for i := range before {
				ref := fmt.Sprintf("before-%d", i)
				want(t, n.create(refOp("modify", ref)), 200, refSays(ref))
			}
			if before > 0 {
				s.wait()
			}
			for _, ref := range []string{"a", "b"} {
				want(t, n.create(refOp("modify", ref)), 200, refSays(ref))
			}
			if got := e.accepted.Load(); got != 2 {
				t.Errorf("%d connections; want 2", got)
			}
		})
	}
	f("on a new connection", false, 0)
	f("on a new connection with TLS", true, 0)
	f("behind an answer", false, 1)
	f("behind the second answer", false, 2)
	f("behind an answer with TLS", true, 1)
	f("behind the second answer with TLS", true, 2)
}

// overTLS puts a handshake before what serves connections.
func overTLS(t *testing.T, certFile, keyFile string, conns []func(*rawEngine, net.Conn, *bufio.Reader)) []func(*rawEngine, net.Conn, *bufio.Reader) {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	for i, serve := range conns {
		conns[i] = func(e *rawEngine, c net.Conn, _ *bufio.Reader) {
			s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
			if err := s.Handshake(); err != nil {
				t.Errorf("handshake: %v", err)
				return
			}
			serve(e, s, bufio.NewReader(s))
		}
	}
	return conns
}
