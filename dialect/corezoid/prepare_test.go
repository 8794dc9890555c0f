package corezoid_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/corezoid"
	"syncgate/internal/wiretest"
)

var routeToken = strings.Repeat("T", correlator.TokenLen)

// routed gives the package that the engine gets for what a route asks for.
func routed(t *testing.T, asked dialect.Asked) (body string, err error) {
	t.Helper()
	d := newDialect(t)
	asked.Signer = login
	if asked.Process == "" {
		asked.Process = "1234"
	}
	c := &dialect.Call{Login: "access/shop", Ops: []dialect.Op{{Create: true}}, Options: &dialect.Options{Asked: &asked}}
	if err := d.Prepare(c); err != nil {
		return "", err
	}
	req := new(fasthttp.Request)
	if err := d.Encode(req, c, []string{routeToken}, now); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(req.Header.RequestURI()), "/"+login+"/") {
		t.Errorf("signed by %s", req.Header.RequestURI())
	}
	if !json.Valid(req.Body()) {
		t.Fatalf("no JSON: %s", req.Body())
	}
	return string(req.Body()), nil
}

func wantBodyFault(t *testing.T, err error) {
	t.Helper()
	if f, ok := errors.AsType[*dialect.Fault](err); !ok || f.Status != 400 || !strings.HasPrefix(f.Text, "Incorrect body: ") {
		t.Errorf("got %v, want a fault about the body", err)
	}
}

