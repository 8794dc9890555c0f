package edge_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/internal/edge"
	"syncgate/internal/probe"
)

// TestWaits: enough probes to tell a time-out from an accident, and few enough for a gateway to hold them.
func TestWaits(t *testing.T) {
	for s := 1; s <= 600; s++ {
		longest := time.Duration(s) * time.Second
		all := edge.Waits(longest)
		if n := len(all); n < 2 || n > probe.MaxHeld-4 || all[n-1] != longest || all[n-2] != longest || !slices.IsSorted(all) {
			t.Errorf("%v: %v", longest, all)
		}
		if s > 1 && all[0] != time.Second {
			t.Errorf("%v: the first is %v", longest, all[0])
		}
	}
	if got := edge.Waits(5 * time.Minute); !slices.ContainsFunc(got, func(d time.Duration) bool { return d > time.Minute && d < 5*time.Minute }) {
		t.Errorf("nothing between a minute and five: %v", got)
	}
}

// held is a probe that was answered, or ended with a status.
func held(wait, took time.Duration, status int) edge.Held {
	h := edge.Held{Wait: wait, Heard: edge.Heard{Took: took, Status: status, Proven: status == 200, Header: http.Header{}}}
	if status == 503 {
		h.Heard.Header.Set("X-Request-Id", "1")
	}
	return h
}

// TestCut: a time-out cuts all that wait for longer, at the same time.
func TestCut(t *testing.T) {
	const s = time.Second
	for what, c := range map[string]struct {
		held   []edge.Held
		after  time.Duration // 0: none was cut
		steady bool
		of     int
	}{
		"none":              {[]edge.Held{held(1*s, 1*s, 200), held(60*s, 60*s, 200)}, 0, false, 0},
		"all":               {[]edge.Held{held(1*s, 1*s, 200), held(30*s, 20*s+3*time.Millisecond, 504), held(60*s, 20*s+900*time.Millisecond, 0)}, 20 * s, true, 2},
		"the longest alone": {[]edge.Held{held(1*s, 1*s, 200), held(30*s, 30*s, 200), held(60*s, 59*s, 504)}, 59 * s, true, 1},
		"one of them":       {[]edge.Held{held(1*s, 1*s, 200), held(30*s, 7*s, 0), held(60*s, 60*s, 200)}, 7 * s, false, 1},
		"at other times":    {[]edge.Held{held(30*s, 7*s, 0), held(60*s, 15*s, 0)}, 7 * s, false, 2},
		"after minutes":     {[]edge.Held{held(300*s, 180*s, 504), held(300*s, 187*s, 504)}, 180 * s, true, 2},
		"one at the limit":  {[]edge.Held{held(20*s, 20*s, 200), held(20*s, 20*s, 504), held(60*s, 20*s, 504)}, 20 * s, true, 2},
		"refused":           {[]edge.Held{held(30*s, 1*s, 503), held(60*s, 60*s, 200)}, 0, false, 0},
	} {
		r := edge.Results{Held: c.held}
		if what == "refused" != r.Refused() {
			t.Errorf("%s: refused: %v", what, r.Refused())
		}
		got, cut := r.Cut()
		if cut != (c.after > 0) || got.After != c.after || cut && got.Steady != c.steady || got.Of != c.of {
			t.Errorf("%s: %+v, %v", what, got, cut)
		}
		if last := r.LastCut(); (last != nil) != cut {
			t.Errorf("%s: the last is %v", what, last)
		}
	}
}

// TestTried: what was refused or cut has tried nothing.
func TestTried(t *testing.T) {
	const s = time.Second
	r := edge.Results{Held: []edge.Held{held(1*s, 1*s, 200), held(30*s, 30*s, 200), held(60*s, 1*s, 503), held(60*s, 40*s, 504)}}
	if got := r.Tried(); got != 30*s {
		t.Errorf("tried: %v", got)
	}
	if r.Held = r.Held[2:]; r.Tried() != 0 {
		t.Errorf("tried without an answer: %v", r.Tried())
	}
}

// TestKeeps: events that come late were kept, and those of a stream that was cut say nothing.
func TestKeeps(t *testing.T) {
	const s = time.Second
	for what, c := range map[string]struct {
		events []time.Duration
		keeps  bool
	}{
		"at once":    {[]time.Duration{0, s, 2 * s}, false},
		"a slow way": {[]time.Duration{s / 2, s + s/2, 2*s + s/2}, false},
		"at the end": {[]time.Duration{3 * s, 3 * s, 3 * s}, true},
		"but one":    {[]time.Duration{0, 3 * s, 3 * s}, true},
		"none":       {nil, false},
	} {
		r := edge.Results{Stream: edge.Heard{Events: c.events}}
		if r.Keeps() != c.keeps {
			t.Errorf("%s: %v", what, !c.keeps)
		}
	}
}

