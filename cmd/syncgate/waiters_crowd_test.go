package main_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/internal/enginesim"
	"syncgate/internal/redistest"
	"syncgate/signer"
)

const (
	waiterHash, otherHash = "0123456789abcdef0123456789abcdef01234567", "89abcdef0123456789abcdef0123456789abcdef"
	waiterPath            = "/api/1/json/callback/"
	localNode             = "aaaaaaaaaaaaaaaaaaaaaaaa"
	forwardedNode         = "bbbbbbbbbbbbbbbbbbbbbbbb"
	signedNode            = "cccccccccccccccccccccccc"

	// local and forwarded are processes of waiters: no engine gets the tasks of the first one.
	local, forwarded = 2000, 3000
)

// waitersText is a configuration with the two, and a route before the first one. %s is the hash.
const waitersText = `auth: {credentials: [{login: "12345", secret: mysecret}]}
routes: [{name: orders, path: /v1/orders, conv_id: 2000, login: "12345", auth: none, wait: {default: 30s, max: 1m}}]
waiters:
  - {name: local, conv_id: 2000, node: ` + localNode + `, hashes: [%[1]s], path: nonce, timer: 10m, early: 30s, engine: none}
  - {name: routed, conv_id: 2000, node: dddddddddddddddddddddddd, hashes: [%[1]s], path: nonce, key: data.nonce, timer: 10m, engine: none}
  - {name: signed, conv_id: 2000, node: ` + signedNode + `, hashes: [%[1]s], path: nonce, timer: 10m, engine: none, verify: {preset: github, secret: a-secret}}
  - {name: forwarded, conv_id: 3000, node: ` + forwardedNode + `, hashes: [%[1]s], path: nonce, timer: 10m, early: 30s}
`

// startWaiters starts two nodes with these waiters, which share a redis-server. env are further settings.
func startWaiters(t *testing.T, r *redistest.Server, env ...string) *pair {
	t.Helper()
	e := simulate(t, func(c *enginesim.Config) { c.Behaviour.Callback = enginesim.CallbackNever })
	return newPair(t, nil, fmt.Sprintf(waitersText, waiterHash), append(shared(e.URL(), r), env...))
}

// named is a package with one create whose name is the nonce, and the reply to it that has a result.
func named(process int, nonce string) (body string, reply func(result string) string) {
	body = fmt.Sprintf(`{"timeout":60,"ops":[{"type":"create","obj":"task","conv_id":%d,"ref":%q,"data":{"nonce":%q}}]}`, process, nonce, nonce)
	return body, func(result string) string {
		return fmt.Sprintf(`{"request_proc":"ok","ops":[{"proc":"ok","ref":%q,"data":{"nonce":%q,"result":%q}}]}`, nonce, nonce, result)
	}
}

func modifyOf(process int, nonce, result string) string {
	return fmt.Sprintf(`{"timeout":60,"ops":[{"type":"modify","obj":"task","conv_id":%d,"ref":%q,"data":{"result":%q}}]}`, process, nonce, result)
}

// callNode completes a task at the personal URL of a node.
func (c *client) callNode(node, nonce, result string) answer {
	return c.reach(http.MethodPost, waiterPath+node+"/"+waiterHash, fmt.Sprintf(`{"nonce":%q,"result":%q}`, nonce, result))
}

// createKeyed is create with an Idempotency-Key.
func (c *client) createKeyed(body, key string) answer {
	now := strconv.FormatInt(time.Now().Unix(), 10)
	path := "/api/1/json/" + login + "/" + now + "/" + string(signer.AppendSignature(nil, []byte(now), []byte(secret), []byte(body)))
	return c.reach(http.MethodPost, path, body, "Idempotency-Key: "+key)
}

// completion is one that is sent to a node.
type completion struct {
	process       int
	nonce, result string
	modify        bool
	at            *client
}

