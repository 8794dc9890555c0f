package tracing_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"syncgate/internal/otlptest"
	"syncgate/internal/tracing"
)

// TestCollectorSaysWhy: the log has the words of a collector that refuses, without secrets, and what to do.
func TestCollectorSaysWhy(t *testing.T) {
	t.Parallel()
	f := func(status int, kind, body string, want ...string) {
		t.Helper()
		c := otlptest.Start(t)
		c.Answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		})
		one, log := start(t, c, func(cfg *tracing.Config, _ *tracing.Options) {
			cfg.Token, cfg.Headers = "short", map[string]secret{"X-Tenant": "hunter2"}
		})
		one.trip()
		eventually(t, "the log says why", func() bool { return strings.Contains(log.String(), "the collector answers") })
		for _, text := range want {
			if !strings.Contains(log.String(), text) {
				t.Errorf("%d: the log has %s, and not %s", status, log, text)
			}
		}
		if strings.Contains(log.String(), "hunter2") || strings.Contains(log.String(), "short") {
			t.Errorf("the log shows a secret: %s", log)
		}
	}
	const proto, text = "application/x-protobuf", "text/plain; charset=utf-8"
	says := func(message string) string { // google.rpc.Status
		code := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 14)
		return string(protowire.AppendString(protowire.AppendTag(code, 2, protowire.BytesType), message))
	}
	f(401, text, "Bearer short of hunter2 is \"unknown\"\n", `401: Bearer ... of ... is \"...\": correct tracing.token or tracing.headers"`)
	f(403, "", "", `"the collector answers 403: correct tracing.token or tracing.headers"`)
	f(404, text, "404 page not found\n", `404: 404 page not found: correct the path of tracing.url, which ends with /v1/traces at most collectors"`)
	f(413, "text/html", "<html>", `"the collector answers 413: have it take bodies of 2 MiB`)
	f(400, text, "http: request body too large\n", `400: http: request body too large: have it take bodies of 2 MiB`, "tracing: the collector refuses spans: they are dropped")
	f(400, text, "Client sent an HTTP request to an HTTPS server.\n", "tracing.url has to begin with https://")
	f(307, "", "", "as redirects are not followed")
	f(503, proto, says("data refused due to high memory usage"), `"the collector answers 503: data refused due to high memory usage"`)
	f(500, proto, says("a\nb"), `500: a b"`)
	f(500, proto, "\xff\xff", `"the collector answers 500"`)
	f(500, text, strings.Repeat("long ", 1000), "long ...")
}

// TestCollectorSaysWhatItRefuses: the log has one line for batches of which some spans are not taken, and one when all are taken again.
func TestCollectorSaysWhatItRefuses(t *testing.T) {
	t.Parallel()
	c := otlptest.Start(t)
	c.Answer(func(w http.ResponseWriter, _ *http.Request) {
		if c.Posts() == 2 {
			c.Answer(nil)
		}
		partial := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 2)
		partial = protowire.AppendString(protowire.AppendTag(partial, 2, protowire.BytesType), "too old, t1")
		_, _ = w.Write(protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), partial))
	})
	one, log := start(t, c, func(cfg *tracing.Config, _ *tracing.Options) { cfg.Headers = map[string]secret{"X-Tenant": "t1"} })
	for sent := 3; sent <= 2*3+five; sent += 3 {
		one.trip()
		eventually(t, "the spans that it takes are counted", func() bool { return one.count(t, "syncgate_trace_spans_sent_total", "") >= sent })
	}
	if err := one.Close(t.Context()); err != nil {
		t.Error(err)
	}
	text := log.String()
	if strings.Count(text, "\n") != 2 || !strings.Contains(text, `"error":"2 of 5 spans are not taken: too old, ...","message":"tracing: the collector refuses spans: they are dropped"`) ||
		!strings.Contains(text, `"dropped":4,"message":"tracing: the collector takes spans again"`) {
		t.Errorf("the log has %s", text)
	}
}

// TestLostWhileItWasAway: when the collector takes spans again the log says how many were dropped, also those that had no room in the queue.
func TestLostWhileItWasAway(t *testing.T) {
	t.Parallel()
	c := otlptest.Start(t)
	answer := make(chan struct{})
	c.Answer(func(w http.ResponseWriter, _ *http.Request) {
		<-answer
		c.Answer(nil)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	one, log := start(t, c, nil)
	one.trip()
	c.Wait(t, "it is asked", func([]otlptest.Span) bool { return c.Posts() == 1 })
	for range 2000 {
		one.trip()
	}
	close(answer)
	eventually(t, "it takes spans again", func() bool { return strings.Contains(log.String(), "takes spans again") })
	want := fmt.Sprintf(`"dropped":%d,"message":"tracing: the collector takes spans again"`, 2000*five-8192)
	if !strings.Contains(log.String(), want) || one.count(t, "syncgate_trace_spans_dropped_total", "queue") != 2000*five-8192 {
		t.Errorf("%d were dropped, and the log has %s", one.count(t, "syncgate_trace_spans_dropped_total", "queue"), log)
	}
}

// TestWrongPorts: what listens at tracing.url is for gRPC, for the other scheme, or has a certificate of an authority that is not known. The log says what to do.
func TestWrongPorts(t *testing.T) {
	t.Parallel()
	f := func(url, want string) {
		t.Helper()
		one, log := start(t, otlptest.Start(t), func(cfg *tracing.Config, _ *tracing.Options) { cfg.URL = url })
		one.trip()
		eventually(t, "the log says "+want, func() bool { return strings.Contains(log.String(), want) })
	}
	const isGRPC = "the port of tracing.url may be that of gRPC"
	f("http://"+frames(t), isGRPC)
	if text := tracing.Advised(errors.New("readLoopPeekFailLocked: %!w(<nil>)")).Error(); !strings.Contains(text, isGRPC) { // where its frame comes before we have written
		t.Errorf("it is worded %s", text)
	}
	quiet := func(s *httptest.Server) { s.Config.ErrorLog = log.New(io.Discard, "", 0) }
	plain, tls := httptest.NewUnstartedServer(http.NotFoundHandler()), httptest.NewUnstartedServer(http.NotFoundHandler())
	quiet(plain)
	quiet(tls)
	plain.Start()
	tls.StartTLS()
	t.Cleanup(plain.Close)
	t.Cleanup(tls.Close)
	f(strings.Replace(plain.URL, "http:", "https:", 1), "tracing.url has to begin with http://")
	f(strings.Replace(tls.URL, "https:", "http:", 1), "tracing.url has to begin with https://")
	f(tls.URL, "or name its file in SSL_CERT_FILE")
}

// frames listens as a server for gRPC does that hears something else: it sends its SETTINGS, and ends the connection.
func frames(t *testing.T) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x40\x00"))
			_, _ = io.CopyN(io.Discard, c, 64)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	return l.Addr().String()
}
