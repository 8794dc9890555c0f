package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"syncgate/internal/otlptest"
	"syncgate/internal/redistest"
	"syncgate/signer"
)

const (
	theirTrace  = "0af7651916cd43dd8448eb211c80319c"
	theirSpan   = "b7ad6b7169203331"
	theirParent = "00-" + theirTrace + "-" + theirSpan + "-01"
)

// tracedEngine takes tasks and gives them to the test, which calls back.
type tracedEngine struct {
	*httptest.Server
	tasks chan tracedTask
}

// tracedTask is what an engine has got of a task.
type tracedTask struct {
	path   string
	header http.Header
	url    string // where it calls back
	trace  any    // the member __traceparent
}

func startTracedEngine(t *testing.T) *tracedEngine {
	e := &tracedEngine{tasks: make(chan tracedTask, 10)}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var task struct {
			Ops []struct {
				ID   any
				Data map[string]any
			}
		}
		if err := json.NewDecoder(req.Body).Decode(&task); err != nil || len(task.Ops) != 1 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		data := task.Ops[0].Data
		url, _ := data["__callback_url"].(string)
		e.tasks <- tracedTask{req.URL.Path, req.Header, url, data["__traceparent"]}
		_ = json.NewEncoder(w).Encode(map[string]any{"request_proc": "ok", "ops": []any{map[string]any{"id": task.Ops[0].ID, "proc": "ok", "obj": "task", "obj_id": "t1"}}})
	}))
	t.Cleanup(e.Close)
	return e
}

