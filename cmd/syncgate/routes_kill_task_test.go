package main_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// untilDone reads a task at the other node until it is no longer running. It is never unknown.
func (p *pair) untilDone(nonce, path string) answer {
	for range 30 {
		a := p.atOther.reach(http.MethodGet, path, "", "Prefer: wait=1")
		if a.status != 202 {
			return a
		}
		if a.header.Get("Location") != path || a.header.Get("Retry-After") == "" {
			p.t.Errorf("%s: a running task has no place or time to look: %v", nonce, a.header)
		}
	}
	return answer{body: "it is running for 30 s"}
}

// TestHomeDiesBehindTasks kills the home at the moment when half of its clients have their 202. Each of those finds its task, and then its
// result, at the other node. The others repeat their requests there: none makes a second task.
func TestHomeDiesBehindTasks(t *testing.T) {
	p := startPair(t, "wait: {default: 1s, max: 1m}")
	half := newCountdown(crowdSize, p.kill)
	var handed, repeated, unmade atomic.Int64
	crowdOf(2*crowdSize, func(nonce string, _ int) {
		a := p.atHome.post(nonce, "Prefer: respond-async", "Idempotency-Key: "+nonce)
		switch a.status {
		case 202:
			handed.Add(1)
			if _, taken := p.engine.job(nonce); !taken {
				t.Errorf("%s: a task is handed over that the engine does not have", nonce)
			}
			half.count()
		case 0:
			p.awaitDeath()
			repeated.Add(1)
			if a = p.atOther.post(nonce, "Prefer: respond-async", "Idempotency-Key: "+nonce); a.status != 202 {
				t.Errorf("%s: the repeat got %d %s", nonce, a.status, a.body)
				return
			}
		default:
			t.Errorf("%s got %d %s", nonce, a.status, a.body)
			return
		}
		p.awaitDeath()
		path := a.header.Get("Location")
		if _, taken := p.engine.job(nonce); !taken { // the home died before it asked the engine: the key is bound to a task that nobody has
			unmade.Add(1)
			if a = p.atOther.reach(http.MethodGet, path, ""); a.status != 202 {
				t.Errorf("%s: a task that was not made is %d %s", nonce, a.status, a.body)
			}
			return
		}
		var called sync.WaitGroup
		called.Go(func() { p.complete(nonce) })
		p.wantResult(nonce, p.untilDone(nonce, path))
		called.Wait()
	})
	t.Logf("%d clients had a 202, %d repeated their requests, %d of them for a task that was not made", handed.Load(), repeated.Load(), unmade.Load())
	p.end()
}

// TestHomeDiesBeforeTheEngineAnswers wants that no client has a 202 before the engine has taken its task. A client that is cut there repeats
// its request at the other node, and gets the result of the first one.
func TestHomeDiesBeforeTheEngineAnswers(t *testing.T) {
	p := startPair(t, "wait: {default: 20s, max: 1m}")
	p.engine.slow = true
	var early, handed atomic.Int64
	var answered sync.WaitGroup
	answered.Add(crowdSize / 2)
	var clients sync.WaitGroup
	clients.Go(func() {
		crowdOf(crowdSize, func(nonce string, n int) {
			a := p.atHome.post(nonce, "Prefer: respond-async", "Idempotency-Key: "+nonce)
			if taken := n < crowdSize/2; taken {
				handed.Add(1)
				answered.Done()
				p.awaitDeath()
				if a.status != 202 {
					t.Errorf("%s got %d %s", nonce, a.status, a.body)
					return
				}
				p.complete(nonce)
				p.wantResult(nonce, p.untilDone(nonce, a.header.Get("Location")))
				return
			}
			p.awaitDeath()
			if a.status != 0 {
				t.Errorf("%s got %d %s though the engine has not answered", nonce, a.status, a.body)
				return
			}
			var called sync.WaitGroup
			called.Go(func() { p.complete(nonce) })
			p.wantResult(nonce, p.atOther.post(nonce, "Idempotency-Key: "+nonce))
			called.Wait()
		})
	})
	func() {
		defer clients.Wait() // they wait for the kill
		defer p.kill()
		eventually(t, "the engine has every task", func() bool { return p.engine.size() == crowdSize })
		early.Store(handed.Load())
		for n := range crowdSize / 2 {
			j, _ := p.engine.job(nonceOf(n))
			close(j.answer)
		}
		answered.Wait()
	}()
	if n := early.Load(); n != 0 {
		t.Errorf("%d clients were answered before the engine was", n)
	}
	p.end()
}

// TestHomeDiesWhileTasksAreCancelled kills the home when half of the tasks are cancelled, at the other node or at the home itself. Every task
// ends as cancelled. The engine is asked once to cancel a task that was cancelled at the other node, and once at most where the home was cut.
func TestHomeDiesWhileTasksAreCancelled(t *testing.T) {
	p := startPair(t, "wait: {default: 1s, max: 1m}")
	half := newCountdown(crowdSize/2, p.kill)
	var made sync.WaitGroup
	made.Add(crowdSize)
	crowdOf(crowdSize, func(nonce string, n int) {
		a := p.atHome.post(nonce, "Prefer: respond-async")
		made.Done()
		made.Wait()
		path := a.header.Get("Location")
		p.cancel(nonce, path, []*client{p.atOther, p.atHome}[n%2])
		half.count()
		p.awaitDeath()
		if a = p.atOther.reach(http.MethodGet, path, ""); a.status != 409 || a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: a cancelled task is %d %s", nonce, a.status, a.body)
		}
		if a = p.report(p.atOther, nonce, "complete", resultOf(nonce)); a.header.Get("X-Callback-Status") != "cancel" {
			t.Errorf("%s: the worker does not hear that its task is cancelled: %v", nonce, a.header)
		}
	})
	p.end() // what it has asked is answered
	unasked := 0
	for n := range crowdSize {
		j, _ := p.engine.job(nonceOf(n))
		if j.cancels == 0 {
			unasked++
		}
		if j.cancels > 1 || j.cancels == 0 && n%2 == 0 {
			t.Errorf("%s: the engine was asked %d times to cancel it", nonceOf(n), j.cancels)
		}
	}
	t.Logf("of %d tasks that were cancelled at the home the engine was not asked to cancel %d", crowdSize/2, unasked)
}

// cancel cancels a task at a node, and again at the other one if it was cut.
func (p *pair) cancel(nonce, path string, at *client) {
	a := at.reach(http.MethodDelete, path, "")
	cut := a.status == 0 && at == p.atHome
	if cut {
		a = p.atOther.reach(http.MethodDelete, path, "")
	}
	if a.status != 202 && (!cut || a.status != 409) { // the home may have cancelled it
		p.t.Errorf("%s: cancelling got %d %s", nonce, a.status, a.body)
	}
}
