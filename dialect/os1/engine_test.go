package os1_test

import (
	"errors"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/httpengine"
	"syncgate/dialect/os1"
	"syncgate/signer"
)

const base = "https://sync.example/api/1/plugins/callback/"

var (
	token = strings.Repeat("T", correlator.LongTokenLen)
	now   = time.Unix(1_700_000_000, 0)
)

func engineConfig() httpengine.Config {
	return httpengine.Config{
		Name: "os1", Kind: "os1", URL: "https://os1.internal/{kind}",
		Headers: map[string]signer.Secret{"X-COREOS-TID": "acme", "x-coreos-access": "token"},
	}
}

func engine(t *testing.T, own os1.EngineConfig, change func(*httpengine.Config)) *os1.Engine {
	t.Helper()
	cfg := engineConfig()
	if change != nil {
		change(&cfg)
	}
	e, err := os1.New(own, cfg, httpengine.Options{CallbackURL: base})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func call(asked dialect.Asked) *dialect.Call {
	asked.Params = []dialect.Param{{Name: "kind", Value: "containers"}}
	return &dialect.Call{Ops: []dialect.Op{{Create: true}}, Options: &dialect.Options{Asked: &asked}}
}

// sent gives what the engine gets of a body and headers that are forwarded.
func sent(t *testing.T, e *os1.Engine, body string, forwarded ...dialect.Param) *fasthttp.Request {
	t.Helper()
	c := call(dialect.Asked{ContentType: []byte("application/json"), Body: []byte(body), Forwarded: forwarded})
	before := *c.Options.Asked
	if err := e.Prepare(c); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(before, *c.Options.Asked) {
		t.Errorf("what was asked changed to %+v", c.Options.Asked)
	}
	req := new(fasthttp.Request)
	if err := e.Encode(req, c, []string{token}, now); err != nil {
		t.Fatal(err)
	}
	return req
}

// The engine gets our callback, and the client's own does not survive, however it is spelled.
func TestEngineGetsOurCallback(t *testing.T) {
	e := engine(t, os1.EngineConfig{}, nil)
	for body, rest := range map[string]string{
		``:                                   `{`,
		`{"a":1.0}`:                          `{"a":1.0,`,
		`{"callback":"https://evil/","a":1}`: `{"a":1,`,
		`{"a":1,"callb\u0061ck":{"url":"https://evil/","meta":{"x":1}}}`:       `{"a":1,`,
		`{"callback":1,"b":{"callback":2},"callback":{"url":"https://evil/"}}`: `{"b":{"callback":2},`,
	} {
		req := sent(t, e, body)
		id := string(req.Header.Peek("X-COREOS-REQUEST-ID"))
		want := rest + `"callback":{"meta":{"requestId":"` + id + `"},"url":"` + base + token + `"}}`
		if got := string(req.Body()); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", body, got, want)
		}
		if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
			t.Errorf("the request id is %q", id)
		}
	}
	if a, b := sent(t, e, `{}`), sent(t, e, `{}`); string(a.Header.Peek("X-COREOS-REQUEST-ID")) == string(b.Header.Peek("X-COREOS-REQUEST-ID")) {
		t.Error("two tasks have the same request id")
	}
	for _, body := range []string{`[]`, `{"a":`, `{}x`, "\xff"} {
		if f, ok := errors.AsType[*dialect.Fault](e.Prepare(call(dialect.Asked{Body: []byte(body)}))); !ok || f.Status != 400 {
			t.Errorf("%s: %v", body, f)
		}
	}
}

// Of the client's headers the request id goes on, and its credentials do not.
func TestEngineHeaders(t *testing.T) {
	e := engine(t, os1.EngineConfig{CallbackSecret: secret}, nil)
	req := sent(t, e, `{}`,
		dialect.Param{Name: "X-Coreos-Request-Id", Value: "rq-1"}, dialect.Param{Name: "X-Coreos-Callback-Secret", Value: "evil"},
		dialect.Param{Name: "x-coreos-access", Value: "evil"}, dialect.Param{Name: "X-COREOS-ORIGIN-TOKEN", Value: "evil"}, dialect.Param{Name: "X-Coreos-Userinfo", Value: "{}"})
	for name, want := range map[string]string{"X-COREOS-REQUEST-ID": "rq-1", "X-COREOS-CALLBACK-SECRET": secret, "X-COREOS-USERINFO": "{}"} {
		if all := req.Header.PeekAll(name); len(all) != 1 || string(all[0]) != want {
			t.Errorf("%s: %q", name, all)
		}
	}
	if strings.Contains(req.Header.String(), "evil") || !strings.Contains(string(req.Body()), `"requestId":"rq-1"`) {
		t.Errorf("%s%s", &req.Header, req.Body())
	}
	if req = sent(t, engine(t, os1.EngineConfig{}, nil), `{}`); len(req.Header.Peek("X-COREOS-CALLBACK-SECRET")) > 0 {
		t.Error("a secret is sent that there is not")
	}
}