// wholeOf gives the members of the task's data, and their text. Every callback URL in it has the token.
func wholeOf(t *testing.T, body string) (whole map[string]any, text string) {
	t.Helper()
	var pack struct {
		Ops []struct {
			Type, Obj string
			ID        string
			Data      json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(body), &pack); err != nil || len(pack.Ops) != 1 || pack.Ops[0].Type != "create" || pack.Ops[0].Obj != "task" || pack.Ops[0].ID == "" {
		t.Fatalf("%v: %s", err, body)
	}
	if err := json.Unmarshal(pack.Ops[0].Data, &whole); err != nil {
		t.Fatal(err)
	}
	if url, _ := whole["__callback_url"].(string); !strings.HasSuffix(url, "/"+routeToken) || strings.Contains(body, "00000000") {
		t.Errorf("the callback URL is %s in %s", url, body)
	}
	return whole, string(pack.Ops[0].Data)
}

func TestPrepareMembers(t *testing.T) {
	for _, f := range []struct{ body, begins string }{
		{`{"amount":1.0,"big":12345678901234567890}`, `{"amount":1.0,"big":12345678901234567890,"__callback_url":"`},
		{``, `{"__callback_url":"`},
		{" \n", `{"__callback_url":"`},
		{`{ }`, `{"__callback_url":"`},
		{`{"__callback_url":"evil","a":1,"\u005f_callback_url":"evil"}`, `{"a":1,"__callback_url":"`},
		{`{"a":{"__callback_url":"inner"}}`, `{"a":{"__callback_url":"inner"},"__callback_url":"`},
		{`{"a":"\"\":0","__headers":{"x":"evil"}}`, `{"a":"\"\":0","__callback_url":"`},
	} {
		body, err := routed(t, dialect.Asked{Data: "members", Body: []byte(f.body)})
		if err != nil {
			t.Fatal(err)
		}
		if _, text := wholeOf(t, body); !strings.HasPrefix(text, f.begins) || strings.Contains(text, "evil") {
			t.Errorf("%s became %s", f.body, text)
		}
	}
	for _, body := range []string{`[]`, `"x"`, `{"a":`, `{} x`, "{\"a\":\"\xff\"}", "\ufeff{}"} {
		_, err := routed(t, dialect.Asked{Data: "members", Body: []byte(body)})
		wantBodyFault(t, err)
	}
}

// The process is a number, or the alias of one.
func TestPrepareProcess(t *testing.T) {
	for process, want := range map[string]string{"1234": `,"conv_id":1234,`, "transfers": `,"obj_alias":"transfers",`, `a"b`: `,"obj_alias":"a\"b",`} {
		if body, err := routed(t, dialect.Asked{Process: process}); err != nil || !strings.Contains(body, want) {
			t.Errorf("%s: %s, %v", process, body, err)
		}
	}
}

func TestPrepareRequest(t *testing.T) {
	asked := dialect.Asked{
		Data: "request", Method: "PUT", Path: []byte("/v1/x"), Query: []byte("a=1&a=2&b="), Params: []dialect.Param{{Name: "kind", Value: "p2p"}},
		Headers: []dialect.Param{{Name: "X-A", Value: "1"}, {Name: "X-A", Value: "2"}}, Forwarded: []dialect.Param{{Name: "x-a", Value: "1"}}, Body: []byte(`{"n":1.0}`),
	}
	body, err := routed(t, asked)
	if err != nil {
		t.Fatal(err)
	}
	whole, _ := wholeOf(t, body)
	url := whole["__callback_url"]
	delete(whole, "__callback_url")
	want := map[string]any{
		"method": "PUT", "path": "/v1/x", "params": map[string]any{"kind": "p2p"}, "query": map[string]any{"a": []any{"1", "2"}, "b": ""},
		"headers": map[string]any{"X-A": "1, 2"}, "body": map[string]any{"n": 1.0}, "__headers": map[string]any{"x-a": "1"},
		"api_gateway": map[string]any{"callback_url": url, "request": map[string]any{
			"method": "PUT", "path": "/v1/x", "headers": map[string]any{"X-A": "1, 2"}, "body": map[string]any{"n": 1.0},
		}},
	}
	if !reflect.DeepEqual(whole, want) {
		t.Errorf("%v\nwant %v", whole, want)
	}
}

func TestPrepareBoth(t *testing.T) {
	body, err := routed(t, dialect.Asked{Data: "both", Method: "POST", Path: []byte("/v1/x"), Body: []byte(`{"n":2,"api_gateway":"evil"}`)})
	if err != nil {
		t.Fatal(err)
	}
	whole, text := wholeOf(t, body)
	inner, _ := whole["api_gateway"].(map[string]any)
	if inner["callback_url"] != whole["__callback_url"] || whole["n"] != 2.0 || !strings.HasPrefix(text, `{"n":2,"api_gateway":{`) {
		t.Errorf("%s", text)
	}
}

func TestPrepareRaw(t *testing.T) {
	for in, want := range map[string]map[string]any{
		"a;b\n\"":   {"body": "a;b\n\""},
		"\x89PNG\n": {"body": "iVBORwo=", "encoding": "base64"},
		"":          {"body": ""},
	} {
		body, err := routed(t, dialect.Asked{Data: "raw", Body: []byte(in)})
		if err != nil {
			t.Fatal(err)
		}
		whole, _ := wholeOf(t, body)
		delete(whole, "__callback_url")
		if !reflect.DeepEqual(whole, want) {
			t.Errorf("%q became %v", in, whole)
		}
	}
}

// A route's client reads no 200 for a task that the engine has refused.
func TestAckOfARoute(t *testing.T) {
	d := newDialect(t)
	c := &dialect.Call{Ops: []dialect.Op{{Create: true}}, Options: &dialect.Options{Asked: &dialect.Asked{Process: "1", Signer: login}}}
	if err := d.Prepare(c); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{`{"request_proc":"ok","ops":[{"proc":"error","description":"no such process"}]}`, `{"request_proc":"format_error","ops":[]}`} {
		ack, err := d.Ack(c, 200, nil, []byte(body))
		if err != nil || ack.Package != nil || len(ack.Finals) != 1 || ack.Finals[0].Status != correlator.Errored || !json.Valid(ack.Finals[0].Body) {
			t.Errorf("%s: %+v, %v", body, ack, err)
		}
	}
	if ack, err := d.Ack(c, 403, nil, []byte(`{"request_proc":"fail","ops":[]}`)); err != nil || ack.Package == nil {
		t.Errorf("403: %+v, %v", ack, err)
	}
}

// What a callback says beside its body is kept where routes show it, and costs others nothing.
func TestFieldsOfACallback(t *testing.T) {
	d := newDialect(t)
	header := []string{"Content-Type: text/xml", "CZ-AG-Status-Code: 201", "Set-Cookie: a=b"}
	if cb, _, err := d.Callback(wiretest.Received(t, "POST", "/", "<r/>", header...), 0); err != nil || cb.Head != nil {
		t.Errorf("%+v, %v", cb, err)
	}
	d.SetFields([]string{"Content-Type", "cz-ag-status-code"})
	cb, _, err := d.Callback(wiretest.Received(t, "POST", "/", "<r/>", header...), 0)
	if err != nil || cb.Head == nil || cb.Head.ContentType != "application/json" || string(cb.Head.Fields) != "cz-ag-status-code: 201\r\n" {
		t.Errorf("%+v, %v", cb.Head, err)
	}
	large := wiretest.Received(t, "POST", "/", "{}")
	large.Header.Set("CZ-AG-Status-Code", strings.Repeat("x", 9000))
	_, _, err = d.Callback(large, 0)
	wantBodyFault(t, err)
	d.SetFields(nil)
	if cb, _, err = d.Callback(wiretest.Received(t, "POST", "/", "{}", header[1:]...), 0); err != nil || cb.Head != nil {
		t.Errorf("%+v, %v", cb, err)
	}
}

// How a task ended that has no result, in the engine's words where it has some.
func TestAnswerWithoutAResult(t *testing.T) {
	d := newDialect(t)
	for _, f := range []struct {
		status     correlator.Status
		body, said string
	}{
		{correlator.Errored, `{"message":"no \"funds\"","errorNumber":7}`, `no \"funds\"`},
		{correlator.Errored, `{"message":""}`, `Error`},
		{correlator.Errored, `{"message":7}`, `Error`},
		{correlator.Errored, ``, `Error`},
		{correlator.Errored, `[1`, `Error`},
		{correlator.Cancelled, `{"a":{"message":"inner"},"message":"by hand"}`, `by hand`},
		{correlator.Cancelled, ``, `Cancelled`},
		{correlator.Failed, ``, `Bad gateway`},
		{correlator.TimedOut, `{"message":"late"}`, `Timeout for create task`},
	} {
		c := &dialect.Call{Ops: []dialect.Op{{Create: true, Ref: []byte(`"r"`)}}}
		_, body := answer(d, c, &dialect.Reply{Finals: []correlator.Callback{{Status: f.status, Body: []byte(f.body)}}})
		if want := `{"request_proc":"ok","ops":[{"proc":"error","ref":"r","description":"` + f.said + `"}]}`; body != want {
			t.Errorf("%v %s: %s", f.status, f.body, body)
		}
	}
}

// elementOp is one op of a package.
type elementOp struct {
	ID     string
	ConvID int `json:"conv_id"`
	Data   json.RawMessage
}

// batchOf gives the package of a call with three elements, with three tokens.
func batchOf(t *testing.T, d *corezoid.Dialect, data string, tokens []string) (c *dialect.Call, ops []elementOp) {
	t.Helper()
	c = &dialect.Call{Login: "access/shop", Ops: []dialect.Op{{Create: true}, {Create: true}, {Create: true}}, Options: &dialect.Options{Asked: &dialect.Asked{
		Method: "POST", Path: []byte("/v1/batch"), Signer: login, Process: "1234", Data: data, Body: []byte(`{"all":"of them"}`),
		Elements: [][]byte{[]byte(`{"refID":"a","__callback_url":"evil"}`), []byte(`{"refID":2.50}`), []byte(` {} `)},
	}}}
	if err := d.Prepare(c); err != nil {
		t.Fatal(err)
	}
	req := new(fasthttp.Request)
	if err := d.Encode(req, c, tokens, now); err != nil {
		t.Fatal(err)
	}
	var pack struct{ Ops []elementOp }
	if err := json.Unmarshal(req.Body(), &pack); err != nil || len(pack.Ops) != 3 {
		t.Fatalf("%v: %s", err, req.Body())
	}
	return c, pack.Ops
}

// TestPrepareElements has one task for each element, with its own token and id.
func TestPrepareElements(t *testing.T) {
	d, tokens := newDialect(t), make([]string, 3)
	for i := range tokens {
		tokens[i] = strings.Repeat(string(rune('A'+i)), correlator.TokenLen)
	}
	for _, data := range []string{"members", "both", "request", "raw"} {
		c, ops := batchOf(t, d, data, tokens)
		for i, op := range ops {
			if op.ID != c.Ops[i].Match || !c.Ops[i].Added || i > 0 && op.ID == ops[i-1].ID || op.ConvID != 1234 {
				t.Errorf("%s, op %d: %+v %+v", data, i, op, c.Ops[i])
			}
			wantOwnToken(t, string(op.Data), tokens[i])
		}
		ack, err := d.Ack(c, 200, nil, []byte(`{"request_proc":"error","ops":[],"message":"no such process"}`))
		if err != nil || len(ack.Finals) != 3 || ack.Finals[2].Op != 2 || ack.Finals[2].Status != correlator.Errored {
			t.Errorf("%+v, %v", ack, err)
		}
	}
	_, ops := batchOf(t, d, "members", tokens)
	if !strings.HasPrefix(string(ops[0].Data), `{"refID":"a","__callback_url":"`) || !strings.HasPrefix(string(ops[1].Data), `{"refID":2.50,"__callback_url":"`) || strings.Contains(string(ops[0].Data), "evil") {
		t.Errorf("%s\n%s", ops[0].Data, ops[1].Data)
	}
}

// wantOwnToken wants that every callback URL in a task's data has a token.
func wantOwnToken(t *testing.T, data, token string) {
	t.Helper()
	own := strings.Count(data, token)
	if own == 0 || own != strings.Count(data, "/plugins/callback/") || strings.Contains(data, "of them") {
		t.Error(data)
	}
}

func TestPrepareWantsAnOpForEachElement(t *testing.T) {
	d := newDialect(t)
	c := &dialect.Call{Ops: make([]dialect.Op, 2), Options: &dialect.Options{Asked: &dialect.Asked{Signer: login, Elements: [][]byte{[]byte(`{}`)}}}}
	if f, ok := errors.AsType[*dialect.Fault](d.Prepare(c)); !ok || f.Status != 500 {
		t.Errorf("%v", f)
	}
}
