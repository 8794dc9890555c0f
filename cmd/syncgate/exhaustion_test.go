package main_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/internal/enginesim"
)

// hogs are connections that take up room and ask for nothing, or never to the end.
type hogs struct {
	t       *testing.T
	address string
	open    []net.Conn
	refused atomic.Int64   // told that there is no room
	readers sync.WaitGroup // of what they are told
}

// add opens more of them; each says the same.
func (h *hogs) add(n int, say string) {
	h.t.Helper()
	for range n {
		c, err := net.Dial("tcp", h.address)
		if err != nil {
			h.t.Fatal(err)
		}
		h.open = append(h.open, c)
		if _, err := io.WriteString(c, say); err != nil {
			h.t.Fatal(err)
		}
		h.readers.Go(func() {
			r, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err == nil && r.StatusCode == 503 && r.Header.Get("Retry-After") != "" && r.Close {
				h.refused.Add(1)
			}
		})
	}
}

// leave closes all of them, by a reset if so.
func (h *hogs) leave(reset bool) {
	for _, c := range h.open {
		if reset {
			_ = c.(*net.TCPConn).SetLinger(0)
		}
		_ = c.Close()
	}
	h.open = nil
	h.readers.Wait()
}

// TestDescriptorsRunOut opens more connections than a gate may have. Callbacks have a reserve, nothing is lost, and when
// there is room again it goes on.
func TestDescriptorsRunOut(t *testing.T) {
	e := simulate(t, func(c *enginesim.Config) { c.Behaviour.RetryDelay = 100 * time.Millisecond })
	at := free(t, 1)[0]
	g := launch(t, exec.Command("sh", "-c", "ulimit -n 256; exec syncgate serve"), at, "SYNCGATE_ENGINE_URL="+e.URL(), "SYNCGATE_LISTEN_HEADER_TIMEOUT=60s")
	kept := caller(t, at, 1)
	storm(t, kept, 1, 1)
	parked := caller(t, at, 20)
	park := func(milliseconds, n int) (replies []<-chan answer) {
		for range n {
			body := `{"timeout":60,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{"n":1,"__sim":{"delay_ms":%d}}}]}`
			replies = append(replies, parked.createLater(fmt.Sprintf(body, milliseconds)))
		}
		return replies
	}
	answered := func(replies []<-chan answer) {
		t.Helper()
		for _, r := range replies {
			if a := <-r; a.status != 200 || !strings.Contains(a.body, `"data":{"n":1}`) {
				t.Errorf("a parked client got %+v", a)
			}
		}
	}

	// Hardly any are left: who was there is served, callbacks are heard, further clients are refused.
	early := park(1000, 20)
	eventually(t, "all are parked", func() bool { return g.metric("syncgate_parked_clients") == 20 })
	h := &hogs{t: t, address: at}
	defer h.leave(true)
	h.add(150, "POST /") // not as many that some are closed for others
	body, _ := task("1")
	if a, err := caller(t, at, 1).create(body); err != nil || a.status != 503 || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, `"description":"Overloaded`) {
		t.Errorf("a client too many got %+v %v", a, err)
	}
	answered(early)

	// None is left: whoever comes waits in the kernel, and is served when there is room again.
	made := e.Stats().Tasks
	late := park(1000, 20)
	eventually(t, "all are parked", func() bool { return e.Stats().Tasks == made+20 }) // metrics would need a descriptor
	h.add(300, "POST /")
	g.logged(`"message":"a connection cannot be accepted`)
	storm(t, kept, 5, 1)
	h.leave(true)
	answered(late)
	storm(t, caller(t, at, 20), 100, 20)
	g.stop()
}

// TestSilentSockets opens more connections than a gate may have, which ask for nothing, or not to the end. A callback that comes behind them
// is served, and so are creates: others are closed for them. The time-out of a header is longer than the test waits.
func TestSilentSockets(t *testing.T) {
	for name, say := range map[string]string{"silent": "", "a part of a head": "P", "kept open": "GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n", "TLS": ""} {
		t.Run(name, func(t *testing.T) { crowded(t, say, name == "TLS", name != "kept open") })
	}
}

