package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/signer"
)

func TestCheck(t *testing.T) {
	f := func(status int, body, want string) {
		t.Helper()
		got := ""
		if err := check(status, []byte(body), []byte("n1")); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%d %s: %q, want %q", status, body, got, want)
		}
	}
	mismatch := errMismatch.Error()
	f(200, `{"request_proc":"ok","ops":[{"proc":"ok","data":{"nonce":"n1"}}]}`, "")
	f(200, `{"nonce":"n1"}`, "")
	f(200, `{"nonce":"n2"}`, mismatch)
	f(200, `{"nonce":"n11"}`, mismatch)
	f(200, `{"nonce":"n"}`, mismatch)
	f(200, `{"nonce":"n1","more":{"nonce":"n2"}}`, mismatch)
	f(504, `{"nonce":"n2"}`, mismatch)
	f(504, `{"nonce":"n1"}`, `status 504: {"nonce":"n1"}`)
	f(200, ``, "no result: ")
	f(200, `{"ops":[{"proc":"error","description":"Timeout for create task"}]}`, `no result: {"ops":[{"proc":"error","description":"Timeout for create task"}]}`)
}

// serve runs a gateway that answers each create by answer, which is given the nonce, and gives its address.
func serve(t *testing.T, answer func(ctx *fasthttp.RequestCtx, nonce string)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := fasthttp.Server{
		Logger:        log.New(io.Discard, "", 0),                         // of connections that tests break
		NoDefaultDate: true, MaxIdleWorkerDuration: 10 * time.Millisecond, // neither leaves a goroutine behind
		Handler: func(ctx *fasthttp.RequestCtx) {
			if !genuine(ctx) {
				ctx.SetStatusCode(fasthttp.StatusUnauthorized)
				return
			}
			_, rest, _ := bytes.Cut(ctx.Request.Body(), []byte(`"nonce":"`))
			nonce, _, _ := bytes.Cut(rest, []byte(`"`))
			answer(ctx, string(nonce))
		},
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ln) }()
	t.Cleanup(func() {
		if err := errors.Join(s.Shutdown(), <-ended); err != nil {
			t.Error(err)
		}
	})
	return "http://" + ln.Addr().String()
}

// genuine reports whether a request is signed as the gateway wants it.
func genuine(ctx *fasthttp.RequestCtx) bool {
	parts := strings.Split(string(ctx.RequestURI()), "/")
	return len(parts) == 7 && ctx.IsPost() && strings.HasPrefix(string(ctx.RequestURI()), "/api/1/json/"+login+"/") &&
		parts[6] == string(signer.AppendSignature(nil, []byte(parts[5]), []byte(secret), ctx.Request.Body()))
}

func echo(ctx *fasthttp.RequestCtx, nonce string) { ctx.SetBodyString(`{"nonce":"` + nonce + `"}`) }

func small(urls ...string) load {
	l := defaultLoad()
	l.urls, l.connections, l.trips, l.limit = urls, 4, 200, 20*time.Second
	return l
}

