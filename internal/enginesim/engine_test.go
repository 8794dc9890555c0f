package enginesim_test

import (
	"context"
	"net"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"syncgate/internal/enginesim"
)

func TestTrip(t *testing.T) {
	e, g := start(t, nil), listen(t, nil)

	status, body := post(t, e, g.create(`,"big":12345678901234567890,"n" : 1.0`))
	want := regexp.MustCompile(`^{"request_proc":"ok","ops":\[{"id":"","proc":"ok","obj":"task","ref":"r-1","obj_id":"[0-9a-f]{24}"}\]}$`)
	if status != http.StatusOK || !want.MatchString(body) {
		t.Errorf("answered %d %s", status, body)
	}
	call := g.next(t)
	if want := `{"big":12345678901234567890,"n" : 1.0}`; call.body != want {
		t.Errorf("callback says %s, want %s", call.body, want)
	}
	if call.method != "POST" || call.uri != "/cb/token" || call.contentType != "application/json; charset=utf-8" {
		t.Errorf("callback is %+v", call)
	}

	settle(t, e)
	if s := e.Stats(); s.Requests != 1 || s.Tasks != 1 || s.Callbacks != 1 || s.Heard[200] != 1 || s.Pending != 0 {
		t.Errorf("counted %+v", s)
	}
}

func TestRecord(t *testing.T) {
	e, g := start(t, nil), listen(t, nil)
	_, body := post(t, e, g.create(`,"n":1`))
	settle(t, e)
	tasks := e.Tasks()
	if len(tasks) != 1 || len(tasks[0].Heard) != 1 {
		t.Fatalf("recorded %+v", tasks)
	}
	got := tasks[0]
	answer := got.Heard[0]
	if !strings.Contains(body, got.ObjID) {
		t.Errorf("obj_id %s was not in %s", got.ObjID, body)
	}
	want := enginesim.Task{
		ObjID: got.ObjID, Ref: `"r-1"`, Conv: "7", Login: login, URL: g.URL + "/cb/token", Data: []byte(`{"n":1}`),
		Heard: []enginesim.Answer{{N: 1, Sent: answer.Sent, At: answer.At, Status: 200, Body: []byte("{}")}},
	}
	if answer.Sent.IsZero() || answer.At.Before(answer.Sent) {
		t.Errorf("sent at %v, answered at %v", answer.Sent, answer.At)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("recorded %+v, want %+v", got, want)
	}
	if e.Created(`"r-1"`) != 1 || e.Created(`"r-2"`) != 0 {
		t.Error("tasks are not found by ref")
	}
	r := e.Requests()
	if len(r) != 1 || string(r[0].Body) != g.create(`,"n":1`) || r[0].Path != path(string(r[0].Body)) || !strings.Contains(r[0].Header, "Content-Length: ") {
		t.Errorf("recorded %q", r)
	}
}

func TestRefusedRequests(t *testing.T) {
	e := start(t, func(c *enginesim.Config) { c.MaxBody = 1000 })
	good := `{"ops":[{"type":"create","obj":"task","data":{}}]}`
	deny := func(name, method, path, body string, wantStatus int, want string) {
		t.Helper()
		resp, text, err := raw(method, e.URL()+path, body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != wantStatus || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s, want %d and %s", name, resp.StatusCode, text, wantStatus, want)
		}
	}
	deny("another body", "POST", path(good), good+" ", 401, "Incorrect signature")
	deny("another login", "POST", strings.Replace(path(good), login, "54321", 1), good, 401, "Incorrect signature")
	deny("GET", "GET", path(""), "", 405, "not allowed")
	deny("unknown path", "POST", "/api/3/json/1/2/3", good, 404, "")
	deny("longer path", "POST", path(good)+"/more", good, 404, "")
	for _, body := range []string{
		"", "[]", "{}", "{", `{"ops":[]}`, `{"ops":1}`, `{"ops":[1]}`, `{"ops":[{"data":{]}`, `{"ops":[{}]}{}`, `{"ops":[{"type":"create"`, `{"ops":{"a":1}`,
	} {
		deny(body, "POST", path(body), body, 400, "Incorrect body")
	}
	long := strings.Repeat("x", 1001)
	deny("too large", "POST", path(long), long, 413, "")
	if n := e.Stats().Tasks; n != 0 {
		t.Errorf("%d tasks were made", n)
	}
}

