package gateway_test

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/dialect/corezoid"
	"syncgate/gateway"
)

// metric gives the value of a sample, as name{label="value"}; 0 when it is not there, and whether it is.
func (n *node) metric(sample string) (value float64, there bool) {
	n.t.Helper()
	for line := range strings.Lines(n.metrics()) {
		if rest, ok := strings.CutPrefix(line, sample+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				n.t.Fatal(err)
			}
			return v, true
		}
	}
	return 0, false
}

func (n *node) metrics() string {
	n.t.Helper()
	resp, err := n.http.Get("http://" + n.AdminAddr().String() + "/metrics")
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return string(b)
}

// wantMetric waits for a sample to have a value.
func wantMetric(t *testing.T, n *node, sample string, want float64) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; <-time.After(5 * time.Millisecond) {
		got, there := n.metric(sample)
		if there && got == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s is %v (there: %v), want %v", sample, got, there, want)
		}
	}
}

// tripLine waits for the line of a trip with an outcome, and gives its fields.
func tripLine(t *testing.T, n *node, outcome string) map[string]any {
	t.Helper()
	part := `"outcome":"` + outcome + `"`
	waitLog(t, n, part)
	for line := range strings.Lines(n.log.String()) {
		if strings.Contains(line, part) {
			var fields map[string]any
			if err := json.Unmarshal([]byte(line), &fields); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			return fields
		}
	}
	return nil
}

// ending is a way in which a create may end.
type ending struct {
	login   string // whose counter it is
	reason  string // of a refusal
	status  int
	forward string // X-Syncgate-Forwarded
	setup   func(*gateway.Config)
	play    func(*testing.T, *node, *engine) answer
}

// down is a correlator that other nodes cannot reach.
type down struct{ *correlator.Memory }

func (down) Ready() error { return correlator.ErrUnavailable }

// refusing has the engine answer a create.
func refusing(status int, says string) func(*testing.T, *node, *engine) answer {
	return func(t *testing.T, n *node, e *engine) answer {
		reply := n.createLater(oneOp(`{}`))
		e.next(t).answer(status, says)
		return got(t, reply)
	}
}

// creating sends a create and does nothing more.
func creating(body string, header ...string) func(*testing.T, *node, *engine) answer {
	return func(_ *testing.T, n *node, _ *engine) answer { return n.create(body, header...) }
}

// parking leaves a client waiting, and sends another create.
func parking(t *testing.T, n *node, e *engine) answer {
	first := n.createLater(oneOp(`{}`))
	a := e.next(t)
	a.accept()
	r := n.create(oneOp(`{}`))
	n.callback(a.tokens[0], `1`)
	got(t, first)
	return r
}

// unknown is the login of requests that have not proved theirs.
const unknown = "unknown"

func endings() map[string][]ending {
	all := clientEndings()
	maps.Copy(all, engineEndings())
	maps.Copy(all, nodeEndings())
	return all
}

