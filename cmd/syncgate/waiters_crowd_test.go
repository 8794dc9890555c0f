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

// named gives a package that creates one task. The nonce is the name of the task. reply gives what the client gets when the task has a result.
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

// ask sends a completion.
func (c completion) ask() answer {
	switch {
	case c.modify:
		return <-c.at.createLater(modifyOf(c.process, c.nonce, c.result))
	case c.process == forwarded:
		return c.at.callNode(forwardedNode, c.nonce, c.result)
	default:
		return c.at.callNode(localNode, c.nonce, c.result)
	}
}

// send gives what the sender hears: that the task has the result, that the result is held for a while, or neither.
func (c completion) send(t *testing.T) (done, held bool) {
	a := c.ask()
	says := func(words string) bool { return strings.Contains(a.body, words) }
	switch {
	case a.status == 200 && says(`"proc":"ok","obj":"task"`):
		return true, false
	case a.status == 202 && a.body == "{}":
		return false, true
	case says("no api callback logic in node with task"), says("task_not_in_current_sync_callback_node"), says("The last one callback is still running. You should wait"):
	default:
		t.Errorf("the sender of %s for %s hears %d %s", c.result, c.nonce, a.status, a.body)
	}
	return false, false
}

// outcomes are what senders have heard, by nonce.
type outcomes struct {
	mu         sync.Mutex // guards what follows
	done, held map[string][]string
}

// send sends a completion and keeps what its sender hears.
func (o *outcomes) send(t *testing.T, c completion) {
	done, held := c.send(t)
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case done:
		o.done[c.nonce] = append(o.done[c.nonce], c.result)
	case held:
		o.held[c.nonce] = append(o.held[c.nonce], c.result)
	}
}

// want wants that a client has one of the results that its senders heard were taken. It is the only one that is done, unless an engine says ok to each modify.
func (o *outcomes) want(t *testing.T, process int, nonce string, a answer) {
	_, reply := named(process, nonce)
	own := 0
	for _, result := range append(slices.Clone(o.done[nonce]), o.held[nonce]...) {
		if a.status == 200 && a.body == reply(result) {
			own++
		}
	}
	if own != 1 || process == local && len(o.done[nonce]) > 1 {
		t.Errorf("%s got %d %s; its senders heard that %q is done, and that %q is held", nonce, a.status, a.body, o.done[nonce], o.held[nonce])
	}
}

// namedCrowd is how many clients wait for completions by name: half at each node, half for each process.
const namedCrowd = 200

func processOf(n int) int { return []int{local, forwarded}[n%2] }

// completionsOf gives the completions of a crowd, in any order: half by modify, half at personal URLs, every third client has two. Those of every fifth are early. The first
// half comes to the node that does not have the client, the others to either.
func completionsOf(at []*client) (early, due []completion) {
	for n := range namedCrowd {
		c := completion{process: processOf(n), nonce: nonceOf(n), modify: n/2%2 == 0, at: at[rand.IntN(2)]} //nolint:gosec // an order, and no secret
		if n < namedCrowd/2 {
			c.at = at[(n/4+1)%2]
		}
		for i := range []int{2, 1, 1}[n%3] {
			c.result = fmt.Sprintf("%s-%d", c.nonce, i)
			if n%5 == 0 && i == 0 && (c.process == local || !c.modify) { // an engine's ok is not kept for a task that it was not asked for
				early = append(early, c)
				continue
			}
			due = append(due, c)
		}
	}
	rand.Shuffle(len(due), func(i, j int) { due[i], due[j] = due[j], due[i] }) //nolint:gosec // the same
	return early, due
}

// TestNamesOverNodes has clients at two nodes wait for completions by name, which come over 20 connections to both nodes. Each client gets one result, which is its own
// and which a sender was answered for.
func TestNamesOverNodes(t *testing.T) {
	p := startWaiters(t, redistest.StartTCP(t))
	at := []*client{p.atHome, p.atOther}
	early, due := completionsOf(at)
	o := &outcomes{done: make(map[string][]string), held: make(map[string][]string)}
	var senders, waiting sync.WaitGroup
	for _, c := range early {
		senders.Go(func() { o.send(t, c) })
	}
	eventually(t, "completions that are early are held", func() bool {
		const name, held = "syncgate_waiter_completions_total", `outcome="held"`
		return p.home.metric(name, held)+p.other.metric(name, held) > 0
	})
	replies := make([]answer, namedCrowd)
	for n := range replies {
		waiting.Go(func() {
			body, _ := named(processOf(n), nonceOf(n))
			replies[n] = <-at[n/4%2].createLater(body)
		})
	}
	var next atomic.Int64
	for range 20 {
		senders.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(due)); i = next.Add(1) - 1 {
				o.send(t, due[i])
			}
		})
	}
	senders.Wait()
	waiting.Wait()
	for n, a := range replies {
		o.want(t, processOf(n), nonceOf(n), a)
	}
	t.Logf("%d completions came early, %d later", len(early), len(due))
	p.home.stop()
	p.end()
}
