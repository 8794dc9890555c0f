package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"syncgate/dialect"
	"syncgate/internal/admin"
	"syncgate/internal/whereabouts"
)

// crowdSize is how many trips are in flight while operators ask.
const crowdSize = 10_000

// crowd is a node whose operators ask without a pause.
type crowd struct {
	*node
	t         *testing.T
	ended     chan struct{} // closed when they are to end
	operators sync.WaitGroup
}

// askOn asks for a path until the end, and wants whole answers.
func askOn[T any](c *crowd, path string, whole func(T) bool) {
	c.operators.Go(func() {
		for asked := 0; ; asked++ {
			if got := show[T](c.node, path); !whole(got) {
				c.t.Errorf("%s: %.300s", path, fmt.Sprintf("%+v", got))
			}
			select {
			case <-c.ended:
				if asked == 0 {
					c.t.Errorf("%s was asked for once", path)
				}
				return
			default:
			}
		}
	})
}

// askAll asks for all that there is.
func (c *crowd) askAll() {
	askOn(c, "/api/summary", func(s whereabouts.Summary) bool {
		all := 0
		for _, g := range s.Groups {
			if g.Route != dialect.DefaultEngine { // whose trips come and go
				all += g.InFlight
			}
		}
		return all == crowdSize && !s.More && len(s.Groups) >= 20
	})
	for _, order := range []string{"oldest", "newest"} {
		askOn(c, "/api/trips?limit=1000&order="+order, func(l whereabouts.Trips) bool { return len(l.Trips) == 1000 && l.More && l.Total >= crowdSize })
	}
	askOn(c, "/api/trips?state=over", func(l whereabouts.Trips) bool { return len(l.Trips) <= 100 })
	askOn(c, "/api/trips/crowd-77", func(w whereabouts.Answer) bool { return len(w.Trips) == 1 && w.Trips[0].Route == "route-17" })
	askOn(c, "/api/status", func(s admin.Status) bool { return s.Parked >= crowdSize })
}

// TestAdminInACrowd has 10,000 trips in flight, and asks for all that there is while others come and go: those are served, and every answer is whole. (Meant for -race.)
func TestAdminInACrowd(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	defer n.Crowd(crowdSize)()
	done := make(chan struct{})
	var engine, clients sync.WaitGroup
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
	operators := &crowd{node: n, t: t, ended: make(chan struct{})}
	operators.askAll()
	for i := range 4 {
		clients.Go(func() {
			for j := range 100 {
				if r := n.create(oneOp(`{}`), "X-Request-Id", fmt.Sprintf("c%d-%d", i, j)); r.status != 200 || r.body != accepted {
					t.Errorf("%+v", r)
				}
			}
		})
	}
	clients.Wait()
	close(operators.ended)
	operators.operators.Wait()
	close(done)
	engine.Wait()
	waitFor(t, func() bool {
		return show[whereabouts.Trips](n, "/api/trips?state=over&outcome=complete&limit=1000").Total == 400
	})
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
