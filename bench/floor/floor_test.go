package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/internal/enginesim"
)

// The floor makes the whole trip, so that what is compared is comparable.
func TestTrip(t *testing.T) {
	t.Run("plain", func(t *testing.T) { testTrip(t, false) })
	t.Run("pipelined", func(t *testing.T) { testTrip(t, true) })
}

func testTrip(t *testing.T, pipeline bool) {
	t.Helper()
	engine, err := enginesim.Start(enginesim.Default())
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := fasthttp.Server{Handler: newFloor(ln.Addr().String(), engine.Addr(), pipeline).handle}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ln) }()
	defer func() {
		engine.Close() // it holds connections for callbacks
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.ShutdownWithContext(ctx); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()

	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			data := fmt.Sprintf(`{"n":%d}`, i)
			status, body, err := post("http://"+ln.Addr().String()+"/api/1/json/l/1/s", `{"ops":[{"type":"create","obj":"task","data":`+data+`}]}`)
			if err != nil || status != 200 || body != data {
				t.Errorf("%d %s, %v, want %s", status, body, err, data)
			}
		})
	}
	wg.Wait()
	if status, _, err := post("http://"+ln.Addr().String()+"/callback/1", "{}"); err != nil || status != 404 {
		t.Errorf("a second callback is answered %d, %v", status, err)
	}
	if n := engine.Stats().Tasks; n != 50 {
		t.Errorf("%d tasks for 50 trips", n)
	}
}

func post(url, body string) (int, string, error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.Header.SetMethod(fasthttp.MethodPost)
	req.SetRequestURI(url)
	req.SetBodyString(body)
	req.SetConnectionClose()
	err := fasthttp.DoTimeout(req, resp, 10*time.Second)
	return resp.StatusCode(), string(resp.Body()), err
}
