package main_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"syncgate/internal/enginesim"
	"syncgate/internal/redistest"
)

// callbackKey is the same on every node.
const callbackKey = "a key that all nodes of these tests have"

// shared gives the settings of a node that shares its table.
func shared(engine string, r *redistest.Server) []string {
	return []string{
		"SYNCGATE_ENGINE_URL=" + engine, "SYNCGATE_CORRELATOR_BACKEND=redis", "SYNCGATE_CORRELATOR_REDIS_URL=" + r.URL(),
		"SYNCGATE_CALLBACK_KEYS=" + callbackKey,
	}
}

// balance starts haproxy as the composition in configs/compose has it, in front of two gates.
func balance(t *testing.T, address string, a, b *gate) {
	t.Helper()
	shipped, err := os.ReadFile("../../configs/compose/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer(
		"bind :8080", "bind "+address, "gateway-1:8080", a.public, "gateway-2:8080", b.public,
		"resolvers docker init-addr libc,none", "", // these addresses are numbers
		"inter 1s", "inter 100ms",
	).Replace(string(shipped))
	startHaproxy(t, config)
	eventually(t, "haproxy has found a node", func() bool { status, _ := get(t, "http://"+address+"/readyz"); return status == 200 })
}

// startHaproxy starts one with a configuration.
func startHaproxy(t *testing.T, config string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	log := new(logbook)
	haproxy := exec.Command("sh", "-c", `ulimit -n 20000 2>/dev/null; exec haproxy -db -f "$0"`, file) // it starts with few files too
	haproxy.Stdout, haproxy.Stderr = log, log
	if err := haproxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = haproxy.Process.Kill()
		_ = haproxy.Wait()
		if t.Failed() {
			t.Logf("haproxy:\n%s", log)
		}
	})
}

// announced matches what a message to a node says of one callback: the trip's name and its op, the size of the callback, its status.
var announced = regexp.MustCompile(`(?:^|:)([\w-]{32}\d+)[:=]0*\d+:[123]`)

// overhear counts the callbacks that nodes hand on to each other: one at home costs no message. A callback counts once: a node that has not heard from Redis in time
// hands it on again.
func overhear(t *testing.T, r *redistest.Server) (handedOn func() int) {
	t.Helper()
	o, err := goredis.ParseURL(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	client := goredis.NewClient(o)
	channels := client.PSubscribe(t.Context(), "syncgate:*:channel")
	if _, err := channels.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	var listening sync.WaitGroup
	seen := make(map[string]bool) // owned by the goroutine that listens
	listening.Go(func() {
		for {
			m, err := channels.ReceiveMessage(context.Background())
			if err != nil {
				return
			}
			for _, callback := range announced.FindAllStringSubmatch(m.Payload, -1) {
				seen[callback[1]] = true
			}
			n.Store(int64(len(seen)))
		}
	})
	t.Cleanup(func() {
		_ = channels.Close()
		_ = client.Close()
		listening.Wait()
	})
	return func() int { return int(n.Load()) }
}

// TestBehindABalancer has clients and callbacks come in through haproxy, so that about half of the callbacks reach the
// node that does not have their client.
func TestBehindABalancer(t *testing.T) {
	const trips = 600
	r := redistest.StartTCP(t)
	e := simulate(t)
	at := free(t, 3)
	settings := append(shared(e.URL(), r), "SYNCGATE_CALLBACK_BASE_URL=http://"+at[2])
	a, b := serve(t, at[0], settings...), serve(t, at[1], settings...)
	eventually(t, "both are ready", func() bool { return a.ready() == 200 && b.ready() == 200 })
	balance(t, at[2], a, b)
	eventually(t, "haproxy has found both", func() bool {
		storm(t, caller(t, at[2], 4), 4, 4)
		return a.metric("syncgate_trips_total") > 0 && b.metric("syncgate_trips_total") > 0
	})

	handedOn := overhear(t, r)
	took := storm(t, caller(t, at[2], 50), trips, 50)
	eventually(t, "callbacks have reached the other node: about half are expected", func() bool { return handedOn() >= trips/5 })
	t.Logf("%d trips in %v, %d callbacks handed on", trips, took, handedOn())
	for _, g := range []*gate{a, b} {
		if n := g.metric("syncgate_trips_total", `outcome="complete"`); n < trips/5 {
			t.Errorf("%s has served %v trips", g.public, n)
		}
		if n := g.metric("syncgate_parked_clients"); n != 0 {
			t.Errorf("%s still has %v parked clients", g.public, n)
		}
		g.stop()
		if strings.Contains(g.log.String(), `"level":"error"`) {
			t.Error("the log has an error where nothing is wrong")
		}
	}
}

// TestCallbacksToTheOtherNode sends every callback to the node that does not have its client: 10,000 trips over 200
// connections.
func TestCallbacksToTheOtherNode(t *testing.T) {
	const trips, connections = 10_000, 200
	r := redistest.StartTCP(t)
	at := free(t, 2)
	e := simulate(t, func(c *enginesim.Config) { c.Rewrite = map[string]string{at[0]: at[1], at[1]: at[0]} })
	a, b := serve(t, at[0], shared(e.URL(), r)...), serve(t, at[1], shared(e.URL(), r)...)
	eventually(t, "both are ready", func() bool { return a.ready() == 200 && b.ready() == 200 })

	handedOn := overhear(t, r)
	done := make(chan time.Duration)
	go func() { done <- storm(t, caller(t, at[0], connections/2), trips/2, connections/2) }()
	took := storm(t, caller(t, at[1], connections/2), trips/2, connections/2)
	took = max(took, <-done)
	t.Logf("%d trips over %d connections in %v: %.0f a second", trips, connections, took, trips/took.Seconds())
	for _, g := range []*gate{a, b} {
		trips := g.metric("syncgate_trips_total", `outcome="complete"`)
		callbacks := g.metric("syncgate_callbacks_total", `outcome="delivered"`) + g.metric("syncgate_callbacks_total", `outcome="relayed"`)
		if trips != 5000 || callbacks != 5000 {
			t.Errorf("%s has served %v trips and heard %v callbacks, want 5000 each", g.public, trips, callbacks)
		}
	}
	eventually(t, "all callbacks were handed on", func() bool { return handedOn() == trips })
	a.stop()
	b.stop()
}

// TestRedisAwayAtStart wants a node to live without Redis, to say that it is not ready, and to heal alone.
func TestRedisAwayAtStart(t *testing.T) {
	r := redistest.StartTCP(t)
	r.Kill()
	e := simulate(t)
	at := free(t, 1)[0]
	g := serve(t, at, shared(e.URL(), r)...)
	c := caller(t, at, 1)
	if status, _ := get(t, "http://"+at+"/healthz"); status != 200 {
		t.Errorf("healthz says %d", status)
	}
	eventually(t, "readyz names what is missing", func() bool {
		status, body := get(t, "http://"+at+"/readyz")
		return status == 503 && body == `{"status":"correlator unusable","missing":"redis: connection"}`
	})
	g.logged(`"level":"error","error":"[^"]*connection refused","missing":"redis: connection","do":"check that the server runs[^"]*",.*"message":"correlator: Redis cannot be used"`)
	body, reply := task("1")
	if a, err := c.create(body); err != nil || a.status != 503 || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, `"description":"Overloaded: the correlator (Redis) cannot be reached`) {
		t.Errorf("a create without Redis got %+v %v", a, err)
	}
	if n := e.Stats().Tasks; n != 0 {
		t.Errorf("%d tasks were made", n)
	}
	r.Restart()
	eventually(t, "it is ready", func() bool { return g.ready() == 200 })
	g.logged(`"level":"info",.*"message":"correlator: Redis can be used"`)
	g.logged(`"level":"warn","warning":"neither appendonly nor save is on[^"]*"`)
	if a, err := c.create(body); err != nil || a.status != 200 || a.body != reply {
		t.Errorf("a create with Redis got %+v %v", a, err)
	}
	g.stop()
}

