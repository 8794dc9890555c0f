package upstream_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"syncgate/internal/eventloop"
	"syncgate/internal/upstream"
)

// holding is an engine that answers when it may.
func holding(t *testing.T) (e *engine, order func() []string, may chan struct{}) {
	may = make(chan struct{})
	var mu sync.Mutex
	var came []string
	e = newEngine(t, func(p *peer) {
		for {
			a, ok := p.ask()
			if !ok {
				return
			}
			mu.Lock()
			came = append(came, a.body)
			mu.Unlock()
			<-may
			p.say(answer(a.body))
		}
	})
	return e, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(came)
	}, may
}

func TestQueueIsInOrder(t *testing.T) {
	e, order, may := holding(t)
	c := start(t, e, maxConnections(1))
	var all []*call
	var want []string
	for i := range 50 {
		all = append(all, newCall(strconv.Itoa(i)))
		want = append(want, strconv.Itoa(i))
		c.Do(all[i])
	}
	close(may)
	for i, got := range all {
		wantAnswer(t, wait(t, got), strconv.Itoa(i))
		events := []string{"AppendRequest", "Answered", "Finished"}
		if i > 0 {
			events = append([]string{"Queued(true)", "Queued(false)"}, events...)
		}
		if !slices.Equal(got.seen(), events) {
			t.Errorf("call %d has seen %v; want %v", i, got.seen(), events)
		}
	}
	if !slices.Equal(order(), want) {
		t.Errorf("the engine heard %v", order())
	}
	e.wantConnections(1)
}

// At most so many connections there are, and a place that becomes free because its connection ends is used too.
func TestQueueOverConnectionsThatEnd(t *testing.T) {
	var most atomic.Int32
	e := newEngine(t, func(p *peer) {
		for n := p.e.open.Load(); ; {
			if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
				break
			}
		}
		a, _ := p.ask()
		if p.n%2 == 0 {
			p.say(closing(a.body))
			p.hears()
		} else {
			p.say(strings.Replace(answer(a.body), "/1.1", "/1.0", 1))
		}
	})
	c := start(t, e, maxConnections(3))
	var all []*call
	for i := range 100 {
		all = append(all, newCall(strconv.Itoa(i)))
		c.Do(all[i])
	}
	for i, got := range all {
		wantAnswer(t, wait(t, got), strconv.Itoa(i))
	}
	// One that the client has closed may not have ended here.
	if n := most.Load(); n > 6 {
		t.Errorf("%d connections at a time; want 3", n)
	}
}

func TestQueueTimesOut(t *testing.T) {
	e, _, may := holding(t)
	c := start(t, e, maxConnections(1))
	first, second, third := newCall("1"), newCall("2"), newCall("3")
	c.Do(first)
	c.Do(second)
	c.Tick(time.Now().Add(20 * time.Second)) // of 30
	if events := second.seen(); len(events) != 1 {
		t.Errorf("the second call has seen %v before its time", events)
	}
	c.Tick(time.Now().Add(31 * time.Second))
	wait(t, second)
	if !errors.Is(second.err, upstream.ErrBusy) || second.sent || second.code != "unsent" || second.took != 0 {
		t.Errorf("error %v, sent %t, code %q, took %v", second.err, second.sent, second.code, second.took)
	}
	if want := []string{"Queued(true)", "Queued(false)", "Failed", "Finished"}; !slices.Equal(second.seen(), want) {
		t.Errorf("%v; want %v", second.seen(), want)
	}
	c.Do(third)
	close(may)
	wantAnswer(t, wait(t, first), "1")
	wantAnswer(t, wait(t, third), "3")
	if n := e.asked.Load(); n != 2 {
		t.Errorf("%d requests; want 2", n)
	}
}

// The group's ticks are enough.
func TestQueueTimesOutAlone(t *testing.T) {
	e, _, may := holding(t)
	defer close(may)
	c := start(t, e, maxConnections(1), timeout(time.Second))
	first := newCall("1")
	c.Do(first)
	<-time.After(500 * time.Millisecond)
	second := newCall("2")
	c.Do(second)
	if wait(t, first); !errors.Is(first.err, upstream.ErrLate) {
		t.Errorf("%v", first.err)
	}
	if wait(t, second); second.err == nil {
		t.Errorf("%v", second.seen())
	}
}

