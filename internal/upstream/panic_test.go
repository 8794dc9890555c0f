package upstream_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"syncgate/internal/upstream"
)

// A panic in any method of a Call ends that call alone: with one connection the next call has its place, and is answered.
func TestPanics(t *testing.T) {
	f := func(method string, prepare func(*call), code string, want ...string) {
		t.Run(method, func(t *testing.T) {
			for _, before := range []int{0, 1} { // on a fresh connection, and on one that was kept
				e, _, may := holding(t)
				c := start(t, e, maxConnections(1))
				queued := strings.HasPrefix(method, "Queued")
				first := newCall("1")
				if queued || before == 1 {
					c.Do(first)
				}
				got := newCall("2")
				got.panics = method
				if prepare != nil {
					prepare(got)
				}
				if queued {
					c.Do(got)
				}
				close(may)
				if queued || before == 1 {
					wantAnswer(t, wait(t, first), "1")
				}
				if !queued {
					c.Do(got)
				}
				if wait(t, got); got.code != code || !slices.Equal(got.seen(), want) {
					t.Errorf("code %q, %v; want %q, %v", got.code, got.seen(), code, want)
				}
				for range 3 {
					c.wantEcho("next")
				}
				if !strings.Contains(c.log.String(), "on purpose") {
					t.Error("the log does not say so")
				}
			}
		})
	}
	const next, answers = "AppendRequest", "Answered"
	f("AppendRequest", nil, "panic", next, "Finished")
	f("Answered", nil, "panic", next, answers, "Finished")
	f("Failed", func(c *call) { c.refuse = errors.New("no") }, "panic", next, "Failed", "Finished")
	f("Queued(true)", nil, "panic", "Queued(true)", "Finished")
	f("Queued(false)", nil, "panic", "Queued(true)", "Queued(false)", "Finished")
	f("Finished", nil, "200", next, answers, "Finished")
}

// Failed may panic wherever it is called.
func TestPanicsInFailed(t *testing.T) {
	f := func(name string, serve func(*peer)) {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, func(p *peer) {
				if p.n > 0 {
					echo(p)
					return
				}
				p.ask()
				serve(p)
			})
			c := start(t, e, maxConnections(1), timeout(500*time.Millisecond))
			got := newCall("x")
			got.panics = "Failed"
			c.Do(got)
			if wait(t, got); got.code != "panic" || !got.sent {
				t.Errorf("code %q, sent %t", got.code, got.sent)
			}
			c.wantEcho("next")
		})
	}
	f("closed", func(*peer) {})
	f("malformed", func(p *peer) { p.say("hello\r\n\r\n") })
	f("late", (*peer).hears)

	t.Run("queue", func(t *testing.T) {
		e, _, may := holding(t)
		c := start(t, e, maxConnections(1))
		first, second := newCall("1"), newCall("2")
		second.panics = "Failed"
		c.Do(first)
		c.Do(second)
		c.Tick(time.Now().Add(time.Minute))
		if wait(t, second); second.code != "panic" || !errors.Is(second.err, upstream.ErrBusy) {
			t.Errorf("code %q, error %v", second.code, second.err)
		}
		close(may)
		wantAnswer(t, wait(t, first), "1")
	})
}

// A request that is refused is not sent, and its connection serves the next. With TLS the engine's session tickets come meanwhile,
// which are no answer.
func TestRefusedRequest(t *testing.T) {
	f := func(name string, engine func(*testing.T, func(*peer)) *engine) {
		t.Run(name, func(t *testing.T) {
			e := engine(t, echo)
			c := start(t, e, maxConnections(1))
			no := errors.New("no")
			for range 3 {
				got := newCall("x")
				got.refuse = no
				c.Do(got)
				if wait(t, got); !errors.Is(got.err, no) || got.sent || got.code != "unsent" {
					t.Errorf("error %v, sent %t, code %q", got.err, got.sent, got.code)
				}
				<-time.After(20 * time.Millisecond)
				c.wantEcho("next")
			}
			if n := e.accepted.Load(); n != 1 {
				t.Errorf("%d connections; want 1", n)
			}
		})
	}
	f("plain", newEngine)
	f("TLS", newTLSEngine)
}

// What waits on a connection with TLS may be a session ticket: only reading tells.
func TestTicketsAreNoAnswer(t *testing.T) {
	e := newTLSEngine(t, echo)
	c := start(t, e, maxConnections(1))
	queued := make(chan struct{})
	first, second := newCall("first"), newCall("second")
	first.refuse = errors.New("no")
	first.onPlace = func() { <-queued }
	second.goOn = func(waiting bool) bool {
		if !waiting { // the connection is the second call's, and nobody has read it since the handshake
			<-time.After(50 * time.Millisecond)
		}
		return true
	}
	c.Do(first)
	c.Do(second)
	close(queued)
	wantAnswer(t, wait(t, second), "second")
	if n := e.accepted.Load(); n != 1 {
		t.Errorf("%d connections; want 1", n)
	}
}
