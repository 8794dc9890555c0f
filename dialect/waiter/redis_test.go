package waiter_test

import (
	"context"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"syncgate/correlator/redis"
	"syncgate/dialect"
	"syncgate/dialect/waiter"
	"syncgate/internal/httpfield"
	"syncgate/internal/redistest"
	"syncgate/internal/webhook"
)

func startNode(t *testing.T, s *redistest.Server) *redis.Correlator {
	t.Helper()
	cfg := redis.Default()
	cfg.URL, cfg.Parked, cfg.Retention, cfg.Timeout = s.URL(), 1000, time.Hour, 5*time.Second // the machine may be busy
	c, err := redis.New(cfg, newKeys(t), redis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); c.Ready() != nil; <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(c.Ready())
		}
	}
	return c
}

// TestOneNodeHasTheClientAndTheOtherTheCallback has each completion come in at the node that does not have the client.
func TestOneNodeHasTheClientAndTheOtherTheCallback(t *testing.T) {
	const ops = 50
	s := redistest.Start(t)
	c := called(nil)
	nodes := []*whole{startWhole(t, startNode(t, s), newKeys(t), c), startWhole(t, startNode(t, s), newKeys(t), c)}
	for i := range ops {
		home, other, ref := nodes[i%2], nodes[(i+1)%2], "o-"+strconv.Itoa(i)
		body := `{"order":{"id":"` + ref + `"}}`
		want := `{"request_proc":"ok","ops":[{"proc":"ok","ref":"` + ref + `","data":{"n":` + strconv.Itoa(i) + `,"order":{"id":"` + ref + `"}}}]}`
		if i%5 == 0 { // it comes before its client
			other.send(http.MethodPost, path(c), body, isJSON).want(t, 202, `{}`)
			(<-home.create(ref, `{"n":`+strconv.Itoa(i)+`}`)).want(t, 200, want)
			continue
		}
		reply := home.create(ref, `{"n":`+strconv.Itoa(i)+`}`)
		if heard := other.send(http.MethodPost, path(c), body, isJSON); heard.status != 200 && heard.status != 202 { // 202: the name was not bound yet
			t.Errorf("the sender hears %+v", heard)
		}
		(<-reply).want(t, 200, want)
		other.until(func() bool { return other.send(http.MethodPost, path(c), body, isJSON).status == 409 }) // and is finished on both
	}
}

// TestOfManyCallbacksOfOneOpOnlyTheFirstCounts sends them at both nodes at the same time.
func TestOfManyCallbacksOfOneOpOnlyTheFirstCounts(t *testing.T) {
	s := redistest.Start(t)
	c := called(nil)
	nodes := []*whole{startWhole(t, startNode(t, s), newKeys(t), c), startWhole(t, startNode(t, s), newKeys(t), c)}
	reply := nodes[0].create("17", `{}`)
	var done sync.WaitGroup
	heard := make(chan int, 40)
	for i := range cap(heard) {
		done.Go(func() { heard <- nodes[i%2].send(http.MethodPost, path(c), `{"order":{"id":17}}`, isJSON).status })
	}
	done.Wait()
	close(heard)
	count := make(map[int]int)
	for status := range heard {
		count[status]++
	}
	if count[200]+count[202] == 0 || count[200] > 1 || count[200]+count[202]+count[409] != cap(heard) {
		t.Errorf("the senders hear %v", count)
	}
	(<-reply).want(t, 200, `{"request_proc":"ok","ops":[{"proc":"ok","ref":"17","data":{"order":{"id":17}}}]}`)
}

// scripts is how many scripts a server has run.
func scripts(s *redistest.Server) (n int) {
	for _, m := range regexp.MustCompile(`cmdstat_eval(?:sha)?:calls=(\d+)`).FindAllStringSubmatch(s.Do("INFO", "commandstats"), -1) {
		calls, _ := strconv.Atoi(m[1])
		n += calls
	}
	return n
}

func TestForgedURLsCostNoLookUp(t *testing.T) {
	const forged, control = 100_000, 1000
	s := redistest.Start(t)
	c := called(func(c *waiter.Config) {
		c.Early = 0
		c.Verify = webhook.Verify{Kind: "basic", User: "u", Password: "p"}
	})
	node := startNode(t, s)
	defer func() { _ = node.Shutdown(context.Background()) }()
	table, err := waiter.New([]waiter.Config{c}, waiter.Options{Names: node, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = table.Close(context.Background()) }()
	table.Connect(newTrips())
	d := waiter.NewDialect(table)
	req, dst := new(fasthttp.Request), new(fasthttp.Response)
	req.Header.SetMethod(http.MethodPost)
	req.Header.SetContentType("application/json")
	req.SetBodyString(`{"order":{"id":17}}`)
	send := func(target string) {
		req.Header.SetRequestURI(target)
		r, ok := d.Route(httpfield.RawPath(req.Header.RequestURI()))
		if !ok || r.Kind != dialect.Report {
			t.Fatalf("%s: %+v", target, r)
		}
		if _, err := d.Resource(t.Context(), dst, req, dialect.ResourceCall{Route: r, Now: time.Now()}); err != nil {
			dst.SetStatusCode(err.(*dialect.Fault).Status) //nolint:errorlint // the contract
		}
	}
	before := scripts(s)
	for i := range forged {
		send(strings.Replace(path(c), hash, strings.Repeat("0", 30)+strconv.Itoa(1_000_000_000+i), 1))
		if i%2 == 0 {
			send(path(c)) // the right one, without the password
		}
	}
	asked := scripts(s) - before
	if asked > control/2 { // the node itself looks after its inbox
		t.Errorf("%d forged requests have run %d scripts", forged, asked)
	}
	req.Header.Set("Authorization", "Basic dTpw")
	before = scripts(s)
	for range control {
		if send(path(c)); dst.StatusCode() != 404 {
			t.Fatalf("%d %s", dst.StatusCode(), dst.Body())
		}
	}
	if n := scripts(s) - before; n < control {
		t.Errorf("%d genuine requests have run %d scripts: they are not counted here", control, n)
	}
}
