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
	f := func(method string, refuse error, code string, connections int32, want ...string) {
		t.Run(method+" on a fresh connection", func(t *testing.T) {
			e := newEngine(t, echo)
			c := start(t, e, maxConnections(1))
			c.checkPanic(panicking(method, refuse), code, want)
			e.wantConnections(connections)
		})
		t.Run(method+" on one that was kept", func(t *testing.T) {
			e := newEngine(t, echo)
			c := start(t, e, maxConnections(1))
			c.wantEcho("before")
			c.checkPanic(panicking(method, refuse), code, want)
			e.wantConnections(connections)
		})
	}
	const request, answers = "AppendRequest", "Answered"
	f("AppendRequest", nil, "panic", 2, request, "Finished")
	f("Answered", nil, "panic", 2, request, answers, "Finished")
	f("Failed", errors.New("no"), "panic", 2, request, "Failed", "Finished")
	f("Finished", nil, "200", 1, request, answers, "Finished")
}

// panicking is a call that panics in a method.
func panicking(method string, refuse error) *call {
	got := newCall("panics")
	got.panics, got.refuse = method, refuse
	return got
}

// checkPanic makes a call that panics, and then good ones.
func (cl *client) checkPanic(got *call, code string, want []string) {
	cl.t.Helper()
	cl.Do(got)
	cl.checkPanicked(got, code, want)
}

func (cl *client) checkPanicked(got *call, code string, want []string) {
	cl.t.Helper()
	if wait(cl.t, got); got.code != code || !slices.Equal(got.seen(), want) {
		cl.t.Errorf("code %q, %v; want %q, %v", got.code, got.seen(), code, want)
	}
	for range 3 {
		cl.wantEcho("next")
	}
	waitFor(cl.t, "a line in the log", func() bool { return strings.Contains(cl.log.String(), "a call to the engine panicked") })
}

func TestPanicsInQueued(t *testing.T) {
	f := func(method string, want ...string) {
		t.Run(method, func(t *testing.T) {
			e, _, may := holding(t)
			c := start(t, e, maxConnections(1))
			first, got := newCall("first"), panicking(method, nil)
			c.Do(first)
			c.Do(got)
			close(may)
			wantAnswer(t, wait(t, first), "first")
			c.checkPanicked(got, "panic", want)
		})
	}
	f("Queued(true)", "Queued(true)", "Finished")
	f("Queued(false)", "Queued(true)", "Queued(false)", "Finished")
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
	f := func(name string, engine engines) {
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
			e.wantConnections(1)
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
	e.wantConnections(1)
}
