package metrici_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"syncgate/dialect/metrici"
)

// The documents' own example: a worker starts, says how far it is, and completes; it asks before and after.
func TestDocumentedExample(t *testing.T) {
	s := newSite(t)
	n := s.nodes[0]
	reply := n.post(`{"order":17,"step":"none","callbackToken":"the client's own","callback\u0049d":"x"}`)
	w := s.next(t)
	want(t, w.contentType, "application/x-www-form-urlencoded")
	want(t, w.task, `{"order":17,"step":"none","callbackId":"`+w.id+`","callbackToken":"`+w.token+`"}`)
	if values, err := url.ParseQuery(w.body); err != nil || len(values) != 1 || w.header.Get("X-Callback-Url") != "" {
		t.Errorf("%s %v", w.body, w.header)
	}
	text, err := base64.StdEncoding.DecodeString(w.token)
	var token struct{ Node, Anchor, Auth string }
	if err != nil || json.Unmarshal(text, &token) != nil || token.Node != "callback/metrici" || token.Anchor != "callback" || !strings.HasPrefix(token.Auth, w.id) || len(w.id) != 8 {
		t.Errorf("the token is %s, the id %s", text, w.id)
	}
	want(t, url.QueryEscape(w.token), w.token)

	want(t, n.query(w.token), is(w.token, "create", `{"order":17,"step":"none"}`))
	want(t, n.report(w.token, "start", ""), said(w.token, "start", `{"order":17,"step":"none"}`))
	want(t, n.query(w.token), is(w.token, "start", `{"order":17,"step":"none"}`))
	want(t, n.report(w.token, "progress", `{"step":"packing","percent":40}`), said(w.token, "progress", `{"order":17,"percent":40,"step":"packing"}`))
	want(t, n.report(w.token, "progress", `40`), said(w.token, "progress", `{"order":17,"percent":40,"step":"packing"}`))
	want(t, n.query(w.token), is(w.token, "progress", `{"order":17,"percent":40,"step":"packing"}`))
	const whole = `{"done":true,"order":17,"percent":100,"step":"packing"}`
	want(t, n.report(w.token, "complete", `{"percent":100,"done":true}`), said(w.token, "complete", whole))
	a := soon(t, reply)
	wantAnswer(t, a, 200, whole)
	want(t, n.query(w.token), is(w.token, "complete", whole))
	wantAnswer(t, n.do("GET "+a.header.Get("Location"), ""), 200, whole)
	for _, late := range []string{"complete", "progress", "error", "cancel", "start"} {
		want(t, n.report(w.token, late, `{"late":1}`), said(w.token, "complete", whole))
	}
	wantAnswer(t, n.do("GET "+a.header.Get("Location"), ""), 200, whole)
	want(t, n.query(w.token[:20]+w.token), `{"callbackStatus":"notFound"}`)
}

// What a worker says of a task that fails reaches the client as it is, and who asks has it over what was known.
func TestFailures(t *testing.T) {
	s := newSite(t)
	n := s.nodes[0]
	reply := n.post(`{"order":1}`)
	w := s.next(t)
	const why = `{"message":"no stock","errorNumber":7,"errorDescription":"shelf 3"}`
	const all = `{"errorDescription":"shelf 3","errorNumber":7,"message":"no stock","order":1}`
	want(t, n.report(w.token, "error", why), said(w.token, "error", all))
	wantAnswer(t, soon(t, reply), 502, why)
	want(t, n.query(w.token), is(w.token, "error", all))

	reply = n.post(`{"order":2}`)
	w = s.next(t)
	want(t, n.report(w.token, "cancel", ""), said(w.token, "cancel", `{"order":2}`))
	wantAnswer(t, soon(t, reply), 409, "")
	want(t, n.report(w.token, "complete", `{}`), said(w.token, "cancel", `{"order":2}`))

	reply = n.post(`{"order":3}`)
	w = s.next(t)
	want(t, n.report(w.token, "complete", `[1]`), said(w.token, "complete", `[1]`))
	wantAnswer(t, soon(t, reply), 200, `[1]`)
}

