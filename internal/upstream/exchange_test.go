package upstream_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"syncgate/internal/upstream"
)

func TestConnectionIsKept(t *testing.T) {
	f := func(name string, engine engines) {
		t.Run(name, func(t *testing.T) {
			e := engine(t, echo)
			c := start(t, e)
			for range 20 {
				got := c.ask("x")
				wantAnswer(t, got, "x")
				if want := []string{"AppendRequest", "Answered", "Finished"}; !slices.Equal(got.seen(), want) {
					t.Errorf("%v; want %v", got.seen(), want)
				}
				if got.took <= 0 || got.took > patience {
					t.Errorf("took %v", got.took)
				}
			}
			e.wantConnections(1)
		})
	}
	f("plain", newEngine)
	f("TLS", newTLSEngine)
}

// A request that the engine does not read at once is written as it reads, and no goroutine waits for that.
func TestLargeRequest(t *testing.T) {
	const pad = 4 << 20 // more than the sockets take
	f := func(name string, engine engines) {
		t.Run(name, func(t *testing.T) {
			e := engine(t, func(p *peer) {
				<-time.After(50 * time.Millisecond)
				for {
					a, ok := p.ask()
					if !ok {
						return
					}
					p.say(answer(strings.TrimRight(a.body, ".")))
				}
			})
			c := start(t, e)
			for range 3 {
				got := newCall("x")
				got.pad = pad
				c.Do(got)
				wantAnswer(t, wait(t, got), "x")
			}
			e.wantConnections(1)
		})
	}
	f("plain", newEngine)
	f("TLS", newTLSEngine)
}

// An answer that comes before the request is written counts, and ends the connection.
func TestEarlyAnswer(t *testing.T) {
	early := "early"
	f := func(name string, end func(*peer)) {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, func(p *peer) {
				if p.n > 0 {
					echo(p)
					return
				}
				_, _ = p.r.Peek(1)
				p.say(answer(early))
				end(p)
			})
			c := start(t, e)
			got := newCall("x")
			got.pad = 8 << 20 // more than the sockets take
			c.Do(got)
			wantAnswer(t, wait(t, got), early)
			c.wantEcho("next")
			e.wantConnections(2)
		})
	}
	f("and waits", func(p *peer) { waitFor(p.e.t, "the next request", func() bool { return p.e.asked.Load() > 0 }) })
	f("and closes its side", func(p *peer) {
		_ = p.tcp.CloseWrite()
		p.hears()
	})
	early = strings.Repeat("early", 200_000)
	f("large", func(p *peer) { waitFor(p.e.t, "the next request", func() bool { return p.e.asked.Load() > 0 }) })
}

// An answer counts though the engine has reset the connection behind it, and the request cannot be written any more.
func TestEarlyAnswerBeforeReset(t *testing.T) {
	ended := make(chan struct{})
	e := newEngine(t, onlyFirst(func(p *peer) {
		_, _ = p.r.Peek(1)
		p.say(answer("early"))
		<-time.After(20 * time.Millisecond)
		p.reset()
		close(ended)
	}))
	var releases atomic.Int32
	c := start(t, e, hook(func(point string) {
		if point == "release" && releases.Add(1) == 1 {
			<-ended
			<-time.After(20 * time.Millisecond)
		}
	}))
	got := newCall("x")
	got.pad = 8 << 20
	c.Do(got)
	wantAnswer(t, wait(t, got), "early")
	c.wantEcho("next")
	e.wantConnections(2)
}

// While a request is not written completely, the loops do not report bytes that were left unread: a large answer that has come already
// is read at once.
func TestLargeEarlyAnswer(t *testing.T) {
	large := strings.Repeat("large", 200_000)
	said := make(chan struct{})
	e := newEngine(t, onlyFirst(func(p *peer) {
		p.ask()
		p.say(answer(strings.Repeat(large, 8))) // the window grows
		_, _ = p.r.Peek(1)
		p.say(answer(large))
		close(said)
		waitFor(t, "the next request", func() bool { return p.e.asked.Load() > 1 })
	}))
	var releases atomic.Int32
	c := start(t, e, timeout(15*time.Second), hook(func(point string) {
		if point == "release" && releases.Add(1) == 2 {
			select {
			case <-said:
			case <-time.After(5 * time.Second):
			}
		}
	}))
	wantAnswer(t, c.ask("x"), strings.Repeat(large, 8))
	got := newCall("x")
	got.pad = 8 << 20
	c.Do(got)
	wantAnswer(t, wait(t, got), large)
	c.wantEcho("next")
	e.wantConnections(2)
}

// What follows an answer is the answer to nobody's request.
func TestSurplus(t *testing.T) {
	surplus := answer("of nobody")
	says := map[string]func(p *peer, a asked){
		"in one segment": func(p *peer, a asked) { p.say(answer(a.body) + surplus) },
		"in part":        func(p *peer, a asked) { p.say(answer(a.body) + surplus[:5]) },
		"in a segment behind": func(p *peer, a asked) {
			p.say(answer(a.body))
			p.say(surplus)
		},
		"late": func(p *peer, a asked) {
			p.say(answer(a.body))
			<-time.After(5 * time.Millisecond)
			p.say(surplus)
		},
		"a line end": func(p *peer, a asked) { p.say(answer(a.body) + "\r\n") },
	}
	for name, say := range says {
		t.Run(name, func(t *testing.T) { checkSurplus(t, newEngine(t, each(say))) })
		t.Run(name+", TLS", func(t *testing.T) { checkSurplus(t, newTLSEngine(t, each(say))) })
	}
}