// send gives what the sender hears: that the task has the result, that the result is held for a while, or neither.
func (c completion) send(t *testing.T) (done, held bool) {
	a, ok := answer{}, `"proc":"ok","obj":"task"`
	if c.modify {
		var err error
		if a, err = c.at.create(modifyOf(c.process, c.nonce, c.result)); err != nil {
			a.body = err.Error()
		}
		for _, no := range []string{"no api callback logic in node with task", "The last one callback is still running. You should wait"} {
			if a.status == 200 && strings.Contains(a.body, no) {
				return false, false
			}
		}
	} else {
		node := localNode
		if c.process == forwarded {
			node = forwardedNode
		}
		switch a = c.at.callNode(node, c.nonce, c.result); {
		case a.status == 202 && a.body == "{}":
			return false, true
		case a.status == 409:
			return false, false
		}
	}
	if a.status != 200 || !strings.Contains(a.body, ok) {
		t.Errorf("the sender of %s for %s hears %d %s", c.result, c.nonce, a.status, a.body)
	}
	return true, false
}

// TestNamesOverNodes has 200 clients at two nodes wait for completions by name, which come in any order over 20 connections to both nodes: half by modify, half at
// personal URLs, every fifth before its client, every third twice. Each client gets one result, which is its own and which a sender was answered for.
func TestNamesOverNodes(t *testing.T) {
	const clients, connections = 200, 20
	p := startWaiters(t, redistest.StartTCP(t))
	at := []*client{p.atHome, p.atOther}
	var early, due []completion
	for n := range clients {
		c := completion{process: []int{local, forwarded}[n%2], nonce: nonceOf(n), modify: n/2%2 == 0, at: at[rand.IntN(2)]}
		if n < clients/2 {
			c.at = at[(n/4+1)%2] // the node that does not have the client
		}
		times := 1
		if n%3 == 0 {
			times = 2
		}
		for i := range times {
			c.result = fmt.Sprintf("%s-%d", c.nonce, i)
			if n%5 == 0 && i == 0 && (c.process == local || !c.modify) { // an engine answers a modify at once, and its ok is not kept for a task that it was not asked for
				early = append(early, c)
				continue
			}
			due = append(due, c)
		}
	}
	rand.Shuffle(len(due), func(i, j int) { due[i], due[j] = due[j], due[i] })

	var mu sync.Mutex
	done, held := make(map[string][]string), make(map[string][]string) // results by nonce, as their senders have heard
	send := func(c completion) {
		isDone, isHeld := c.send(t)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case isDone:
			done[c.nonce] = append(done[c.nonce], c.result)
		case isHeld:
			held[c.nonce] = append(held[c.nonce], c.result)
		}
	}
	var senders, waiting sync.WaitGroup
	for _, c := range early {
		senders.Go(func() { send(c) })
	}
	eventually(t, "completions that are early are held", func() bool {
		return p.home.metric("syncgate_waiter_completions_total", `outcome="held"`)+p.other.metric("syncgate_waiter_completions_total", `outcome="held"`) > 0
	})
	replies := make([]answer, clients)
	for n := range clients {
		waiting.Go(func() {
			body, _ := named([]int{local, forwarded}[n%2], nonceOf(n))
			a, err := at[n/4%2].create(body)
			if err != nil {
				a.body = err.Error()
			}
			replies[n] = a
		})
	}
	var next atomic.Int64
	for range connections {
		senders.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(due)); i = next.Add(1) - 1 {
				send(due[i])
			}
		})
	}
	senders.Wait()
	waiting.Wait()
	for n, a := range replies {
		nonce := nonceOf(n)
		_, reply := named(0, nonce)
		own := 0
		for _, result := range append(slices.Clone(done[nonce]), held[nonce]...) {
			if a.status == 200 && a.body == reply(result) {
				own++
			}
		}
		if own != 1 {
			t.Errorf("%s got %d %s; its senders heard that %q is done, and that %q is held", nonce, a.status, a.body, done[nonce], held[nonce])
		}
		if n%2 == 0 && len(done[nonce]) > 1 { // an engine says ok to each modify
			t.Errorf("%s was completed by %q", nonce, done[nonce])
		}
	}
	t.Logf("%d completions came early, %d later", len(early), len(due))
	p.home.stop()
	p.end()
}