// callBack calls back at a gate, with a traceparent if there is one.
func (k tracedTask) callBack(t *testing.T, at *gate, traceparent string) (token string) {
	t.Helper()
	_, token, _ = strings.Cut(k.url, "/callback/")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+at.public+"/api/1/plugins/callback/"+token, strings.NewReader(`{"n":1}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if traceparent != "" {
		req.Header.Set("Traceparent", traceparent)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the callback is answered %d", resp.StatusCode)
	}
	return token
}

// askWith sends a signed create with headers, and gives its reply by channel and its path.
func (c *client) askWith(t *testing.T, body string, header map[string]string) (reply <-chan string, path string) {
	t.Helper()
	now := strconv.FormatInt(time.Now().Unix(), 10)
	path = "/api/1/json/" + login + "/" + now + "/" + string(signer.AppendSignature(nil, []byte(now), []byte(secret), []byte(body)))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	later := make(chan string, 1)
	go func() {
		resp, err := c.Do(req)
		if err != nil {
			later <- err.Error()
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		later <- fmt.Sprint(resp.StatusCode, " ", string(text))
	}()
	return later, path
}

const (
	tracedBody  = `{"timeout":20,"ops":[{"type":"create","obj":"task","conv_id":1,"ref":"r1","data":{"__traceparent":"` + "00-11111111111111111111111111111111-2222222222222222-01" + `","a":1}}]}`
	tracedReply = `200 {"request_proc":"ok","ops":[{"proc":"ok","ref":"r1","data":{"n":1}}]}`
)

// byWhat counts spans.
func byWhat(spans []otlptest.Span) map[string]int {
	n := make(map[string]int)
	for _, s := range spans {
		n[s.What()]++
	}
	return n
}

// TestTraceAcrossNodes has a client with a trace wait at one node and the engine call back at the other: all spans are in the client's trace, each below the
// right one, and nothing in them is a secret.
func TestTraceAcrossNodes(t *testing.T) {
	c, e := otlptest.Start(t), startTracedEngine(t)
	r := redistest.StartTCP(t)
	if got := r.Do(append([]string{"ACL", "SETUSER", "syncgate"}, documentedRights(t)...)...); got != "+OK" {
		t.Fatal(got)
	}
	settings := append(shared(e.URL, r), "SYNCGATE_CORRELATOR_REDIS_URL=redis://syncgate:PASSWORD@"+r.Addr(),
		"SYNCGATE_TRACING_URL="+c.URL(), "SYNCGATE_TRACING_INTO_TASK=true", "SYNCGATE_TRACING_RATIO=0")
	at := free(t, 2)
	a, b := serve(t, at[0], settings...), serve(t, at[1], settings...)
	eventually(t, "both are ready", func() bool { return a.ready() == 200 && b.ready() == 200 })

	reply, path := caller(t, at[0], 1).askWith(t, tracedBody, map[string]string{"Traceparent": theirParent, "Tracestate": "vendor=1"})
	task := <-e.tasks
	token := task.callBack(t, b, "")
	if got := <-reply; got != tracedReply {
		t.Errorf("the client got %s", got)
	}
	spans := c.Wait(t, "all spans", func(s []otlptest.Span) bool { return len(s) == 6 })
	request, forward, callback := otlptest.Find(t, spans, "request"), otlptest.Find(t, spans, "forward"), otlptest.Find(t, spans, "callback")
	if got := task.header.Get("Traceparent"); got != "00-"+theirTrace+"-"+forward.ID+"-01" || task.trace != got || task.header.Get("Tracestate") != "vendor=1" {
		t.Errorf("the engine got %s, %v, %v", got, task.trace, task.header)
	}
	home, other := request.Resource["service.instance.id"], callback.Resource["service.instance.id"]
	if home == "" || other == "" || home == other {
		t.Errorf("the request was at %q and the callback at %q", home, other)
	}
	wantSpans(t, spans, map[string][3]string{
		"request": {theirSpan, "server", home}, "accept": {request.ID, "internal", home}, "forward": {request.ID, "client", home},
		"wait": {request.ID, "internal", home}, "reply": {request.ID, "internal", home}, "callback": {forward.ID, "server", other},
	})
	if request.Name != "POST /api/{version}/json/{login}/{time}/{signature}" || request.Attributes["syncgate.outcome"] != "complete" || request.Attributes["syncgate.engine_task"] != "t1" {
		t.Errorf("%+v", request)
	}
	signature, ours := path[strings.LastIndex(path, "/")+1:], task.path[strings.LastIndex(task.path, "/")+1:]
	wantHidden(t, spans, token[8:], signature, ours, secret, callbackKey)

	reply, _ = caller(t, at[0], 1).askWith(t, tracedBody, map[string]string{"Traceparent": theirParent}) // with an engine that goes on with the trace
	(<-e.tasks).callBack(t, b, "00-"+theirTrace+"-3333333333333333-01")
	<-reply
	spans = c.Wait(t, "six more", func(s []otlptest.Span) bool { return len(s) == 12 })
	if last := otlptest.Find(t, spans[6:], "callback"); last.Trace != theirTrace || last.Parent != "3333333333333333" {
		t.Errorf("%+v", last)
	}
	a.stop()
	b.stop()
}

// wantSpans wants spans of their trace: parent, kind and node of each.
func wantSpans(t *testing.T, spans []otlptest.Span, all map[string][3]string) {
	t.Helper()
	for what, want := range all {
		if s := otlptest.Find(t, spans, what); s.Trace != theirTrace || s.Parent != want[0] || s.Kind != want[1] || s.Resource["service.instance.id"] != want[2] || s.Failed {
			t.Errorf("%s, want %v: %+v", what, want, s)
		}
	}
}

// wantHidden wants none of some texts in any span.
func wantHidden(t *testing.T, spans []otlptest.Span, hidden ...string) {
	t.Helper()
	for _, s := range spans {
		text := fmt.Sprintf("%+v", s)
		for _, h := range hidden {
			if strings.Contains(text, h) {
				t.Errorf("%s shows %s: %s", s.What(), h, text)
			}
		}
	}
}

// TestTraceIsNotRecorded where the client says so, and is where nobody says anything and the ratio is 1. The ratio can be changed by SIGHUP.
func TestTraceIsNotRecorded(t *testing.T) {
	c, e := otlptest.Start(t), startTracedEngine(t)
	config := filepath.Join(t.TempDir(), "traced.yaml")
	write := func(ratio string) {
		text := fmt.Sprintf("auth: {credentials: [{login: %q, secret: %q}]}\ndrain: {delay: 0s}\ntracing: {url: %q, ratio: %s}\n", login, secret, c.URL(), ratio)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("0")
	g := serve(t, free(t, 1)[0], "SYNCGATE_CONFIG="+config, "SYNCGATE_ENGINE_URL="+e.URL)
	trip := func(header map[string]string) tracedTask {
		t.Helper()
		reply, _ := caller(t, g.public, 1).askWith(t, tracedBody, header)
		task := <-e.tasks
		task.callBack(t, g, theirParent)
		if got := <-reply; got != tracedReply {
			t.Errorf("the client got %s", got)
		}
		return task
	}
	unrecorded := theirParent[:53] + "00"
	if got := trip(map[string]string{"Traceparent": unrecorded}).header.Get("Traceparent"); got != unrecorded {
		t.Errorf("the engine got %s", got)
	}
	task := trip(nil)
	if got := task.header.Get("Traceparent"); len(got) != 55 || !strings.HasSuffix(got, "-00") || task.trace != "00-11111111111111111111111111111111-2222222222222222-01" {
		t.Errorf("the engine got %s, and %v in the task, where into_task is false", got, task.trace)
	}
	if resp, err := http.Post("http://"+g.public+"/api/1/json/1/1/1", "application/json", strings.NewReader("{}")); err == nil { // nobody has proved who asks
		_ = resp.Body.Close()
	}
	write("1")
	g.signal(syscall.SIGHUP)
	g.logged(`"message":"configuration reloaded"`)
	trip(map[string]string{"Traceparent": "garbage"})
	spans := c.Wait(t, "the last trip is recorded", func(s []otlptest.Span) bool { return len(s) >= 6 })
	request := otlptest.Find(t, spans, "request")
	if n := byWhat(spans); len(spans) != 6 || n["callback"] != 1 || request.Parent != "" || request.Trace == theirTrace {
		t.Errorf("%v: %+v", n, spans)
	}
	if call := otlptest.Find(t, spans, "callback"); call.Trace != request.Trace || len(call.Links) != 1 || call.Links[0] != theirTrace {
		t.Errorf("%+v", call)
	}
	g.stop()
	if n := len(c.Spans()); n != 6 {
		t.Errorf("%d spans", n)
	}
}

// TestTraceOfNotifications has the attempts to send a result in the trace of the request that made the task, and the receiver hears of that trace.
func TestTraceOfNotifications(t *testing.T) {
	eachPusher(t, func(t *testing.T, p *pusher, env []string) {
		c, e := otlptest.Start(t), startTracedEngine(t)
		to := receive(t, http.StatusServiceUnavailable)
		g := p.serve(e.URL, append(env, "SYNCGATE_TRACING_URL="+c.URL(), "SYNCGATE_TRACING_INTO_TASK=true")...)
		status, text := g.ask("/v1/pay", `{"callbackUrl":"`+to.URL+`","amount":1,"__traceparent":"theirs"}`)
		if status != http.StatusAccepted {
			t.Fatalf("%d %s", status, text)
		}
		task := <-e.tasks
		if task.trace != task.header.Get("Traceparent") || task.trace == "" {
			t.Errorf("the engine got %v and %v", task.header, task.trace)
		}
		task.callBack(t, g, "")
		first := to.await(t, 1)
		to.answers(http.StatusOK)
		second := to.await(t, 2)
		spans := c.Wait(t, "two attempts", func(s []otlptest.Span) bool { return byWhat(s)["notify"] == 2 && byWhat(s)["request"] == 1 })
		request := otlptest.Find(t, spans, "request")
		if request.Attributes["syncgate.route"] != "pay" || request.Name != "POST /v1/pay" || request.Attributes["http.route"] != "/v1/pay" || request.Attributes["syncgate.outcome"] != "handed_over" {
			t.Errorf("%+v", request)
		}
		wantAttempts(t, spans, request, first, second)
		g.stop()
	})
}

// wantAttempts wants attempts below a request, of which the first has failed, and that receivers got the traceparents of these.
func wantAttempts(t *testing.T, spans []otlptest.Span, request otlptest.Span, got ...hooked) {
	t.Helper()
	for _, s := range spans {
		if s.Trace != request.Trace {
			t.Errorf("another trace: %+v", s)
		}
	}
	attempts := slices.DeleteFunc(spans, func(s otlptest.Span) bool { return s.What() != "notify" })
	for i, h := range got {
		if s := attempts[i]; s.Parent != request.ID || s.Kind != "client" || s.Failed != (i == 0) || !strings.HasPrefix(s.Attributes["url.full"], "http://127.0.0.1:") || h.header.Get("Traceparent") != "00-"+request.Trace+"-"+s.ID+"-01" {
			t.Errorf("attempt %d, whose receiver got %s: %+v", i+1, h.header.Get("Traceparent"), s)
		}
	}
}

// TestTraceWithoutCollector: a collector that hangs delays no client, and the end of the node for its bound at most.
func TestTraceWithoutCollector(t *testing.T) {
	c, e := otlptest.Start(t), simulate(t)
	ends := make(chan struct{})
	defer close(ends)
	c.Answer(func(http.ResponseWriter, *http.Request) { <-ends })
	at := free(t, 1)[0]
	g := serve(t, at, "SYNCGATE_ENGINE_URL="+e.URL(), "SYNCGATE_TRACING_URL="+c.URL())
	storm(t, caller(t, at, 50), 4000, 50)
	if dropped := g.metric("syncgate_trace_spans_dropped_total", `reason="queue"`); dropped < 4000*6-8192-2*512 {
		t.Errorf("%v spans were dropped", dropped)
	}
	began := time.Now()
	g.stop()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("its end took %v", took)
	}
	if !strings.Contains(g.log.String(), `"level":"warn","error":"spans are lost: the collector has not taken them in time"`) {
		t.Error("the log does not say that spans are lost")
	}
}
