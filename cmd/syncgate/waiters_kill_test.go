package main_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"syncgate/internal/faultproxy"
	"syncgate/internal/redistest"
)

// Names of a task: of the first process the ref, our id and data.nonce, or without a ref the last two; of the other one the ref and the engine's id.
const namesLocal, namesRouted, namesForwarded = 3, 2, 2

// namesIn gives the keys of names that a redis-server has.
func namesIn(r *redistest.Server) []string { return strings.Fields(r.Do("KEYS", "*}:name")) }

// bound waits until a redis-server has so many names.
func bound(t *testing.T, r *redistest.Server, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("there are %d names", n), func() bool { return len(namesIn(r)) == n })
}

// TestHomeDiesBeforeNamesAreCompleted kills the home between the creates and their completions, which come to the other node and hear 200. Each client finds its
// own result there: by its Idempotency-Key, or where its task is.
func TestHomeDiesBeforeNamesAreCompleted(t *testing.T) {
	r := redistest.StartTCP(t)
	p := startWaiters(t, r)
	var all sync.WaitGroup
	names := 0
	for n := range crowdSize {
		names += []int{namesLocal, namesRouted, namesForwarded, namesRouted}[n%4]
		all.Go(func() { p.lostHome(nonceOf(n), n) })
	}
	bound(t, r, names)
	eventually(t, "those that do not wait have their tasks", func() bool { return p.home.metric("syncgate_trips_total", "handed_over") == crowdSize/2 })
	p.kill()
	all.Wait()
	p.end()
}

// lostHome is a client whose home dies. Half of the clients are held, with a key; the others have their task's place.
func (p *pair) lostHome(nonce string, n int) {
	body, reply := named([]int{local, forwarded}[n/2%2], nonce)
	if n%2 == 0 {
		if a := p.atHome.createKeyed(body, nonce); a.status != 0 {
			p.t.Errorf("%s got %d %s from a home that was killed", nonce, a.status, a.body)
		}
		p.awaitDeath()
		c := completion{process: []int{local, forwarded}[n/2%2], nonce: nonce, result: nonce, modify: n/4%2 == 0, at: p.atOther}
		if done, _ := c.send(p.t); !done {
			p.t.Errorf("%s: the completion is not taken", nonce)
		}
		if a := p.atOther.createKeyed(body, nonce); a.status != 200 || a.body != reply(nonce) {
			p.t.Errorf("%s got %d %s for its key", nonce, a.status, a.body)
		}
		return
	}
	a := p.atHome.post(nonce, "Prefer: respond-async")
	location := a.header.Get("Location")
	if a.status != 202 {
		p.t.Errorf("%s got %d %s", nonce, a.status, a.body)
	}
	p.awaitDeath()
	if a := p.atOther.callNode("dddddddddddddddddddddddd", nonce, nonce); a.status != 200 {
		p.t.Errorf("%s: the completion hears %d %s", nonce, a.status, a.body)
	}
	if a := p.atOther.reach(http.MethodGet, location, ""); a.status != 200 || a.body != fmt.Sprintf(`{"nonce":%q,"result":%q}`, nonce, nonce) {
		p.t.Errorf("%s got %d %s where its task is", nonce, a.status, a.body)
	}
}

// TestNodeDiesThatHasTakenAName kills the node that has the right to complete a task, before it has done so: the completion that is sent again, to the home,
// is refused while that right lasts, and then is the result.
func TestNodeDiesThatHasTakenAName(t *testing.T) {
	t.Parallel() // the right lasts for 20 s
	r := redistest.StartTCP(t)
	p := startWaiters(t, r)
	slow, err := faultproxy.Start("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(slow.Close)
	at := free(t, 1)[0]
	dying := serve(t, at, append(p.env, "SYNCGATE_CORRELATOR_REDIS_URL=redis://"+slow.Addr())...)
	eventually(t, "the third node is ready", func() bool { return dying.ready() == 200 })
	body, reply := named(local, "n")
	got := p.atHome.createLater(body)
	bound(t, r, namesLocal)

	slow.Slow(700 * time.Millisecond) // in each direction: so there is time between the two commands
	lost := make(chan answer, 1)
	go func() { lost <- caller(t, at, 1).callNode(localNode, "n", "lost") }()
	isTaken := func(name string) bool { return r.Do("HEXISTS", name, "lease") == ":1" }
	eventually(t, "the name is taken", func() bool { return slices.ContainsFunc(namesIn(r), isTaken) })
	if err := dying.process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-dying.ended
	if a := <-lost; a.status != 0 {
		t.Fatalf("the node was killed too late: its sender hears %d %s", a.status, a.body)
	}
	select {
	case a := <-got:
		t.Fatalf("the node was killed too late: the client has %s", a.body)
	default:
	}
	began := time.Now()
	if busy := p.sendsAgain(); busy == 0 {
		t.Error("the right of the node that was killed has ended with it")
	}
	if a := <-got; a.body != reply("again") {
		t.Errorf("the client has %s", a.body)
	}
	t.Logf("the right of the dead node lasted for %v more", time.Since(began).Round(time.Second))
	p.home.stop()
	p.end()
}

// sendsAgain sends the completion of n to the home until it is taken, and counts how often somebody else had the right.
func (p *pair) sendsAgain() (busy int) {
	p.t.Helper()
	eventually(p.t, "the completion is taken that is sent again", func() bool {
		a := p.atHome.callNode(localNode, "n", "again")
		if a.status == 409 && strings.Contains(a.body, "The last one callback is still running") {
			busy++
			return false
		}
		if a.status != 200 {
			p.t.Errorf("it hears %d %s", a.status, a.body)
		}
		return true
	})
	return busy
}

// TestDrainWhileNamesAreOpen ends a node whose clients wait for completions by name. They come to this node and to the other one, and each client has its reply.
func TestDrainWhileNamesAreOpen(t *testing.T) {
	r := redistest.StartTCP(t)
	p := startWaiters(t, r, "SYNCGATE_DRAIN_TIMEOUT=25s")
	var replies []<-chan answer
	for n := range crowdSize {
		body, _ := named(local, nonceOf(n))
		replies = append(replies, p.atHome.createLater(body))
	}
	bound(t, r, crowdSize*namesLocal)
	p.atHome.callNode(localNode, "before", "x") // so there is a connection
	p.home.signal(syscall.SIGTERM)
	eventually(t, "the node drains", func() bool { return p.home.ready() != 200 })
	for n, reply := range replies {
		at := []*client{p.atHome, p.atOther}[n%2]
		if a := at.callNode(localNode, nonceOf(n), nonceOf(n)); a.status != 200 {
			t.Errorf("%s: the completion hears %d %s", nonceOf(n), a.status, a.body)
		}
		_, want := named(local, nonceOf(n))
		if a := <-reply; a.status != 200 || a.body != want(nonceOf(n)) {
			t.Errorf("%s got %d %s", nonceOf(n), a.status, a.body)
		}
	}
	p.home.exits(0)
	p.end()
}
