package admin

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"syncgate/internal/httpserver"
	"syncgate/internal/whereabouts"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// It keeps the Date header for as long as the process lives.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
	)
}

// lively is a Handler behind a listener, whose events come every 10 ms and are what compute gives.
type lively struct {
	*Handler
	t       *testing.T
	url     string
	compute func() []byte
	asked   atomic.Int64 // how often
	panics  atomic.Int64
	server  *httpserver.Server
	ln      *httpserver.Listener
	running sync.WaitGroup // operators
}

func startLive(t *testing.T, compute func() []byte) *lively {
	t.Helper()
	l := &lively{t: t, compute: compute}
	l.Handler = New(Config{
		Metrics: prometheus.NewRegistry(), Run: l.run, Waiting: func(func(*whereabouts.Facts, whereabouts.Ops) bool) {},
		Status: func() Status { return Status{State: "ready"} },
	})
	l.live.every, l.live.compute = 10*time.Millisecond, func() []byte {
		l.asked.Add(1)
		return l.compute()
	}
	var err error
	l.server, err = httpserver.New(httpserver.Config{HeaderTimeout: time.Second, BodyTimeout: time.Second, WriteTimeout: time.Second, IdleTimeout: time.Minute}, l, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	if l.ln, err = l.server.Listen(httpserver.ListenConfig{Name: "listen.admin", Address: "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	if err := l.server.Start(); err != nil {
		t.Fatal(err)
	}
	l.server.Serve(l.ln)
	l.url = "http://" + l.ln.Addr().String() + livePath
	t.Cleanup(l.end)
	return l
}

// end ends the node, and wants nobody left.
func (l *lively) end() {
	l.Close()
	if !l.ln.Close(context.Background()) {
		l.t.Error("connections are left")
	}
	l.server.Close()
	l.running.Wait()
	if n := l.viewers(); n != 0 {
		l.t.Errorf("%d viewers are left", n)
	}
}

func (l *lively) run(f func()) {
	l.running.Go(func() {
		defer func() {
			if recover() != nil {
				l.panics.Add(1)
			}
		}()
		f()
	})
}

func (l *lively) viewers() int {
	l.live.mu.Lock()
	defer l.live.mu.Unlock()
	return len(l.live.viewers)
}

func (l *lively) Head(*httpserver.Listener, *fasthttp.RequestHeader) httpserver.Verdict {
	return httpserver.Verdict{Limit: httpserver.FreeBody}
}

func (l *lively) Serve(in *httpserver.Incoming) (suspended bool) {
	ctx, req := new(fasthttp.RequestCtx), new(fasthttp.Request)
	in.Request.CopyTo(req)
	ctx.Init(req, nil, nil)
	x := in.Exchange
	in.Wait(nil)
	l.run(func() { l.Handler.Serve(ctx, x) })
	return true
}

func (l *lively) Refuse(*httpserver.Listener, *fasthttp.Response, *httpserver.ReadError) {}

// view opens a stream, and gives its response.
func (l *lively) view() *http.Response {
	l.t.Helper()
	resp, err := http.Get(l.url)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// events gives the lines of a stream that have data, as they come.
func events(resp *http.Response) func() (line string, err error) {
	r := bufio.NewReader(resp.Body)
	return func() (string, error) {
		for {
			line, err := r.ReadString('\n')
			if err != nil || strings.HasPrefix(line, "data: ") {
				return strings.TrimSpace(line), err
			}
		}
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after 30 s: not %s", what)
		}
	}
}

// numbered computes events with numbers, and says which came last.
func numbered() (compute func() []byte, last *atomic.Int64) {
	last = new(atomic.Int64)
	return func() []byte { return fmt.Appendf(nil, "data: %d\n\n", last.Add(1)) }, last
}

// views opens so many streams.
func (l *lively) views(n int) (all []*http.Response) {
	l.t.Helper()
	for range n {
		resp := l.view()
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-store" {
			l.t.Fatalf("%+v", resp)
		}
		all = append(all, resp)
	}
	return all
}

// hears wants so many events of a stream, each another one.
func hears(t *testing.T, resp *http.Response, n int) {
	t.Helper()
	next, before := events(resp), ""
	for range n {
		line, err := next()
		if err != nil || line == before {
			t.Fatalf("%q after %q, %v", line, before, err)
		}
		before = line
	}
}

// TestLiveIsComputedOnce: 16 viewers hear the same, which is computed once for all; a 17th is refused until one has left; and nothing is computed for nobody.
func TestLiveIsComputedOnce(t *testing.T) {
	compute, last := numbered()
	l := startLive(t, compute)
	if <-time.After(50 * time.Millisecond); l.asked.Load() != 0 {
		t.Errorf("computed %d times for nobody", l.asked.Load())
	}
	began := time.Now()
	all := l.views(MostViewers)
	if resp := l.view(); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("one more: %+v", resp)
	}
	for _, resp := range all {
		hears(t, resp, 10)
	}
	if most := int64(time.Since(began)/l.live.every) + 2; last.Load() > most {
		t.Errorf("computed %d times, and %d would do", last.Load(), most)
	}
	_ = all[0].Body.Close()
	eventually(t, "a place free", func() bool { return l.viewers() < MostViewers })
	if resp := l.view(); resp.StatusCode != 200 {
		t.Errorf("in the free place: %d", resp.StatusCode)
	}
	for _, resp := range all {
		_ = resp.Body.Close()
	}
	eventually(t, "one viewer left", func() bool { return l.viewers() == 1 })
}