// A worker hears that its task is cancelled when it reports: that is its signal to stop.
func TestCancelledByTheClient(t *testing.T) {
	s := newSite(t)
	n := s.nodes[0]
	location := soon(t, n.post(`{"a":1}`, "Prefer: respond-async")).header.Get("Location")
	w := s.next(t)
	want(t, n.report(w.token, "progress", `{"b":2}`), said(w.token, "progress", `{"a":1,"b":2}`))
	wantAnswer(t, n.do("DELETE "+location, ""), 202, "")
	for _, status := range []string{"start", "progress", "complete", "cancel", "error"} {
		want(t, n.report(w.token, status, `{"c":3}`), said(w.token, "cancel", `{"a":1,"b":2}`))
	}
	want(t, n.query(w.token), is(w.token, "cancel", `{"a":1,"b":2}`))
}

// A task whose time has passed is over for everybody, whoever looks first, and what comes later changes nothing.
func TestTimeout(t *testing.T) {
	const limit = 700 * time.Millisecond
	s := newSite(t, func(c *setup) { c.engine.TaskTimeout = limit.String() })
	n := s.nodes[0]
	begin := time.Now()
	held := n.post(`{"a":1}`)
	w := s.next(t)
	async := soon(t, n.post(`{"b":1}`, "Prefer: respond-async")).header.Get("Location")
	late, unseen := s.next(t), ""
	unseen = soon(t, n.post(`{"c":1}`, "Prefer: respond-async")).header.Get("Location")
	asked := s.next(t)
	long := soon(t, n.post(`{"d":1,"callbackTimeout":"PT1H"}`, "Prefer: respond-async")).header.Get("Location")
	longer := s.next(t)
	at := time.Now().Add(20 * time.Minute).UTC().Format(time.RFC3339)
	_ = soon(t, n.post(`{"e":1,"callbackTimeout":"`+at+`"}`, "Prefer: respond-async"))
	stamped := s.next(t)
	want(t, n.report(w.token, "start", ""), said(w.token, "start", `{"a":1}`))
	a := soon(t, held)
	if took := time.Since(begin); took < limit-10*time.Millisecond || took > 5*time.Second {
		t.Errorf("after %v", took)
	}
	wantAnswer(t, a, 504, "")
	if !strings.Contains(a.body, `"/errors/timeout"`) {
		t.Error(a.body)
	}
	want(t, n.report(w.token, "complete", `{"x":1}`), said(w.token, "timeout", `{"a":1}`))
	wantAnswer(t, n.do("GET "+a.header.Get("Location"), ""), 504, "")
	<-time.After(time.Until(begin.Add(limit + 200*time.Millisecond)))
	want(t, n.report(late.token, "progress", `{"x":1}`), said(late.token, "timeout", `{"b":1}`))
	wantAnswer(t, n.do("GET "+async, ""), 504, "")
	wantAnswer(t, n.do("GET "+unseen, ""), 504, "")
	want(t, n.query(asked.token), is(asked.token, "timeout", `{"c":1}`))
	wantAnswer(t, n.do("DELETE "+unseen, ""), 409, "")
	wantAnswer(t, n.do("GET "+long, ""), 202, "")
	want(t, n.report(longer.token, "complete", `{}`), said(longer.token, "complete", `{"callbackTimeout":"PT1H","d":1}`))
	want(t, n.query(stamped.token), is(stamped.token, "create", `{"callbackTimeout":"`+at+`","e":1}`))
}

