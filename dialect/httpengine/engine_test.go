package httpengine_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/httpengine"
	"syncgate/signer"
)

const (
	base   = "https://sync.example/api/1/plugins/callback/"
	secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" //nolint:gosec // of the specification's example
)

var (
	token = strings.Repeat("T", correlator.LongTokenLen)
	now   = time.Unix(1_700_000_000, 0)
)

func engine(t *testing.T, change func(*httpengine.Config)) *httpengine.Engine {
	t.Helper()
	cfg := httpengine.Config{Name: "flow", Kind: "http", URL: "https://flow.internal:8443/hooks/{kind}"}
	if change != nil {
		change(&cfg)
	}
	e, err := httpengine.New(cfg, httpengine.Options{CallbackURL: base, Fields: []string{"CZ-AG-Status-Code", "Cache-Control"}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func call(asked dialect.Asked) *dialect.Call {
	if asked.Params == nil {
		asked.Params = []dialect.Param{{Name: "kind", Value: "p2p"}}
	}
	return &dialect.Call{Ops: []dialect.Op{{Create: true}}, Options: &dialect.Options{Asked: &asked}}
}

// sent gives what an engine gets.
func sent(t *testing.T, e *httpengine.Engine, c *dialect.Call) *fasthttp.Request {
	t.Helper()
	if err := e.Prepare(c); err != nil {
		t.Fatal(err)
	}
	req := new(fasthttp.Request)
	if err := e.Encode(req, c, []string{token}, now); err != nil {
		t.Fatal(err)
	}
	return req
}

func TestEncode(t *testing.T) {
	req := sent(t, engine(t, nil), call(dialect.Asked{
		ContentType: []byte("text/csv"), Body: []byte("a;b\n"), Params: []dialect.Param{{Name: "kind", Value: "a/b c?ї"}},
		Forwarded: []dialect.Param{{Name: "X-Trace", Value: "1"}, {Name: "Host", Value: "evil"}, {Name: "X-Callback-Url", Value: "https://evil"}},
	}))
	h := &req.Header
	if string(h.RequestURI()) != "/hooks/a%2Fb%20c%3F%D1%97" || string(h.Host()) != "flow.internal:8443" || string(h.Method()) != "POST" {
		t.Errorf("%s", h)
	}
	if all := h.PeekAll("X-Callback-Url"); len(all) != 1 || string(all[0]) != base+token {
		t.Errorf("callback URL: %q", all)
	}
	if string(req.Body()) != "a;b\n" || string(h.ContentType()) != "text/csv" || string(h.Peek("X-Trace")) != "1" {
		t.Errorf("%s\n%s", h, req.Body())
	}
}

// What a client puts into a path stays in its segment.
func TestPathsDoNotLeadAway(t *testing.T) {
	with := func(url, a, b string) error {
		e := engine(t, func(c *httpengine.Config) { c.URL = url })
		return e.Prepare(call(dialect.Asked{Params: []dialect.Param{{Name: "a", Value: a}, {Name: "b", Value: b}}}))
	}
	for _, f := range []struct{ url, a, b string }{
		{"https://e/x/{a}", "..", ""},
		{"https://e/x/{a}/y", ".", ""},
		{"https://e/x/{a}", "../admin", ""},
		{"https://e/x/{a}", "y/..\\admin", ""},
		{"https://e/x/{a}{b}", ".", "."},
		{"https://e/x/.{a}?q=1", ".", ""},
	} {
		wantFault(t, with(f.url, f.a, f.b), 400)
	}
	for _, f := range []struct{ url, a string }{
		{"https://e/x/{a}", "..."},
		{"https://e/x/{a}", "a..b"},
		{"https://e/x/{a}", "%2e%2e"}, // the text itself, which is encoded once more
		{"https://e/x?q={a}", "../admin"},
	} {
		if err := with(f.url, f.a, ""); err != nil {
			t.Errorf("%s with %s: %v", f.url, f.a, err)
		}
	}
}

// FuzzTarget: what a client puts into a path or a query is found there again, and nothing else of the URL changes.
func FuzzTarget(f *testing.F) {
	e, err := httpengine.New(httpengine.Config{Name: "flow", Kind: "http", URL: "https://e/x/{a}/y?q={b}&r=1"}, httpengine.Options{CallbackURL: base})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("p2p", "a b&c=d#?/%41")
	f.Add("..", "\xff")
	f.Fuzz(func(t *testing.T, a, b string) {
		c := call(dialect.Asked{Params: []dialect.Param{{Name: "a", Value: a}, {Name: "b", Value: b}}})
		if e.Prepare(c) != nil {
			return
		}
		req := new(fasthttp.Request)
		if err := e.Encode(req, c, []string{token}, now); err != nil {
			t.Fatal(err)
		}
		u, err := url.ParseRequestURI(string(req.Header.RequestURI()))
		if err != nil || u.Path != "/x/"+a+"/y" || slices.Contains(strings.Split(u.Path, "/"), "..") {
			t.Errorf("%q: %s, %v", a, req.Header.RequestURI(), err)
		}
		if q := u.Query(); len(q) != 2 || q.Get("q") != b || q.Get("r") != "1" {
			t.Errorf("%q: %v", b, q)
		}
	})
}

func TestCallbackURLInTheQuery(t *testing.T) {
	for _, f := range []struct{ url, want string }{
		{"http://e/x", "/x?cb=https%3A%2F%2Fsync.example%2Fapi%2F1%2Fplugins%2Fcallback%2F" + token},
		{"http://e?a=b", "/?a=b&cb=https%3A%2F%2Fsync.example%2Fapi%2F1%2Fplugins%2Fcallback%2F" + token},
	} {
		e := engine(t, func(c *httpengine.Config) {
			c.URL, c.CallbackURL, c.Method = f.url, httpengine.CallbackURL{Query: "cb"}, "GET"
		})
		if req := sent(t, e, call(dialect.Asked{})); string(req.Header.RequestURI()) != f.want || len(req.Header.Peek("X-Callback-Url")) > 0 {
			t.Errorf("%s", &req.Header)
		}
	}
}

// The URL goes into the member of the body, and a client's own one does not survive, however it is spelled.
func TestCallbackURLInTheBody(t *testing.T) {
	url := `"` + base + token + `"`
	for _, f := range []struct{ member, body, want string }{
		{"cb", `{}`, `{"cb":` + url + `}`},
		{"cb", ``, `{"cb":` + url + `}`},
		{"cb", ` { "a" : 1.0 } `, ` { "a" : 1.0,"cb":` + url + ` } `},
		{"cb", `{"cb":"evil","a":12345678901234567890}`, `{"a":12345678901234567890,"cb":` + url + `}`},
		{"cb", `{"\u0063b":"evil","cb":{"x":1}}`, `{"cb":` + url + `}`},
		{"a.cb", `{"x":1}`, `{"x":1,"a":{"cb":` + url + `}}`},
		{"a.cb", `{"a":{"y":2,"cb":"evil"}}`, `{"a":{"y":2,"cb":` + url + `}}`},
		{"a.cb", `{"a":{},"a":{"cb":"evil"}}`, `{"a":{"cb":` + url + `}}`},
		{"a.cb", `{"a":[1],"b":2}`, `{"b":2,"a":{"cb":` + url + `}}`},
		{"a.b.cb", `{"a":{"b":null}}`, `{"a":{"b":{"cb":` + url + `}}}`},
	} {
		e := engine(t, func(c *httpengine.Config) { c.CallbackURL = httpengine.CallbackURL{Member: f.member} })
		req := sent(t, e, call(dialect.Asked{Body: []byte(f.body)}))
		if got := string(req.Body()); got != f.want {
			t.Errorf("%s in %s:\n%s\nwant\n%s", f.member, f.body, got, f.want)
		}
		if kind := string(req.Header.ContentType()); kind != "application/json" {
			t.Errorf("the Content-Type is %q", kind)
		}
	}
	e := engine(t, func(c *httpengine.Config) { c.CallbackURL = httpengine.CallbackURL{Member: "cb"} })
	for _, body := range []string{`[]`, `1`, `{"a":`, `{"a":1}x`, "{\"a\":\"\xff\"}"} {
		wantFault(t, e.Prepare(call(dialect.Asked{Body: []byte(body)})), 400)
	}
}

// Each request to the engine is one task.
func TestSeveralTasksAreRefused(t *testing.T) {
	c := call(dialect.Asked{Body: []byte(`{}`), Elements: [][]byte{[]byte(`{}`), []byte(`{}`)}})
	wantFault(t, engine(t, nil).Prepare(c), 500)
	c = call(dialect.Asked{Body: []byte(`{}`)})
	c.Ops = append(c.Ops, dialect.Op{Create: true})
	wantFault(t, engine(t, nil).Prepare(c), 500)
}

func wantFault(t *testing.T, err error, status int) {
	t.Helper()
	if f, ok := errors.AsType[*dialect.Fault](err); !ok || f.Status != status {
		t.Errorf("%v, want a fault of %d", err, status)
	}
}

// FuzzMember: whatever the client sends, the engine reads our URL in the member, and everything else as it was.
func FuzzMember(f *testing.F) {
	f.Add(`{"a":{"cb":"x","y":[1,{"z":2}]},"a":3,"\u0061":{"b":1}}`)
	f.Add(`{"a":null,"b":{}}`)
	cfg := httpengine.Config{Name: "flow", URL: "http://e/", CallbackURL: httpengine.CallbackURL{Member: "a.cb"}}
	e, err := httpengine.New(cfg, httpengine.Options{CallbackURL: base})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string) {
		c := call(dialect.Asked{Body: []byte(body)})
		if e.Prepare(c) != nil {
			return
		}
		req := new(fasthttp.Request)
		if err := e.Encode(req, c, []string{token}, now); err != nil {
			t.Fatal(err)
		}
		wantMember(t, body, req.Body())
	})
}

// wantMember wants what the client sent, with our URL in a.cb.
func wantMember(t *testing.T, body string, sent []byte) {
	t.Helper()
	var before, after map[string]any
	if json.Unmarshal(sent, &after) != nil {
		t.Fatalf("%s is no JSON", sent)
	}
	inner, _ := after["a"].(map[string]any)
	if inner["cb"] != base+token || strings.Count(string(sent), token) != 1 {
		t.Errorf("%s: the engine finds %v", sent, inner["cb"])
	}
	if strings.TrimSpace(body) == "" || json.Unmarshal([]byte(body), &before) != nil {
		return
	}
	delete(before, "a")
	delete(after, "a")
	if !reflect.DeepEqual(before, after) {
		t.Errorf("%v became %v", before, after)
	}
}

func TestSigned(t *testing.T) {
	e := engine(t, func(c *httpengine.Config) { c.Secret = secret })
	req := sent(t, e, call(dialect.Asked{Body: []byte(`{"a":1}`)}))
	key, err := signer.ParseWebhookSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	id := req.Header.Peek("webhook-id")
	want := signer.AppendWebhookSignature(nil, id, []byte("1700000000"), []byte(`{"a":1}`), key)
	if got := req.Header.Peek("webhook-signature"); string(got) != string(want) || len(id) < 16 || strings.Contains(token, string(id)) {
		t.Errorf("%s", &req.Header)
	}
}

// acked gives what is made of an engine's answer.
func acked(t *testing.T, change func(*httpengine.Config), status int, contentType, body string) (dialect.Ack, error) {
	t.Helper()
	e := engine(t, change)
	c := call(dialect.Asked{})
	if err := e.Prepare(c); err != nil {
		t.Fatal(err)
	}
	h := new(fasthttp.ResponseHeader)
	h.SetNoDefaultContentType(true)
	h.SetContentType(contentType)
	return e.Ack(c, status, h, []byte(body))
}

func final(c *httpengine.Config) { c.Final = []int{200} }

func TestAckTaken(t *testing.T) {
	for _, status := range []int{200, 201, 202, 204} {
		ack, err := acked(t, nil, status, "application/json", `{"id":"t-1"}`)
		if err != nil || len(ack.Finals) > 0 || ack.Package != nil || ack.Task != dialect.NewEngineTask([]byte("t-1")) {
			t.Errorf("%d: %+v, %v", status, ack, err)
		}
	}
	if ack, err := acked(t, final, 202, "", ""); err != nil || len(ack.Finals) > 0 {
		t.Errorf("accepted beside final: %+v, %v", ack, err)
	}
}

func TestAckFinal(t *testing.T) {
	ack, err := acked(t, final, 200, "text/plain", "done")
	if err != nil || len(ack.Finals) != 1 || ack.Finals[0].Status != correlator.Complete || string(ack.Finals[0].Body) != "done" || ack.Finals[0].Head.ContentType != "text/plain" {
		t.Errorf("final: %+v, %v", ack, err)
	}
	if _, err = acked(t, final, 200, "application/json", "{"); err == nil {
		t.Error("a final answer with broken JSON counts")
	}
	mapped := func(c *httpengine.Config) {
		final(c)
		c.Status = httpengine.Status{From: "state", Map: map[string]string{"failed": "error", "busy": "progress"}}
	}
	if ack, err = acked(t, mapped, 200, "application/json", `{"state":"failed"}`); err != nil || ack.Finals[0].Status != correlator.Errored {
		t.Errorf("a final failure: %+v, %v", ack, err)
	}
	if ack, err = acked(t, mapped, 200, "application/json", `{"state":"busy"}`); err != nil || len(ack.Finals) > 0 {
		t.Errorf("progress at once: %+v, %v", ack, err)
	}
}

func TestAckRefused(t *testing.T) {
	for _, body := range []string{`{"error":"no funds"}`, ""} {
		if ack, err := acked(t, nil, 422, "application/json", body); err != nil || ack.Package == nil || string(ack.Package) != body || !ack.Refused {
			t.Errorf("refused: %+v, %v", ack, err)
		}
	}
	for _, status := range []int{302, 500, 503, 203} {
		if _, err := acked(t, nil, status, "", ""); err == nil {
			t.Errorf("%d counts", status)
		}
	}
}

// post makes a callback.
func post(target, contentType, body string, header ...string) *fasthttp.Request {
	req := new(fasthttp.Request)
	req.Header.SetMethod("POST")
	req.Header.SetNoDefaultContentType(true)
	req.SetRequestURI(target)
	req.Header.SetContentType(contentType)
	req.SetBodyString(body)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	return req
}

func TestCallback(t *testing.T) {
	plain := engine(t, nil)
	cb, answer, err := plain.Callback(post("/x", "image/png", "\x89PNG\xff", "CZ-AG-Status-Code", "201", "Set-Cookie", "a=b", "Cache-Control", "no-cache"), 0)
	if err != nil || cb.Status != correlator.Complete || string(cb.Body) != "\x89PNG\xff" || string(answer) != "{}" {
		t.Errorf("%+v, %s, %v", cb, answer, err)
	}
	if cb.Head == nil || cb.Head.ContentType != "image/png" || string(cb.Head.Fields) != "CZ-AG-Status-Code: 201\r\nCache-Control: no-cache\r\n" {
		t.Errorf("head %+v", cb.Head)
	}
	if cb, _, err = plain.Callback(post("/x", "application/json", `{"a":1}`), 0); err != nil || cb.Head != nil {
		t.Errorf("plain JSON has a head: %+v, %v", cb, err)
	}
	wantStatuses(t, plain)
	for name, req := range map[string]*fasthttp.Request{
		"unknown status":  post("/x", "application/json", `{}`, "X-Callback-Status", "finished"),
		"broken JSON":     post("/x", "application/problem+json; charset=utf-8", `{"a":`),
		"progress in CSV": post("/x", "text/csv", "a;b", "X-Callback-Status", "progress"),
		"much to show":    post("/x", "text/csv", "a;b", "Cache-Control", strings.Repeat("x", 9000)),
	} {
		_, _, err := plain.Callback(req, 0)
		wantFault(t, err, 400)
		if err != nil && strings.Contains(err.Error(), "a;b") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, _, err = plain.Callback(post("/x", "application/json", "{}", "Content-Encoding", "gzip"), 0)
	wantFault(t, err, 415)
}

// wantStatuses has every status come in by header, and by query.
func wantStatuses(t *testing.T, plain *httpengine.Engine) {
	t.Helper()
	for word, status := range map[string]correlator.Status{
		"start": correlator.Started, "progress": correlator.Progress, "complete": correlator.Complete, "cancel": correlator.Cancelled, "error": correlator.Errored,
	} {
		if cb, _, err := plain.Callback(post("/x?callback_status=complete", "application/json", `{}`, "X-Callback-Status", word), 0); err != nil || cb.Status != status {
			t.Errorf("header %s: %+v, %v", word, cb, err)
		}
		if cb, _, err := plain.Callback(post("/x?callback_status="+word, "", ``), 0); err != nil || cb.Status != status {
			t.Errorf("query %s: %+v, %v", word, cb, err)
		}
	}
}

func TestCallbackPaths(t *testing.T) {
	e := engine(t, func(c *httpengine.Config) {
		c.Result = "data.items[1]"
		c.Status = httpengine.Status{From: "data.state", Map: map[string]string{"DONE": "complete", "RUNNING": "progress", "KO": "error"}}
	})
	cb, _, err := e.Callback(post("/x", "application/json", `{"data":{"state":"DONE","items":[0, {"big":12345678901234567890} ]}}`), 3)
	if err != nil || string(cb.Body) != `{"big":12345678901234567890}` || cb.Status != correlator.Complete || cb.Head != nil || cb.Op != 3 {
		t.Errorf("%+v, %v", cb, err)
	}
	if cb, _, err = e.Callback(post("/x", "application/json", `{"data":{"state":"RUNNING"}}`), 0); err != nil || cb.Status != correlator.Progress {
		t.Errorf("%+v, %v", cb, err)
	}
	if cb, _, err = e.Callback(post("/x", "application/json", `{"data":{"state":"KO"}}`), 0); err != nil || cb.Status != correlator.Errored {
		t.Errorf("%+v, %v", cb, err)
	}
	if cb, _, err = e.Callback(post("/x", "application/json", `{"data":{"items":[0,1]}}`), 0); err != nil || string(cb.Body) != "1" {
		t.Errorf("an absent status: %+v, %v", cb, err)
	}
	for _, body := range []string{`{"data":{"state":"WHAT"}}`, `{"data":{"state":{}}}`, `{"data":{"state":"DONE","items":[0]}}`, `nothing`} {
		_, _, err = e.Callback(post("/x", "text/plain", body), 0)
		wantFault(t, err, 400)
	}
}

func TestGetCallback(t *testing.T) {
	req := new(fasthttp.Request)
	req.SetRequestURI("/x?a=1&b=2&b=3&callback_status=error")
	cb, _, err := engine(t, nil).Callback(req, 0)
	if err != nil || cb.Status != correlator.Errored || string(cb.Body) != `{"a":"1","b":["2","3"]}` {
		t.Errorf("%s %+v, %v", cb.Body, cb, err)
	}
}

func TestCancel(t *testing.T) {
	f := func(cancel string, taken string) (target string, err error) {
		e := engine(t, func(c *httpengine.Config) { c.Cancel = httpengine.Cancel{Method: "DELETE", URL: cancel} })
		c := call(dialect.Asked{})
		if err := e.Prepare(c); err != nil {
			t.Fatal(err)
		}
		ack, err := e.Ack(c, 202, new(fasthttp.ResponseHeader), []byte(taken))
		if err != nil {
			t.Fatal(err)
		}
		var req fasthttp.Request
		err = e.EncodeCancel(&req, "ID", ack.Accepted, now)
		return string(req.Header.RequestURI()), err
	}
	const host = "https://flow.internal:8443"
	if target, err := f(host+"/jobs/{accepted.job.id}/{kind}?t={task}", `{"job":{"id":"a b"}}`); err != nil || target != "/jobs/a%20b/p2p?t=ID" {
		t.Errorf("%s, %v", target, err)
	}
	if target, err := f(host+"/stop/{task}", `no JSON`); err != nil || target != "/stop/ID" {
		t.Errorf("%s, %v", target, err)
	}
	for taken, want := range map[string]string{`{}`: "has not what cancel.url needs", `{"job":{"id":".."}}`: "another path"} {
		if _, err := f(host+"/jobs/{accepted.job.id}", taken); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", taken, err)
		}
	}
}

func TestCancels(t *testing.T) {
	with := engine(t, func(c *httpengine.Config) { c.Cancel.URL = "https://flow.internal:8443/stop" })
	if without := engine(t, nil); without.Cancels() || !with.Cancels() {
		t.Errorf("without: %v, with: %v", without.Cancels(), with.Cancels())
	}
}

// Every problem is found, with its key, and none shows a value.
func TestValidate(t *testing.T) {
	for key, change := range map[string]func(*httpengine.Config){
		"url: must be an absolute":    func(c *httpengine.Config) { c.URL = "flow.internal/SECRET" },
		"url: must not carry":         func(c *httpengine.Config) { c.URL = "https://a:SECRET@e/" },
		"url: has a {":                func(c *httpengine.Config) { c.URL = "https://e/{SE!CRET}" },
		"url: has a }":                func(c *httpengine.Config) { c.URL = "https://e/SECRET}" },
		"url: has a segment":          func(c *httpengine.Config) { c.URL = "https://e/SECRET/%2e%2E/{kind}" },
		"cancel.url: has a segment":   func(c *httpengine.Config) { c.Cancel.URL = c.URL + "/SECRET/./{task}" },
		"url: has {task}":             func(c *httpengine.Config) { c.URL = "https://e/{task}" },
		"method":                      func(c *httpengine.Config) { c.Method = "SECRET" },
		"callback_url: has more":      func(c *httpengine.Config) { c.CallbackURL = httpengine.CallbackURL{Header: "A", Query: "SECRET"} },
		"callback_url.header":         func(c *httpengine.Config) { c.CallbackURL = httpengine.CallbackURL{Header: "Host"} },
		"callback_url.member: must":   func(c *httpengine.Config) { c.CallbackURL = httpengine.CallbackURL{Member: "a[0]"} },
		"callback_url.member: needs":  func(c *httpengine.Config) { c.CallbackURL, c.Method = httpengine.CallbackURL{Member: "a"}, "GET" },
		"accepted: must have":         func(c *httpengine.Config) { c.Accepted = []int{100} },
		"accepted: and final":         func(c *httpengine.Config) { c.Accepted = []int{} },
		"result":                      func(c *httpengine.Config) { c.Result = "a..SECRET" },
		"status.from: must be a path": func(c *httpengine.Config) { c.Status.From = "a[x]" },
		"status.from: must be set":    func(c *httpengine.Config) { c.Status.Map = map[string]string{"SECRET": "error"} },
		"status.map": func(c *httpengine.Config) {
			c.Status = httpengine.Status{From: "a", Map: map[string]string{"SECRET": "SECRET"}}
		},
		"cancel.url: must be set":   func(c *httpengine.Config) { c.Cancel.Method = "POST" },
		"cancel.url: must have the": func(c *httpengine.Config) { c.Cancel.URL = "https://other/SECRET" },
		"cancel.method":             func(c *httpengine.Config) { c.Cancel = httpengine.Cancel{Method: "SECRET", URL: "https://e/"} },
		"headers: one has the name": func(c *httpengine.Config) { c.Headers = map[string]signer.Secret{"x-callback-url": "SECRET"} },
		"headers: one begins with": func(c *httpengine.Config) {
			c.Headers, c.Secret = map[string]signer.Secret{"Webhook-Id": "SECRET"}, secret
		},
		"secret: must begin":           func(c *httpengine.Config) { c.Secret = "SECRET" },
		"secret: must be 16":           func(c *httpengine.Config) { c.Secret = "whsec_QUJD" },
		"secret: is not base64 behind": func(c *httpengine.Config) { c.Secret = "whsec_SECRET!" },
	} {
		cfg := httpengine.Config{Name: "flow", URL: "https://e/x"}
		change(&cfg)
		err := cfg.Validate()
		if err == nil || !strings.HasPrefix(err.Error(), key) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", key, err)
		}
	}
	cfg := httpengine.Config{Name: "flow", URL: "https://e/{b}/{a}?x={b}", Cancel: httpengine.Cancel{URL: "https://E/{accepted.id}/{c}/{task}"}}
	if err := cfg.Validate(); err != nil || !reflect.DeepEqual(cfg.Params(), []string{"a", "b", "c"}) {
		t.Errorf("%v, %v", err, cfg.Params())
	}
}
