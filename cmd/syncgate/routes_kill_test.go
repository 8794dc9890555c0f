package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// crowdSize is how many clients each of these tests has at once.
const crowdSize = 50

// redirects is a pair of nodes and the state of clients that follow redirects. The home is killed when every client has its first redirect.
type redirects struct {
	*pair
	redirected, followed sync.WaitGroup
	cut                  atomic.Int64
}

// TestHomeDiesBetweenRedirects kills the home when every client has its first redirect. Half of the clients have followed it by then, and the
// kill cuts their connections. Then all clients follow their redirects at the other node. The engine calls back there.
func TestHomeDiesBetweenRedirects(t *testing.T) {
	p := &redirects{pair: startPair(t, "wait: {default: 1s, max: 1m}, at_wait_end: redirect")}
	p.redirected.Add(crowdSize)
	p.followed.Add(crowdSize / 2)
	go func() { // ends with the clients, who wait for it
		p.redirected.Wait()
		p.followed.Wait()
		p.kill()
	}()
	crowdOf(crowdSize, func(nonce string, n int) {
		if next := p.atHomeFirst(nonce, n%2 == 0); next != "" {
			p.awaitDeath()
			p.goOn(nonce, next)
		}
	})
	t.Logf("%d of %d clients were cut while they waited", p.cut.Load(), crowdSize)
	if p.cut.Load() == 0 {
		t.Error("no client waited at the home when it died")
	}
	p.end()
}

// atHomeFirst makes a task at the home and gives the URL of its redirect, which it may follow there.
func (p *redirects) atHomeFirst(nonce string, follows bool) (next string) {
	a := p.atHome.post(nonce)
	p.redirected.Done()
	if follows {
		p.followed.Done()
	}
	next = a.header.Get("Location")
	if a.status != 303 || !strings.HasPrefix(next, "/tasks/") {
		p.t.Errorf("%s got %d %s", nonce, a.status, a.body)
		return ""
	}
	if !follows {
		return next
	}
	switch a = p.atHome.reach(http.MethodGet, next, ""); a.status {
	case 0:
		p.cut.Add(1)
		return next
	case 303:
		return a.header.Get("Location")
	default:
		p.t.Errorf("%s got %d %s behind its first redirect", nonce, a.status, a.body)
		return ""
	}
}

// goOn follows redirects at the other node. The engine calls back when the client has its first redirect from there.
func (p *redirects) goOn(nonce, next string) {
	a := p.atOther.reach(http.MethodGet, next, "")
	if a.status != 303 {
		p.t.Errorf("%s got %d %s at the other node", nonce, a.status, a.body)
		return
	}
	var called sync.WaitGroup
	called.Go(func() { p.complete(nonce) })
	for hops := 0; a.status == 303 && hops < 9; hops++ {
		a = p.atOther.reach(http.MethodGet, a.header.Get("Location"), "")
	}
	called.Wait()
	p.wantResult(nonce, a)
}

// steps is how often the engine reports progress of each task.
const steps = 20

func stepOf(nonce string, n int) string { return fmt.Sprintf(`{"nonce":%q,"percent":%d}`, nonce, n) }

// work has the engine report all progress of a task, and its result, at the other node.
func (p *pair) work(nonce string, from int, each func()) {
	for n := from; n <= steps; n++ {
		p.report(p.atOther, nonce, "progress", stepOf(nonce, n))
		each()
	}
	p.complete(nonce)
}

// wantEvents wants every event of a task once, and in order.
func (p *pair) wantEvents(nonce string, heard []event) {
	want := []event{{"0", "accepted", ""}}
	for n := 1; n <= steps; n++ {
		want = append(want, event{strconv.Itoa(n), "progress", stepOf(nonce, n)})
	}
	want = append(want, event{"end", "result", resultOf(nonce)})
	for i := range max(len(want), len(heard)) {
		if i >= len(want) || i >= len(heard) || want[i].data != "" && heard[i] != want[i] || heard[i].name != want[i].name {
			p.t.Errorf("%s: event %d is not as it should be: %v", nonce, i, heard)
			return
		}
	}
}