// TestRecognise: by what each of them shows of itself. The pages are those that the programs write.
func TestRecognise(t *testing.T) {
	for _, c := range []struct {
		name, value, page string
		want              edge.Proxy
	}{
		{"Server", "nginx/1.22.1", "", edge.Nginx},
		{"Server", "openresty", "", edge.Nginx},
		{"", "", "<html>\r\n<head><title>504 Gateway Time-out</title></head>\r\n<body>\r\n<center><h1>504 Gateway Time-out</h1></center>\r\n<hr><center>nginx</center>", edge.Nginx},
		{"", "", "<html><body><h1>504 Gateway Time-out</h1>\nThe server didn't respond in time.\n</body></html>", edge.HAProxy},
		{"", "", "<html><body><h1>403 Forbidden</h1>\nRequest forbidden by administrative rules.\n</body></html>", edge.HAProxy},
		{"Server", "Apache/2.4.57 (Debian)", "", edge.Apache},
		{"Via", "1.1 varnish (Varnish/7.1)", "", edge.Varnish},
		{"X-Varnish", "32770", "", edge.Varnish},
		{"Server", "envoy", "upstream request timeout", edge.Envoy},
		{"X-Envoy-Upstream-Service-Time", "7", "", edge.Envoy},
		{"", "", "Gateway Timeout", edge.Traefik},
		{"Server", "Caddy", "", edge.Caddy},
		{"Via", "1.1 Caddy", "", edge.Caddy},
		{"Server", "awselb/2.0", "", edge.AWS},
		{"Via", "1.1 google", "", edge.Google},
		{"Server", "cloudflare", "", edge.Cloudflare},
		{"Server", "something", "<html>", ""},
		{"", "", "", ""},
	} {
		h := http.Header{}
		if c.name != "" {
			h.Set(c.name, c.value)
		}
		if got := edge.Recognise(h, c.page); got != c.want {
			t.Errorf("%s: %s %q is %q, want %q", c.name, c.value, c.page, got, c.want)
		}
	}
}

// TestSentences: each proxy has a whole sentence for each thing, known or not.
func TestSentences(t *testing.T) {
	for _, p := range []edge.Proxy{"", edge.Nginx, edge.HAProxy, edge.Apache, edge.Varnish, edge.Envoy, edge.Traefik, edge.Caddy, edge.AWS, edge.Google, edge.Cloudflare} {
		for what, text := range map[string]string{
			"wait": p.RaiseWait(75 * time.Second), "body": p.RaiseBody(6 << 20), "stream": p.Unbuffer(), "abort": p.ForwardAbort(), "repeat": p.SendOnce(), "path": p.KeepPath(),
		} {
			if len(text) < 10 || slices.Contains([]byte(text), '%') {
				t.Errorf("%s: %s: %q", p, what, text)
			}
		}
	}
	if got := edge.Nginx.RaiseWait(74*time.Second + time.Millisecond); got != "nginx: proxy_read_timeout 75s; in the location that leads to the gateway" {
		t.Error(got)
	}
	if got := edge.HAProxy.RaiseWait(75 * time.Second); got != "haproxy: timeout server 75s and timeout client 75s" {
		t.Error(got)
	}
	if got := edge.Nginx.RaiseBody(5<<20 + 1); got != "nginx: client_max_body_size 6m;" {
		t.Error(got)
	}
}

// TestAnEndlessAnswer: what is read of an answer has a bound, in its head, in a page and in a stream.
func TestAnEndlessAnswer(t *testing.T) {
	keys, err := correlator.NewKeys([]string{correlator.RandomKey()})
	if err != nil {
		t.Fatal(err)
	}
	for begin, do := range map[string]probe.Do{"HTTP/1.1 200 OK\r\nA: ": probe.Say, "HTTP/1.1 200 OK\r\n\r\n": probe.Stream, "HTTP/1.1 504 \r\nServer: nginx\r\n\r\n<": probe.Say} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var server sync.WaitGroup
		server.Go(func() {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			_, err = io.WriteString(c, begin)
			for block := strings.Repeat("x", 64<<10); err == nil; {
				_, err = io.WriteString(c, block)
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		w := edge.Way{URL: &url.URL{Scheme: "http", Host: ln.Addr().String()}, Path: probe.ClientPath, Keys: keys}
		h := w.Send(ctx, edge.New(do, 0))
		if ctx.Err() != nil || h.Proven || len(h.Page) > 16<<10 || h.Status == 504 && (h.Proxy() != edge.Nginx || h.Page == "") {
			t.Errorf("%q: %v, status %d, %d characters, %v", begin, ctx.Err(), h.Status, len(h.Page), h.Err)
		}
		cancel()
		_ = ln.Close()
		server.Wait()
	}
}