func runLoadOf(t *testing.T, l load) *result {
	t.Helper()
	r, err := l.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestGoodGateways(t *testing.T) {
	var mu sync.Mutex
	seen := make(map[string]bool)
	var perGateway [2]atomic.Int64
	gateway := func(i int) string {
		return serve(t, func(ctx *fasthttp.RequestCtx, nonce string) {
			perGateway[i].Add(1)
			mu.Lock()
			seen[nonce] = true
			mu.Unlock()
			echo(ctx, nonce)
		})
	}
	l := small(gateway(0), gateway(1))
	r := runLoadOf(t, l)
	if err := r.err(); err != nil || r.trips != 200 || r.good() != 200 || len(seen) != 200 {
		t.Errorf("%v: %s; %d nonces", err, r, len(seen))
	}
	if a, b := perGateway[0].Load(), perGateway[1].Load(); a == 0 || b == 0 || a+b != 200 {
		t.Errorf("the gateways got %d and %d", a, b)
	}
}

// A gateway that gives two clients each other's result, once in a hundred trips, is caught.
func TestSwappedRepliesAreCaught(t *testing.T) {
	var n atomic.Int64
	swap := make(chan string)
	url := serve(t, func(ctx *fasthttp.RequestCtx, nonce string) {
		if k := n.Add(1); k == 50 || k == 51 {
			select {
			case swap <- nonce:
				nonce = <-swap
			case other := <-swap:
				swap <- nonce
				nonce = other
			}
		}
		echo(ctx, nonce)
	})
	r := runLoadOf(t, small(url))
	if r.mismatches != 2 || r.good() != 198 {
		t.Errorf("%s", r)
	}
	if err := r.err(); !errors.Is(err, errMismatch) || !strings.Contains(err.Error(), "2 mismatches") {
		t.Errorf("the run ends with %v", err)
	}
}

// A result that another run left behind is a mismatch too.
func TestStaleReplyIsCaught(t *testing.T) {
	var first atomic.Pointer[string]
	url := serve(t, func(ctx *fasthttp.RequestCtx, nonce string) {
		first.CompareAndSwap(nil, &nonce)
		echo(ctx, *first.Load())
	})
	l := small(url)
	l.trips, l.connections = 1, 1
	if err := runLoadOf(t, l).err(); err != nil {
		t.Errorf("first run: %v", err)
	}
	if r := runLoadOf(t, l); r.mismatches != 1 {
		t.Errorf("second run: %s", r)
	}
}

// What goes wrong is counted by its kind, and the other trips go on.
func TestErrorsAreCounted(t *testing.T) {
	var n atomic.Int64
	url := serve(t, func(ctx *fasthttp.RequestCtx, nonce string) {
		switch n.Add(1) % 4 {
		case 0:
			ctx.SetStatusCode(fasthttp.StatusGatewayTimeout)
		case 1:
			_ = ctx.Conn().Close()
		case 2:
			ctx.SetBodyString(`{"request_proc":"ok","ops":[]}`)
		default:
			ctx.SetConnectionClose()
			echo(ctx, nonce)
		}
	})
	r := runLoadOf(t, small(url))
	if r.good() != 50 || r.errors["status 504"] != 50 || r.errors["no result"] != 50 || r.errors["receive"] != 50 || r.missing != 0 {
		t.Errorf("%s: %v", r, r.errors)
	}
	if err := r.err(); err == nil || errors.Is(err, errMismatch) || !strings.Contains(err.Error(), "50 times status 504") {
		t.Errorf("the run ends with %v", err)
	}
}

func TestRefusedConnection(t *testing.T) {
	addrs, err := freeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	if r := runLoadOf(t, small("http://"+addrs[0])); r.errors["connect"] != 200 {
		t.Errorf("%s: %v", r, r.errors)
	}
}

// A wrong secret is the gateway's to refuse, which also shows that the one above verifies.
func TestWrongSecret(t *testing.T) {
	l := small(serve(t, echo))
	l.secret = "another"
	if r := runLoadOf(t, l); r.errors["status 401"] != 200 {
		t.Errorf("%s: %v", r, r.errors)
	}
}

// A gateway that never answers ends the run at its limit, and the trips are missing.
func TestLimit(t *testing.T) {
	release := make(chan struct{})
	url := serve(t, func(*fasthttp.RequestCtx, string) { <-release })
	l := small(url)
	l.limit = 100 * time.Millisecond
	r := runLoadOf(t, l)
	close(release)
	if r.trips != 0 || r.missing != 200 || r.err() == nil {
		t.Errorf("%s, %v", r, r.err())
	}
}

// A load with a rate makes so many trips and no more, and one that begins too late counts from when it should have begun.
func TestRate(t *testing.T) {
	l := small(serve(t, echo))
	l.trips, l.rate, l.during = maxTrips, 200, time.Second
	r := runLoadOf(t, l)
	if err := r.err(); err != nil || r.trips < 150 || r.trips > 200 {
		t.Errorf("%s, %v", r, err)
	}
	var n atomic.Int64
	l = small(serve(t, func(ctx *fasthttp.RequestCtx, nonce string) {
		if n.Add(1) == 1 {
			<-time.After(200 * time.Millisecond)
		}
		echo(ctx, nonce)
	}))
	l.connections, l.trips, l.rate = 1, 5, 1000
	if r := runLoadOf(t, l); r.err() != nil || r.latencies[0] < 150*time.Millisecond {
		t.Errorf("the fastest of those behind a slow one took %s, %v", r.latencies[0], r.err())
	}
}

// A load that has its time begins no trip later, and none is missing.
func TestDuring(t *testing.T) {
	l := small(serve(t, echo))
	l.trips, l.during = maxTrips, 100*time.Millisecond
	if r := runLoadOf(t, l); r.err() != nil || r.good() == 0 || r.elapsed > 10*time.Second {
		t.Errorf("%s, %v", r, r.err())
	}
}

func TestCompose(t *testing.T) {
	f := func(change func(*load), want string) {
		t.Helper()
		l := small("http://h")
		change(&l)
		c := client{run: &run{load: l, nonce: "N"}, host: "h"}
		c.compose(7, time.Unix(1700000000, 0))
		if string(c.body) != want || string(c.nonce) != "N7" {
			t.Errorf("body %s, want %s", c.body, want)
		}
		sig := signer.AppendSignature(nil, []byte("1700000000"), []byte(secret), c.body)
		if line := "POST /api/1/json/" + login + "/1700000000/" + string(sig) + " HTTP/1.1\r\nHost: h\r\n"; !strings.HasPrefix(string(c.req), line) {
			t.Errorf("request %q, want %q", c.req, line)
		}
		if !strings.HasSuffix(string(c.req), "\r\n\r\n"+want) || strings.Contains(string(c.req), "\r\nIdempotency-Key: N7\r\n") != l.keyed {
			t.Errorf("request %q, keyed: %t", c.req, l.keyed)
		}
	}
	f(func(*load) {}, `{"ops":[{"conv_id":1234,"type":"create","obj":"task","data":{"nonce":"N7"}}]}`)
	f(func(l *load) { l.timeout, l.delay = 1500*time.Millisecond, 20*time.Millisecond },
		`{"timeout":1.5,"ops":[{"conv_id":1234,"type":"create","obj":"task","data":{"__sim":{"delay_ms":20},"nonce":"N7"}}]}`)
	f(func(l *load) { l.keyed = true }, `{"ops":[{"conv_id":1234,"type":"create","obj":"task","data":{"nonce":"N7"}}]}`)
	f(func(l *load) { l.never = true },
		`{"ops":[{"conv_id":1234,"type":"create","obj":"task","data":{"__sim":{"callback":"never"},"nonce":"N7"}}]}`)
}

func TestValidateLoad(t *testing.T) {
	for _, l := range []load{
		{},
		{urls: []string{"ftp://x"}, connections: 1, trips: 1, limit: 1},
		{urls: []string{"x"}, connections: 1, trips: 1, limit: 1},
		{urls: []string{"http://x"}, connections: 0, trips: 1, limit: 1},
		{urls: []string{"http://x"}, connections: 1, trips: maxTrips + 1, limit: 1},
		{urls: []string{"http://x"}, connections: 1, trips: 1},
		{connections: 1, trips: 1, limit: 1},
	} {
		if _, err := l.run(context.Background()); err == nil {
			t.Errorf("%+v is accepted", l)
		}
	}
}

func TestPercentile(t *testing.T) {
	r := sum([]result{{latencies: []time.Duration{30, 10}}, {latencies: []time.Duration{40, 20}}}, 4, 1)
	for p, want := range map[float64]time.Duration{0: 10, 25: 10, 26: 20, 50: 20, 75: 30, 99: 40, 100: 40} {
		if got := r.percentile(p); got != want {
			t.Errorf("p%v is %d, want %d", p, got, want)
		}
	}
	if got := new(result).percentile(50); got != 0 {
		t.Errorf("of nothing: %d", got)
	}
}