func TestOps(t *testing.T) {
	e := start(t, nil)
	f := func(op, want string) {
		t.Helper()
		status, body := post(t, e, `{"timeout":3,"ops":`+op+`}`)
		body = regexp.MustCompile(`[0-9a-f]{24}`).ReplaceAllString(body, "T")
		if want = `{"request_proc":"ok","ops":[` + want + `]}`; status != 200 || body != want {
			t.Errorf("%s\nanswered %d %s,\nwant         %s", op, status, body, want)
		}
	}
	ok := `{"id":"","proc":"ok","obj":"task","ref":null,"obj_id":"T"}`
	f(`{"type":"create","obj":"task","data":{}}`, ok)
	f(`[{"type":"create","obj":"task"}]`, ok)
	f(`[{"type":"create","obj":"task","data":[ ]}]`, ok)
	f(`[{"type":"create","obj":"task","data":null}]`, ok)
	f(`[{"\u0074ype":"cre\u0061te","obj":"task","id":1e2,"ref":"\u0430"}]`, `{"id":1e2,"proc":"ok","obj":"task","ref":"\u0430","obj_id":"T"}`)
	f(`[{"type":"modify","obj":"task","ref":"r","obj_id":"0123456789abcdef01234567","data":{}}]`, `{"id":"","proc":"ok","obj":"task","ref":"r","obj_id":"T"}`)
	f(`[{"type":"modify","obj":"task","ref":"r"}]`, `{"id":"","proc":"ok","obj":"task","ref":"r","obj_id":null}`)
	f(`[{"type":"create","obj":"task","id":"a","data":[1]}]`, `{"id":"a","proc":"error","description":"Value is not valid. Key 'data' is no object"}`)
	f(`[{"type":"create","obj":"task","data":"x"}]`, `{"id":"","proc":"error","description":"Value is not valid. Key 'data' is no object"}`)
	f(`[{"type":"create","obj":"conv"}]`, `{"id":"","proc":"error","description":"bad object"}`)
	f(`[{"type":"explode","obj":"task"},{"type":"create","obj":"task"}]`, `{"id":"","proc":"error","description":"undefined request"},`+ok)
	f(`[{"type":"create","obj":"task","data":{"__sim":{"dely_ms":1}}}]`, `{"id":"","proc":"error","description":"read __sim: json: unknown field \"dely_ms\""}`)
	f(`[{"type":"create","obj":"task","data":{"__sim":{"ack":"maybe"}}}]`,
		`{"id":"","proc":"error","description":"read __sim: ack: \"maybe\" is none of [ok object reversed not_unical_ref access_denied conveyor_is_not_active unanswered format_error http_400 http_500 html_502 html_200 empty redirect hang reset truncated slow bad_chunks not_http close]"}`)
}

func TestPendingIsBounded(t *testing.T) {
	e, g := start(t, func(c *enginesim.Config) { c.Pending = 3 }), listen(t, nil)
	slow := g.create(`,"__sim":{"delay_ms":3600000,"duplicates":1}`)
	if _, body := post(t, e, slow); !strings.Contains(body, `"proc":"ok"`) {
		t.Fatalf("first: %s", body)
	}
	if _, body := post(t, e, slow); !strings.Contains(body, "Too many requests: limit is reached") {
		t.Errorf("second, beyond the limit: %s", body)
	}
	if _, body := post(t, e, g.create(`,"__sim":{"callback":"never"}`)); !strings.Contains(body, `"proc":"ok"`) {
		t.Errorf("a task without a callback needs no slot: %s", body)
	}
	if _, body := post(t, e, g.create("")); !strings.Contains(body, `"proc":"ok"`) {
		t.Errorf("the last slot: %s", body)
	}
	g.next(t)
	if s := e.Stats(); s.Tasks != 3 || s.OpErrors != 1 {
		t.Errorf("counted %+v", s)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	e := start(t, func(c *enginesim.Config) { c.Connections = 2 })
	for range 2 {
		if _, err := dial(t, e).Write([]byte("POST ")); err != nil {
			t.Fatal(err)
		}
	}
	conn := dial(t, e)
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil || isTimeout(err) {
		t.Errorf("a third connection was kept: %d bytes, %v", n, err)
	}
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error) //nolint:errorlint // net's own errors are not wrapped
	return ok && ne.Timeout()
}

// Close ends what hangs, what is delayed and what is on its way; goleak finds what it leaves.
func TestClose(t *testing.T) {
	block := make(chan struct{})
	var once sync.Once
	g := listen(t, func(int) int {
		<-block
		return 200
	})
	unblock := func() { once.Do(func() { close(block) }) }
	t.Cleanup(unblock)
	e := start(t, nil)
	post(t, e, g.create(""))                              // its callback stays in flight
	post(t, e, g.create(`,"__sim":{"delay_ms":3600000}`)) // scheduled
	var clients sync.WaitGroup
	clients.Go(func() { _, _, _ = try(e, g.create(`,"__sim":{"ack":"hang"}`)) })
	clients.Go(func() { _, _, _ = try(e, g.create(`,"__sim":{"ack_delay_ms":3600000}`)) })
	for e.Stats().Callbacks < 3 || e.Stats().Tasks < 4 {
		await(t)
	}
	began := time.Now()
	e.Close()
	e.Close()
	if took := time.Since(began); took > 5*time.Second { // what it ends would last longer
		t.Errorf("close took %s", took)
	}
	if _, err := net.Dial("tcp", e.Addr()); err == nil {
		t.Error("the engine still listens")
	}
	clients.Wait()
	unblock()
}

// await lets others work for a moment, in a loop that waits for their doing.
func await(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	<-ctx.Done()
}
