package main_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

const os1Secret = "secret-of-os1"

// os1Engine is a server that speaks OS1's asynchronous APIs as its documentation says.
type os1Engine struct {
	*client
	gate   *gate
	called chan os1Task
}

// os1Task is a request that it has taken.
type os1Task struct {
	body   string
	header http.Header
	url    string
	meta   struct{ RequestID string }
}

func newOS1Engine(t *testing.T) *os1Engine {
	t.Helper()
	e := &os1Engine{called: make(chan os1Task, 1)}
	e.gate = documented(t, "os1", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var said struct {
			Answer   int
			Callback struct {
				URL  string
				Meta struct{ RequestID string }
			}
		}
		if err := json.Unmarshal(body, &said); err != nil || r.URL.Path != "/core/api/v1/vehicles" {
			t.Errorf("the engine gets %s %s", r.URL, body)
		}
		w.Header().Set("Content-Type", "application/json")
		if said.Answer != 0 {
			w.WriteHeader(said.Answer)
			_, _ = io.WriteString(w, `{"error":{"code":"E1"}}`)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"data":{"id":"o-7"},"request":{}}`)
		e.called <- os1Task{string(body), r.Header, said.Callback.URL, said.Callback.Meta}
	})
	e.client = caller(t, e.gate.public, 2)
	return e
}

// start sends a request of a client and waits until the engine has the task. The channel gives the client's answer.
func (e *os1Engine) start(t *testing.T, body string) (os1Task, <-chan answer) {
	t.Helper()
	answers := make(chan answer, 1)
	go func() {
		a, err := e.try("POST", "/v1/vehicles", body)
		if err != nil {
			a.body = err.Error()
		}
		answers <- a
	}()
	return soon(t, e.called), answers
}

// callBack posts a body with a signature and gives the status of the answer.
func (e *os1Engine) callBack(t *testing.T, url, body, signature string) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if signature != "" {
		req.Header.Set("X-COREOS-HMAC-SIGNATURE", signature)
	}
	r, err := e.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	said, err := io.ReadAll(r.Body)
	if err != nil || string(said) != "{}" {
		t.Errorf("the engine hears %s, %v", said, err)
	}
	return r.StatusCode
}

func os1Signature(body string) string {
	mac := hmac.New(sha256.New, []byte(os1Secret))
	_, _ = io.WriteString(mac, body)
	return hex.EncodeToString(mac.Sum(nil))
}

// TestOS1Engine has an engine that speaks OS1 work for a route of the configuration in docs/engines.md.
func TestOS1Engine(t *testing.T) {
	e := newOS1Engine(t)
	task, client := e.start(t, `{"n":1.0,"callback":{"url":"https://evil.example/","meta":{"x":1}}}`)
	wantOS1Task(t, e.gate, &task)
	const done = `{"tenantId":"acme","eventType":"VEHICLE_CREATED","service":"Entity","status":"success","reason":"","data":{"id":"o-7", "n":1.0},"meta":{}}`
	if status := e.callBack(t, task.url, done, os1Signature(done)); status != 200 {
		t.Errorf("the engine hears %d", status)
	}
	wantAnswer(t, soon(t, client), 200, `{"id":"o-7", "n":1.0}`)

	task, client = e.start(t, `{"n":2}`)
	const failed = `{"status":"failed","reason":"no such model","data":{"id":"o-7"}}`
	if status := e.callBack(t, task.url, failed, os1Signature(failed)); status != 200 {
		t.Errorf("the engine hears %d", status)
	}
	wantAnswer(t, soon(t, client), 502, `{"message":"no such model","data":{"id":"o-7"}}`)
	wantAnswer(t, e.ask(t, "POST", "/v1/vehicles", `{"answer":422}`), 422, `{"error":{"code":"E1"}}`)
	if a := e.ask(t, "POST", "/v1/vehicles", `{"answer":200}`); a.status != 502 {
		t.Errorf("an answer that is not 202: %d %s", a.status, a.body)
	}
	e.gate.stop()
}

func wantOS1Task(t *testing.T, g *gate, task *os1Task) {
	t.Helper()
	id := task.header.Get("X-COREOS-REQUEST-ID")
	want := fmt.Sprintf(`{"n":1.0,"callback":{"meta":{"requestId":%q},"url":%q}}`, id, task.url)
	if task.body != want || id == "" || task.meta.RequestID != id || !strings.HasPrefix(task.url, "http://"+g.public+"/") {
		t.Errorf("the engine gets %s\nwant %s", task.body, want)
	}
	for name, value := range map[string]string{"X-COREOS-TID": "acme", "X-COREOS-ACCESS": "access-token", "X-COREOS-CALLBACK-SECRET": os1Secret} {
		if all := task.header.Values(name); len(all) != 1 || all[0] != value {
			t.Errorf("%s: %q", name, all)
		}
	}
}

// TestOS1EngineMustSign: a callback that the secret has not signed changes nothing, is counted, and no secret is in the log.
func TestOS1EngineMustSign(t *testing.T) {
	e := newOS1Engine(t)
	task, client := e.start(t, `{}`)
	const body = `{"status":"success","data":{"n":1}}`
	good := os1Signature(body)
	for _, f := range [][3]string{{task.url, body, ""}, {task.url, strings.ToUpper(body), good}, {task.url, body, good[:63] + "x"}, {task.url + "?callback_status=error", body, good}} {
		if status := e.callBack(t, f[0], f[1], f[2]); status != 401 {
			t.Errorf("%s signed %s: the engine hears %d", f[1], f[2], status)
		}
	}
	if n := e.gate.metric("syncgate_callbacks_total", `outcome="bad_request"`); n != 4 {
		t.Errorf("%v callbacks were refused", n)
	}
	if status := e.callBack(t, task.url, body, good); status != 200 {
		t.Errorf("the engine hears %d", status)
	}
	wantAnswer(t, soon(t, client), 200, `{"n":1}`)
	e.gate.stop()
	if said := e.gate.log.String(); strings.Contains(said, os1Secret) || strings.Contains(said, "access-token") || strings.Contains(said, good) {
		t.Errorf("a secret is in the log:\n%s", said)
	}
}
