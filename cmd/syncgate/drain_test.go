package main_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"syncgate/internal/enginesim"
	"syncgate/internal/redistest"
)

// TestDrainUnderLoad ends a gate while clients keep on asking: until drain.delay has passed they are served, then they are
// refused, and who waits is answered by its callback.
func TestDrainUnderLoad(t *testing.T) {
	e := simulate(t, func(c *enginesim.Config) {
		c.Behaviour.Delay = enginesim.Range{Min: 50 * time.Millisecond, Max: 150 * time.Millisecond}
	})
	at := free(t, 1)[0]
	g := serve(t, at, "SYNCGATE_ENGINE_URL="+e.URL(), "SYNCGATE_DRAIN_DELAY=1s", "SYNCGATE_DRAIN_TIMEOUT=20s")
	patient := caller(t, at, 1).createLater(`{"timeout":30,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{"n":1,"__sim":{"delay_ms":3000}}}]}`)
	eventually(t, "the patient client is parked", func() bool { return g.metric("syncgate_parked_clients") == 1 })

	var load crowd
	load.start(t, at, 40)
	eventually(t, "trips were served", func() bool { return load.served.Load() > 200 })
	g.signal(syscall.SIGTERM)
	g.logged(`"message":"not ready"`)
	load.leaving.Store(true)
	if status := g.ready(); status != 503 {
		t.Errorf("readyz says %d while it leaves", status)
	}
	load.all.Wait()
	g.logged(`"message":"refusing new requests"`)
	select {
	case a := <-patient:
		t.Errorf("the patient client was answered before its callback came: %+v", a)
	default:
	}
	if status, _ := get(t, "http://"+at+"/healthz"); status != 200 {
		t.Errorf("healthz says %d during the drain", status)
	}
	if a := <-patient; a.status != 200 || a.body != `{"request_proc":"ok","ops":[{"proc":"ok","data":{"n":1}}]}` || !a.last {
		t.Errorf("the patient client got %+v", a)
	}
	g.exits(0)
	served, refused := load.served.Load()+1, load.refused.Load()
	t.Logf("%d served, %d of them after the signal, %d refused", served, load.late.Load(), refused)
	if refused == 0 || load.late.Load() == 0 {
		t.Error("the load did not last through the drain")
	}
	if n := e.Stats().Tasks; n != served {
		t.Errorf("%d tasks were made for %d replies", n, served)
	}
}

// crowd are clients that ask again and again, over a new connection each time when they are told so, until they are refused.
type crowd struct {
	all                   sync.WaitGroup
	leaving               atomic.Bool
	served, late, refused atomic.Int64
}

func (c *crowd) start(t *testing.T, address string, clients int) {
	for i := range clients {
		c.all.Go(func() {
			me := caller(t, address, 1)
			for n := 0; c.once(t, me, fmt.Sprintf("%d-%d", i, n)); n++ {
			}
		})
	}
}

// once tells whether to go on.
func (c *crowd) once(t *testing.T, me *client, nonce string) bool {
	leaving := c.leaving.Load()
	body, reply := task(nonce)
	a, err := me.create(body)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED) && leaving: // it has gone meanwhile
		c.refused.Add(1)
		return false
	case err != nil:
		t.Errorf("a client lost its connection: %v", err)
		return false
	case a.status == http.StatusServiceUnavailable && leaving:
		c.refused.Add(1)
		if !strings.Contains(a.body, `"description":"Shutting down`) || a.header.Get("Retry-After") == "" || !a.last {
			t.Errorf("refused with %+v", a)
		}
		return false
	case a.status != 200 || a.body != reply:
		t.Errorf("%d %s, want %s", a.status, a.body, reply)
		return false
	case leaving && !a.last:
		t.Error("a reply does not say that the connection ends")
	}
	c.served.Add(1)
	if leaving {
		c.late.Add(1)
	}
	return true
}

// TestRollingRestart replaces one node after the other behind haproxy, under load, and no client notices.
func TestRollingRestart(t *testing.T) {
	r := redistest.StartTCP(t)
	e := simulate(t)
	at := free(t, 3)
	settings := append(shared(e.URL(), r), "SYNCGATE_CALLBACK_BASE_URL=http://"+at[2], "SYNCGATE_DRAIN_DELAY=1s")
	a, b := serve(t, at[0], settings...), serve(t, at[1], settings...)
	eventually(t, "both are ready", func() bool { return a.ready() == 200 && b.ready() == 200 })
	balance(t, at[2], a, b)

	stop := make(chan struct{})
	trips := make(chan int)
	go func() {
		c, n := caller(t, at[2], 20), 0
		for {
			select {
			case <-stop:
				trips <- n
				return
			default:
				storm(t, c, 100, 20)
				n += 100
			}
		}
	}()
	a.stop()
	a = serve(t, at[0], settings...)
	eventually(t, "the first is ready again", func() bool { return a.ready() == 200 && a.metric("syncgate_trips_total") > 0 })
	b.stop()
	close(stop)
	n := <-trips
	t.Logf("%d trips", n)
	if tasks := e.Stats().Tasks; tasks != int64(n) {
		t.Errorf("%d tasks were made for %d trips", tasks, n)
	}
	a.stop()
}

// TestReloadUnderLoad reads good and bad configurations again and again while trips run.
func TestReloadUnderLoad(t *testing.T) {
	e := simulate(t)
	at := free(t, 1)[0]
	file := filepath.Join(t.TempDir(), "c.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good := fmt.Sprintf("auth: {credentials: [{login: %q, secret: %q}]}\ncallback: {keys: [%q]}\n", login, secret, callbackKey)
	write(good)
	g := serve(t, at, "SYNCGATE_ENGINE_URL="+e.URL(), "SYNCGATE_CONFIG="+file)
	done := make(chan struct{})
	go func() { defer close(done); storm(t, caller(t, at, 20), 2000, 20) }()
	for i := range 10 {
		write(good + fmt.Sprintf("limits: {ops: %d}\n", 10+i))
		g.reload(`"message":"configuration reloaded"`)
		write("auth: {credentials: []}\nlimits: {ops: none}\n")
		g.reload(`"key":"limits.ops".*"message":"reload: nothing has changed"`)
		rotated := fmt.Sprintf(`callback: {keys: ["another key of these tests, number %d", %q]}`, 100_000+i, callbackKey)
		write(fmt.Sprintf("auth: {credentials: [{login: other, secret: x}, {login: %q, secret: %q}]}\n%s\n", login, secret, rotated))
		g.reload(`"message":"configuration reloaded"`)
	}
	<-done
	g.stop()
}

// reload makes the gate read its configuration again, and waits for what it says of that.
func (g *gate) reload(pattern string) {
	g.t.Helper()
	re := regexp.MustCompile(pattern)
	before := len(re.FindAllString(g.log.String(), -1))
	g.signal(syscall.SIGHUP)
	eventually(g.t, "the log has another "+pattern, func() bool { return len(re.FindAllString(g.log.String(), -1)) > before })
}