// clientEndings are those that a client makes.
func clientEndings() map[string][]ending {
	small := func(c *gateway.Config) { c.Limits.Body = 300 }
	return map[string][]ending{
		"complete": {{login: login, status: 200, play: func(t *testing.T, n *node, e *engine) answer {
			reply := n.createLater(oneOp(`{}`))
			a := e.next(t)
			a.accept()
			n.callback(a.tokens[0], `1`)
			return got(t, reply)
		}}},
		"timeout": {
			{login: login, status: 200, play: func(t *testing.T, n *node, e *engine) answer {
				reply := n.createLater(strings.Replace(oneOp(`{}`), `"timeout":5`, `"timeout":0.1`, 1))
				e.next(t).accept()
				return got(t, reply)
			}},
			{
				login: login, status: 504, forward: "maybe", setup: func(c *gateway.Config) { c.Timeouts.Default = 100 * time.Millisecond },
				play: func(t *testing.T, n *node, e *engine) answer {
					reply := n.createLater(strings.Replace(oneOp(`{}`), `"timeout":5,`, ``, 1))
					e.next(t).accept()
					return got(t, reply)
				},
			},
		},
		"hung_up": {{login: login, play: func(t *testing.T, n *node, e *engine) answer {
			c := n.dial()
			_, _ = io.WriteString(c, rawCreate(oneOp(`{}`)))
			e.next(t).accept()
			_ = c.Close()
			return answer{}
		}}},
		"not_allowed": {{login: login, status: 200, play: creating(`{"ops":[{"type":"delete","obj":"task","conv_id":1}]}`)}},
		"bad_request": {
			{login: login, reason: "body", status: 400, play: creating(`{"ops":`)},
			{login: login, reason: "encoding", status: 415, play: creating(oneOp(`{}`), "Content-Encoding", "gzip")},
			{login: login, reason: "key", status: 400, play: creating(oneOp(`{}`), "Idempotency-Key", "with a blank")},
			{login: unknown, reason: "body_size", status: 413, setup: small, play: creating(oneOp(`"` + strings.Repeat("x", 300) + `"`))},
			{
				login: unknown, reason: "slow", status: 408, setup: func(c *gateway.Config) { c.Listen.BodyTimeout = 100 * time.Millisecond },
				play: func(_ *testing.T, n *node, _ *engine) answer {
					_, _ = io.WriteString(n.dial(), "POST "+sign("{}")+" HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
					return answer{}
				},
			},
		},
		"unauthorized": {
			{login: unknown, reason: "signature", status: 401, play: func(_ *testing.T, n *node, _ *engine) answer {
				return n.do(http.MethodPost, sign("x"), oneOp(`{}`))
			}},
			{login: login, reason: "time", status: 401, play: func(_ *testing.T, n *node, _ *engine) answer {
				return n.do(http.MethodPost, signAt("1000000000", oneOp(`{}`)), oneOp(`{}`))
			}},
		},
		"forbidden": {{
			login: unknown, reason: "origin", status: 403, setup: func(c *gateway.Config) { c.CORS.Enforce = true },
			play: creating(oneOp(`{}`), "Origin", "https://evil.example"),
		}},
	}
}

// nodeEndings are those that the node makes.
func nodeEndings() map[string][]ending {
	return map[string][]ending{
		"limited": {
			{login: login, reason: "login_limit", status: 429, setup: func(c *gateway.Config) { c.Limits.ParkedPerLogin = 1 }, play: parking},
			{login: login, reason: "login_rate", status: 429, setup: func(c *gateway.Config) { c.Limits.RatePerLogin = 0.001 }, play: parking},
		},
		"overloaded":      {{login: login, reason: "parked", status: 503, forward: "no", setup: func(c *gateway.Config) { c.Limits.Parked = 1 }, play: parking}},
		"correlator_down": {{login: login, reason: "correlator_down", status: 503, forward: "no", play: creating(oneOp(`{}`))}},
		"draining": {
			{login: unknown, reason: "draining", status: 503, forward: "no", play: func(_ *testing.T, n *node, _ *engine) answer {
				n.RefuseNew()
				return n.create(oneOp(`{}`))
			}},
			{login: login, status: 503, forward: "maybe", play: func(t *testing.T, n *node, e *engine) answer {
				reply := n.createLater(oneOp(`{}`))
				e.next(t).accept()
				n.RefuseNew()
				_ = n.memo.Drain(over(t))
				return got(t, reply)
			}},
		},
		"internal_error": {{login: unknown, reason: "internal_error", status: 500, forward: "no", play: creating(oneOp(`"panic"`))}},
	}
}

// engineEndings are those that the engine makes.
func engineEndings() map[string][]ending {
	return map[string][]ending{
		"engine_refused": {
			{login: login, status: 200, play: refusing(200, `{"request_proc":"ok","ops":[{"id":"","proc":"error","description":"Conveyor is not active"}]}`)},
			{login: login, status: 200, play: refusing(200, `{"request_proc":"format_error","ops":[]}`)},
			{login: login, status: 429, play: refusing(429, `{"request_proc":"error","ops":[{"proc":"error","description":"slow down"}]}`)},
		},
		"handed_over": {{login: login, status: 202, play: func(t *testing.T, n *node, e *engine) answer {
			reply := n.createLater(oneOp(`{}`), "X-Mode", "hand over")
			e.next(t).accept()
			return got(t, reply)
		}}},
		"registered": {{login: login, status: 200, play: func(_ *testing.T, n *node, _ *engine) answer {
			return n.create(oneOp(`{}`), "X-Mode", "register")
		}}},
		"failed":       {{login: login, status: 200, play: reporting("error")}},
		"cancelled":    {{login: login, status: 200, play: reporting("cancel")}},
		"engine_error": {{login: login, status: 502, forward: "maybe", play: refusing(500, `{}`)}},
		"engine_unreachable": {{login: login, reason: "engine_unreachable", status: 502, forward: "no", play: func(_ *testing.T, n *node, e *engine) answer {
			e.Close()
			return n.create(oneOp(`{}`))
		}}},
		"engine_busy": {{
			login: login, reason: "engine_busy", status: 503, forward: "no",
			setup: func(c *gateway.Config) { c.Engine.MaxConnections, c.Engine.Timeout = 1, 300*time.Millisecond },
			play: func(t *testing.T, n *node, e *engine) answer {
				first := n.createLater(oneOp(`{}`))
				a := e.next(t) // it hangs
				r := n.create(strings.Replace(oneOp(`{}`), `"timeout":5`, `"timeout":0.1`, 1))
				n.callback(a.tokens[0], `1`)
				got(t, first)
				return r
			},
		}},
	}
}

// reporting plays a task about which the engine reports a final status.
func reporting(status string) func(*testing.T, *node, *engine) answer {
	return func(t *testing.T, n *node, e *engine) answer {
		reply := n.createLater(oneOp(`{}`))
		a := e.next(t)
		a.accept()
		want(t, n.do(http.MethodPost, "/api/1/plugins/callback/"+a.tokens[0], `{"message":"no funds"}`, "X-Callback-Status", status), 200, `{}`)
		return got(t, reply)
	}
}

// Every way in which a create may end has an outcome of its own, in the log and in the metrics, under the login that has proved to be the
// client's; and an answer of 500 or above says whether the engine may have the request.
func TestOutcomes(t *testing.T) {
	all := endings()
	for _, outcome := range gateway.Outcomes() {
		list, there := all[outcome]
		if !there {
			t.Errorf("no test ends with %q", outcome)
		}
		for _, end := range list {
			t.Run(outcome+" "+end.reason+" "+strconv.Itoa(end.status), func(t *testing.T) {
				t.Parallel()
				end.run(t, outcome)
			})
		}
	}
	for outcome := range all {
		if !slices.Contains(gateway.Outcomes(), outcome) {
			t.Errorf("%q is no outcome", outcome)
		}
	}
}

func (end *ending) run(t *testing.T, outcome string) {
	t.Helper()
	e := newEngine(t)
	n := startParts(t, e.URL, func(n *node, p *gateway.Parts) {
		p.Logins = func() []string { return []string{login} }
		switch outcome {
		case "correlator_down":
			p.Correlator = down{n.memo}
		case "handed_over", "registered":
			p.Dialect = modal{p.Dialect.(*corezoid.Dialect)} // the harness made it
		case "internal_error":
			p.Dialect = panicking{p.Dialect}
		}
	}, func(c *gateway.Config) {
		if end.setup != nil {
			end.setup(c)
		}
	})
	wantMetric(t, n, `syncgate_trips_total{login="`+end.login+`",outcome="`+outcome+`"}`, 0)
	end.check(t, n, outcome, end.play(t, n, e))
}

func (end *ending) check(t *testing.T, n *node, outcome string, r answer) {
	t.Helper()
	wantMetric(t, n, `syncgate_trips_total{login="`+end.login+`",outcome="`+outcome+`"}`, 1)
	if end.reason != "" {
		wantMetric(t, n, `syncgate_refusals_total{reason="`+end.reason+`"}`, 1)
	}
	line := tripLine(t, n, outcome)
	if reason, _ := line["reason"].(string); reason != end.reason || line["login"] != end.login {
		t.Errorf("the line has the reason %q and the login %v, want %q and %q", reason, line["login"], end.reason, end.login)
	}
	if r.status == 0 { // its client did not look
		return
	}
	if r.status != end.status || r.header.Get("X-Syncgate-Forwarded") != end.forward {
		t.Errorf("%d, X-Syncgate-Forwarded %q; want %d, %q", r.status, r.header.Get("X-Syncgate-Forwarded"), end.status, end.forward)
	}
	if total := sumOf(n, "sync_api_http_request_duration_seconds_count", `code="`+strconv.Itoa(end.status)+`",login="`+end.login+`"`); total < 1 {
		t.Errorf("no request of %s with %d in the histogram", end.login, end.status)
	}
}

// sumOf adds the samples of a family that have some text.
func sumOf(n *node, name, part string) (sum float64) {
	for line := range strings.Lines(n.metrics()) {
		if strings.HasPrefix(line, name+"{") && strings.Contains(line, part) {
			v, _ := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]), 64)
			sum += v
		}
	}
	return sum
}