func TestEngineAnswers(t *testing.T) {
	e := engine(t, os1.EngineConfig{}, func(c *httpengine.Config) {
		c.Cancel = httpengine.Cancel{URL: "https://os1.internal/jobs/{accepted.data.id}"}
	})
	ack := func(e *os1.Engine, status int, body string) (dialect.Ack, error) {
		c := call(dialect.Asked{Body: []byte(`{}`)})
		if err := e.Prepare(c); err != nil {
			t.Fatal(err)
		}
		h := new(fasthttp.ResponseHeader)
		h.SetContentType("application/json")
		return e.Ack(c, status, h, []byte(body))
	}
	a, err := ack(e, 202, `{"data":{"id":"o 7"},"request":{}}`)
	if err != nil || len(a.Finals) > 0 || a.Package != nil || a.Task != dialect.NewEngineTask([]byte("o 7")) {
		t.Errorf("%+v, %v", a, err)
	}
	req := new(fasthttp.Request)
	if err = e.EncodeCancel(req, "T1", a.Accepted, now); err != nil || string(req.Header.RequestURI()) != "/jobs/o%207" || !e.Cancels() {
		t.Errorf("%s %v", &req.Header, err)
	}
	const refusal = `{"error":{"code":"E1"}}`
	if a, err = ack(e, 422, refusal); err != nil || !a.Refused || string(a.Package) != refusal {
		t.Errorf("%+v, %v", a, err)
	}
	for _, status := range []int{200, 201, 204, 500} {
		if _, err = ack(e, status, `{"data":{"id":1}}`); err == nil {
			t.Errorf("%d counts", status)
		}
	}
	sync := engine(t, os1.EngineConfig{}, func(c *httpengine.Config) { c.Final = []int{200} })
	if a, err = ack(sync, 200, `{"data":{"id":1.0},"request":{}}`); err != nil || len(a.Finals) != 1 || string(a.Finals[0].Body) != `{"id":1.0}` {
		t.Errorf("%+v, %v", a, err)
	}
}

// post makes a callback.
func post(body string, headers ...string) *fasthttp.Request {
	req := new(fasthttp.Request)
	req.Header.SetMethod("POST")
	req.SetRequestURI("/x")
	req.Header.SetContentType("application/json")
	req.SetBodyString(body)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	return req
}

func TestEngineCallback(t *testing.T) {
	e := engine(t, os1.EngineConfig{}, nil)
	for _, f := range []struct {
		body   string
		status correlator.Status
		want   string
	}{
		{`{"tenantId":"acme","eventType":"E","service":"S","status":"success","reason":"","data":{"id":7, "a":1.0},"meta":{}}`, correlator.Complete, `{"id":7, "a":1.0}`},
		{`{"data":[1]}`, correlator.Complete, `[1]`},
		{`{"status":"failed","reason":"no \u0022funds\u0022","data":{"id":7}}`, correlator.Errored, `{"message":"no \"funds\"","data":{"id":7}}`},
		{`{"status":"failed","reason":{"code":1},"data":null}`, correlator.Errored, `{"message":"{\"code\":1}"}`},
		{`{"status":"failed","meta":{"failed":1},"success":[1],"errors":[2]}`, correlator.Complete, `{"status":"failed","meta":{"failed":1},"success":[1],"errors":[2]}`},
		{`{"status":"success","data":3,"success":[1]}`, correlator.Complete, `3`},
		{`{"status":"failed"}`, correlator.Errored, `{"message":"The engine gives no reason"}`},
	} {
		cb, answer, err := e.Callback(post(f.body), 0)
		if err != nil || cb.Status != f.status || string(cb.Body) != f.want || string(answer) != `{}` || cb.Head != nil {
			t.Errorf("%s: %v %s %+v, %v", f.body, cb.Status, cb.Body, cb.Head, err)
		}
	}
	batch := post(`{"success":[],"errors":[]}`)
	cb, _, err := e.Callback(batch, 0)
	copy(batch.Body(), "xxxxxxxxxx") // the request is used again
	if err != nil || string(cb.Body) != `{"success":[],"errors":[]}` {
		t.Errorf("%s, %v", cb.Body, err)
	}
	if cb, _, err := e.Callback(post(`{"success":[],"errors":[]}`, "X-Callback-Status: cancel"), 0); err != nil || cb.Status != correlator.Cancelled {
		t.Errorf("%+v, %v", cb, err)
	}
	if cb, _, err := e.Callback(post(`{"percent":5}`, "X-Callback-Status: progress"), 0); err != nil || cb.Status != correlator.Progress {
		t.Errorf("%+v, %v", cb, err)
	}
	text := post(`{"status":"failed","reason":"full"}`)
	text.Header.SetContentType("text/plain")
	if cb, _, err := e.Callback(text, 0); err != nil || string(cb.Body) != `{"message":"full"}` || cb.Head == nil || cb.Head.ContentType != "application/json" {
		t.Errorf("%+v %+v, %v", cb, cb.Head, err)
	}
	for _, body := range []string{`{"status":"done","data":{}}`, `{"status":"success"}`, `{"status":`, ``} {
		wantStatus(t, e, post(body), 400)
	}
}

