package main_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"syncgate/internal/enginesim"
	"syncgate/notify"
)

// TestDrainOfPushes: a node that ends while a receiver hangs does not wait for it. With Redis another node sends the notification; in memory the log says that it is lost.
func TestDrainOfPushes(t *testing.T) {
	eachPusher(t, func(t *testing.T, p *pusher, env []string) {
		r, e := receive(t, 0), simulate(t)
		g := p.serve(e.URL(), env...)
		g.ask("/v1/pay", `{"callbackUrl":"`+r.URL+`","x":1}`)
		h := r.await(t, 1)
		began := time.Now()
		g.stop()
		if took := time.Since(began); took > 15*time.Second { // the attempt itself would take 15 s, and 5 s are allowed
			t.Errorf("it has ended after %v", took)
		}
		if lost := strings.Contains(g.log.String(), `"open":1,`); lost != (env == nil) {
			t.Errorf("the log says that it is lost: %t", lost)
		}
		if env == nil {
			return
		}
		r.answers(200)
		other := p.serve(e.URL(), env...)
		other.becomes(h.id, notify.Delivered)
		if again := r.await(t, 2); again.id != h.id {
			t.Errorf("%s came, and not %s", again.id, h.id)
		}
		other.stop()
	})
}

// TestDrainPushesTheLastResult: a result that comes while the node drains is sent before the node ends.
func TestDrainPushesTheLastResult(t *testing.T) {
	eachPusher(t, func(t *testing.T, p *pusher, env []string) {
		r := receive(t, 200)
		e := simulate(t, func(c *enginesim.Config) {
			c.Behaviour.Delay = enginesim.Range{Min: 500 * time.Millisecond, Max: 500 * time.Millisecond}
		})
		g := p.serve(e.URL(), env...)
		path := g.subscribe(r.URL, "continuous")
		held := make(chan int, 1)
		go func() {
			status, _ := g.ask("/v1/pay", `{"x":1}`)
			held <- status
		}()
		eventually(t, "the client waits", func() bool { return g.metric("syncgate_parked_clients") == 1 })
		g.signal(syscall.SIGTERM)
		if status := <-held; status != 200 {
			t.Errorf("the client got %d", status)
		}
		g.exits(0)
		if h := r.await(t, 1); !strings.Contains(h.body, path[len("/v1/pay/tasks/"):]) {
			t.Errorf("it got %s", h.body)
		}
	})
}

// TestTwoNodesPush: what one node was given both show, and either sends it again.
func TestTwoNodesPush(t *testing.T) {
	eachPusher(t, func(t *testing.T, p *pusher, env []string) {
		if env == nil {
			return // a process has its own
		}
		r, e := receive(t, 500), simulate(t)
		one, other := p.serve(e.URL(), env...), p.serve(e.URL(), env...)
		one.ask("/v1/pay", `{"callbackUrl":"`+r.URL+`","x":1}`)
		h := r.await(t, 1)
		one.becomes(h.id, notify.Open)
		if a, b := one.notify(0, "list", "--json"), other.notify(0, "list", "--json"); a != b || !strings.Contains(a, h.id) {
			t.Errorf("one says\n%s\nthe other\n%s", a, b)
		}
		r.answers(200)
		one.process.Process.Kill() //nolint:errcheck // it has not ended
		<-one.ended
		other.notify(0, "retry", h.id)
		other.becomes(h.id, notify.Delivered)
		other.stop()
	})
}