// lineOf plays a trip whose engine says something, TOKEN standing for the callback token, and gives the trip's line.
func lineOf(t *testing.T, n *node, e *engine, op, engineSays string) (line map[string]any) {
	t.Helper()
	n.log.reset()
	reply := n.createLater(`{"timeout":5,"ops":` + op + `}`)
	a := e.next(t)
	a.answer(200, strings.ReplaceAll(engineSays, "TOKEN", a.token()))
	if strings.Contains(engineSays, `"proc":"ok"`) {
		waitFor(t, func() bool { return strings.Contains(n.where(t, a.token()[:8]), `"engine_status": 200`) })
		for _, token := range a.tokens {
			n.callback(token, `1`)
		}
	}
	got(t, reply)
	waitLog(t, n, `"message":"trip"`)
	if err := json.Unmarshal([]byte(n.log.String()), &line); err != nil {
		t.Fatalf("%v in %s", err, n.log)
	}
	return line
}

// The line of a trip leads on: to the process, to the client's name of the task, and to the engine's.
func TestTripLineLeadsOn(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	f := func(name, op, engineSays string, fields map[string]any) {
		t.Run(name, func(t *testing.T) {
			line := lineOf(t, n, e, op, engineSays)
			for key, want := range fields {
				if line[key] != want {
					t.Errorf("%s is %#v, want %#v, in %v", key, line[key], want, line)
				}
			}
		})
	}
	const taken = `{"request_proc":"ok","ops":[{"id":"","proc":"ok","obj":"task","obj_id":"5cf67011094bab1b9a00a31d"}]}`
	f("numbers", `[{"type":"create","obj":"task","conv_id":1234,"ref":77}]`, taken,
		map[string]any{"process": "1234", "ref": "77", "engine_task": "5cf67011094bab1b9a00a31d", "outcome": "complete"})
	f("texts", `[{"type":"create","obj":"task","obj_alias":"my-process","ref":"замовлення-1"}]`, taken,
		map[string]any{"process": "my-process", "ref": "замовлення-1"})
	f("both", `[{"obj_alias":"x","type":"create","obj":"task","conv_id":"9"}]`, taken, map[string]any{"process": "9", "ref": nil})
	f("not printable", `[{"type":"create","obj":"task","conv_id":1,"ref":"a\u202eb\nc`+"\u0085"+`"}]`, taken, map[string]any{"ref": `a\u202eb\u000ac\u0085`})
	f("long", `[{"type":"create","obj":"task","conv_id":"`+strings.Repeat("9", 500)+`","ref":"`+strings.Repeat("é", 500)+`"}]`, taken,
		map[string]any{"process": strings.Repeat("9", 61) + "...", "ref": strings.Repeat("é", 30) + "..."})
	f("a token as its id", `[{"type":"create","obj":"task","conv_id":1}]`, `{"ops":[{"proc":"ok","obj_id":"TOKEN"}]}`, map[string]any{"engine_task": nil})
	f("refused", `[{"type":"create","obj":"task","conv_id":7,"ref":"r"}]`,
		`{"ops":[{"proc":"error","description":"Conveyor 7 is not active, see TOKEN and \"data\""}]}`,
		map[string]any{"outcome": "engine_refused", "process": "7", "engine_says": `Conveyor 7 is not active, see ... and "..."`})
	f("the second is refused", `[{"type":"create","obj":"task","conv_id":7,"ref":"r"},{"type":"modify","obj":"task","conv_id":8,"ref":"s"}]`,
		`{"ops":[{"proc":"ok","obj_id":"t1"},{"proc":"error","description":"no such task","obj_id":"t2"}]}`,
		map[string]any{"outcome": "engine_refused", "process": "8", "ref": "s", "engine_task": "t2", "engine_says": "no such task", "ops": 2.0})
	f("a package that is refused", `[{"type":"create","obj":"task","conv_id":7}]`, `{"request_proc":"error","ops":[{"proc":"error","description":"Incorrect signature"}]}`,
		map[string]any{"outcome": "engine_refused", "engine_says": "Incorrect signature", "engine_status": 200.0})
}

