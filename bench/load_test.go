package main

import (
	"bytes"
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
