package gateway_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/gateway"
	"syncgate/internal/tlsfiles"
)

// A client that hangs up while it is parked is gone within a second: its place, its connection. What becomes of its
// result is configuration.
func TestHangUpWhileParked(t *testing.T) {
	closed := func(c net.Conn) { _ = c.Close() }
	reset := func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0); _ = c.Close() }
	half := func(c net.Conn) { _ = c.(*net.TCPConn).CloseWrite() }
	behind := func(c net.Conn) { _, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\n"); half(c) }
	f := func(name string, hangUp func(net.Conn), policy string, retention time.Duration, status, kept int) {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t)
			n := start(t, e.URL, func(c *gateway.Config) { c.OnDisconnect, c.Results.Retention = policy, retention })
			c := n.dial()
			_, _ = io.WriteString(c, rawCreate(oneOp(`{}`)))
			a := e.next(t)
			a.accept()
			<-time.After(600 * time.Millisecond) // a long wait: it is watched by now
			began := time.Now()
			hangUp(c)
			waitFor(t, func() bool { return n.memo.Len() == 0 })
			if took := time.Since(began); took > time.Second {
				t.Errorf("it took %v to see that the client is gone", took)
			}
			waitLog(t, n, `"outcome":"hung_up"`)
			want(t, n.callback(a.tokens[0], `{}`), status, `{}`)
			if records, _ := n.memo.Kept(); records != kept {
				t.Errorf("%d results kept; want %d", records, kept)
			}
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			if b, err := io.ReadAll(c); len(b) > 0 || isTimeout(err) {
				t.Errorf("the connection is still open: %q, %v", b, err)
			}
		})
	}
	f("closed, keep", closed, dialect.Keep, time.Hour, 200, 1)
	f("reset, keep", reset, dialect.Keep, time.Hour, 200, 1)
	f("half closed, keep", half, dialect.Keep, time.Hour, 200, 1)
	f("half closed behind another request", behind, dialect.Keep, time.Hour, 200, 1)
	f("closed, drop", closed, dialect.Drop, time.Hour, 200, 0)
	f("closed, nothing is kept", closed, dialect.Keep, 0, 410, 0)
}

// slowTable is a correlator that takes its time to park a trip.
type slowTable struct {
	*correlator.Memory
	parking, park chan bool
}

func (s slowTable) Park(id correlator.ID, r correlator.Receiver, deadline time.Time) error {
	s.parking <- true
	<-s.park
	return s.Memory.Park(id, r, deadline)
}

// What is told of a client while its request is served may come to another loop.
func TestHangUpBeforeParked(t *testing.T) {
	e := newEngine(t)
	slow := slowTable{parking: make(chan bool), park: make(chan bool)}
	n := startOver(t, e.URL, func(m *correlator.Memory) correlator.Correlator {
		slow.Memory = m
		return slow
	})
	c := n.dial()
	_, _ = io.WriteString(c, rawCreate(oneOp(`{}`)))
	<-slow.parking
	_ = c.Close()
	<-time.After(100 * time.Millisecond) // it is told meanwhile
	began := time.Now()
	slow.park <- true
	e.next(t).accept()
	waitLog(t, n, `"outcome":"hung_up"`)
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v to see that the client is gone", took)
	}
}

func isTimeout(err error) bool {
	slow, ok := err.(net.Error) //nolint:errorlint // as io.ReadAll gives it
	return ok && slow.Timeout()
}

func TestHangUpBehindTLS(t *testing.T) {
	e := newEngine(t)
	certFile, keyFile, roots := certificate(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Listen.TLS = tlsfiles.Files{CertFile: certFile, KeyFile: keyFile} })
	c, err := tls.Dial("tcp", n.PublicAddr().String(), &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, rawCreate(oneOp(`{}`)))
	e.next(t).accept()
	<-time.After(600 * time.Millisecond)
	_ = c.Close()
	waitLog(t, n, `"outcome":"hung_up"`)
}

// A client with a key has said that it will come back, so its result is kept in any case.
func TestHangUpWithKey(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.OnDisconnect = dialect.Drop })
	c := n.dial()
	_, _ = io.WriteString(c, strings.Replace(rawCreate(oneOp(`{}`)), "\r\n", "\r\nIdempotency-Key: k\r\n", 1))
	a := e.next(t)
	a.accept()
	<-time.After(600 * time.Millisecond)
	_ = c.Close()
	waitFor(t, func() bool { return n.memo.Len() == 0 })
	want(t, n.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
	want(t, n.create(oneOp(`{}`), "Idempotency-Key", "k"), 200, accepted)
	noneAsked(t, e)
}

// Being watched harms nobody: the reply comes, and the connection goes on.
func TestKeepAliveAfterALongWait(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	c := n.dial()
	r := bufio.NewReader(c)
	for range 2 {
		_, _ = io.WriteString(c, rawCreate(oneOp(`{}`)))
		a := e.next(t)
		a.accept()
		<-time.After(600 * time.Millisecond)
		n.callback(a.tokens[0], `{"answer":42}`)
		want(t, read(t, r), 200, accepted)
	}
}

// What surely made no task is not remembered, though nobody is there to hear it.
func TestRefusedAfterTheHangUp(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	c := n.dial()
	_, _ = io.WriteString(c, strings.Replace(rawCreate(oneOp(`{}`)), "\r\n", "\r\nIdempotency-Key: k\r\n", 1))
	a := e.next(t)
	<-time.After(600 * time.Millisecond)
	_ = c.Close()
	waitFor(t, func() bool { return n.memo.Len() == 0 })
	a.answer(200, `{"request_proc":"format_error","ops":[]}`)
	waitFor(t, func() bool { kept, _ := n.memo.Kept(); return kept == 0 })
	again := n.createLater(oneOp(`{}`), "Idempotency-Key", "k")
	a = e.next(t)
	a.accept()
	n.callback(a.tokens[0], `{"answer":42}`)
	want(t, got(t, again), 200, accepted)
}

func TestRefusedAfterTheDeadline(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	reply := n.createLater(strings.Replace(oneOp(`{}`), `"timeout":5,"ops":[{`, `"timeout":0.1,"ops":[{"ref":"r",`, 1))
	a := e.next(t)
	task := got(t, reply).header.Get("Location")
	a.answer(400, `{"request_proc":"error","ops":[]}`)
	waitFor(t, func() bool { return n.do("GET", task, "").status == 200 })
	want(t, n.do("GET", task, ""), 200, `{"request_proc":"ok","ops":[{"proc":"error","ref":"r","description":"Bad gateway"}]}`)
}
