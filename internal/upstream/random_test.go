package upstream_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/internal/eventloop"
	"syncgate/internal/upstream"
)

// wary is a call that knows its own answer, as a trip does.
type wary struct {
	*call
	foreign bool
}

func (w *wary) Answered(status int, header *fasthttp.ResponseHeader, body []byte) bool {
	w.call.Answered(status, header, body)
	w.foreign = string(body) != w.body
	return !w.foreign
}

// moody is an engine that does to each request what chance says.
type moody struct {
	seed    uint64
	surplus atomic.Int32 // answers that it has given twice
}

func (m *moody) serve(p *peer) {
	rng := rand.New(rand.NewPCG(m.seed, p.n)) //nolint:gosec // a plan and no secret
	for {
		a, ok := p.ask()
		if !ok {
			return
		}
		if a.body == "hold" {
			p.say(answer(a.body))
		} else if !m.answer(p, a, rng) {
			return
		}
	}
}

// answer reports whether the connection goes on.
func (m *moody) answer(p *peer, a asked, rng *rand.Rand) bool {
	text := answer(a.body)
	soon := func() { <-time.After(time.Duration(rng.IntN(2000)) * time.Microsecond) }
	switch rng.IntN(24) {
	case 0:
		return false
	case 1:
		p.reset()
		return false
	case 2:
		p.say(text[:rng.IntN(len(text))])
		return false
	case 3:
		p.say(text)
		p.reset()
		return false
	case 4:
		p.say(strings.Replace(text, "\r\n", "\r\nConnection: x, Close\r\n", 1))
		return false
	case 5:
		m.surplus.Add(1)
		p.say(text + text)
	case 6, 7:
		m.surplus.Add(1)
		p.say(text)
		soon()
		p.say(text)
	case 8:
		soon()
		p.say(text)
		return false
	case 9:
		p.say(ok1 + "Transfer-Encoding: chunked\r\n\r\n")
		soon()
		p.say(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(a.body), a.body))
	case 10:
		p.say("HTTP/1.1 200 OK\nContent-Length: 3\r\n\r\nno!")
	case 11:
		if rng.IntN(4) == 0 {
			<-time.After(2500 * time.Millisecond) // too late
		}
		p.say(text)
	case 12:
		p.say(ok1 + "\r\n" + a.body)
		return false
	default:
		p.sayCut(text, rng.IntN(len(text)))
	}
	return true
}

// Whatever the engine does, every call gets its own answer or a failure, finishes once, and gives its place back.
func TestRandomExchanges(t *testing.T) {
	f := func(name string, engine engines, exchanges int, change func(*upstream.Config, *upstream.Options, *eventloop.Options)) {
		t.Run(name, func(t *testing.T) { checkRandomExchanges(t, engine, exchanges, change) })
	}
	same := func(*upstream.Config, *upstream.Options, *eventloop.Options) {}
	f("plain", newEngine, 2000, same)
	f("TLS", newTLSEngine, 500, same)
	f("other systems", newEngine, 500, portable)
}

func checkRandomExchanges(t *testing.T, engine engines, exchanges int, change func(*upstream.Config, *upstream.Options, *eventloop.Options)) {
	const connections, atOnce = 8, 32
	m := &moody{seed: uint64(time.Now().UnixNano())}
	e := engine(t, m.serve)
	c := start(t, e, maxConnections(connections), timeout(2*time.Second), change)
	all := make([]*wary, exchanges)
	room := make(chan struct{}, atOnce)
	for i := range all {
		all[i] = &wary{call: newCall(fmt.Sprintf("%d:%s", i, strings.Repeat("x", i*37%2000)))}
		all[i].onFinish = func(string) { <-room }
		room <- struct{}{}
		c.Do(all[i])
	}
	answered, foreign := 0, 0
	for _, w := range all {
		wait(t, w.call)
		switch {
		case w.finished != 1:
			t.Errorf("finished %d times: %v", w.finished, w.seen())
		case w.foreign:
			foreign++
		case w.err == nil && w.answer == w.body:
			answered++
		case w.err == nil:
			t.Errorf("neither an answer nor a failure: %v", w.seen())
		}
	}
	t.Logf("seed %d: %d answered, %d foreign of %d surplus, %d connections", m.seed, answered, foreign, m.surplus.Load(), e.accepted.Load())
	if answered < exchanges/2 || foreign > int(m.surplus.Load()) {
		t.Error("too few were answered, or a surplus answer has shifted more than one")
	}
	<-time.After(100 * time.Millisecond) // for late answers, so that only good connections rest
	c.wantPlaces(e, connections)
}
