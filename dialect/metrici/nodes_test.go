package metrici_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/internal/redistest"
)

// twoNodes starts two nodes over one Redis. Tasks are made at the first, and workers report to the second.
func twoNodes(t *testing.T, change ...func(*setup)) (s *site, home, other *node) {
	t.Helper()
	r := redistest.Start(t)
	s = newSite(t, append(change, func(c *setup) { c.redis, c.nodes = r, 2 })...)
	return s, s.nodes[0], s.nodes[1]
}

// What a worker says at one node is known at the other.
func TestAnyNode(t *testing.T) {
	s, home, other := twoNodes(t)
	held := home.post(`{"a":1}`)
	w := s.next(t)
	want(t, other.query(w.token), is(w.token, "create", `{"a":1}`))
	want(t, other.report(w.token, "start", ``), said(w.token, "start", `{"a":1}`))
	want(t, home.query(w.token), is(w.token, "start", `{"a":1}`))
	asked := make(chan string, 1)
	go func() { asked <- other.call(fmt.Sprintf(`{"callbackToken":%q,"callbackAction":"await"}`, w.token)) }()
	want(t, other.report(w.token, "progress", `{"b":2}`), said(w.token, "progress", `{"a":1,"b":2}`))
	for answered := false; !answered; { // the asker may have come before the report, or behind it
		select {
		case got := <-asked:
			answered = true
			if got != is(w.token, "progress", `{"a":1,"b":2}`) && got != is(w.token, "progress", `{"a":1,"b":2,"c":3}`) {
				t.Error(got)
			}
		case <-time.After(500 * time.Millisecond):
			other.report(w.token, "progress", `{"c":3}`)
		}
	}
	other.report(w.token, "progress", `{"c":3}`)
	const whole = `{"a":1,"b":2,"c":3,"d":4}`
	want(t, other.report(w.token, "complete", `{"d":4}`), said(w.token, "complete", whole))
	wantAnswer(t, soon(t, held), 200, whole)
	for _, n := range s.nodes {
		want(t, n.query(w.token), is(w.token, "complete", whole))
		want(t, n.report(w.token, "cancel", ``), said(w.token, "complete", whole))
	}

	location := soon(t, home.post(`{"e":1}`, "Prefer: respond-async")).header.Get("Location")
	w = s.next(t)
	want(t, other.report(w.token, "progress", `{"f":1}`), said(w.token, "progress", `{"e":1,"f":1}`))
	wantAnswer(t, home.do("DELETE "+location, ""), 202, "")
	want(t, other.report(w.token, "complete", `{}`), said(w.token, "cancel", `{"e":1,"f":1}`))

	location = soon(t, home.post(`{"g":1}`, "Prefer: respond-async")).header.Get("Location")
	w = s.next(t)
	wantAnswer(t, other.do(dispatch+w.token, `{"h":1}`), 200, `{}`)
	wantAnswer(t, home.do("GET "+location, ""), 200, `{"g":1,"h":1}`)
	wantAnswer(t, home.do("GET /callback/dispatch?token="+w.token, ""), 200, is(w.token, "complete", `{"g":1,"h":1}`))

	plain := make(chan answer, 1)
	go func() { plain <- home.do("POST /v1/jobs", `{}`) }()
	job := s.next(t)
	wantAnswer(t, other.do("GET /callback/dispatch?token="+job.plain, ""), 200, `{"status":"open"}`)
	wantAnswer(t, other.do(dispatch+job.plain, `{"x":1}`), 200, `{}`)
	wantAnswer(t, soon(t, plain), 200, `{"x":1}`)
}

// A task whose time has passed is over at every node; its client at home hears so though nobody asks.
func TestTimeoutOnAnyNode(t *testing.T) {
	s, home, other := twoNodes(t, func(c *setup) { c.engine.TaskTimeout, c.engine.Retention = "PT0.5S", "PT24H" })
	held := home.post(`{"a":1}`)
	w := s.next(t)
	location := soon(t, home.post(`{"b":1}`, "Prefer: respond-async")).header.Get("Location")
	late := s.next(t)
	wantAnswer(t, soon(t, held), 504, "")
	want(t, other.report(w.token, "complete", `{}`), said(w.token, "timeout", `{"a":1}`))
	eventually(t, "the other is over, too", func() bool { return other.query(late.token) == is(late.token, "timeout", `{"b":1}`) })
	wantAnswer(t, home.do("GET "+location, ""), 504, "")
	wantAnswer(t, other.do("GET "+location, ""), 504, "")
	a := other.do(dispatch+late.token, `{}`)
	wantAnswer(t, a, 200, `{}`)
	if a.header.Get("X-Callback-Status") != "timeout" {
		t.Errorf("%v", a.header)
	}
}