// A rate begins with a full burst, and so does one that a reload has raised.
func TestRateBeginsWithABurst(t *testing.T) {
	n := start(t, newRawEngine(t, serves, serves, serves, serves).url, func(c *gateway.Config) { c.Limits.RatePerLogin = 0.001 })
	served := func(of int) (n200 int) {
		for range of {
			if n.create(`{"ops":[{"type":"delete","obj":"task"},{"type":"modify","obj":"task","conv_id":1}]}`).status != 429 {
				n200++
			}
		}
		return n200
	}
	if got := served(3); got != 1 {
		t.Errorf("%d of 3 were served at 0.001 a second, want 1", got)
	}
	limits := gateway.Default().Limits
	limits.RatePerLogin = 20
	n.SetLimits(limits)
	if got := served(20); got != 20 {
		t.Errorf("%d of 20 were served right after the limit was raised to 20 a second", got)
	}
	limits.RatePerLogin = 0.001
	n.SetLimits(limits)
	if got := served(20); got > 1 {
		t.Errorf("%d of 20 were served after the limit was lowered to 0.001 a second", got)
	}
}

// What a client has pipelined behind a request that is answered at once is not served when the client has closed its side: nobody would
// read the answer.
func TestPipelinedBehindAFIN(t *testing.T) {
	for _, first := range []func(*node) string{
		func(*node) string { return request(http.MethodGet, "/healthz", "") },
		func(*node) string { return rawCreate(`{"ops":[]}`) },
		func(n *node) string { // it is suspended
			token := n.keys.AppendToken(nil, correlator.Token{Trip: n.memo.NewID(time.Now().Add(time.Hour))})
			return request(http.MethodPost, "/api/1/plugins/callback/"+string(token), "{}")
		},
	} {
		e, closed := newEngine(t), make(chan struct{})
		n := startParts(t, e.URL, func(_ *node, p *gateway.Parts) {
			p.SetHook(func(point string) {
				if point == "reply" {
					<-closed
				}
			})
		})
		c := n.dial()
		_, _ = io.WriteString(c, first(n)+rawCreate(oneOp(`{}`)))
		_ = c.(*net.TCPConn).CloseWrite()
		close(closed)
		all, err := io.ReadAll(c)
		if err != nil || strings.Count(string(all), "HTTP/1.1 ") != 1 {
			t.Errorf("%v %s", err, all)
		}
		noneAsked(t, e)
	}
}