func checkSurplus(t *testing.T, e *engine) {
	c := start(t, e)
	for _, body := range []string{"first", "second", "third"} {
		c.wantEcho(body)
		<-time.After(20 * time.Millisecond)
	}
	e.wantConnections(3)
}

// A connection is looked at before it is used again: what comes between an answer and the next request has not been reported yet, as
// the connection has never been released.
func TestSurplusBeforeReuse(t *testing.T) {
	f := func(name string, engine engines, end func(*peer)) {
		t.Run(name, func(t *testing.T) {
			may, done := make(chan struct{}), make(chan struct{})
			e := engine(t, func(p *peer) {
				a, _ := p.ask()
				if p.n > 0 {
					p.say(answer(a.body))
					echo(p)
					return
				}
				<-may
				p.say(answer(a.body))
				<-may
				end(p)
				close(done)
				p.hears()
			})
			c := start(t, e, maxConnections(1))
			first, second := newCall("first"), newCall("second")
			second.goOn = func(waiting bool) bool {
				if !waiting { // the first answer is read, and the connection is the second call's
					may <- struct{}{}
					<-done
					<-time.After(20 * time.Millisecond)
				}
				return true
			}
			c.Do(first)
			c.Do(second)
			may <- struct{}{}
			wantAnswer(t, wait(t, first), "first")
			wantAnswer(t, wait(t, second), "second")
			e.wantConnections(2)
		})
	}
	f("an answer", newEngine, func(p *peer) { p.say(answer("of nobody")) })
	f("an answer, TLS", newTLSEngine, func(p *peer) { p.say(answer("of nobody")) })
	f("the end", newEngine, func(p *peer) { _ = p.tcp.CloseWrite() })
	f("the end, TLS", newTLSEngine, func(p *peer) { _ = p.tcp.CloseWrite() })
	f("a reset", newEngine, (*peer).reset)
}

// A call that does not take the answer for its own has the connection closed.
func TestUnusableAnswer(t *testing.T) {
	e := newEngine(t, echo)
	c := start(t, e)
	got := newCall("x")
	got.unusable = true
	c.Do(got)
	if wait(t, got); got.code != "200" || got.err != nil {
		t.Errorf("code %q, error %v", got.code, got.err)
	}
	c.wantEcho("next")
	e.wantConnections(2)
}

// Nothing is sent twice: neither on a connection's first exchange nor on one that was kept.
func TestNeverSentTwice(t *testing.T) {
	f := func(name string, bad func(*peer), want error) {
		for _, before := range []int{0, 1, 2} {
			t.Run(name, func(t *testing.T) { checkSentOnce(t, before, bad, want) })
		}
	}
	f("closed", func(*peer) {}, io.ErrUnexpectedEOF)
	f("reset", (*peer).reset, syscall.ECONNRESET)
	f("hang", (*peer).hears, upstream.ErrLate)
	f("reset in the body", func(p *peer) {
		p.say(ok1 + five + "\r\nhe")
		<-time.After(20 * time.Millisecond)
		p.reset()
	}, syscall.ECONNRESET)
	f("reset up to the end", func(p *peer) {
		p.say(ok1 + "\r\nhello")
		<-time.After(20 * time.Millisecond)
		p.reset()
	}, syscall.ECONNRESET)
}

// checkSentOnce makes a call, after some good ones, to which the engine says something bad.
func checkSentOnce(t *testing.T, before int, bad func(*peer), want error) {
	e := newEngine(t, onlyFirst(func(p *peer) {
		for range before {
			a, _ := p.ask()
			p.say(answer(a.body))
		}
		p.ask()
		bad(p)
	}))
	c := start(t, e, timeout(time.Second))
	for range before {
		c.wantEcho("before")
	}
	got := c.ask("bad")
	if !errors.Is(got.err, want) || !got.sent || got.code != "incomplete" {
		t.Errorf("error %v, sent %t, code %q", got.err, got.sent, got.code)
	}
	if n := e.asked.Load(); int(n) != before+1 {
		t.Errorf("%d requests were sent for %d", n, before+1)
	}
	c.wantEcho("after")
}

// An end of the connection without TLS's good-bye is not the end of an answer.
func TestTruncatedTLS(t *testing.T) {
	e := newTLSEngine(t, func(p *peer) {
		p.ask()
		p.say(ok1 + "\r\nhello")
		_ = p.tcp.CloseWrite()
		p.hears()
	})
	if got := start(t, e).ask("x"); !errors.Is(got.err, io.ErrUnexpectedEOF) || !got.sent {
		t.Errorf("status %d, answer %q, error %v", got.status, got.answer, got.err)
	}
}

// The time-out of an exchange holds though the engine says something all the time.
func TestTrickle(t *testing.T) {
	gone := make(chan time.Time, 1)
	e := newEngine(t, func(p *peer) {
		if p.n > 0 {
			echo(p)
			return
		}
		p.ask()
		p.say(ok1 + "Content-Length: 1000000\r\n\r\n")
		for {
			if _, err := io.WriteString(p, "x"); err != nil {
				gone <- time.Now()
				return
			}
			<-time.After(5 * time.Millisecond)
		}
	})
	c := start(t, e, timeout(300*time.Millisecond), maxConnections(1))
	began := time.Now()
	got := c.ask("x")
	if !errors.Is(got.err, upstream.ErrLate) || !got.sent || got.code != "incomplete" {
		t.Errorf("error %v, sent %t, code %q", got.err, got.sent, got.code)
	}
	if took := time.Since(began); took < 290*time.Millisecond || took > 5*time.Second {
		t.Errorf("a time-out of 300 ms took %v", took)
	}
	select {
	case <-gone:
	case <-time.After(patience):
		t.Error("the connection stays open")
	}
	c.wantEcho("next")
}