// TestRedisGoesAway takes Redis from two nodes: clients that wait are answered by callbacks that reach their own node, and
// new ones are refused, or taken where that is configured; with Redis back, all is as before.
func TestRedisGoesAway(t *testing.T) {
	r := redistest.StartTCP(t)
	e := simulate(t)
	at := free(t, 2)
	strict := serve(t, at[0], shared(e.URL(), r)...)
	lenient := serve(t, at[1], append(shared(e.URL(), r), "SYNCGATE_CORRELATOR_WHEN_DOWN=local")...)
	eventually(t, "both are ready", func() bool { return strict.ready() == 200 && lenient.ready() == 200 })
	waiting := caller(t, at[0], 1).createLater(`{"timeout":60,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{"n":1,"__sim":{"delay_ms":5000}}}]}`)
	eventually(t, "a client is parked", func() bool { return strict.metric("syncgate_parked_clients") == 1 })

	r.Kill()
	eventually(t, "neither is ready", func() bool { return strict.ready() == 503 && lenient.ready() == 503 })
	body, reply := task("1")
	refused := caller(t, at[0], 1)
	eventually(t, "refuse: a create without Redis is refused, a second later", func() bool {
		a, err := refused.create(body)
		return err == nil && a.status == 503 && a.header.Get("Retry-After") != ""
	})
	if a, err := caller(t, at[1], 1).create(body); err != nil || a.status != 200 || a.body != reply {
		t.Errorf("local: a create without Redis got %+v %v", a, err)
	}
	if a := <-waiting; a.status != 200 || a.body != `{"request_proc":"ok","ops":[{"proc":"ok","data":{"n":1}}]}` {
		t.Errorf("who was waiting got %+v", a)
	}
	for _, g := range []*gate{strict, lenient} {
		if up := g.metric("syncgate_correlator_up"); up != 0 {
			t.Errorf("syncgate_correlator_up is %v", up)
		}
		if n := g.metric("syncgate_redis_errors_total", `kind="connect"`); n == 0 {
			t.Error("no error of connecting was counted")
		}
	}
	r.Restart()
	eventually(t, "both are ready again", func() bool { return strict.ready() == 200 && lenient.ready() == 200 })
	storm(t, caller(t, at[0], 5), 50, 5)
	storm(t, caller(t, at[1], 5), 50, 5)
	strict.stop()
	lenient.stop()
}