// A drain that ends the wait of a client whose result nothing survives does not say where to fetch it.
func TestDrainWithoutAStore(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	reply := n.createLater(oneOp(`{}`))
	a := e.next(t)
	a.accept()
	n.RefuseNew()
	_ = n.memo.Drain(over(t))
	if r := got(t, reply); r.status != 503 || r.header.Get("Location") != "" {
		t.Errorf("%d, Location %q", r.status, r.header.Get("Location"))
	}
	want(t, n.callback(a.tokens[0], `1`), 410, `{}`)
}

// over gives a context that has ended.
func over(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// A request that waits for another one with the same key ends as that does.
func TestOutcomeOfAJoiner(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	first := n.createLater(oneOp(`{}`), "Idempotency-Key", "k")
	a := e.next(t)
	second := n.createLater(oneOp(`{}`), "Idempotency-Key", "k", "X-Request-Id", "second")
	waitFor(t, func() bool {
		w := n.find(t, "second")
		return len(w.Trips) == 1 && w.Trips[0].Joined && w.Trips[0].State == "waiting"
	})
	a.answer(200, `{"request_proc":"ok","ops":[{"id":"","proc":"error","description":"Conveyor is not active"}]}`)
	got(t, first)
	got(t, second)
	wantMetric(t, n, `syncgate_trips_total{login="12345",outcome="engine_refused"}`, 2)
}