// locationOf gives where the task is that an event says is accepted.
func locationOf(t *testing.T, e event) string {
	var task struct{ Location string }
	if err := json.Unmarshal([]byte(e.data), &task); err != nil || e.name != "accepted" || !strings.HasPrefix(task.Location, "/tasks/") {
		t.Errorf("the first event is %v", e)
	}
	return task.Location
}

// TestHomeDiesBetweenEvents kills the home of open streams while the engine reports progress at the other node. The clients go on there.
func TestHomeDiesBetweenEvents(t *testing.T) {
	p := startPair(t, "wait: {default: 1s, max: 1m}")
	half := newCountdown(crowdSize*steps/2, p.kill)
	var cuts atomic.Int64
	var opened sync.WaitGroup // the engine begins when every stream is open
	opened.Add(crowdSize)
	crowdOf(crowdSize, func(nonce string, n int) {
		var f feed
		var working sync.WaitGroup
		defer working.Wait()
		open := sync.OnceFunc(opened.Done)
		defer open()
		each := func(e event) {
			if e.id != "0" {
				return
			}
			open()
			working.Go(func() {
				opened.Wait()
				p.work(nonce, 1, half.count)
			})
		}
		r := p.stream(p.atHome, http.MethodPost, "/v1/orders", orderOf(nonce))
		for r != nil && !f.hear(r, each) && f.cuts < 3 {
			r = p.resume(&f, n%2 == 0)
		}
		cuts.Add(int64(f.cuts))
		p.wantEvents(nonce, f.heard)
	})
	t.Logf("%d streams were cut", cuts.Load())
	if n := cuts.Load(); n < crowdSize/2 || n > crowdSize {
		t.Errorf("of %d streams %d were cut", crowdSize, n)
	}
	p.end()
}

// stream opens a stream. It gives nil where there is none.
func (p *pair) stream(at *client, method, path, body string, header ...string) *http.Response {
	r, err := at.open(method, path, body, append(header, "Accept: text/event-stream")...)
	if err != nil || r.StatusCode != 200 || r.Header.Get("Content-Type") != "text/event-stream" {
		p.t.Errorf("%s %s: no stream: %v %v", method, path, r, err)
		return nil
	}
	return r
}

// resume opens a stream at the other node that goes on behind the last event.
func (p *pair) resume(f *feed, byQuery bool) *http.Response {
	if len(f.heard) == 0 {
		p.t.Error("a stream ended before its first event")
		return nil
	}
	path := locationOf(p.t, f.heard[0]) + "/events"
	if byQuery {
		return p.stream(p.atOther, http.MethodGet, path+"?lastEventId="+f.last(), "")
	}
	return p.stream(p.atOther, http.MethodGet, path, "", "Last-Event-ID: "+f.last())
}

// TestHomeDiesBehindStreams has streams at the other node, and kills the home between two events: no stream is cut.
func TestHomeDiesBehindStreams(t *testing.T) {
	const atHome = steps / 4 // so many reports come to the home
	p := startPair(t, "wait: {default: 1s, max: 1m}")
	half := newCountdown(crowdSize*(steps-atHome)/2, p.kill)
	var ready sync.WaitGroup // the home has heard all that it will hear
	ready.Add(crowdSize)
	crowdOf(crowdSize, func(nonce string, _ int) {
		a := p.atHome.post(nonce, "Prefer: respond-async")
		r := p.stream(p.atOther, http.MethodGet, a.header.Get("Location"), "")
		if r == nil {
			ready.Done()
			return
		}
		var working sync.WaitGroup
		working.Go(func() {
			for n := 1; n <= atHome; n++ {
				p.report(p.atHome, nonce, "progress", stepOf(nonce, n))
			}
			ready.Done()
			ready.Wait()
			p.work(nonce, atHome+1, half.count)
		})
		var f feed
		if !f.hear(r, func(event) {}) {
			t.Errorf("%s: the stream was cut behind %v", nonce, f.heard)
		}
		working.Wait()
		p.wantEvents(nonce, f.heard)
	})
	select {
	case <-p.home.ended:
	default:
		t.Error("the home was not killed")
	}
	p.end()
}