// Results that come at the moment when their task times out: all that is said of a task agrees, whoever says it.
func TestResultsAtTheTimeout(t *testing.T) {
	s, home, other := twoNodes(t, func(c *setup) { c.engine.TaskTimeout = "PT0.5S" })
	const tasks = 100
	var all sync.WaitGroup
	var completed, had atomic.Int64 // tasks, as workers and as clients hear it
	begin := time.Now()
	for i := range tasks {
		all.Go(func() { home.resultOrTimeout(i, &had) })
	}
	for i := range tasks {
		w := s.next(t)
		<-time.After(time.Until(begin.Add(480*time.Millisecond + time.Duration(i)*time.Millisecond/2)))
		all.Go(func() {
			word := "timeout"
			if strings.Contains(other.report(w.token, "complete", `{"done":1}`), `"complete"`) {
				word = "complete"
				completed.Add(1)
			}
			if !strings.HasPrefix(home.query(w.token), `{"token":"`+w.token+`","status":"`+word) {
				t.Errorf("the worker hears %s, and who asks %s", word, home.query(w.token))
			}
		})
	}
	all.Wait()
	if completed.Load() != had.Load() {
		t.Errorf("%d workers and %d clients hear that their task is complete", completed.Load(), had.Load())
	}
}

// resultOrTimeout is a client that has the result of its task, and is counted, or hears that its worker had no more time.
func (n *node) resultOrTimeout(i int, had *atomic.Int64) {
	a := n.do("POST /v1/tasks", fmt.Sprintf(`{"n":%d}`, i))
	if a.status == 202 {
		a = n.do("GET "+a.header.Get("Location"), "")
	}
	switch a.status {
	case 200:
		had.Add(1)
	case 504:
	default:
		n.t.Errorf("%d %s", a.status, a.body)
	}
}

// A storm is reports of one task over many connections.
const senders, each, names = 50, 20, 4

// 1,000 reports of one task over 50 connections to both nodes: none is lost, and a stream hears them in order.
func TestStorm(t *testing.T) {
	s, home, other := twoNodes(t)
	task := soon(t, home.post(`{"m":"request"}`, "Prefer: respond-async")).header.Get("Location")
	w := s.next(t)
	stream := other.follow(t, task)
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() { s.nodes[sender%2].storm(w.token, sender) })
	}
	last := make(map[string]float64) // of each sender
	for seq := 1; seq <= senders*each; seq++ {
		id, data := stream.next(t)
		var said struct {
			Sender string
			N      float64
		}
		if err := json.Unmarshal([]byte(data), &said); err != nil || id != strconv.Itoa(seq) || said.N != last[said.Sender] {
			t.Fatalf("event %d is %s %s, after %v others of its sender: %v", seq, id, data, last[said.Sender], err)
		}
		last[said.Sender]++
	}
	all.Wait()
	other.report(w.token, "complete", `{"done":1}`)
	a := home.do("GET "+task, "")
	var whole map[string]any
	if err := json.Unmarshal([]byte(a.body), &whole); err != nil || a.status != 200 {
		t.Fatalf("%v %d", err, a.status)
	}
	for i := range senders * names {
		sender, n := i/names, each-names+i%names
		if whole[fmt.Sprintf("s%d_%d", sender, n%names)] != float64(n) {
			t.Errorf("report %d of sender %d is lost, or an older one has won", n, sender)
		}
	}
	if len(whole) != senders*names+4 || whole["m"] != "request" || whole["done"] != float64(1) {
		t.Errorf("%d members", len(whole))
	}
}

// storm is the reports of one sender.
func (n *node) storm(token string, sender int) {
	for i := range each {
		a, err := n.try("POST "+formPath, message(token, "progress", fmt.Sprintf(`{"sender":"s%d","n":%d,"s%d_%d":%d}`, sender, i, sender, i%names, i)))
		if err != nil || !strings.HasPrefix(a.body, `{"callbackToken":"`+token+`","callbackStatus":"progress"`) {
			n.t.Errorf("%v %d %.200s", err, a.status, a.body)
		}
	}
}

// events is a stream of a task.
type events struct {
	lines *bufio.Scanner
}

// follow opens the stream of a task. It ends with the test.
func (n *node) follow(t *testing.T, task string) *events {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url+task, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := n.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return &events{bufio.NewScanner(resp.Body)}
}

// next gives the next event that is progress.
func (e *events) next(t *testing.T) (id, data string) {
	t.Helper()
	name := ""
	for e.lines.Scan() {
		field, value, _ := strings.Cut(e.lines.Text(), ": ")
		switch field {
		case "id":
			id = value
		case "event":
			name = value
		case "data":
			data = value
		case "":
			if name == "progress" {
				return id, data
			}
			name = ""
		}
	}
	t.Fatalf("the stream has ended: %v", e.lines.Err())
	return "", ""
}