// What a task has come to can be asked for as long as retention says, though results are kept for less.
func TestRetention(t *testing.T) {
	s := newSite(t, func(c *setup) {
		c.engine.Retention = "PT24H"
		c.gateway.Results.Retention = 100 * time.Millisecond
	})
	n := s.nodes[0]
	reply, plain := n.post(`{"a":1}`), make(chan answer, 1)
	w := s.next(t)
	go func() { plain <- n.do("POST /v1/jobs", `{}`, "Prefer: respond-async") }()
	other := s.next(t)
	location := soon(t, plain).header.Get("Location")
	wantAnswer(t, n.do("POST /callback/dispatch?token="+other.plain, `{}`), 200, `{}`)
	want(t, n.report(w.token, "complete", `{"b":2}`), said(w.token, "complete", `{"a":1,"b":2}`))
	wantAnswer(t, soon(t, reply), 200, `{"a":1,"b":2}`)
	eventually(t, "the other result goes", func() bool { return n.do("GET "+location, "").status == 410 })
	want(t, n.query(w.token), is(w.token, "complete", `{"a":1,"b":2}`))
}

// A child's worker may complete the parent's task: it has the parent's token.
func TestParent(t *testing.T) {
	s := newSite(t, func(c *setup) { c.engine.ParentTokenAttribute = "above" })
	n := s.nodes[0]
	parent := n.post(`{"p":1}`)
	first := s.next(t)
	child := n.post(`{"c":1,"callbackParentToken":"` + first.token + `"}`)
	second := s.next(t)
	var task struct{ Above string }
	if json.Unmarshal([]byte(second.task), &task) != nil || task.Above != first.token || second.parent != "" || second.token == first.token {
		t.Errorf("the child's task is %s", second.task)
	}
	want(t, n.report(task.Above, "complete", `{"done":1}`), said(first.token, "complete", `{"done":1,"p":1}`))
	wantAnswer(t, soon(t, parent), 200, `{"done":1,"p":1}`)
	want(t, n.report(second.token, "complete", ""), said(second.token, "complete", `{"c":1}`))
	wantAnswer(t, soon(t, child), 200, `{"c":1}`)
}

// The start request has the form that the engine says, and the answers have its names.
func TestStartRequests(t *testing.T) {
	for body, path := range map[string]string{metrici.BodyJSON: "", metrici.BodyForm: "", metrici.BodyServiceJSON: "a/b c"} {
		s := newSite(t, func(c *setup) {
			c.engine = metrici.EngineConfig{Body: body, Node: path, TokenAttribute: "tok", IDAttribute: "no", DataAttribute: "d", StatusAttribute: "s", AttributeReference: "all"}
			c.http.Secret = "whsec_c2VjcmV0LW9mLXRoZS10ZXN0"
			c.http.URL += "?x=1"
		})
		n := s.nodes[0]
		reply := n.post(` { "a" : "ü&=+ %" , "n": 1.50 ,"callbackToken":"x","tok":"y","callbackId":1,"no":2} `)
		w := s.next(t)
		var task struct{ Tok, No string }
		if err := json.Unmarshal([]byte(w.task), &task); err != nil {
			t.Fatalf("%s: %v", w.task, err)
		}
		want(t, strings.TrimSpace(w.task), `{ "a" : "ü&=+ %" , "n": 1.50,"no":"`+task.No+`","tok":"`+task.Tok+`"}`)
		if w.query.Get("nodeVersionReference") != path || w.query.Get("x") != "1" || w.header.Get("Webhook-Signature") == "" {
			t.Errorf("%s: %v %v", body, w.query, w.header)
		}
		const plain = `{"a":"ü&=+ %","b":1,"n":1.50}`
		got := n.report(task.Tok, "progress", `{"b":1}`)
		want(t, got, `{"tok":"`+task.Tok+`","s":"progress","d":`+plain+`,"all":{"status":"progress","token":"`+task.Tok+`","data":`+plain+`}}`)
		want(t, n.report(task.Tok, "complete", ""), strings.ReplaceAll(got, `"progress"`, `"complete"`))
		wantAnswer(t, soon(t, reply), 200, plain)
	}
}

