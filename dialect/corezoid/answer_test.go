package corezoid_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
)

func TestAnswer(t *testing.T) {
	d := newDialect(t)
	ops := []dialect.Op{{Create: true, ID: []byte(`"i"`), Ref: []byte(`1.0`)}, {Create: true, Ref: []byte(`null`)}, {Refused: `no "x"`, ID: []byte(`[ ]`)}}
	done := correlator.Callback{Op: 0, Status: correlator.Complete, Body: []byte(`{"a" : 1}`)}
	said := correlator.Callback{Op: 1, Status: correlator.Answered, Body: []byte(`{"proc":"x"}`)}
	f := func(given bool, open error, finals []correlator.Callback, status int, want string) {
		t.Helper()
		all := make([]correlator.Callback, 3)
		for _, cb := range finals {
			all[cb.Op] = cb
		}
		c := &dialect.Call{Ops: ops, TimeoutGiven: given}
		gotStatus, got := answer(d, c, &dialect.Reply{Finals: all, Open: open})
		want = `{"request_proc":"ok","ops":[` + want + `,{"proc":"error","id":[ ],"description":"no \"x\""}]}`
		if gotStatus != status || got != want {
			t.Errorf("got  %d %s\nwant %d %s", gotStatus, got, status, want)
		}
	}
	some, both := []correlator.Callback{done}, []correlator.Callback{done, said}
	const ok = `{"proc":"ok","id":"i","ref":1.0,"data":{"a" : 1}}`
	f(false, nil, both, 200, ok+`,{"proc":"x"}`)
	f(false, correlator.ErrDeadline, both, 200, ok+`,{"proc":"x"}`)
	f(true, correlator.ErrDeadline, some, 200, ok+`,{"proc":"error","ref":null,"description":"Timeout for create task"}`)
	f(false, correlator.ErrDeadline, some, 504, ok+`,{"proc":"error","ref":null,"description":"Timeout for create task"}`)
	f(true, correlator.ErrDraining, some, 503, ok+`,{"proc":"error","ref":null,"description":"Shutting down"}`)
	f(true, dialect.ErrBadGateway, some, 502, ok+`,{"proc":"error","ref":null,"description":"Bad gateway"}`)
	f(true, errors.New("else"), some, 502, ok+`,{"proc":"error","ref":null,"description":"Bad gateway"}`)
	f(true, dialect.ErrPending, some, 202, ok+`,{"proc":"pending","ref":null}`)
}

// A response may hold another body already, in either of fasthttp's two ways.
func TestAnswerReplaces(t *testing.T) {
	d := newDialect(t)
	c := &dialect.Call{Ops: make([]dialect.Op, 1)}
	r := &dialect.Reply{Finals: []correlator.Callback{{Status: correlator.Complete, Body: []byte("1")}}}
	const want = `{"request_proc":"ok","ops":[{"proc":"ok","data":1}]}`
	for name, before := range map[string]func(*fasthttp.Response){
		"copied": func(r *fasthttp.Response) {
			r.SetBodyString("old old old old old old old old old old old old old old old old old old")
		},
		"raw":  func(r *fasthttp.Response) { r.SetBodyRaw([]byte("old")) },
		"none": func(*fasthttp.Response) {},
	} {
		var dst fasthttp.Response
		before(&dst)
		d.Answer(&dst, c, r)
		if got := string(dst.Body()); got != want {
			t.Errorf("%s: %s", name, got)
		}
		if ct := string(dst.Header.ContentType()); ct != "application/json" {
			t.Errorf("%s: %s", name, ct)
		}
	}
}

func TestRefuse(t *testing.T) {
	d := newDialect(t)
	for _, text := range []string{"Incorrect signature or login", "a \"b\" \\ \n\x00 <é> \u2028", "bad \xff"} {
		var dst fasthttp.Response
		d.Refuse(&dst, &dialect.Fault{Status: 418, Text: text, Err: errors.New("inner")}, "")
		var got struct {
			RequestProc string `json:"request_proc"`
			Ops         []struct{ Proc, Description string }
		}
		if err := json.Unmarshal(dst.Body(), &got); err != nil {
			t.Fatalf("%s: %v", dst.Body(), err)
		}
		want := text
		if text == "bad \xff" {
			want = "bad \ufffd"
		}
		if got.RequestProc != "error" || len(got.Ops) != 1 || got.Ops[0].Proc != "error" || got.Ops[0].Description != want {
			t.Errorf("got %s", dst.Body())
		}
		if dst.StatusCode() != 418 || string(dst.Header.ContentType()) != "application/json" {
			t.Errorf("%d %s", dst.StatusCode(), dst.Header.ContentType())
		}
	}
}
