package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// described is every engine of a configuration, and the receiver of results, in the hands of a test. What they get, and what they hear when they call
// back, is held against the description.
type described struct {
	*httptest.Server
	t *testing.T

	mu      sync.Mutex
	spec    *spec
	acts    string         // what the next tasks come to
	calling sync.WaitGroup // callbacks that are under way
	task    taskAtEngine   // the last one
	heard   chan string    // notifications
}

// taskAtEngine is a task as its engine has it.
type taskAtEngine struct {
	callback, body string
	calls          part // the description of the callback
}

func newDescribed(t *testing.T) *described {
	t.Helper()
	d := &described{t: t, heard: make(chan string, 100)}
	mux := http.NewServeMux()
	mux.HandleFunc("/receiver", d.receive)
	mux.HandleFunc("/corezoid/", d.corezoid)
	mux.HandleFunc("/{engine}/", d.http)
	d.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		d.calling.Wait()
		d.Close()
	})
	return d
}

// now says what tasks come to from now on: result, status, error, cancel, never, refuse, final, broken.
func (d *described) now(acts string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.acts = acts
}

func (d *described) state() (s *spec, acts string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.spec, d.acts
}

// last gives the last task.
func (d *described) last() taskAtEngine {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.task
}

// ends has the engine of the last task call back.
func (d *described) ends(acts string) { d.calls(d.last(), acts) }

// hook gives the description of what an engine gets, and of what it calls.
func (s *spec) hook(name, method string) (gets, calls part) {
	gets = s.root.in("webhooks", name, strings.ToLower(method))
	if gets.object == nil {
		s.t.Errorf("the description has no webhook %s with %s", name, method)
	}
	return gets, gets.in("callbacks", "result", "{"+expression(gets)+"}", "post")
}

// expression gives the runtime expression under which the description says that the callback URL stands.
func expression(gets part) string {
	for text := range gets.in("callbacks", "result").object {
		return strings.Trim(text, "{}")
	}
	return ""
}

// evaluated gives what an expression names in a request (OpenAPI 3.1, 4.8.20.4).
func evaluated(text string, r *http.Request, body string) string {
	kind, at, _ := strings.Cut(strings.TrimPrefix(text, "$request."), "#")
	switch {
	case strings.HasPrefix(kind, "header."):
		return r.Header.Get(strings.TrimPrefix(kind, "header."))
	case strings.HasPrefix(kind, "query."):
		return r.URL.Query().Get(strings.TrimPrefix(kind, "query."))
	}
	var value any
	_ = json.Unmarshal([]byte(body), &value)
	for part := range strings.SplitSeq(strings.TrimPrefix(at, "/"), "/") {
		switch v := value.(type) {
		case map[string]any:
			value = v[part]
		case []any:
			value = v[0]
		}
	}
	found, _ := value.(string)
	return found
}

// got holds a request for an engine against the description.
func (d *described) got(name string, r *http.Request) (task taskAtEngine, acts string) {
	b, _ := io.ReadAll(r.Body)
	s, acts := d.state()
	gets, calls := s.hook(name, r.Method)
	for _, wrong := range gets.wrongRequest(gets.parameters(), nil, exchange{r.Method, r.URL.String(), r.Header, string(b), answer{}}) {
		d.t.Errorf("the engine %s gets what the description does not have: %s\n%v %s", name, wrong, r.Header, b)
	}
	task = taskAtEngine{evaluated(expression(gets), r, string(b)), string(b), calls}
	isCreate := name != "package" || strings.Contains(string(b), `"ops":[{"conv_id":1234`)
	if u, err := url.Parse(task.callback); isCreate && (err != nil || !strings.Contains(task.callback, "/api/1/plugins/callback/") || u.Host == "") {
		d.t.Errorf("by %s the callback URL of %s is %q", expression(gets), name, task.callback)
	}
	d.mu.Lock()
	d.task = task
	d.mu.Unlock()
	return task, acts
}

// http is an engine in plain HTTP.
func (d *described) http(w http.ResponseWriter, r *http.Request) {
	name := "engine_" + r.PathValue("engine")
	task, acts := d.got(name, r)
	switch acts {
	case "refuse":
		w.Header().Set("Content-Type", "text/x-refusal")
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "no tea")
	case "broken":
		w.WriteHeader(http.StatusInternalServerError)
	case "final":
		_, _ = io.WriteString(w, `{"rate":1.5}`)
	default:
		w.WriteHeader(http.StatusAccepted)
		d.calls(task, acts)
	}
}

