package main_test

import (
	"bufio"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// connectProxy takes CONNECT from those who have secretText for a password, and connects to one address whatever it is asked for.
type connectProxy struct {
	addr  string
	asked sync.Map // host:port
	made  atomic.Int32
}

func newConnectProxy(t *testing.T, to string) *connectProxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &connectProxy{addr: ln.Addr().String()}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer func() { _ = c.Close() }()
				p.serve(c, "Basic "+base64.StdEncoding.EncodeToString([]byte("me:"+secretText)), to)
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		running.Wait()
	})
	return p
}

func (p *connectProxy) serve(c net.Conn, wanted, to string) {
	r := bufio.NewReader(c)
	req, err := http.ReadRequest(r)
	if err != nil {
		return
	}
	p.asked.Store(req.Method+" "+req.RequestURI, true)
	if req.Header.Get("Proxy-Authorization") != wanted {
		_, _ = io.WriteString(c, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
		return
	}
	e, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	p.made.Add(1)
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(e, r)
		_ = e.Close()
	})
	_, _ = io.Copy(c, e)
	_ = c.Close()
	both.Wait()
}

// TestEngineBehindAProxy: trips go through a CONNECT proxy that the configuration or the environment names, and its password is nowhere.
func TestEngineBehindAProxy(t *testing.T) {
	e := simulate(t)
	to := strings.TrimPrefix(e.URL(), "http://")
	trip := func(env ...string) *gate {
		t.Helper()
		at := free(t, 1)[0]
		g := serve(t, at, env...)
		body, own := task("proxied")
		if a, err := caller(t, at, 1).create(body); err != nil || a.status != 200 || a.body != own {
			t.Errorf("%q: %+v, %v", env, a, err)
		}
		g.stop()
		if strings.Contains(g.log.String(), secretText) {
			t.Errorf("the log has the password:\n%s", g.log)
		}
		return g
	}
	wantCONNECT := func(p *connectProxy, target string) {
		t.Helper()
		if _, asked := p.asked.Load("CONNECT " + target); !asked || p.made.Load() != 1 {
			t.Errorf("the proxy was not asked for %s, or has made %d connections", target, p.made.Load())
		}
	}
	p := newConnectProxy(t, to)
	g := trip("SYNCGATE_ENGINE_URL="+e.URL(), "SYNCGATE_ENGINE_PROXY=http://me:"+secretText+"@"+p.addr)
	wantCONNECT(p, to) // also on the loopback, as it was asked for
	if !strings.Contains(g.log.String(), `"proxy":"`+p.addr+`","from":"engine.proxy"`) {
		t.Errorf("the log does not say which proxy:\n%s", g.log)
	}

	p = newConnectProxy(t, to)
	trip("SYNCGATE_ENGINE_URL=http://engine.test:8088", "HTTP_PROXY=http://me:"+secretText+"@"+p.addr)
	wantCONNECT(p, "engine.test:8088")

	p = newConnectProxy(t, to)
	trip("SYNCGATE_ENGINE_URL="+e.URL(), "HTTP_PROXY=http://me:"+secretText+"@"+p.addr) // the loopback needs none
	trip("SYNCGATE_ENGINE_URL="+e.URL(), "HTTP_PROXY=http://me:"+secretText+"@"+p.addr, "SYNCGATE_ENGINE_PROXY=none")
	if n := p.made.Load(); n != 0 {
		t.Errorf("the proxy has made %d connections that nobody wanted", n)
	}
}