// crowded opens sockets that say something. closes: some of them have to be closed for others.
func crowded(t *testing.T, say string, secure, closes bool) {
	const limit, sockets = 400, 700
	e := simulate(t, func(c *enginesim.Config) { c.Record = 10 })
	at := free(t, 1)[0]
	env := []string{"SYNCGATE_ENGINE_URL=" + e.URL(), "SYNCGATE_LISTEN_HEADER_TIMEOUT=600s", "SYNCGATE_LISTEN_IDLE_TIMEOUT=600s"}
	c := &client{http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}, "http://" + at}
	if secure {
		var files []string
		files, c.Transport = certified(t)
		env, c.url = append(env, files...), "https://"+at
	}
	g := launch(t, exec.Command("sh", "-c", fmt.Sprintf("ulimit -n %d; exec syncgate serve", limit)), at, env...)
	waits := c.createLater(`{"timeout":100,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{"__sim":{"callback":"never"}}}]}`)
	eventually(t, "somebody waits", func() bool { return len(e.Tasks()) == 1 })
	_, token, _ := strings.Cut(e.Tasks()[0].URL, "/callback/")
	h := &hogs{t: t, address: at}
	defer h.leave(true)
	h.add(sockets, say)
	began := time.Now()
	eventually(t, "the callback is served", func() bool { // a handshake may find no descriptor: engines call again
		r, err := c.Post(c.url+"/api/1/plugins/callback/"+token, "application/json", strings.NewReader(`{"answer":42}`))
		if err == nil {
			_ = r.Body.Close()
		}
		return err == nil && r.StatusCode == 200
	})
	t.Logf("the callback took %v", time.Since(began))
	if a := <-waits; a.status != 200 || !strings.Contains(a.body, `{"answer":42}`) {
		t.Errorf("who waited got %+v", a)
	}
	if closes { // else those that came too many were served once, and closed
		g.logged(`"level":"warn".*"message":"connections that ask for nothing are closed`)
	}
	if closes && say == "" {
		eventually(t, "there is room for a create", func() bool {
			a, err := c.create(`{"timeout":0.1,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{"__sim":{"callback":"never"}}}]}`)
			return err == nil && a.status == 200
		})
	}
	h.leave(true)
	g.stop()
}

