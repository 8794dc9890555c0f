package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"syncgate/internal/hooksim"
	"syncgate/internal/promises"
	"syncgate/internal/redistest"
	"syncgate/notify"
)

// pushCrowd is how many tasks each of these tests has, and pushHosts how many receivers: so that one node has an attempt at each task at once.
const pushCrowd, pushHosts = 60, 10

// pushes is a pair of nodes whose route pushes results, and receivers of these.
type pushes struct {
	*pair
	hooks *hooksim.Sim
}

// startPushes starts two nodes that share the Redis of a URL, with further settings as VARIABLE=value. They allow an attempt five seconds.
func startPushes(t *testing.T, redis string, env ...string) *pushes {
	t.Helper()
	webhook, err := standardwebhooks.NewWebhook(signingSecret)
	if err != nil {
		t.Fatal(err)
	}
	hooks, err := hooksim.Start(hooksim.Config{Hosts: pushHosts, Verify: func(h http.Header, body []byte) error { return webhook.Verify(body, h) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hooks.Close)
	w := newWorkshop(t)
	env = append(env, "SYNCGATE_CORRELATOR_BACKEND=redis", "SYNCGATE_CORRELATOR_REDIS_URL="+redis, "SYNCGATE_CALLBACK_KEYS="+callbackKey, "SYNCGATE_ENGINE_TIMEOUT=2s")
	return &pushes{newPair(t, w, pushesConfig(w.URL), env), hooks}
}

func pushesConfig(engine string) string {
	return `engines: [{name: flow, kind: http, url: "` + engine + `/work"}]
routes: [{name: orders, path: /v1/orders, engine: flow, auth: key, subscriptions: true, wait: {default: 0s, max: 1m}}]
access: [{name: web, key: the-key, routes: [orders]}]
admin: {actions: true}
notify: {signing_secret: ` + signingSecret + `, allow_http: true, allow_networks: [127.0.0.0/8], timeout: 5s}
`
}

// durableRedis is a Redis that loses nothing that it answered.
func durableRedis(t *testing.T) *redistest.Server {
	t.Helper()
	return redistest.StartTCP(t, "--appendonly", "yes", "--appendfsync", "always")
}

// allow has all who connect to a Redis use the keys of these patterns alone.
func allow(t *testing.T, r *redistest.Server, keys ...string) {
	t.Helper()
	if got := r.Do(append([]string{"ACL", "SETUSER", "default", "resetkeys"}, keys...)...); got != "+OK" {
		t.Fatal(got)
	}
}

// ask sends a request of the route.
func (p *pushes) ask(at *client, path, body string, header ...string) answer {
	return at.reach(http.MethodPost, "/v1/orders"+path, body, append(header, "X-Api-Key: the-key", "Content-Type: application/json")...)
}

// order makes a task whose result is to be pushed to the receiver that has its nonce in the URL: every other one by a subscription for it alone. It gives the UUID that the
// receiver is to hear.
func (p *pushes) order(at *client, n int) (uuid string) {
	p.t.Helper()
	body := fmt.Sprintf(`{"nonce":%q,"callbackUrl":%q}`, nonceOf(n), p.hooks.URL(n, nonceOf(n)))
	path, want := "", 202
	if n%2 == 1 {
		path, want = "/tasks", 201
		body = strings.Replace(body, "{", `{"secret":"`+signingSecret+`",`, 1)
	}
	a := p.ask(at, path, body)
	if a.status != want {
		p.t.Errorf("%s got %d %s", nonceOf(n), a.status, a.body)
	}
	return a.header.Get("Location")[strings.LastIndex(a.header.Get("Location"), "/")+1:]
}

// orders makes n tasks, and gives their UUIDs.
func (p *pushes) orders(at *client, n int) (uuids map[string]string) {
	var mu sync.Mutex
	uuids = make(map[string]string)
	each(0, n, func(n int) {
		uuid := p.order(at, n)
		mu.Lock()
		defer mu.Unlock()
		uuids[nonceOf(n)] = uuid
	})
	return uuids
}

// each calls f with each number, 20 at once.
func each(from, to int, f func(n int)) {
	var all sync.WaitGroup
	room := make(chan struct{}, 20)
	for n := from; n < to; n++ {
		room <- struct{}{}
		all.Go(func() {
			f(n)
			<-room
		})
	}
	all.Wait()
}

// completes has the engine call back for each of these tasks, twice, and hear it.
func (p *pushes) completes(at *client, from, to int) {
	each(from, to, func(n int) {
		p.report(at, nonceOf(n), "complete", resultOf(nonceOf(n)))
		p.report(at, nonceOf(n), "complete", resultOf("a second result of "+nonceOf(n)))
	})
}

// runs waits until so many attempts run at once.
func (p *pushes) runs(n int) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%d attempts run", n), func() bool { _, running, _ := p.hooks.Count(); return running == n })
}

// takeover is how long it takes at most until another node looks at a task whose node was killed: a lease of the outbox, and then one of the sender.
const takeover = time.Minute

// within waits until ok, for as long as a takeover may take.
func (p *pushes) within(what string, ok func() bool) {
	p.t.Helper()
	for end := time.Now().Add(takeover); !ok(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("not within %v: %s", takeover, what)
		}
	}
}

// accepted waits until so many notifications have had a 2xx.
func (p *pushes) accepted(n int) {
	p.t.Helper()
	p.within(fmt.Sprintf("%d notifications are accepted", n), func() bool { _, _, accepted := p.hooks.Count(); return accepted >= n })
}