// What the worker answers itself counts as for every engine.
func TestWorkerAnswers(t *testing.T) {
	s := newSite(t, func(c *setup) { c.http.Final, c.http.Accepted = []int{200}, []int{202} })
	n := s.nodes[0]
	says := func(status int, contentType, body string) {
		s.says <- func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	says(200, "application/json", `{"done":1}`)
	wantAnswer(t, soon(t, n.post(`{"a":1}`)), 200, `{"a":1,"done":1}`)
	w := s.next(t)
	eventually(t, "the answer is the result", func() bool { return n.query(w.token) == is(w.token, "complete", `{"a":1,"done":1}`) })
	says(200, "text/plain", `done`)
	wantAnswer(t, soon(t, n.post(`{"a":1}`)), 200, `done`)
	w = s.next(t)
	want(t, n.query(w.token), is(w.token, "complete", `{"a":1}`))
	says(422, "application/json", `{"no":1}`)
	wantAnswer(t, soon(t, n.post(`{"a":1}`)), 422, `{"no":1}`)
	w = s.next(t)
	want(t, n.query(w.token), `{"callbackStatus":"notFound"}`)
	want(t, n.report(w.token, "complete", ""), `{"callbackStatus":"notFound"}`)
}

// What no worker could use is refused, and no worker hears of it.
func TestTasksThatAreRefused(t *testing.T) {
	s := newSite(t)
	n := s.nodes[0]
	for _, f := range []struct{ body, contentType, says string }{
		{`[1]`, "application/json", "it must be a JSON object"},
		{`a=1`, "application/x-www-form-urlencoded", "it must be JSON"},
		{`{"callbackParentToken":7}`, "application/json", "callbackParentToken must be a string"},
		{`{"callbackTimeout":7}`, "application/json", "callbackTimeout must be a string: a duration"},
		{`{"callbackTimeout":"P1Y"}`, "application/json", "callbackTimeout must not have years or months"},
		{`{"callbackTimeout":"P0D"}`, "application/json", "callbackTimeout must be longer than 0"},
		{`{"callbackTimeout":"-PT1H"}`, "application/json", "callbackTimeout must be a duration"},
		{`{"callbackTimeout":"P400D"}`, "application/json", "callbackTimeout must be at most P366D"},
		{`{"callbackTimeout":"2020-01-01T00:00:00Z"}`, "application/json", "callbackTimeout is a time that has passed"},
		{`{"callbackTimeout":"2126-01-01T00:00:00Z"}`, "application/json", "more than 366 days away"},
	} {
		a := n.do("POST /v1/tasks", f.body, "Content-Type: "+f.contentType)
		if a.status != 400 || !strings.Contains(a.body, f.says) {
			t.Errorf("%s: %d %s, want %s", f.body, a.status, a.body, f.says)
		}
	}
	if len(s.started) > 0 {
		t.Errorf("a worker got %s", (<-s.started).task)
	}
	wantAnswer(t, n.do("POST /v1/tasks", ``, "Prefer: respond-async"), 202, "")
	if w := s.next(t); !strings.HasPrefix(w.task, `{"callbackId":"`) {
		t.Error(w.task)
	}
}

// With merge off a result replaces what was reported, which is merged among itself; the worker can ask all the same.
func TestWithoutMerge(t *testing.T) {
	s := newSite(t, func(c *setup) { c.http.Merge = false })
	n := s.nodes[0]
	reply := n.post(`{"a":1}`)
	w := s.next(t)
	want(t, n.query(w.token), is(w.token, "create", `{}`))
	want(t, n.report(w.token, "progress", `{"b":2}`), said(w.token, "progress", `{"b":2}`))
	want(t, n.report(w.token, "progress", `{"c":3}`), said(w.token, "progress", `{"b":2,"c":3}`))
	want(t, n.report(w.token, "complete", `{"d":4}`), said(w.token, "complete", `{"d":4}`))
	wantAnswer(t, soon(t, reply), 200, `{"d":4}`)
	want(t, n.query(w.token), is(w.token, "complete", `{"d":4}`))
}