// TestLiveRests: when the last viewer has left nothing is computed any more, and the next viewer hears again.
func TestLiveRests(t *testing.T) {
	compute, _ := numbered()
	l := startLive(t, compute)
	for range 3 {
		resp := l.view()
		if _, err := events(resp)(); err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		eventually(t, "resting", func() bool {
			l.live.mu.Lock()
			defer l.live.mu.Unlock()
			return !l.live.running
		})
		before := l.asked.Load()
		if <-time.After(50 * time.Millisecond); l.asked.Load() != before {
			t.Errorf("computed %d times for nobody", l.asked.Load()-before)
		}
	}
}

// TestLiveWaitsForNobody: a viewer that does not read is closed, and the others hear on.
func TestLiveWaitsForNobody(t *testing.T) {
	big := append(append([]byte("data: "), strings.Repeat("x", 100<<10)...), "\n\n"...)
	l := startLive(t, func() []byte { return big })
	slow, err := net.Dial("tcp", l.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if _, err := io.WriteString(slow, "GET "+livePath+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "there", func() bool { return l.viewers() == 1 })
	next := events(l.view())
	for range 10 {
		if _, err := next(); err != nil {
			t.Fatal(err)
		}
	}
	go func() { // reads on, until the node ends
		for {
			if _, err := next(); err != nil {
				return
			}
		}
	}()
	eventually(t, "the slow one is closed", func() bool { return l.viewers() == 1 })
}

// TestLiveEnds: with the node each stream ends as a whole, and nobody comes any more.
func TestLiveEnds(t *testing.T) {
	compute, _ := numbered()
	l := startLive(t, compute)
	one, two := l.view(), l.view()
	if _, err := events(one)(); err != nil {
		t.Fatal(err)
	}
	l.Close()
	l.Close() // does nothing
	for _, resp := range []*http.Response{one, two} {
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Errorf("cut: %v", err)
		}
	}
	if resp := l.view(); resp.StatusCode != 503 {
		t.Errorf("behind the end: %d", resp.StatusCode)
	}
}

// TestLivePanics: what panics ends the streams, whose clients come back, and nothing else.
func TestLivePanics(t *testing.T) {
	var broken atomic.Bool
	l := startLive(t, func() []byte {
		if broken.Load() {
			panic("it is broken")
		}
		return []byte("data: 1\n\n")
	})
	next := events(l.view())
	if _, err := next(); err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	for err := error(nil); err == nil; _, err = next() {
		continue // until the stream is cut
	}
	eventually(t, "nobody there", func() bool { return l.viewers() == 0 && l.panics.Load() > 0 })
	broken.Store(false)
	if _, err := events(l.view())(); err != nil {
		t.Fatal(err)
	}
}

// TestLiveIsAsked: only GET begins a stream, without parameters.
func TestLiveIsAsked(t *testing.T) {
	compute, _ := numbered()
	l := startLive(t, compute)
	f := func(method, query string, status int) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, l.url+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("%s %s: %d, want %d", method, query, resp.StatusCode, status)
		}
	}
	f(http.MethodHead, "", 200)
	f(http.MethodPost, "", 405)
	f(http.MethodGet, "?a=b", 400)
	if n := l.asked.Load(); n != 0 {
		t.Errorf("computed %d times", n)
	}
}