// A call whose own wait is over is not sent, and the next one has its place.
func TestQueuedEnds(t *testing.T) {
	f := func(name string, over bool, want ...string) {
		t.Run(name, func(t *testing.T) {
			e, order, may := holding(t)
			c := start(t, e, maxConnections(1))
			first, second, third := newCall("1"), newCall("2"), newCall("3")
			second.goOn = func(waiting bool) bool { return waiting != over }
			for _, got := range []*call{first, second, third} {
				c.Do(got)
			}
			close(may)
			wantAnswer(t, wait(t, first), "1")
			if wait(t, second); second.code != "unsent" || !slices.Equal(second.seen(), want) {
				t.Errorf("code %q, %v; want %v", second.code, second.seen(), want)
			}
			wantAnswer(t, wait(t, third), "3")
			if want := []string{"1", "3"}; !slices.Equal(order(), want) {
				t.Errorf("the engine heard %v", order())
			}
		})
	}
	f("before it waits", true, "Queued(true)", "Finished")
	f("while it waits", false, "Queued(true)", "Queued(false)", "Finished")
}

// A call whose own wait is over when its time-out comes gets no Failed.
func TestQueuedEndsAtTheTimeOut(t *testing.T) {
	e, _, may := holding(t)
	c := start(t, e, maxConnections(1))
	first, second := newCall("1"), newCall("2")
	second.goOn = func(waiting bool) bool { return waiting }
	c.Do(first)
	c.Do(second)
	c.Tick(time.Now().Add(time.Minute))
	if want := []string{"Queued(true)", "Queued(false)", "Finished"}; !slices.Equal(wait(t, second).seen(), want) || second.code != "unsent" {
		t.Errorf("code %q, %v; want %v", second.code, second.seen(), want)
	}
	close(may)
	wantAnswer(t, wait(t, first), "1")
}

// A place that becomes free while Queued(true) runs is the call's.
func TestPlaceBecomesFreeWhileACallBeginsToWait(t *testing.T) {
	f := func(name string, goOn bool, answers func(body string) string) {
		t.Run(name, func(t *testing.T) {
			may := make(chan struct{})
			e := newEngine(t, each(func(p *peer, a asked) {
				if a.body == "1" {
					<-may
				}
				p.say(answers(a.body))
			}))
			c := start(t, e, maxConnections(1))
			first, second := newCall("1"), newCall("2")
			c.Do(first)
			second.goOn = func(waiting bool) bool {
				if waiting {
					close(may)
					wait(t, first)
				}
				return waiting || goOn
			}
			c.Do(second)
			if wait(t, second); goOn {
				wantAnswer(t, second, "2")
			} else if second.code != "unsent" {
				t.Errorf("code %q", second.code)
			}
			c.wantEcho("3")
		})
	}
	f("a connection", true, answer)
	f("a connection, too late", false, answer)
	f("a place", true, closing)
	f("a place, too late", false, closing)
}