// TestAnnouncedBodies opens 500 connections that announce a large body each and send one byte of it: creates without credentials, and
// callbacks with a token that somebody waits for. They take hardly any memory, and nobody is refused for them.
func TestAnnouncedBodies(t *testing.T) {
	const announced, most = 5 << 20, 128 << 20 // bytes; all of them would be 2.6 GB
	e := simulate(t, func(c *enginesim.Config) { c.Record = 100 })
	at := free(t, 1)[0]
	g := serve(t, at, "SYNCGATE_ENGINE_URL="+e.URL(), "SYNCGATE_LIMITS_BODY=5MiB", "SYNCGATE_LISTEN_BODY_TIMEOUT=60s")
	padded := func(n int) string {
		return strings.Replace(`{"ops":[{"type":"create","obj":"task","conv_id":1,"data":{"pad":"x"}}]}`, "x", strings.Repeat("x", n-100), 1)
	}
	c := caller(t, at, 1)
	waits := c.createLater(`{"timeout":100,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{"__sim":{"callback":"never"}}}]}`)
	eventually(t, "somebody waits", func() bool { return len(e.Tasks()) == 1 })
	_, token, _ := strings.Cut(e.Tasks()[0].URL, "/callback/")
	for path, reset := range map[string]bool{"/api/1/json/1/1/1": false, "/api/1/plugins/callback/" + token: true} {
		before := g.metric("process_resident_memory_bytes")
		h := &hogs{t: t, address: at}
		h.add(500, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: gateway\r\nContent-Length: %d\r\n\r\nx", path, announced))
		eventually(t, "all have come", func() bool { return g.metric("process_open_fds") > 500 })
		<-time.After(100 * time.Millisecond) // and have been read
		if grown := g.metric("process_resident_memory_bytes") - before; grown > most {
			t.Errorf("it has grown by %.0f MB", grown/1e6)
		} else {
			t.Logf("it has grown by %.0f MB", grown/1e6)
		}
		for _, size := range []int{200, 10 << 10, 500 << 10, announced} {
			other := caller(t, at, 1)
			if a, err := other.create(padded(size)); err != nil || a.status != 200 {
				t.Errorf("%d bytes got %d %.200s %v", size, a.status, a.body, err)
			}
		}
		if n := h.refused.Load(); n > 0 {
			t.Errorf("%d were refused", n)
		}
		h.leave(reset)
	}
	r, err := http.Post("http://"+at+"/api/1/plugins/callback/"+token, "application/json", strings.NewReader(`{"answer":42}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
	if a := <-waits; a.status != 200 || !strings.Contains(a.body, `{"answer":42}`) {
		t.Errorf("who waited got %+v", a)
	}
	g.stop()
}

// TestSlowClients sends requests byte by byte over many connections: each is ended in time, and others are served.
func TestSlowClients(t *testing.T) {
	e := simulate(t)
	at := free(t, 1)[0]
	g := serve(t, at, "SYNCGATE_ENGINE_URL="+e.URL(), "SYNCGATE_LISTEN_HEADER_TIMEOUT=1s", "SYNCGATE_LISTEN_BODY_TIMEOUT=1s")
	var all sync.WaitGroup
	for _, begin := range []string{
		"", // of the header
		"POST /api/1/json/1/1/1 HTTP/1.1\r\nHost: gateway\r\nX: ",
		"POST /api/1/json/1/1/1 HTTP/1.1\r\nHost: gateway\r\nContent-Length: 1000\r\n\r\n",
		"POST /api/1/json/1/1/1 HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n1;",
		"POST /api/1/json/1/1/1 HTTP/1.1\r\nHost: gateway\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n",
	} {
		for range 50 {
			all.Go(func() { dribble(t, at, begin) })
		}
	}
	storm(t, caller(t, at, 10), 300, 10)
	all.Wait()
	g.stop()
}

// dribble sends a request that never ends, and wants to be told so.
func dribble(t *testing.T, address, begin string) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	began := time.Now()
	_ = c.SetDeadline(began.Add(patience))
	over := make(chan struct{})
	defer close(over)
	go func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for piece := begin; ; piece = "x" {
			if _, err := io.WriteString(c, piece); err != nil {
				return
			}
			select {
			case <-tick.C:
			case <-over:
				return
			}
		}
	}()
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err == nil && resp.StatusCode == http.StatusContinue {
		resp, err = http.ReadResponse(r, nil)
	}
	if err != nil {
		t.Errorf("%q: no answer: %v", begin, err)
		return
	}
	b, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 408 || !resp.Close || !strings.Contains(string(b), `"description":"Request took too long`) {
		t.Errorf("%q: %d %s", begin, resp.StatusCode, b)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// certified gives the settings of a gate with a certificate for the loopback, and a transport that trusts it.
func certified(t *testing.T) (env []string, transport *http.Transport) {
	t.Helper()
	web := httptest.NewUnstartedServer(nil)
	web.StartTLS() // it has a certificate, whose key nobody keeps secret
	defer web.Close()
	pair := web.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"SYNCGATE_LISTEN_TLS_CERT_FILE": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, "SYNCGATE_LISTEN_TLS_KEY_FILE": {Type: "PRIVATE KEY", Bytes: key},
	} {
		file := filepath.Join(t.TempDir(), "x.pem")
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		env = append(env, name+"="+file)
	}
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	return env, &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
}