// listed gives the open notifications that a node lists.
func (p *pushes) listed(at *gate) (all []notify.Entry) {
	p.t.Helper()
	var list struct{ Notifications []notify.Entry }
	if err := json.Unmarshal([]byte(at.notify(0, "list", "--json", "--limit", "1000")), &list); err != nil {
		p.t.Fatal(err)
	}
	return list.Notifications
}

// tried waits until all of so many notifications are open, and have had an attempt that has ended in one way.
func (p *pushes) tried(at *gate, n int, outcome notify.Outcome) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%d have had an attempt: %s", n, outcome), func() bool {
		stored := 0
		for _, e := range p.listed(at) {
			if !e.Sending && e.Last != nil && e.Last.Outcome == outcome {
				stored++
			}
		}
		return stored == n
	})
}

// settles waits until a node knows of nothing that is open.
func (p *pushes) settles(at *gate) {
	p.t.Helper()
	eventually(p.t, "nothing is open", func() bool { return at.metric("syncgate_notify_open") == 0 })
}

// subscribeAll makes a subscription for the results of all tasks, which go to the receiver of a name, or to a topic. It gives the topic.
func (p *pushes) subscribeAll(host int, name string) (topic string) {
	p.t.Helper()
	body := fmt.Sprintf(`{"mode":"continuous","secret":%q,"callbackUrl":%q}`, signingSecret, p.hooks.URL(host, name))
	if name == "" {
		body = `{"mode":"continuous","topic":true}`
	}
	a := p.ask(p.atHome, "/tasks", body)
	var said struct{ Topic string }
	if err := json.Unmarshal([]byte(a.body), &said); err != nil || a.status != 201 || (said.Topic != "") != (name == "") {
		p.t.Fatalf("%d %s", a.status, a.body)
	}
	return said.Topic
}

// wantAll wants that the receiver of a name has accepted the result of each of n tasks once.
func (p *pushes) wantAll(name string, n int, heard map[string]int) {
	p.t.Helper()
	results := make(map[string]bool)
	for _, v := range p.hooks.Visits(name) {
		p.wantOnce(name, v, v[0].Data, heard)
		results[v[0].Data] = true
	}
	for i := range n {
		if !results[resultOf(nonceOf(i))] || len(results) != n {
			p.t.Errorf("%s: of the results of %d tasks it has %d, and that of %s: %t", name, n, len(results), nonceOf(i), results[resultOf(nonceOf(i))])
			return
		}
	}
}

// delivered gives how often the logs of all nodes have that a notification was delivered: so many times a sender has heard a 2xx.
func (p *pushes) delivered(nodes ...*gate) map[string]int {
	known := make(map[string]int)
	for _, g := range nodes {
		for line := range strings.Lines(g.log.String()) {
			var said struct{ Message, Outcome, ID string }
			if json.Unmarshal([]byte(line), &said) == nil && said.Message == "notification" && said.Outcome == string(notify.OutcomeDelivered) {
				known[said.ID]++
			}
		}
	}
	return known
}

// wantEach wants that each task's result was accepted by its own receiver, and not sent again after a 2xx was heard. heard nil: each 2xx was. It gives how many came
// twice, as the sender was killed before it heard.
func (p *pushes) wantEach(uuids map[string]string, heard map[string]int) (unheard int) {
	p.t.Helper()
	for nonce, uuid := range uuids {
		all := p.hooks.Visits(nonce)
		if len(all) != 1 || all[0][0].UUID != uuid {
			p.t.Errorf("%s: want one notification with UUID %s: %v", nonce, uuid, all)
			continue
		}
		v := all[0]
		p.wantOnce(nonce, v, resultOf(nonce), heard)
		if v.Repeated(true) != "" {
			unheard++
		}
		if j, _ := p.engine.job(nonce); j.asked != 1 {
			p.t.Errorf("%s: the engine was asked %d times", nonce, j.asked)
		}
	}
	return unheard
}

// wantTopic wants that a topic has the result of each of the crowd's tasks once.
func (p *pushes) wantTopic(r *redistest.Server, topic string) {
	p.t.Helper()
	p.within("the topic has all results", func() bool { return r.Do("XLEN", topic) == fmt.Sprintf(":%d", pushCrowd) })
	entries := r.Do("XRANGE", topic, "-", "+")
	for n := range pushCrowd {
		if has := strings.Count(entries, `"data":`+resultOf(nonceOf(n))+"}"); has != 1 {
			p.t.Errorf("the topic has the result of %s %d times", nonceOf(n), has)
		}
	}
}

func (p *pushes) wantOnce(name string, v promises.Visits, result string, heard map[string]int) {
	p.t.Helper()
	all := heard == nil || heard[v[0].ID] >= v.Accepted()
	if v.Accepted() == 0 {
		p.t.Errorf("%s: the notification is lost: %v", name, v)
	}
	for _, wrong := range []string{v.Repeated(all), v.Overlapping(), v.Mistaken(result)} {
		if wrong != "" {
			p.t.Errorf("%s: %s: %v", name, wrong, v)
		}
	}
}

// restart starts the home again, or the other node, where it was.
func (p *pushes) restart(was *gate) *gate {
	p.t.Helper()
	return serve(p.t, was.public, p.env...)
}

// die ends a node at once.
func (p *pushes) die(g *gate) {
	p.t.Helper()
	if err := g.process.Process.Kill(); err != nil {
		p.t.Errorf("kill a node: %v", err)
	}
	<-g.ended
}