// After five calls in a row whose connections were refused the next ones fail at once, for a second.
func TestBreaker(t *testing.T) {
	e := newEngine(t, echo)
	addr := strings.TrimPrefix(e.url, "http://")
	e.stop()
	c := start(t, e, maxConnections(2))
	for range 5 {
		got := c.ask("x")
		if !errors.Is(got.err, syscall.ECONNREFUSED) || got.sent || got.code != "unsent" {
			t.Fatalf("error %v, sent %t, code %q", got.err, got.sent, got.code)
		}
	}
	began := time.Now()
	for range 100 {
		got := c.ask("x")
		if !errors.Is(got.err, upstream.ErrBreakerOpen) || got.sent || got.code != "refused" {
			t.Fatalf("error %v, sent %t, code %q after %v", got.err, got.sent, got.code, time.Since(began))
		}
	}
	if !strings.Contains(c.log.String(), `"breaker":"open"`) {
		t.Errorf("the log does not say so: %s", c.log)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	go func() {
		if conn, err := ln.Accept(); err == nil {
			defer func() { _ = conn.Close() }()
			b := make([]byte, 1<<10)
			for _, err = conn.Read(b); err == nil; _, err = conn.Read(b) {
				_, _ = conn.Write([]byte(answer("x")))
			}
		}
	}()
	waitFor(t, "an answer", func() bool { return c.ask("x").err == nil })
	c.wantEcho("x")
}

// A queue behind an engine that refuses fails one by one, and not by recursion.
func TestQueueBehindTheBreaker(t *testing.T) {
	var once sync.Once
	may := make(chan struct{})
	e := newEngine(t, func(p *peer) {
		p.ask()
		<-may
		once.Do(func() { go p.e.stop() })
	})
	c := start(t, e, maxConnections(1))
	first := newCall("1")
	c.Do(first)
	var all []*call
	for range 10_000 {
		got := newCall("x")
		all = append(all, got)
		c.Do(got)
	}
	waitFor(t, "the request", func() bool { return e.asked.Load() == 1 })
	close(may)
	for _, got := range all {
		if wait(t, got); got.err == nil || got.finished != 1 {
			t.Fatalf("%v, finished %d times", got.err, got.finished)
		}
	}
}

func TestCloseFinishesWhatIsUnderWay(t *testing.T) {
	e, _, may := holding(t)
	c := start(t, e, maxConnections(1))
	first, second := newCall("1"), newCall("2")
	c.Do(first)
	c.Do(second)
	waitFor(t, "the request", func() bool { return e.asked.Load() == 1 })
	closed := make(chan struct{})
	go func() {
		c.Close(context.Background())
		close(closed)
	}()
	if wait(t, second); !errors.Is(second.err, upstream.ErrClosed) || second.sent || second.code != "unsent" {
		t.Errorf("error %v, sent %t, code %q", second.err, second.sent, second.code)
	}
	if got := c.ask("3"); !errors.Is(got.err, upstream.ErrClosed) || got.sent || got.code != "unsent" {
		t.Errorf("error %v, sent %t, code %q", got.err, got.sent, got.code)
	}
	select {
	case <-closed:
		t.Error("Close has returned before the end of an exchange")
	default:
	}
	close(may)
	wantAnswer(t, wait(t, first), "1")
	<-closed
	waitFor(t, "the end of the connection", func() bool { return e.open.Load() == 0 })
	c.Close(context.Background()) // once more
}

// What does not end within the context fails.
func TestCloseGivesUp(t *testing.T) {
	t.Run("waits for an answer", func(t *testing.T) {
		checkCloseGivesUp(t, newEngine(t, func(p *peer) {
			p.ask()
			p.hears()
		}), true)
	})
	t.Run("has half of it", func(t *testing.T) {
		checkCloseGivesUp(t, newEngine(t, func(p *peer) {
			p.ask()
			p.say(ok1 + five)
			p.hears()
		}), true)
	})
	t.Run("is about to be released", func(t *testing.T) {
		checkCloseGivesUp(t, newEngine(t, func(p *peer) {
			p.ask()
			p.hears()
		}), true, hook(func(point string) {
			if point == "release" {
				<-time.After(500 * time.Millisecond) // until Close has looked for connections that nobody owns
			}
		}))
	})
	t.Run("is dialling", func(t *testing.T) {
		e := newEngine(t, (*peer).hears)
		e.url = "https" + strings.TrimPrefix(e.url, "http") // and the handshake hangs
		checkCloseGivesUp(t, e, false)
	})
}

func checkCloseGivesUp(t *testing.T, e *engine, sent bool, change ...func(*upstream.Config, *upstream.Options, *eventloop.Options)) {
	c := start(t, e, change...)
	got := newCall("x")
	c.Do(got)
	waitFor(t, "the request", func() bool { return e.accepted.Load() == 1 && (!sent || e.asked.Load() == 1) })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	c.Close(ctx)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("Close took %v", took)
	}
	select {
	case <-got.done:
	default:
		t.Fatal("Close has returned before the call finished")
	}
	if got.err == nil || got.sent != sent || sent && !errors.Is(got.err, upstream.ErrClosed) {
		t.Errorf("error %v, sent %t", got.err, got.sent)
	}
}