// wantStatus wants that a callback is refused.
func wantStatus(t *testing.T, e *os1.Engine, req *fasthttp.Request, status int) {
	t.Helper()
	_, _, err := e.Callback(req, 0)
	if f, ok := errors.AsType[*dialect.Fault](err); !ok || f.Status != status || strings.Contains(err.Error(), secret) {
		t.Errorf("%s%s: %v, want %d", &req.Header, req.Body(), err, status)
	} else if status == 401 && f.Reason != dialect.BadSignature {
		t.Errorf("the reason is %s", f.Reason)
	}
}

func TestEngineVerifies(t *testing.T) {
	for _, scheme := range []signer.OS1Scheme{"", signer.OS1HMAC, signer.OS1Concat} {
		e := engine(t, os1.EngineConfig{CallbackSecret: secret, Signature: scheme}, nil)
		const body = `{"status":"success","data": {"id":7}}`
		good := "X-COREOS-HMAC-SIGNATURE: " + string(signer.AppendOS1Signature(nil, scheme, []byte(body), []byte(secret)))
		if cb, _, err := e.Callback(post(body, good), 0); err != nil || string(cb.Body) != `{"id":7}` {
			t.Errorf("%+v, %v", cb, err)
		}
		name, hex, _ := strings.Cut(good, ": ")
		if _, _, err := e.Callback(post(body, name+": "+strings.ToUpper(hex)), 0); err != nil {
			t.Errorf("in upper case: %v", err)
		}
		other := signer.OS1Concat
		if scheme == other {
			other = signer.OS1HMAC
		}
		for _, req := range []*fasthttp.Request{
			post(body),
			post(body, name+": "),
			post(body, name+": "+hex[:63]),
			post(body, good, good),
			post(strings.Replace(body, " ", "", 1), good),
			post(body, name+": "+string(signer.AppendOS1Signature(nil, scheme, []byte(body), []byte("other")))),
			post(body, name+": "+string(signer.AppendOS1Signature(nil, other, []byte(body), []byte(secret)))),
			post(body, good, "X-Callback-Status: error"),
		} {
			wantStatus(t, e, req, 401)
		}
		query := post(body, good)
		query.SetRequestURI("/x?callback_status=error")
		wantStatus(t, e, query, 401)
		get := post("", name+": "+string(signer.AppendOS1Signature(nil, scheme, nil, []byte(secret))))
		get.Header.SetMethod("GET")
		get.SetRequestURI("/x?data=1")
		wantStatus(t, e, get, 401)
	}
}

func TestEngineConfig(t *testing.T) {
	if err := new(os1.EngineConfig).Validate(engineConfig()); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*os1.EngineConfig, *httpengine.Config){
		"callback_url: is always":        func(_ *os1.EngineConfig, c *httpengine.Config) { c.CallbackURL.Header = "X" },
		"result: is always":              func(_ *os1.EngineConfig, c *httpengine.Config) { c.Result = "a" },
		"status: is always":              func(_ *os1.EngineConfig, c *httpengine.Config) { c.Status.From = "a" },
		"headers: must have X-COREOS-TI": func(_ *os1.EngineConfig, c *httpengine.Config) { delete(c.Headers, "X-COREOS-TID") },
		"headers: must have X-COREOS-AC": func(_ *os1.EngineConfig, c *httpengine.Config) { c.Headers["x-coreos-access"] = "" },
		"headers: has X-COREOS-REQUEST":  func(_ *os1.EngineConfig, c *httpengine.Config) { c.Headers["X-Coreos-Request-Id"] = "HIDDEN" },
		"headers: has X-COREOS-CALLBACK": func(_ *os1.EngineConfig, c *httpengine.Config) { c.Headers["x-coreos-callback-secret"] = "HIDDEN" },
		"method: must be one of: POST, ": func(_ *os1.EngineConfig, c *httpengine.Config) { c.Method = "GET" },
		"url: must be an absolute URL":   func(_ *os1.EngineConfig, c *httpengine.Config) { c.URL = "HIDDEN" },
		"os1.callback_secret: must be":   func(e *os1.EngineConfig, _ *httpengine.Config) { e.CallbackSecret = "HIDDEN\n" },
		"os1.signature: must be one of":  func(e *os1.EngineConfig, _ *httpengine.Config) { e.Signature = "HIDDEN" },
	} {
		own, cfg := os1.EngineConfig{}, engineConfig()
		change(&own, &cfg)
		err := own.Validate(cfg)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "HIDDEN") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", want, err)
		}
		if _, err = os1.New(own, cfg, httpengine.Options{}); err == nil {
			t.Errorf("%s makes an engine", want)
		}
	}
}
