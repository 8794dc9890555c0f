package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"syncgate/internal/enginesim"
	"syncgate/internal/redistest"
)

// It makes the whole trip, so that what is compared is comparable.
func TestTrip(t *testing.T) {
	engine, err := enginesim.Start(enginesim.Default())
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	server := redistest.StartTCP(t)
	s := httptest.NewUnstartedServer(nil)
	g := newGateway(s.Listener.Addr().String(), engine.Addr(), server.Addr())
	s.Config.Handler = g.routes()
	s.Start()
	defer s.Close()

	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			data := fmt.Sprintf(`{"n":%d}`, i)
			resp, err := http.Post(s.URL+"/api/1/json/l/1/s", "application/json", strings.NewReader(`{"ops":[{"type":"create","obj":"task","data":`+data+`}]}`))
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = resp.Body.Close() }()
			if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || string(body) != data {
				t.Errorf("%d %s, %v, want %s", resp.StatusCode, body, err, data)
			}
		})
	}
	wg.Wait()
	if n := engine.Stats().Tasks; n != 50 {
		t.Errorf("%d tasks for 50 trips", n)
	}
}
