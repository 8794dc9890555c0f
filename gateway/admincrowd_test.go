package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"syncgate/internal/admin"
	"syncgate/internal/whereabouts"
)

// crowdSize is how many trips are in flight while operators ask.
const crowdSize = 10_000

// TestAdminInACrowd has 10,000 trips in flight, and asks for all that there is while others come and go: those are served, and every answer is whole. (Meant for -race.)
func TestAdminInACrowd(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, withActions)
	defer n.Crowd(crowdSize)()
	done := make(chan struct{})
	var engine, clients, operators sync.WaitGroup
	engine.Go(func() {
		for {
			select {
			case a := <-e.asked:
				a.accept()
				n.callback(a.tokens[0], `{"answer":42}`)
			case <-done:
				return
			}
		}
	})
	for c := range 4 {
		clients.Go(func() {
			for i := range 100 {
				if r := n.create(oneOp(`{}`), "X-Request-Id", fmt.Sprintf("c%d-%d", c, i)); r.status != 200 || r.body != accepted {
					t.Errorf("%+v", r)
				}
			}
		})
	}
	ended := make(chan struct{})
	ask := func(path string, whole func(body []byte) bool) {
		operators.Go(func() {
			for asked := 0; ; asked++ {
				status, body := n.operate(http.MethodGet, path)
				if status != 200 || !whole([]byte(body)) {
					t.Errorf("%s: %d %.300s", path, status, body)
				}
				select {
				case <-ended:
					if asked == 0 {
						t.Errorf("%s was asked for once", path)
					}
					return
				default:
				}
			}
		})
	}
	ask("/api/summary", func(body []byte) bool {
		var s whereabouts.Summary
		all := 0
		err := json.Unmarshal(body, &s)
		for _, g := range s.Groups {
			all += g.InFlight
		}
		return err == nil && all >= crowdSize && all <= crowdSize+4 && !s.More && len(s.Groups) >= 20
	})
	for _, order := range []string{"oldest", "newest"} {
		ask("/api/trips?limit=1000&order="+order, func(body []byte) bool {
			var l whereabouts.Trips
			return json.Unmarshal(body, &l) == nil && len(l.Trips) == 1000 && l.More && l.Total >= crowdSize
		})
	}
	ask("/api/trips?state=over", func(body []byte) bool {
		var l whereabouts.Trips
		return json.Unmarshal(body, &l) == nil && len(l.Trips) <= 100
	})
	ask("/api/trips/crowd-77", func(body []byte) bool {
		var w whereabouts.Answer
		return json.Unmarshal(body, &w) == nil && len(w.Trips) == 1 && w.Trips[0].Route == "route-17"
	})
	ask("/api/status", func(body []byte) bool {
		var s admin.Status
		return json.Unmarshal(body, &s) == nil && s.Parked >= crowdSize
	})
	clients.Wait()
	close(ended)
	operators.Wait()
	close(done)
	engine.Wait()
	list := show[whereabouts.Trips](n, "/api/trips?state=over&outcome=complete&limit=1000")
	if list.Total != 400 || len(list.Trips) != 400 {
		t.Errorf("%d trips are over", list.Total)
	}
}

// processor gives the CPU time that the process has used.
func processor() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAdmin measures whole answers to operators, with 10,000 trips in flight and 10,000 that are over. cpu-us/op is the CPU time of both sides of HTTP.
func BenchmarkAdmin(b *testing.B) {
	n := start(b, "http://127.0.0.1:1")
	defer n.Crowd(crowdSize)()
	n.Remember(crowdSize)
	for _, path := range []string{
		"/api/status", "/api/summary", "/api/summary?window=3600", "/api/trips", "/api/trips?limit=1000", "/api/trips?state=over", "/api/trips?state=over&limit=1000", "/api/trips/crowd-77",
	} {
		b.Run(strings.TrimPrefix(path, "/api/"), func(b *testing.B) {
			b.ReportAllocs()
			before := processor()
			for b.Loop() {
				resp, err := http.Get("http://" + n.AdminAddr().String() + path)
				if err != nil {
					b.Fatal(err)
				}
				size, err := io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.StatusCode != 200 {
					b.Fatal(resp.StatusCode, err)
				}
				b.ReportMetric(float64(size), "B/answer")
			}
			b.ReportMetric(float64((processor()-before).Microseconds())/float64(b.N), "cpu-us/op")
		})
	}
}