// corezoidOps are those of a package. One object counts as an array of one.
type corezoidOps []corezoidOp

type corezoidOp struct {
	ID   string          `json:"id"`
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

func (o *corezoidOps) UnmarshalJSON(text []byte) error {
	*o = make(corezoidOps, 1)
	if text[0] == '{' {
		return json.Unmarshal(text, &(*o)[0])
	}
	return json.Unmarshal(text, (*[]corezoidOp)(o))
}

// corezoid is Corezoid's API.
func (d *described) corezoid(w http.ResponseWriter, r *http.Request) {
	s, _ := d.state()
	name := "engine_corezoid"
	if s.root.in("webhooks", name).object == nil {
		name = "package"
	}
	task, acts := d.got(name, r)
	var in struct {
		Ops corezoidOps `json:"ops"`
	}
	if err := json.Unmarshal([]byte(task.body), &in); err != nil {
		d.t.Error(err)
	}
	w.Header().Set("Content-Type", "application/json")
	switch acts {
	case "refuse":
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, `{"request_proc":"no_tea","ops":[]}`)
		return
	case "broken":
		w.WriteHeader(http.StatusInternalServerError)
		return
	case "format_error":
		_, _ = io.WriteString(w, `{"request_proc":"format_error","ops":[]}`)
		return
	}
	var ops []string
	for _, op := range in.Ops {
		ops = append(ops, fmt.Sprintf(`{"id":%q,"proc":"ok","obj":"task","obj_id":"5cf67011094bab1b9a00a31d"}`, op.ID))
	}
	fmt.Fprintf(w, `{"request_proc":"ok","ops":[%s]}`, strings.Join(ops, ","))
	for _, op := range in.Ops {
		if op.Type == "create" {
			d.calls(taskAtEngine{evaluated("$request.body#/__callback_url", r, string(op.Data)), `{"done":true}`, task.calls}, acts)
		}
	}
}

// calls has an engine call back, as acts says.
func (d *described) calls(task taskAtEngine, acts string) {
	header, body := []string{"Content-Type: application/json"}, task.body
	if body == "" {
		body = `{"rate":1.5}`
	}
	switch acts {
	case "never":
		return
	case "status":
		header = append(header, "Cz-Ag-Status-Code: 207")
	case "error", "cancel":
		header, body = append(header, "X-Callback-Status: "+acts), `{"message":"it did not work"}`
	case "progress":
		header, body = append(header, "X-Callback-Status: progress"), `{"percent":40}`
	}
	d.calling.Go(func() { d.call(200, task, body, header...) })
}

// call calls back, holds the exchange against the description, and wants a status.
func (d *described) call(status int, task taskAtEngine, body string, headers ...string) {
	d.t.Helper()
	req, err := http.NewRequest(http.MethodPost, task.callback, strings.NewReader(body))
	if err != nil {
		d.t.Error(err)
		return
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	r, err := c.Do(req)
	if err != nil {
		return // the gateway has ended
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	s, _ := d.state()
	a := answer{status: r.StatusCode, header: r.Header, body: string(b)}
	s.checkAnswer("callback", task.calls, a)
	if a.status == http.StatusOK {
		for _, wrong := range task.calls.wrongRequest(task.calls.parameters(), nil, exchange{http.MethodPost, task.callback, req.Header, body, a}) {
			d.t.Errorf("a callback: %s", wrong)
		}
	}
	if status != 0 && a.status != status {
		d.t.Errorf("a callback with %v %.100s is answered with %d %s, want %d", headers, body, a.status, a.body, status)
	}
}

// receive is the receiver of results.
func (d *described) receive(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	s, _ := d.state()
	wrong := []string{"no operation has a receiver"}
	for _, op := range s.receivers() { // one operation has to describe the request
		wrong = op.wrongRequest(op.parameters(), nil, exchange{r.Method, r.URL.String(), r.Header, string(b), answer{}})
		if len(wrong) == 0 {
			break
		}
	}
	if len(wrong) > 0 {
		d.t.Errorf("a receiver gets what the description does not have: %s\n%v %s", wrong, r.Header, b)
	}
	d.heard <- r.Header.Get("Content-Type") + " " + string(b)
}

// receivers gives the descriptions of what receivers get.
func (s *spec) receivers() (all []part) {
	for _, name := range s.operations() {
		method, path, _ := strings.Cut(name, " ")
		callbacks := s.operation(method, path).in("callbacks")
		for kind := range callbacks.object {
			for expression := range callbacks.in(kind).object {
				all = append(all, callbacks.in(kind, expression, "post"))
			}
		}
	}
	return all
}
